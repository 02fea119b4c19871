/* SPDX-License-Identifier: MIT */
/* Record locks: advisory locks on ranges of a file. */
#ifndef KERNEL_LINUX_RECORD_LOCK_H
#define KERNEL_LINUX_RECORD_LOCK_H

#include "kernel/fs/file.h"

#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38

/*
 * fcntl(2) with one of these commands; `addr` is a user struct flock. Also returns -EBADF if another thread closed the
 * descriptor during the call; its locks are then released. Sleeps.
 */
long record_lock_control(struct file *file, int fd, u32 cmd, u64 addr);
/*
 * Releases all locks of the owner on the file. The owner is a descriptor table that closes a descriptor of the file, or
 * an open file that is being freed. Does not sleep.
 */
void record_lock_release(struct inode *inode, const void *owner);

#endif
