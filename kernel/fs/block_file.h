/* SPDX-License-Identifier: MIT */
/* /dev/ramN: reading and writing a block device as a file. */
#ifndef KERNEL_FS_BLOCK_FILE_H
#define KERNEL_FS_BLOCK_FILE_H

#include "kernel/fs/file.h"

/* How an opened block device works; an open fails with ENXIO where there is no device of that number. */
extern const struct file_ops block_file_ops;

/*
 * A node for each device in /dev; without memory the file system is marked incomplete. => fs_tree_lock held for
 * writing.
 */
void block_files_create(struct dentry *dev);

#endif
