/* SPDX-License-Identifier: MIT */
/* Pages that their program no longer needs (MADV_FREE), will not use soon (MADV_COLD), or has unlocked (munlock). */
#ifndef MM_LAZYFREE_H
#define MM_LAZYFREE_H

#include "mm/vma/mm.h"

/*
 * Of the pages of the range that only this mm maps, mm_free_lazily() marks the anonymous ones: they may be freed until
 * they are written to. mm_make_old() (MADV_COLD) marks all as not used lately. Both flush.
 *
 * Context: mmap_lock held. Do not sleep.
 */
void mm_free_lazily(struct mm *mm, vaddr_t start, vaddr_t end);
void mm_make_old(struct mm *mm, vaddr_t start, vaddr_t end);

/*
 * Makes the pages of a range that is no longer locked in memory evictable again.
 *
 * Context: mmap_lock held for writing. Does not sleep.
 */
void mm_rescue(struct mm *mm, vaddr_t start, vaddr_t end);

/*
 * Asks about a page that `pte` maps. Without the entry's lock the answer may be out of date.
 *
 * Context: any.
 * Returns: true if it is marked, and not written to since.
 */
bool page_is_lazily_free(pte_t pte, const struct page *page);

/*
 * Frees pages that were marked and not written to since. Waits for no lock.
 *
 * Context: a reference. Sleeps.
 * Returns: how many.
 */
u64 mm_drop_lazy(struct mm *mm);
/*
 * The same for all address spaces. Waits for other threads in this function, so that the pages they found are free.
 *
 * Context: no lock from RANK_LAZYFREE on held. Sleeps.
 * Returns: how many.
 */
u64 mm_drop_all_lazy(void);

#endif
