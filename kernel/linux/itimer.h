/* SPDX-License-Identifier: MIT */
/* Interval timers (setitimer, alarm) and POSIX timers (timer_create) of a process. */
#ifndef KERNEL_ITIMER_H
#define KERNEL_ITIMER_H

#include "kernel/lib/base.h"

struct process;
struct task;

/* Stop and free all timers of the current process, whose other threads are gone. exec keeps the interval timers. */
void itimers_exit(struct process *process);
void posix_timers_exit(struct process *process);
/* From the tick that interrupted `task`: the timers that count CPU time. => interrupts off. */
void itimers_tick(struct task *task, bool user);

#endif
