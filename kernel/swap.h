/* SPDX-License-Identifier: MIT */
/* swapon, swapoff, and what boot and the end of the machine have to do with them. */
#ifndef KERNEL_SWAP_H
#define KERNEL_SWAP_H

#include "kernel/base.h"

/* Boot, the first process: swaps on the disks that the command line's `swap=ramN[,ramM...]` names, which are formatted. */
void swap_on_at_boot(void);
/*
 * The end of the machine: every process is gone. Forgets all areas, so that a check can see what was not given back. False if
 * a slot is still in use. Sleeps.
 */
bool swap_off_all(void);

#endif
