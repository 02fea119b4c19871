/* SPDX-License-Identifier: MIT */
/* Files in memory without a name (memfds), and their seals. */
#ifndef KERNEL_FS_MEMFD_H
#define KERNEL_FS_MEMFD_H

#include "kernel/fs/file.h"

/* F_ADD_SEALS, F_GET_SEALS: -EINVAL if the file does not support seals. Take inode->lock; sleep. */
long memfd_add_seals(struct file *file, u32 seals);
long memfd_get_seals(struct file *file);

/* Returns true if a seal forbids new writable mappings. Unlocked: may miss a seal that is just being added. */
bool file_write_sealed(const struct file *file);

#endif
