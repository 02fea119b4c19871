/* SPDX-License-Identifier: MIT */
/* The user and group ids of a process, and its privileges. File access does not check them. */
#ifndef KERNEL_USERS_H
#define KERNEL_USERS_H

#include "kernel/lib/base.h"

struct process;

/*
 * Returns true if the process has CAP_SYS_RESOURCE, CAP_IPC_LOCK, CAP_SETUID and all the others, by its effective user
 * id. Unlocked: the result may be out of date.
 */
bool process_is_privileged(const struct process *process);
#define NR_CAPABILITIES 41
#define ALL_CAPABILITIES ((1UL << NR_CAPABILITIES) - 1)
/* The capabilities that the process has, and those that it may get back by returning to another of its ids. */
u64 effective_capabilities(const struct process *process);
u64 permitted_capabilities(const struct process *process);
/* Returns true if the caller may send that process a signal. As Linux's kill_ok_by_cred(). */
bool may_signal(const struct process *target);
/*
 * Returns true if the caller may read that process's memory, or advise about it, by the caller's real ids or by those
 * for file access. As Linux's __ptrace_may_access().
 */
enum own_ids {
	OWN_REAL_IDS,
	OWN_FS_IDS,
};
bool may_access(const struct process *target, enum own_ids which);
/* Returns true if the caller may read and set that process's limits. As Linux's check_prlimit_permission(). */
bool may_limit(const struct process *target);
/* Returns true if the caller's effective user owns that process, as the calls about scheduling check it. */
bool owns_process(const struct process *target);

#endif
