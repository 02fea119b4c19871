/* SPDX-License-Identifier: MIT */
/* Taking the memory of an address space away whose threads are all dying. */
#ifndef MM_OOM_REAP_H
#define MM_OOM_REAP_H

#include "mm/vma/mm.h"

/*
 * Gives back all private memory of mm, and sees to it that none of its threads brings any back: from here on a fault
 * where nothing is mapped answers FAULT_KILLED. False: mmap_lock is busy, and nothing was given back; come again. Waits
 * for no lock. All its users are dying. => a reference; no lock from RANK_MMAP_LOCK on held.
 */
bool mm_reap(struct mm *mm);

#endif
