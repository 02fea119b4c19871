/* SPDX-License-Identifier: MIT */
/* Locks on ranges of a file. */
#ifndef KERNEL_FS_RECORD_LOCK_H
#define KERNEL_FS_RECORD_LOCK_H

#include "kernel/fs/file.h"

#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38

/*
 * fcntl with one of these; `addr` is a user struct flock. -EBADF also when the descriptor was closed meanwhile, with which its
 * locks go. Sleeps.
 */
long record_lock_control(struct file *file, int fd, u32 cmd, u64 addr);
/*
 * The owner (a descriptor table that closes a descriptor of the file, or an open file that goes away) holds no lock any
 * more. Does not sleep.
 */
void record_lock_release(struct inode *inode, const void *owner);

#endif
