/* SPDX-License-Identifier: MIT */
/* Reaping: freeing the memory of an address space whose threads are all dying. */
#ifndef MM_OOM_REAP_H
#define MM_OOM_REAP_H

#include "mm/vma/mm.h"

/*
 * Frees all private memory of mm, and keeps its threads from faulting any in again: from here on a fault where nothing
 * is mapped returns FAULT_KILLED. Returns: false if mmap_lock is busy: nothing was freed, try again. Waits for no
 * lock. Context: all users of mm are dying. => a reference; no lock from RANK_MMAP_LOCK on held.
 */
bool mm_reap(struct mm *mm);

#endif
