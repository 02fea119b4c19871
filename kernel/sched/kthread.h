/* SPDX-License-Identifier: MIT */
/*
 * Kernel threads: tasks without an address space, each a process of its own without a parent. They appear in /proc with
 * a name and no command line, belong to no process group, and take no signals.
 */
#ifndef KERNEL_KTHREAD_H
#define KERNEL_KTHREAD_H

#include "kernel/process/task.h"

/*
 * Starts a thread that runs fn(arg), with interrupts on, on any CPU, and ends when fn returns. `name` is truncated to
 * TASK_COMM_LEN. Returns the task with a reference, which kthread_stop() drops, or NULL if out of memory. Does not
 * sleep.
 */
struct task *kthread_start(const char *name, void (*fn)(void *arg), void *arg);
/* Asks a thread to end, wakes it, and waits until it has ended. Sleeps. */
void kthread_stop(struct task *task);
/*
 * Returns whether the current kernel thread has been asked to end. Test it after thread_prepare_sleep(), like any
 * condition.
 */
bool kthread_should_stop(void);

#endif
