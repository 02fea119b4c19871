/* SPDX-License-Identifier: MIT */
/* The interface between exit.c and wait4.c. */
#ifndef KERNEL_WAIT4_H
#define KERNEL_WAIT4_H

#include "kernel/process/task.h"

/* Removes a zombie that was waited for, or for which no process will wait. => process_tree_lock held. */
void process_release(struct process *process);

#endif
