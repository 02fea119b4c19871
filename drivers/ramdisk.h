/* SPDX-License-Identifier: MIT */
/*
 * Ramdisks: block devices in memory that is reserved at boot, before the page allocator gets its memory.
 *
 * The kernel command line has one word for each: `ramN=KIB[,sync|async][,latency=US]`, N from 0 on without gaps.
 */
#ifndef DRIVERS_RAMDISK_H
#define DRIVERS_RAMDISK_H

#include "kernel/lib/base.h"

/* Boot, after boot_memory_init() and before boot_memory_finish(): creates the disks that the command line asks for. */
void ramdisks_create(void);
/* Returns whether the text may follow `ramN=`. */
bool ramdisk_describes(const char *text);

#endif
