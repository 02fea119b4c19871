/* SPDX-License-Identifier: MIT */
/* Interface of the descriptors that stand for a process. */
#ifndef KERNEL_PIDFD_H
#define KERNEL_PIDFD_H

#include "kernel/process/task.h"

/*
 * Returns the process of a descriptor of the current process, with a reference, or an error pointer (-EBADF). Sets
 * *flags, unless NULL, to the flags of the open file.
 */
struct process *pidfd_process(int fd, u32 *flags);

struct file;
/*
 * Opens a file for the process and takes a reference for it; flags: O_NONBLOCK or 0. Returns the file, or error pointer
 * -ENOMEM.
 */
struct file *pidfd_file(struct process *process, u32 flags);

#endif
