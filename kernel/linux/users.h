/* SPDX-License-Identifier: MIT */
/* The privileges of a process that only the calls of this folder check; kernel/linux_hooks.h has the others. */
#ifndef KERNEL_LINUX_USERS_H
#define KERNEL_LINUX_USERS_H

#include "kernel/lib/base.h"

struct process;

/* Returns true if the caller may read and set that process's limits. As Linux's check_prlimit_permission(). */
bool may_limit(const struct process *target);

#endif
