/* SPDX-License-Identifier: MIT */
/* Interval timers (setitimer, alarm) and POSIX timers (timer_create) of a process. */
#ifndef KERNEL_ITIMER_H
#define KERNEL_ITIMER_H

#include "kernel/lib/base.h"

struct process;
struct task;

/* Stop and free all timers of the current process, whose other threads have exited. exec keeps the interval timers. */
void itimers_exit(struct process *process);
void posix_timers_exit(struct process *process);
/* Counts down the timers that measure CPU time; called by the tick that interrupted `task`. => interrupts off. */
void itimers_tick(struct task *task, bool user);

#endif
