/* SPDX-License-Identifier: MIT */
/* Files in memory without a name (memfds), and their seals. */
#ifndef KERNEL_FS_MEMFD_H
#define KERNEL_FS_MEMFD_H

#include "kernel/fs/file.h"

/* F_ADD_SEALS, F_GET_SEALS: -EINVAL if the file does not support seals. Take inode->lock; sleep. */
long memfd_add_seals(struct file *file, u32 seals);
long memfd_get_seals(struct file *file);

/*
 * Called before a shared mapping of a file that is open for writing is created. Returns false if a seal forbids that it
 * is writable. Otherwise F_SEAL_WRITE fails, as if the mapping existed, until memfd_mapping_ends(). Any file. Do not
 * sleep.
 */
bool memfd_mapping_begins(struct file *file);
void memfd_mapping_ends(struct file *file);

#endif
