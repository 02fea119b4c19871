/* SPDX-License-Identifier: MIT */
/* Files as boot and shut-down see them. */
#ifndef KERNEL_FS_FS_H
#define KERNEL_FS_FS_H

#include "kernel/fs/files.h"

/*
 * Boot, in a context that may sleep: the root with /dev, /proc, /tmp and /dev/shm, and the console. Panics when memory is
 * short.
 */
void fs_init(void);
/* Unpacks the boot module into the root; a broken archive is told in the log, what came before it stays. */
void initramfs_unpack(void);
/* All of it was unpacked. */
bool initramfs_is_whole(void);
/* The initramfs says which program to be (/.faultline/argv), instead of having an /init. */
bool boot_names_program(void);
/*
 * A table with descriptors 0, 1 and 2: on /dev/console for an /init; else on the three streams of the program, and 0 is
 * `.faultline/stdin` when the initramfs has one. Or NULL.
 */
struct files *files_create_console(void);
/*
 * Shut-down, when no process is left: lets go of every file, so that what is still allocated afterwards has leaked.
 * Nothing of kernel/fs may be called again.
 */
void fs_quiet_release(void);

/* After that and a grace period: true when nothing is left; what has leaked is told in the log. */
bool fs_quiet_check(void);

#endif
