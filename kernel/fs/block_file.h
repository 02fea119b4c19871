/* SPDX-License-Identifier: MIT */
/* Block devices (/dev/ramN) as files that can be read and written. */
#ifndef KERNEL_FS_BLOCK_FILE_H
#define KERNEL_FS_BLOCK_FILE_H

#include "kernel/fs/file.h"

/* The operations of an open block device. An open fails with ENXIO if no device has that number. */
extern const struct file_ops block_file_ops;

/*
 * Creates a node in /dev for each device. If memory is short, marks the file system incomplete. => fs_tree_lock held
 * for writing.
 */
void block_files_create(struct dentry *dev);

#endif
