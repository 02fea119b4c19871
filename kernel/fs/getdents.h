/* SPDX-License-Identifier: MIT */
/* Reading directories. */
#ifndef KERNEL_FS_GETDENTS_H
#define KERNEL_FS_GETDENTS_H

#include "kernel/fs/file.h"

/*
 * Emits ".", "..", the names in the tree and the computed names from ctx->pos on, and leaves ctx->pos behind the last
 * one that was taken. 0 or what the directory's iterate() answers. Takes fs_tree_lock for reading; sleeps.
 */
int dir_iterate(struct dentry *dir, struct dir_context *ctx);

#endif
