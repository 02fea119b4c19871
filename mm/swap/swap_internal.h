/* SPDX-License-Identifier: MIT */
/* What the files of swap say to each other: swap_area.c to swap_off.c, swap_io.c and check.c. */
#ifndef MM_SWAP_INTERNAL_H
#define MM_SWAP_INTERNAL_H

#include "mm/swap/swap.h"

/* Whether slots of the area are given away. */
void swap_area_set_usable(unsigned area, bool usable);
/* Slots of the area that hold something. Exact when none are given away and no entry names one. */
u64 swap_area_in_use(unsigned area);
/* Waits for those who use the area, and forgets it. It is not usable, and nothing is in use. Sleeps. */
void swap_area_close(unsigned area);
/* => the area held: by a reference, an entry or a page. */
const struct swap_device_ops *swap_slot_device(swap_slot_t slot, void **device);
/*
 * The entries that all slots count. *ok becomes false when a page is in a slot that no entry names. The machine is
 * quiet.
 */
u64 swap_entries_counted(bool *ok);

#endif
