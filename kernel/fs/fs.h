/* SPDX-License-Identifier: MIT */
/* The interface of kernel/fs for boot and shut-down. */
#ifndef KERNEL_FS_FS_H
#define KERNEL_FS_FS_H

#include "kernel/fs/files.h"

/*
 * Boot, in a context that may sleep: mounts the root, /dev, /dev/shm, /proc, /sys and /tmp, and starts the console.
 * Panics if memory is short.
 */
void fs_init(void);
/*
 * Unpacks the boot module into the root. Logs it if the archive is broken, and keeps the files that precede the error.
 */
void initramfs_unpack(void);
/* Returns true if the whole archive was unpacked. */
bool initramfs_is_whole(void);
/* Returns true if the initramfs names the program to run (/.faultline/argv), instead of having an /init. */
bool boot_names_program(void);
/*
 * Returns a table with descriptors 0, 1 and 2, or NULL. For an /init all are /dev/console; otherwise they are the
 * program's three streams, except that 0 is /.faultline/stdin if the initramfs has that file.
 */
struct files *files_create_console(void);
/*
 * Shut-down, when no process is left: releases every file, so that anything still allocated afterwards has leaked. Of
 * kernel/fs, only fs_quiet_check() may be called after this.
 */
void fs_quiet_release(void);

/* Called after fs_quiet_release() and a grace period. Returns true if nothing is left; logs what has leaked. */
bool fs_quiet_check(void);

#endif
