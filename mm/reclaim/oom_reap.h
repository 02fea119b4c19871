/* SPDX-License-Identifier: MIT */
/* Reaping: freeing the memory of an address space whose threads are all dying. */
#ifndef MM_OOM_REAP_H
#define MM_OOM_REAP_H

#include "mm/vma/mm.h"

/*
 * Frees all private memory of mm, and keeps its threads from faulting any in again: from here on a fault where nothing
 * is mapped returns FAULT_KILLED. Waits for no lock.
 *
 * Context: a reference; no lock from RANK_MMAP_LOCK on held. Sleeps only in cond_resched(). All users of mm are dying.
 * Returns: false if mmap_lock is busy: nothing was freed, try again.
 */
bool mm_reap(struct mm *mm);

#endif
