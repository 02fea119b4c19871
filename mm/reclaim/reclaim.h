/* SPDX-License-Identifier: MIT */
/* Reclaim: swaps out pages that were not used lately, or drops those that can be read again, when memory is short. */
#ifndef MM_RECLAIM_H
#define MM_RECLAIM_H

#include "kernel/lib/base.h"

extern u8 sysctl_swappiness; /* 0 to 200: /proc/sys/vm/swappiness */

#define RECLAIM_BATCH 32 /* pages that a caller short of memory asks for at once; as Linux, SWAP_CLUSTER_MAX */

/*
 * Frees about `wanted` pages.
 *
 * Context: no lock from RANK_RECLAIM on held. Sleeps while pages are written.
 * Returns: how many; 0: nothing can be reclaimed, or no swap slot is free.
 */
u64 reclaim_pages(u64 wanted);
/*
 * For callers whose allocation failed: reclaims, or invokes the OOM killer.
 *
 * Context: no lock from RANK_RECLAIM on held. Sleeps.
 * Returns: true: try again; false: nothing can be reclaimed, or the current thread is dying.
 */
bool make_room(void);
/*
 * As reclaim_pages(), but for kswapd: reclaims no page that is in use.
 *
 * Context: thread, kswapd's. Sleeps only while pages are written.
 * Returns: as reclaim_pages().
 */
u64 reclaim_in_advance(u64 wanted);
struct page;
/*
 * Reclaims this page, used or not, unless it is locked in memory.
 *
 * Context: a reference; no lock from RANK_RECLAIM on held. Sleeps.
 * Returns: true when only the caller's reference is left.
 */
bool reclaim_page(struct page *page);
/*
 * The same for up to RECLAIM_BATCH different pages; drops the references. One TLB flush serves all of them.
 *
 * Context: no spinlock held; interrupts on. Sleeps only while pages are written.
 */
void reclaim_batch(struct page **pages, unsigned nr);

#endif
