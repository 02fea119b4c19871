/* SPDX-License-Identifier: MIT */
/* The process group and the session of a process. Its own number is in kernel/process/ids.c. */
#include "kernel/lib/errno.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

/* pid 0: the caller. => process_tree_lock held. */
static struct process *identity_find_locked(s32 pid)
{
	assert_spin_held(&process_tree_lock);
	return pid == 0 ? current->process : process_numbered(pid);
}

/* => process_tree_lock held. */
static bool group_exists(s32 pgid, s32 sid)
{
	struct process *process;

	assert_spin_held(&process_tree_lock);
	for_each_in_group (process, pgid)
		if (process->sid == sid)
			return true;
	return false;
}

/* => process_tree_lock held. */
static long set_group(s32 pid, s32 pgid)
{
	struct process *self = current->process, *process = identity_find_locked(pid);

	assert_spin_held(&process_tree_lock);
	if (!process || (process != self && process->parent != self))
		return -ESRCH;
	if (process->parent == self && process->sid != self->sid)
		return -EPERM;
	if (process->parent == self && process != self && process->did_exec)
		return -EACCES;
	if (process->sid == process->pid)
		return -EPERM;
	if (pgid == 0)
		pgid = process->pid;
	if (pgid != process->pid && !group_exists(pgid, self->sid))
		return -EPERM;
	process_set_group(process, pgid);
	return 0;
}

SYSCALL(setpgid)
{
	long answer;

	if ((s32)a1 < 0)
		return -EINVAL;
	spin_lock(&process_tree_lock);
	answer = set_group((s32)a0, (s32)a1);
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(getpgid)
{
	struct process *process;
	long answer;

	spin_lock(&process_tree_lock);
	process = identity_find_locked((s32)a0);
	answer = process ? process->pgid : -ESRCH;
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(getpgrp)
{
	return current->process->pgid;
}

SYSCALL(getsid)
{
	struct process *process;
	long answer;

	spin_lock(&process_tree_lock);
	process = identity_find_locked((s32)a0);
	answer = process ? process->sid : -ESRCH;
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(setsid)
{
	struct process *self = current->process, *process;
	long answer = self->pid;

	spin_lock(&process_tree_lock);
	for_each_in_group (process, self->pid)
		answer = -EPERM;
	if (answer > 0) {
		process_set_group(self, self->pid);
		process_set_session(self, self->pid);
		WRITE_ONCE(self->tty, NULL);
	}
	spin_unlock(&process_tree_lock);
	return answer;
}
