/* SPDX-License-Identifier: MIT */
/* Adding and removing names in directories of any file system. */
#ifndef KERNEL_FS_DIR_H
#define KERNEL_FS_DIR_H

#include "kernel/fs/inode.h"

/* Returns 0, or -ENOTDIR, -ENOENT or -EROFS if nothing can be created in the directory. => fs_tree_lock held. */
int dir_may_create(struct dentry *dir);
/*
 * Links the inode under a name that does not exist yet, and takes over the inode's reference. Returns the dentry
 * without a reference (the link holds one), or an error pointer: -ENOMEM, or the file system's error. => fs_tree_lock
 * held for writing.
 */
struct dentry *dir_add(struct dentry *dir, const char *name, size_t len, struct inode *inode);
/*
 * As dir_add(), with a new inode of any type but a symbolic link; `rdev` is for devices. => fs_tree_lock held for
 * writing.
 */
struct dentry *dir_create(struct dentry *dir, const char *name, size_t len, u32 mode, u32 rdev);

/* Returns 0, or -EBUSY, -EPERM or -EROFS if the name cannot be removed. => fs_tree_lock held. */
int dentry_may_remove(struct dentry *dentry);
/* Removes the name of a file of any type. Returns 0 or the file system's error. => fs_tree_lock held for writing. */
int dir_remove(struct dentry *dentry);

#endif
