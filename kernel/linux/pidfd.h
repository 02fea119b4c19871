/* SPDX-License-Identifier: MIT */
/* Descriptors that stand for a process. */
#ifndef KERNEL_PIDFD_H
#define KERNEL_PIDFD_H

#include "kernel/process/task.h"

/*
 * The process behind a descriptor of the current process, with a reference, or an error pointer (-EBADF); `flags`, unless
 * NULL, are set to those of the open file.
 */
struct process *pidfd_process(int fd, u32 *flags);

struct file;
/* An open file for the process, of which it takes a reference of its own; O_NONBLOCK or 0. Error pointer -ENOMEM. */
struct file *pidfd_file(struct process *process, u32 flags);

#endif
