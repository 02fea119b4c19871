/* SPDX-License-Identifier: MIT */
/*
 * The LRU lists: which pages were used lately. There are active and inactive lists, of memory that goes to swap (anon:
 * also shared memory) and of pages that can be read again (file), and one list of unevictable pages.
 *
 * A page joins its list when memory first gets short (lru_gather), not when it is first touched: faults pay nothing for
 * the lists, and with enough free memory they are empty. A page on no list counts as inactive, and as younger than all
 * listed ones.
 *
 * PG_LRU: the page is on a list. A list holds no reference: freeing a page takes it off its list. To examine a page,
 * reclaim takes it off its list and gets a reference (lru_isolate); lru_put_back() undoes both.
 *
 * Mirrors: Linux, mm/swap.c, include/linux/mm_inline.h; there a page joins at its first touch, in batches for each CPU.
 */
#ifndef MM_LRU_H
#define MM_LRU_H

#include "mm/page/page.h"

enum lru_list {
	LRU_INACTIVE_ANON,
	LRU_ACTIVE_ANON,
	LRU_INACTIVE_FILE,
	LRU_ACTIVE_FILE,
	LRU_UNEVICTABLE, /* locked memory, as far as reclaim has found it, and pages that exist in memory only */
	NR_LRU_LISTS
};
#define LRU_ACTIVE 1 /* from an inactive list to its active one */

/*
 * Scans nr_frames page frames for pages that are on no list yet, and lists them.
 *
 * Context: thread. Sleeps.
 * Returns: how many.
 */
u64 lru_gather(u64 nr_frames);

/*
 * Takes up to nr pages from the old end of the list, each with a reference.
 *
 * Context: thread. Does not sleep.
 * Returns: how many.
 */
unsigned lru_isolate(enum lru_list list, struct page **pages, unsigned nr);
enum lru_verdict { LRU_TO_INACTIVE, LRU_TO_ACTIVE, LRU_TO_UNEVICTABLE };
/*
 * Puts the page on the young end of the list that the verdict names; drops the reference.
 *
 * Context: thread. Does not sleep.
 */
void lru_put_back(struct page *page, enum lru_verdict verdict);

/*
 * Moves a page that will not be needed soon from the active to the inactive list.
 *
 * Context: a reference. Does not sleep.
 */
void lru_deactivate(struct page *page);
/* Makes a page that is no longer locked in memory evictable again. Context: a reference. Does not sleep. */
void lru_rescue(struct page *page);

/* For page_free() only: takes the page, which has no references, off its list. Context: PG_LRU. Does not sleep. */
void lru_forget(struct page *page);

/* Unlocked: approximate. Context: any. Returns: the number of pages on the list. */
u64 lru_size(enum lru_list list);

#endif
