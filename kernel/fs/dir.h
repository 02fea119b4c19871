/* SPDX-License-Identifier: MIT */
/* Names in directories: adding and removing them, whatever file system the directory is in. */
#ifndef KERNEL_FS_DIR_H
#define KERNEL_FS_DIR_H

#include "kernel/fs/inode.h"

/* 0, or why nothing can be created in a directory: -ENOTDIR, -ENOENT, -EROFS. => fs_tree_lock held. */
int dir_may_create(struct dentry *dir);
/*
 * Gives the inode, whose reference it takes over, a name that does not exist yet. Returns its dentry without a
 * reference (the name's own keeps it), or an error pointer: -ENOMEM, or what the file system says.
 * => fs_tree_lock held for writing.
 */
struct dentry *dir_add(struct dentry *dir, const char *name, size_t len, struct inode *inode);
/*
 * The same with a new inode of any type but a symbolic link; `rdev` is for devices. => fs_tree_lock held for writing.
 */
struct dentry *dir_create(struct dentry *dir, const char *name, size_t len, u32 mode, u32 rdev);

/* 0, or why a name cannot be removed: -EBUSY, -EPERM, -EROFS. => fs_tree_lock held. */
int dentry_may_remove(struct dentry *dentry);
/* Removes the name, whatever it is the name of: 0 or what the file system says. => fs_tree_lock held for writing. */
int dir_remove(struct dentry *dentry);

#endif
