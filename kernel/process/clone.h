/* SPDX-License-Identifier: MIT */
/*
 * The request that clone, clone3, fork and vfork each translate their arguments to, and do_clone(), which fork.c
 * implements.
 */
#ifndef KERNEL_CLONE_H
#define KERNEL_CLONE_H

#include "kernel/lib/base.h"

#define CSIGNAL 0xffUL
#define CLONE_VM 0x100UL
#define CLONE_FS 0x200UL
#define CLONE_FILES 0x400UL
#define CLONE_SIGHAND 0x800UL
#define CLONE_PIDFD 0x1000UL
#define CLONE_VFORK 0x4000UL
#define CLONE_PARENT 0x8000UL
#define CLONE_THREAD 0x10000UL
#define CLONE_NEWNS 0x20000UL
#define CLONE_SETTLS 0x80000UL
#define CLONE_PARENT_SETTID 0x100000UL
#define CLONE_CHILD_CLEARTID 0x200000UL
#define CLONE_DETACHED 0x400000UL
#define CLONE_CHILD_SETTID 0x1000000UL
#define CLONE_CLEAR_SIGHAND 0x100000000UL
#define CLONE_NAMESPACES (CLONE_NEWNS | 0x2000000UL | 0x7c000000UL) /* cgroup, uts, ipc, user, pid, net */

struct clone_request {
	u64 flags;
	u64 stack; /* initial stack pointer; 0: the parent's */
	vaddr_t parent_tid, child_tid;
	vaddr_t pidfd; /* CLONE_PIDFD: where to write the descriptor */
	u64 tls;
	int exit_signal;
};

/* Returns the child's thread id, or -errno. Sleeps. Mirrors Linux's kernel_clone(). */
long do_clone(const struct clone_request *request);

#endif
