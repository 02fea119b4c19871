/* SPDX-License-Identifier: MIT */
/* Interface of swapon and swapoff for boot, shut-down and /proc/swaps. */
#ifndef KERNEL_SWAP_H
#define KERNEL_SWAP_H

#include "kernel/lib/base.h"

/*
 * Formats the disks of the command line's `swap=ramN[,ramM...]`, and activates them as swap. Boot, in the first
 * process.
 */
void swap_on_at_boot(void);
/*
 * Appends the name of an area's device or file (struct swap_area_figures.device), as in /proc/swaps; `path` has room
 * for a path. Returns true if it is a file.
 */
struct text;
bool swap_name(const void *target, struct text *text, char *path);
/*
 * Releases the files that are used as swap, at shut-down, when all processes have ended and file systems are about to
 * be unmounted. The files' contents stay readable, since nothing writes any more.
 */
void swap_leave_files(void);
/*
 * Deactivates all areas, after the file systems are gone, so that a check can find leaks. Returns false if a slot is
 * still in use. Sleeps.
 */
bool swap_off_all(void);

#endif
