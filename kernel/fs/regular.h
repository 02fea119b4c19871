/* SPDX-License-Identifier: MIT */
/*
 * Regular files: reading, writing, and writing back, the same for every file system. A file's bytes are the pages of its
 * mapping, whether they live there or come from a device.
 */
#ifndef KERNEL_FS_REGULAR_H
#define KERNEL_FS_REGULAR_H

#include "kernel/fs/file.h"

#define FALLOC_FL_KEEP_SIZE 1u
#define FALLOC_FL_PUNCH_HOLE 2u

extern const struct file_ops regular_file_ops;

/* The size in bytes; a file in use may have another one by the time it is looked at. */
u64 inode_size(const struct inode *inode);
/* Sets the size of a regular file. 0, -EINVAL, -EPERM (sealed), -EIO. Takes inode->lock; sleeps. */
int inode_truncate(struct inode *inode, u64 size);
/*
 * What a write beyond a limit answers: -EFBIG; and beyond RLIMIT_FSIZE (`limit`, less than the largest size there is) the
 * signal that kills by default.
 */
long write_too_large(u64 limit);
/* fsync(2): writes the file back, and says whether all of it arrived: 0 or -EIO, once for each error. Sleeps. */
int file_sync(struct file *file);
/* The same for pages [first, last]: msync(2). */
int file_sync_range(struct file *file, u64 first, u64 last);

#endif
