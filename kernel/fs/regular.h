/* SPDX-License-Identifier: MIT */
/*
 * Reading, writing and writing back of regular files, the same for every file system. The pages of a file's mapping
 * hold its contents, whether they are the only copy or come from a device.
 */
#ifndef KERNEL_FS_REGULAR_H
#define KERNEL_FS_REGULAR_H

#include "kernel/fs/file.h"

#define FALLOC_FL_KEEP_SIZE 1u
#define FALLOC_FL_PUNCH_HOLE 2u

extern const struct file_ops regular_file_ops;

/* Returns the size in bytes, which may change at any time while the file is in use. */
u64 inode_size(const struct inode *inode);
/*
 * Sets the size of a regular file. Returns 0, -EINVAL, -EPERM (sealed), -ETXTBSY (used for swap), -EFBIG or -EIO. Takes
 * inode->lock; sleeps.
 */
int inode_truncate(struct inode *inode, u64 size);
/* Returns -EFBIG for a write beyond `limit`. If that is RLIMIT_FSIZE (less than MAX_FILE_SIZE), also sends SIGXFSZ. */
long write_too_large(u64 limit);
/*
 * Returns 0, or -EFBIG with SIGXFSZ sent if the file would grow to `size` and that is above RLIMIT_FSIZE (Linux:
 * inode_newsize_ok()).
 */
int inode_may_have_size(const struct inode *inode, u64 size);
/* fsync(2): writes the file back. Returns 0, or -EIO once for each error. Sleeps. */
int file_sync(struct file *file);
/* The same for pages [first, last]: msync(2). */
int file_sync_range(struct file *file, u64 first, u64 last);

#endif
