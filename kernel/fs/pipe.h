/* SPDX-License-Identifier: MIT */
/* Pipes and FIFOs. */
#ifndef KERNEL_FS_PIPE_H
#define KERNEL_FS_PIPE_H

#include "kernel/fs/file.h"

extern const struct file_ops fifo_ops;

/* Creates both ends of a pipe. `flags`: O_NONBLOCK, O_DIRECT (ignored). Returns 0 or -ENOMEM. May wait for memory. */
int pipe_create(u32 flags, struct file **read_end, struct file **write_end);
/* F_GETPIPE_SZ, F_SETPIPE_SZ; -EBADF if the file is not a pipe. Sleep. */
long pipe_get_size(struct file *file);
long pipe_set_size(struct file *file, u64 size);

#endif
