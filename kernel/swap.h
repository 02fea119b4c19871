/* SPDX-License-Identifier: MIT */
/* swapon, swapoff, and what boot and the end of the machine have to do with them. */
#ifndef KERNEL_SWAP_H
#define KERNEL_SWAP_H

#include "kernel/lib/base.h"

/* Boot, the first process: swaps on the disks that the command line's `swap=ramN[,ramM...]` names, which are formatted. */
void swap_on_at_boot(void);
/*
 * Appends the name of what an area lies on (struct swap_area_figures.device), as /proc/swaps has it; `path` is room for a path.
 * Whether it is a file.
 */
struct text;
bool swap_name(const void *target, struct text *text, char *path);
/*
 * The end of the machine: every process is gone, and file systems are about to go. Lets go of the files that are swapped to; what
 * is in them stays readable, for nobody writes any more.
 */
void swap_leave_files(void);
/*
 * ... and then they are gone. Forgets all areas, so that a check can see what was not given back. False if
 * a slot is still in use. Sleeps.
 */
bool swap_off_all(void);

#endif
