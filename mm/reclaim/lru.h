/* SPDX-License-Identifier: MIT */
/*
 * Which pages were used lately: active and inactive lists, of memory that goes to swap (anon: shared memory, too) and of
 * pages that can be read again (file); and those that stay, apart.
 *
 * A page joins its list when memory first gets short (lru_gather), not when it is touched first: a fault pays nothing for the
 * lists, and on a machine with room they are empty. A page that is on none is inactive, and younger than all that are.
 *
 * PG_LRU: it is on a list. A list holds no reference: who frees a page takes it off. Who looks at a page more closely takes it
 * off and gets a reference (lru_isolate), and gives both back (lru_put_back).
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
	LRU_UNEVICTABLE, /* locked memory, as far as reclaim has met it, and what has no other place to be */
	NR_LRU_LISTS
};
#define LRU_ACTIVE 1 /* from an inactive list to its active one */

/* Looks at so many page frames for pages that are on no list yet; how many it found. Sleeps. */
u64 lru_gather(u64 nr_frames);

/* Takes up to nr pages from the old end of the list; each has a reference. How many. Does not sleep. */
unsigned lru_isolate(enum lru_list list, struct page **pages, unsigned nr);
enum lru_verdict { LRU_TO_INACTIVE, LRU_TO_ACTIVE, LRU_TO_UNEVICTABLE };
/* Back to the young end of the list that the verdict names; drops the reference. Does not sleep. */
void lru_put_back(struct page *page, enum lru_verdict verdict);

/* Somebody will not need it soon: it goes to the inactive list, if it is on another. => a reference. */
void lru_deactivate(struct page *page);
/* It may be taken again: it is not locked in memory any more. => a reference. */
void lru_rescue(struct page *page);

/* page_free()'s: takes it off its list. Nobody has a reference. => PG_LRU. */
void lru_forget(struct page *page);

/* Pages on the list. Unlocked: near. */
u64 lru_size(enum lru_list list);

#endif
