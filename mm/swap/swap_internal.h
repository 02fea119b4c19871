/* SPDX-License-Identifier: MIT */
/* The internal interface of swap: what swap_area.c provides to swap_off.c, swap_io.c and check.c. */
#ifndef MM_SWAP_INTERNAL_H
#define MM_SWAP_INTERNAL_H

#include "mm/swap/swap.h"

/* Sets whether slots of the area may be allocated. Context: thread. Does not sleep. */
void swap_area_set_usable(unsigned area, bool usable);
/*
 * The slots in use. Exact when none can be allocated and no entry refers to one.
 *
 * Context: thread. Does not sleep.
 * Returns: their number.
 */
u64 swap_area_in_use(unsigned area);
/*
 * Waits until no thread uses the area, and removes it.
 *
 * Context: thread. Sleeps. The area is not usable, and no slot is in use.
 */
void swap_area_close(unsigned area);
/*
 * The device of the slot.
 * @device: set to its handle.
 *
 * Context: the area held: by a reference, an entry or a page. Does not sleep.
 * Returns: its operations.
 */
const struct swap_device_ops *swap_slot_device(swap_slot_t slot, void **device);
/*
 * The sum of the entry counts of all slots.
 * @ok: set to false if a slot that no entry refers to holds a page.
 *
 * Context: the machine is quiet. Does not sleep.
 * Returns: the sum.
 */
u64 swap_entries_counted(bool *ok);

#endif
