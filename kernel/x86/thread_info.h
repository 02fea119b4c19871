/* SPDX-License-Identifier: MIT */
/*
 * What the trap entry and the context switch need to know of a task. It is the first member of struct task, so that a
 * task pointer is a pointer to it.
 */
#ifndef KERNEL_X86_THREAD_INFO_H
#define KERNEL_X86_THREAD_INFO_H

#include "kernel/base.h"

/* Why the way back to user mode must take the slow path. Set by atomic_or from anywhere, tested on every exit. */
#define TIF_NEED_RESCHED 1u  /* the scheduler wants this CPU */
#define TIF_SIGPENDING 2u    /* an unblocked signal may be pending */
#define TIF_FRAME_CHANGED 4u /* the saved user registers were changed other than by the return value: use iret */

struct thread_info {
	u32 flags;	 /* atomic; TIF_* */
	u32 reserved;
	u64 switch_rsp;	 /* saved stack pointer while not running; owned by the context switch */
	u64 stack_top;	 /* constant: top of the kernel stack; the user's trap frame lies right below */
	u64 fs_base;	 /* the user's TLS base; the running thread's own copy is always valid */
	u64 gs_base;	 /* the user's gs base */
	void *xstate;	 /* constant: XSAVE area of xstate_size bytes, 64-byte aligned; NULL for a kernel thread */
};

#define THREAD_INFO_FLAGS 0
#define THREAD_INFO_SWITCH_RSP 8
_Static_assert(offsetof(struct thread_info, flags) == THREAD_INFO_FLAGS, "entry.asm");
_Static_assert(offsetof(struct thread_info, switch_rsp) == THREAD_INFO_SWITCH_RSP, "entry.asm");

#endif
