/* SPDX-License-Identifier: MIT */
/* Character devices: their numbers, their file operations, and their nodes in /dev. */
#ifndef KERNEL_FS_DEVICES_H
#define KERNEL_FS_DEVICES_H

#include "kernel/fs/file.h"

#define MAKE_DEV(major, minor) ((u32)(major) << 8 | (u32)(minor))

enum device_number {
	DEV_NULL = MAKE_DEV(1, 3),
	DEV_ZERO = MAKE_DEV(1, 5),
	DEV_FULL = MAKE_DEV(1, 7),
	DEV_RANDOM = MAKE_DEV(1, 8),
	DEV_URANDOM = MAKE_DEV(1, 9),
	DEV_KMSG = MAKE_DEV(1, 11),
	DEV_STDIN = MAKE_DEV(4, 64), /* ttyS0: COM1, read-only in effect */
	DEV_STDOUT = MAKE_DEV(4, 65),
	DEV_STDERR = MAKE_DEV(4, 66),
	DEV_TTY = MAKE_DEV(5, 0),
	DEV_CONSOLE = MAKE_DEV(5, 1),
};

/* Returns the operations of the device with that number, or NULL if there is none (ENXIO on open). */
const struct file_ops *device_ops(u32 rdev);
/* Creates the nodes of /dev. If memory is short, marks the file system incomplete. => fs_tree_lock held for writing. */
void devices_create(struct dentry *dev);

#endif
