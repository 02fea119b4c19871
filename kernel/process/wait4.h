/* SPDX-License-Identifier: MIT */
/* The interface between exit.c, wait4.c and the other users of struct rusage. */
#ifndef KERNEL_WAIT4_H
#define KERNEL_WAIT4_H

#include "kernel/process/task.h"

/* Removes a zombie that was waited for, or for which no process will wait. => process_tree_lock held. */
void process_release(struct process *process);

/* Writes Linux's struct rusage, for wait4 and getrusage. Returns: 0 or -EFAULT. */
int put_rusage(vaddr_t addr, const struct usage *usage);

#endif
