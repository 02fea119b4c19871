/* SPDX-License-Identifier: MIT */
/* Linux's form of the resources that a process has used. */
#ifndef KERNEL_USAGE_H
#define KERNEL_USAGE_H

#include "kernel/process/task.h"

/* Writes Linux's struct rusage, for wait4 and getrusage. Returns: 0 or -EFAULT. */
int put_rusage(vaddr_t addr, const struct usage *usage);

#endif
