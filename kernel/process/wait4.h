/* SPDX-License-Identifier: MIT */
/* What exit.c and wait4.c share. */
#ifndef KERNEL_WAIT4_H
#define KERNEL_WAIT4_H

#include "kernel/process/task.h"

/* A zombie that nobody will wait for (any more) vanishes. => process_tree_lock held. */
void process_release(struct process *process);

/* Linux's struct rusage, for wait4 and getrusage. 0 or -EFAULT. */
int put_rusage(vaddr_t addr, const struct usage *usage);

#endif
