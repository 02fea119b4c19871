/* SPDX-License-Identifier: MIT */
/*
 * The physical page allocator: a buddy allocator below per-CPU lists of single pages. Interrupt handlers do not
 * allocate. An allocation returns NULL when there is no memory; only one with ALLOC_WAIT sleeps.
 */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include "mm/page/page.h"

#define MAX_ORDER 10 /* the largest block is 4 MiB */

enum alloc_flags {
	/*
	 * For programs' memory: leaves more pages free than allocations that cannot wait, so that those of reclaim,
	 * fork and I/O succeed.
	 *
	 * Context: as for assert_may_reclaim().
	 */
	ALLOC_USER = 4,
	ALLOC_ZERO = 1, /* clear the pages */
	/* May use the reserve for allocations that must not fail: kernel bookkeeping of a dying process. */
	ALLOC_RESERVE = 2,
	/*
	 * Reclaims memory when none is free, and sleeps while pages are written. NULL only if nothing is left to
	 * reclaim. For the kernel's own memory. Below a fault that holds its lock it neither reclaims nor sleeps but
	 * returns NULL; the fault then fails with "out of memory", and its caller reclaims memory and retries it.
	 *
	 * Context: as for assert_may_reclaim().
	 */
	ALLOC_WAIT = 8,
};
#define ALLOC_MAY_LOOK (ALLOC_USER | ALLOC_WAIT) /* the caller holds no lock that forbids waking kswapd (lock order) */

/* The shared zero page: PG_RESERVED, never counted, mapped read-only with the "special" bit. */
extern struct page *zero_page;

/* Hands [start, end) of usable memory to the allocator; page frames outside stay PG_RESERVED. Context: boot. */
void page_alloc_init(void);
void page_alloc_add_range(paddr_t start, paddr_t end);

/*
 * Allocates 2^order pages: refcount 1, mapcount 0.
 * @flags: enum alloc_flags.
 *
 * Context: thread. Sleeps only with ALLOC_WAIT.
 * Returns: the first page; NULL without memory.
 */
struct page *alloc_pages(unsigned order, unsigned flags);
/* Drops the reference; the last one frees the pages. Context: thread. Does not sleep. */
void free_pages(struct page *page, unsigned order);
/*
 * Allocates one page. Every fault takes this path, so it has its own fast path.
 *
 * Context: thread. Sleeps only with ALLOC_WAIT.
 * Returns: the page; NULL without memory.
 */
struct page *alloc_page(unsigned flags);

/*
 * Debug builds: an allocation here may have to reclaim memory first, and so wait for write-back. The caller must hold
 * no lock that write-back needs, above all no page lock (F1), and must not be in an atomic section.
 *
 * Context: thread. Does not sleep.
 */
static inline void assert_may_reclaim(void)
{
	lock_order_check(&zero_page, RANK_RECLAIM);
}

/* Adds a reference. The caller has one. Context: any. */
static inline void page_get(struct page *page)
{
	atomic_inc(&page->refcount);
}
/*
 * Drops a reference. The last one frees the page (cache and anonymous pages alike), whatever its order.
 *
 * Context: thread. Does not sleep.
 */
void page_put(struct page *page);
/*
 * For callers that found the page without a lock. When true, the page may have been freed and reused before the
 * reference was taken: the caller must check again that it is still where it was found.
 *
 * Context: any.
 * Returns: false when the page is free.
 */
static inline bool page_try_get(struct page *page)
{
	s32 refcount = READ_ONCE(page->refcount);

	while (refcount > 0)
		if (__atomic_compare_exchange_n(&page->refcount, &refcount, refcount + 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* ---- Figures, in pages. Context: any. Returns: the number. ------------------------------------------------------- */
/* Pages in the buddy allocator and on the per-CPU lists. Exact only while no CPU allocates or frees. */
u64 nr_free_pages(void);
/* Only those in the buddy allocator, which any CPU can allocate: compared with the watermarks (watermark.h). */
u64 nr_pages_in_zone(void);
/* How many single pages a CPU's stash holds, and its limit. */
struct page_stash_figures {
	u32 nr, limit;
};
struct page_stash_figures page_stash_figures(unsigned cpu);
/* Pages ever handed to the allocator. */
u64 nr_managed_pages(void);
/*
 * Returns the calling CPU's stash to the buddy allocator (before a leak check, or when memory is short).
 *
 * Context: thread. Does not sleep.
 */
void page_alloc_drain(void);

/*
 * The first page frame from pfn on that is not part of a free block. No CPU may allocate or free during the walk.
 *
 * Context: any.
 * Returns: the frame; max_pfn or more: none.
 */
static inline pfn_t next_used_pfn(pfn_t pfn)
{
	while (pfn < max_pfn && page_test(pfn_to_page(pfn), PG_BUDDY))
		pfn += 1UL << pfn_to_page(pfn)->order;
	return pfn;
}
#define for_each_used_pfn(pfn) for ((pfn) = next_used_pfn(0); (pfn) < max_pfn; (pfn) = next_used_pfn((pfn) + 1))

#endif
