/* SPDX-License-Identifier: MIT */
/* What the handlers in trap.c call: each runs with interrupts off. */
#ifndef KERNEL_X86_INTERRUPT_H
#define KERNEL_X86_INTERRUPT_H

#include "kernel/debug/post_mortem.h"
#include "kernel/x86/trap.h"

/* Serves the shootdown requests in this CPU's inbox. */
void tlb_interrupt(void);
/* From the NMI: this CPU stops, and does not return, while another one panics. True: it is this one, which goes on. */
bool panic_nmi(const struct trap_frame *frame);
/* A panic about the registers in `frame`: its backtrace starts there. It shows the page tables at `addr`, unless NO_ADDRESS. */
void panic_at(const struct trap_frame *frame, u64 addr, const char *fmt, ...) __printf(3, 4) __noreturn;

/* The exception table: where to go on after the instruction at rip has faulted on a user address. */
struct extable_entry {
	u64 rip, fixup;
	u64 nofault; /* 1: never try to fault the page in */
};
const struct extable_entry *extable_find(u64 rip);

#endif
