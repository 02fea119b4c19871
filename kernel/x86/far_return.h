/* SPDX-License-Identifier: MIT */
/* Emulates iretq and lretq of user mode where the CPU cannot execute them under SMAP: QEMU before 9.1. */
#ifndef KERNEL_X86_FAR_RETURN_H
#define KERNEL_X86_FAR_RETURN_H

#include "kernel/x86/trap.h"

enum far_return {
	FAR_RETURN_OTHER,   /* a different instruction */
	FAR_RETURN_FAULTS,  /* its stack cannot be read: an ordinary fault of user mode */
	FAR_RETURN_BAD,	    /* a general protection fault */
	FAR_RETURN_STEPPED, /* emulated; the program is single-stepping */
	FAR_RETURN_DONE,
};

/*
 * Emulates the instruction at which user mode took a page fault, on an access to the user's half that the CPU made with
 * supervisor privilege. Context: interrupts on; may sleep.
 */
enum far_return far_return_emulate(struct trap_frame *frame);

#endif
