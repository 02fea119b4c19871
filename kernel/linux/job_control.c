/* SPDX-License-Identifier: MIT */
/* The rules of job control for process groups and sessions: see job_control.h. */
#include "kernel/linux/job_control.h"
#include "kernel/linux_hooks.h"

static bool ties_to_session(const struct process *process)
{
	const struct process *parent = process->parent;

	return parent && parent != init_process && parent->pgid != process->pgid && parent->sid == process->sid;
}

bool group_is_orphaned(s32 pgid, const struct process *ignored)
{
	struct process *process;

	assert_spin_held(&process_tree_lock);
	for_each_in_group (process, pgid)
		if (process != ignored && !process->zombie && ties_to_session(process))
			return false;
	return true;
}

void group_signal(s32 pgid, int sig)
{
	struct process *process;

	assert_spin_held(&process_tree_lock);
	for_each_in_group (process, pgid)
		signal_process_kernel(process, sig);
}

/* A stop that ends at this moment may count or not: both orders are possible. */
static bool has_stopped_member(s32 pgid)
{
	struct process *process;

	for_each_in_group (process, pgid)
		if (READ_ONCE(process->stop_signal))
			return true;
	return false;
}

static void end_orphaned_stop(s32 pgid, const struct process *ignored)
{
	if (!group_is_orphaned(pgid, ignored) || !has_stopped_member(pgid))
		return;
	group_signal(pgid, SIGHUP);
	group_signal(pgid, SIGCONT);
}

void group_left_by_member(const struct process *process)
{
	assert_spin_held(&process_tree_lock);
	if (ties_to_session(process))
		end_orphaned_stop(process->pgid, process);
}

void group_left_by_parent(const struct process *child, const struct process *parent)
{
	assert_spin_held(&process_tree_lock);
	if (parent->pgid != child->pgid && parent->sid == child->sid)
		end_orphaned_stop(child->pgid, NULL);
}

void session_leave_terminal(s32 sid)
{
	struct process *process;

	assert_spin_held(&process_tree_lock);
	for_each_in_session (process, sid)
		WRITE_ONCE(process->tty, NULL);
}
