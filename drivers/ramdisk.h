/* SPDX-License-Identifier: MIT */
/*
 * Ramdisks: block devices in memory that is set aside at boot, so that the page allocator never knew it.
 *
 * The kernel command line has one word for each: `ramN=KIB[,sync|async][,latency=US]`, N from 0 on without gaps.
 */
#ifndef DRIVERS_RAMDISK_H
#define DRIVERS_RAMDISK_H

#include "kernel/lib/base.h"

/* Boot, after boot_memory_init() and before boot_memory_finish(): makes the disks that the command line asks for. */
void ramdisks_create(void);
/* Is the text what may stand behind `ramN=`? */
bool ramdisk_describes(const char *text);

#endif
