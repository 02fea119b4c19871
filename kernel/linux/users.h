/* SPDX-License-Identifier: MIT */
/* Who a process acts for. As whom it acts decides what it may exceed; files do not ask. */
#ifndef KERNEL_USERS_H
#define KERNEL_USERS_H

#include "kernel/lib/base.h"

/* Linux's four ids of each kind. All zero: root. Inherited by fork, kept by exec. */
struct ids {
	u32 real, effective, saved, fs;
};

struct users {
	struct ids user, group;
};

struct process;

/*
 * CAP_SYS_RESOURCE, CAP_IPC_LOCK, CAP_SETUID and all the others, of a process as it acts now. A stale answer was true a
 * moment ago.
 */
bool process_is_privileged(const struct process *process);
#define NR_CAPABILITIES 41
#define ALL_CAPABILITIES ((1UL << NR_CAPABILITIES) - 1)
/* What it may do now, and what it may do once it has gone back to its other ids. */
u64 effective_capabilities(const struct process *process);
u64 permitted_capabilities(const struct process *process);
/* May the caller send that process a signal? As Linux's kill_ok_by_cred(). */
bool may_signal(const struct process *target);
/*
 * May the caller look into that process's memory, or advise about it? By its real ids or by those that it opens files with. As
 * Linux's __ptrace_may_access().
 */
enum own_ids {
	OWN_REAL_IDS,
	OWN_FS_IDS,
};
bool may_access(const struct process *target, enum own_ids which);
/* Does the caller act as that process's owner, as far as priorities are concerned? */
bool owns_process(const struct process *target);

#endif
