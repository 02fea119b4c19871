/* SPDX-License-Identifier: MIT */
/*
 * The rules of job control for process groups and sessions (POSIX; Linux: kernel/exit.c, drivers/tty/tty_jobctrl.c);
 * kernel/linux_hooks.h has those for signals and exit. All of it runs under process_tree_lock; process->lock, under
 * which signals are sent, nests inside it.
 */
#ifndef KERNEL_JOB_CONTROL_H
#define KERNEL_JOB_CONTROL_H

#include "kernel/process/task.h"

/* Sends sig, from the kernel, to every process of a group. => process_tree_lock held. */
void group_signal(s32 pgid, int sig);
/* Detaches the session from its terminal, when its leader exits or gives the terminal up. => process_tree_lock held. */
void session_leave_terminal(s32 sid);

#endif
