/* SPDX-License-Identifier: MIT */
/* Functions that the handlers of trap.c call, each with interrupts off. */
#ifndef KERNEL_X86_INTERRUPT_H
#define KERNEL_X86_INTERRUPT_H

#include "kernel/debug/post_mortem.h"
#include "kernel/x86/trap.h"

/* Serves the shootdown requests in this CPU's inbox. */
void tlb_interrupt(void);
/*
 * Called on an NMI. If another CPU panics, stops this one and does not return. Returns true if this CPU is the one that
 * panics, false if none does.
 */
bool panic_nmi(const struct trap_frame *frame);
/*
 * Panics with a report about the registers in `frame`, where the backtrace starts. Shows the page tables at `addr`,
 * unless it is NO_ADDRESS.
 */
void panic_at(const struct trap_frame *frame, u64 addr, const char *fmt, ...) __printf(3, 4) __noreturn;

/* An entry of the exception table: fixup is where to continue after the instruction at rip has faulted. */
struct extable_entry {
	u64 rip, fixup;
	u64 nofault; /* 1: never try to fault the page in */
};
const struct extable_entry *extable_find(u64 rip);

#endif
