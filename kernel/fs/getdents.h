/* SPDX-License-Identifier: MIT */
/* Reading directories. */
#ifndef KERNEL_FS_GETDENTS_H
#define KERNEL_FS_GETDENTS_H

#include "kernel/fs/file.h"

/*
 * Emits ".", "..", the names in the tree and the computed names from ctx->pos on, and advances ctx->pos past the last
 * one that was taken. Returns 0 or the error of the directory's iterate(). Takes fs_tree_lock for reading; sleeps.
 */
int dir_iterate(struct dentry *dir, struct dir_context *ctx);

#endif
