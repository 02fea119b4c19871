/* SPDX-License-Identifier: MIT */
/*
 * Process groups as job control sees them (POSIX; Linux: kernel/exit.c, drivers/tty/tty_jobctrl.c). All of it under
 * process_tree_lock; signals are sent below it.
 */
#ifndef KERNEL_JOB_CONTROL_H
#define KERNEL_JOB_CONTROL_H

#include "kernel/process/task.h"

/*
 * Nobody outside the group but in its session could ever continue it. `ignored` (or NULL) counts no longer: it is
 * going. => process_tree_lock held.
 */
bool group_is_orphaned(s32 pgid, const struct process *ignored);
/* sig from the kernel to every process of a group. => process_tree_lock held. */
void group_signal(s32 pgid, int sig);
/*
 * A process is going; its group, or one of its children's, may become orphaned by that: one with stopped members gets
 * SIGHUP and SIGCONT. Called for the process itself, and for each child that gets a new parent. => process_tree_lock
 * held.
 */
void group_left_by_member(const struct process *process);
void group_left_by_parent(const struct process *child, const struct process *parent);
/*
 * The session of that number, whose leader is going or has let go of it, has no terminal any more. => process_tree_lock
 * held. held.
 */
void session_leave_terminal(s32 sid);

#endif
