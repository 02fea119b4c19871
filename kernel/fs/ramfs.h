/* SPDX-License-Identifier: MIT */
/* Files and directories in memory. Regular files keep their bytes in a struct mapping, so that they can be mapped. */
#ifndef KERNEL_FS_RAMFS_H
#define KERNEL_FS_RAMFS_H

#include "kernel/fs/file.h"

extern const struct file_ops ramfs_dir_ops; /* other file systems use it too: names are in memory */

/* Returns the operations of an open file of that type, in any file system; NULL: it cannot be opened. */
const struct file_ops *file_ops_of(u32 mode, u32 rdev);
/*
 * Return a new inode, a symbolic link or of any other type; `rdev` is for devices. NULL: no memory, even after reclaim.
 */
struct inode *ramfs_inode(struct super_block *sb, u32 mode, u32 rdev);
struct inode *ramfs_symlink(struct super_block *sb, const char *target, size_t len);
/* Calls one of the two, as the create() of struct fs_type. -ENOSPC if there is no memory. */
struct inode *ramfs_create(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len);

/* Writes into one page. Returns the number of bytes, or -ENOSPC, -EFAULT. => inode->lock held for writing. Sleeps. */
long ramfs_write_piece(struct inode *inode, struct iov_iter *from, u64 pos, size_t n);

#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#define F_SEAL_FUTURE_WRITE 16

/* Returns true if files may use so many more pages, with enough left for everything else. */
bool ramfs_has_room(u64 nr_pages);

#endif
