/* SPDX-License-Identifier: MIT */
/*
 * The vsyscall page, which has the same address in every address space: gettimeofday, time and getcpu for programs
 * older than the vDSO.
 */
#ifndef KERNEL_X86_VSYSCALL_H
#define KERNEL_X86_VSYSCALL_H

#include "kernel/x86/trap.h"

#define VSYSCALL_PAGE 0xffffffffff600000UL

/*
 * Handles a page fault of user mode above the user's half. Returns true if it was an instruction fetch from the
 * vsyscall page: then the call was made, or a signal was sent. May sleep. => interrupts on.
 */
bool vsyscall_emulate(struct trap_frame *frame, u64 error, u64 addr);

#endif
