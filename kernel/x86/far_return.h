/* SPDX-License-Identifier: MIT */
/* iretq and lretq of user mode, made by the kernel for a CPU that cannot under SMAP: QEMU before 9.1. */
#ifndef KERNEL_X86_FAR_RETURN_H
#define KERNEL_X86_FAR_RETURN_H

#include "kernel/x86/trap.h"

enum far_return {
	FAR_RETURN_OTHER,   /* it is another instruction */
	FAR_RETURN_FAULTS,  /* its stack cannot be read: a fault as any other of user mode */
	FAR_RETURN_BAD,	    /* a general protection fault */
	FAR_RETURN_STEPPED, /* made; the program runs in single steps */
	FAR_RETURN_DONE,
};

/*
 * For a page fault of user mode in the user's half, of an access that the CPU made as a supervisor. Context: interrupts on; may
 * sleep.
 */
enum far_return far_return_emulate(struct trap_frame *frame);

#endif
