/* SPDX-License-Identifier: MIT */
/* Files without a name, and their seals. */
#ifndef KERNEL_FS_MEMFD_H
#define KERNEL_FS_MEMFD_H

#include "kernel/fs/file.h"

/* F_ADD_SEALS, F_GET_SEALS: -EINVAL when the file knows no seals. Take inode->lock; sleep. */
long memfd_add_seals(struct file *file, u32 seals);
long memfd_get_seals(struct file *file);

/* A seal forbids new writable mappings. Unlocked: a seal that comes just now may be missed, as if it came after. */
bool file_write_sealed(const struct file *file);

#endif
