/* SPDX-License-Identifier: MIT */
/* Pages that their program can do without (MADV_FREE), does not expect to use soon (MADV_COLD), or has unlocked (munlock). */
#ifndef MM_LAZYFREE_H
#define MM_LAZYFREE_H

#include "mm/vma/mm.h"

/*
 * Marks the private pages of the range that nobody else maps: they may go until they are written to. MADV_COLD: they
 * were not used lately. => mmap_lock held. Both flush. Do not sleep.
 */
void mm_free_lazily(struct mm *mm, vaddr_t start, vaddr_t end);
void mm_make_old(struct mm *mm, vaddr_t start, vaddr_t end);

/* The range is not locked in memory any more: its pages may be taken again. => mmap_lock held for writing. */
void mm_rescue(struct mm *mm, vaddr_t start, vaddr_t end);

/* `pte` maps the page. Without the entry's lock the answer may be old. */
bool page_is_lazily_free(pte_t pte, const struct page *page);

/*
 * Gives back what was marked and not written to since; the number of pages. Waits for no lock. Sleeps. => a reference.
 */
u64 mm_drop_lazy(struct mm *mm);
/*
 * The same of all address spaces. Whoever does so already is waited for, so that what it found is free. => no lock from
 * RANK_LAZYFREE on held.
 */
u64 mm_drop_all_lazy(void);

#endif
