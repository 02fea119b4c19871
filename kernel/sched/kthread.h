/* SPDX-License-Identifier: MIT */
/*
 * Kernel threads: tasks without an address space, each a process of its own without a parent. They show in /proc with a
 * name and no command line, are in nobody's process group, and take no signals.
 */
#ifndef KERNEL_KTHREAD_H
#define KERNEL_KTHREAD_H

#include "kernel/process/task.h"

/*
 * A thread that runs fn(arg), with interrupts on, on any CPU; it ends when fn returns. `name` is cut to TASK_COMM_LEN. One
 * that is to be stopped comes back with a reference, which kthread_stop() drops; NULL without memory. Does not sleep.
 */
struct task *kthread_start(const char *name, void (*fn)(void *arg), void *arg);
/* Asks a thread to end, wakes it, and waits until it has. Sleeps. */
void kthread_stop(struct task *task);
/* The current kernel thread has been asked to end. To be tested after thread_prepare_sleep(), like any condition. */
bool kthread_should_stop(void);

#endif
