/* SPDX-License-Identifier: MIT */
/* Files and directories in memory. Regular files keep their bytes in a struct mapping, so that they can be mapped. */
#ifndef KERNEL_FS_RAMFS_H
#define KERNEL_FS_RAMFS_H

#include "kernel/fs/file.h"

extern const struct file_ops ramfs_file_ops, ramfs_dir_ops;

/*
 * A new inode of any type; `rdev` is for devices. Pages of files on FS_DEV_ROOT count as RssFile, others as RssShmem.
 * NULL without memory. Does not sleep.
 */
struct inode *ramfs_inode(enum fs_device dev, u32 mode, u32 rdev);
struct inode *ramfs_symlink(enum fs_device dev, const char *target, size_t len);

/*
 * Creates `name` in a directory and returns its dentry without a reference (the name's own keeps it), or an error pointer:
 * -ENOMEM. => fs_tree_lock for writing, the name does not exist, the directory does.
 */
struct dentry *ramfs_create(struct dentry *dir, const char *name, size_t len, u32 mode, u32 rdev);
/* The same for an inode that exists; takes over its reference. */
struct dentry *ramfs_add(struct dentry *dir, const char *name, size_t len, struct inode *inode);

/* The size in bytes; a file in use may have another one by the time it is looked at. */
u64 inode_size(const struct inode *inode);
/* Sets the size of a regular file. 0, -EINVAL, -EPERM (sealed). Takes inode->lock; sleeps. */
int inode_truncate(struct inode *inode, u64 size);

/* open.c: 0, or why nothing can be created in a directory: -ENOTDIR, -ENOENT. => fs_tree_lock. */
int dir_may_create(struct dentry *dir);

/* names.c: 0, or why a name cannot be removed: -EBUSY, -EPERM. => fs_tree_lock. */
int dentry_may_remove(struct dentry *dentry);
/* Removes the name, whatever it is the name of. => fs_tree_lock for writing. */
void dentry_remove(struct dentry *dentry);

#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#define F_SEAL_FUTURE_WRITE 16

/* Files may take so many pages more: there is enough left for everything else. */
bool ramfs_has_room(u64 nr_pages);

#endif
