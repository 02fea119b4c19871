/* SPDX-License-Identifier: MIT */
/*
 * The holders and waiters of locks, for hang and panic reports. Any context; takes no locks, and follows pointers only
 * with the nofault copy. Data that changes while it is read makes a report wrong, but does no other harm.
 *
 * The debug kernel records every lock that is held. The release kernel does not, since each fault would pay for it: it
 * uses the owners that locks store (spinlocks, mutexes, mmap_lock's writer), and what the state of a fault says that it
 * holds.
 */
#ifndef KERNEL_LOCK_OWNERS_H
#define KERNEL_LOCK_OWNERS_H

#include "kernel/lib/base.h"

struct fault;
struct lock_wait;
struct task;

/* Copies the fault that the task is resolving, which lies on that task's stack. Returns false if there is none. */
bool task_copy_fault(struct fault *copy, const struct task *task);
/* Returns true if the task holds what `wait` waits for. */
bool task_holds(const struct task *task, const struct lock_wait *wait);
/* Logs the locks that a CPU and its task, called `name`, hold and wait for. */
void log_locks(unsigned cpu, const struct task *task, const char *name);
/* Logs, in the release kernel, that not all locks are recorded. */
void log_lock_limits(void);

#endif
