/* SPDX-License-Identifier: MIT */
/* The vsyscall page, at one address in every address space: gettimeofday, time and getcpu of programs older than the vDSO. */
#ifndef KERNEL_X86_VSYSCALL_H
#define KERNEL_X86_VSYSCALL_H

#include "kernel/x86/trap.h"

#define VSYSCALL_PAGE 0xffffffffff600000UL

/*
 * A page fault of user mode above the user's half. True: it was an instruction fetch from the vsyscall page, and the call was
 * made, or has become a signal. May sleep. => interrupts on.
 */
bool vsyscall_emulate(struct trap_frame *frame, u64 error, u64 addr);

#endif
