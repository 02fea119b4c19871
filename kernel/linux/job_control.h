/* SPDX-License-Identifier: MIT */
/*
 * The rules of job control for process groups and sessions (POSIX; Linux: kernel/exit.c, drivers/tty/tty_jobctrl.c).
 * All of it runs under process_tree_lock; process->lock, under which signals are sent, nests inside it.
 */
#ifndef KERNEL_JOB_CONTROL_H
#define KERNEL_JOB_CONTROL_H

#include "kernel/process/task.h"

/*
 * Returns true if no member has a parent outside the group but in its session, so that no shell could continue it.
 * `ignored` (or NULL) does not count, since it is exiting. => process_tree_lock held.
 */
bool group_is_orphaned(s32 pgid, const struct process *ignored);
/* Sends sig, from the kernel, to every process of a group. => process_tree_lock held. */
void group_signal(s32 pgid, int sig);
/*
 * The exit of a process may orphan its own group, or that of a child: an orphaned group with stopped members gets
 * SIGHUP and SIGCONT. Called for the process itself, and for each child that gets a new parent. => process_tree_lock
 * held.
 */
void group_left_by_member(const struct process *process);
void group_left_by_parent(const struct process *child, const struct process *parent);
/* Detaches the session from its terminal, when its leader exits or gives the terminal up. => process_tree_lock held. */
void session_leave_terminal(s32 sid);

#endif
