/* SPDX-License-Identifier: MIT */
/*
 * Who holds which lock, and who waits for one: for the report about a hang and for a panic's last words. Any context; takes
 * no locks, and believes no pointer that the nofault copy can read. What changes meanwhile makes an answer wrong, nothing
 * worse.
 *
 * The debug kernel notes every lock that is held. The release kernel doesn't, since each fault would pay for it: it goes by
 * what locks know of their owners (spinlocks, mutexes, mmap_lock's writer), and by what a fault says that it has in hand.
 */
#ifndef KERNEL_LOCK_OWNERS_H
#define KERNEL_LOCK_OWNERS_H

#include "kernel/lib/base.h"

struct fault;
struct lock_wait;
struct task;

/* The fault that the task is resolving, if any: it lies on that task's stack. */
bool task_copy_fault(struct fault *copy, const struct task *task);
/* The task has what is waited for. */
bool task_holds(const struct task *task, const struct lock_wait *wait);
/* Logs what a CPU and the task on it, which is called `name`, hold and wait for. */
void log_locks(unsigned cpu, const struct task *task, const char *name);
/* Logs, in the release kernel, that it has not noted all locks. */
void log_lock_limits(void);

#endif
