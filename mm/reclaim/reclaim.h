/* SPDX-License-Identifier: MIT */
/* Making room: pages that nobody has used lately go to swap. */
#ifndef MM_RECLAIM_H
#define MM_RECLAIM_H

#include "kernel/lib/base.h"

extern u8 sysctl_swappiness; /* 0 to 200: /proc/sys/vm/swappiness */

#define RECLAIM_BATCH 32 /* pages that somebody who is short of memory asks for at once; as Linux, SWAP_CLUSTER_MAX */

/*
 * Frees about so many pages; how many it did. 0: there is nothing to be had, or no swap slot. Sleeps while pages are
 * written. => no lock from RANK_RECLAIM on held.
 */
u64 reclaim_pages(u64 wanted);
/*
 * For whoever needs a page, and has found none: reclaims, or has somebody killed. True: try again. False: there is
 * nothing to be had, or the current thread is dying. Sleeps. => no lock from RANK_RECLAIM on held.
 */
bool make_room(void);
/* As reclaim_pages(), but by kswapd, which takes nothing that is in use. */
u64 reclaim_in_advance(u64 wanted);
/*
 * Takes this page, used or not, unless it is locked in memory. True when it is gone but for the caller's reference.
 * Sleeps. => a reference; no lock from RANK_RECLAIM on held.
 */
struct page;
bool reclaim_page(struct page *page);
/*
 * The same with up to RECLAIM_BATCH pages, each of which is there once; the references are dropped. Whoever uses them is told to
 * forget them at once.
 */
void reclaim_batch(struct page **pages, unsigned nr);

#endif
