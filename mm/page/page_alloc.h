/* SPDX-License-Identifier: MIT */
/*
 * The physical page allocator: a buddy allocator below per-CPU lists of single pages. Interrupt handlers do not
 * allocate. Memory that is not there is answered by NULL; nothing here sleeps but who says ALLOC_WAIT.
 */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include "mm/page/page.h"

#define MAX_ORDER 10 /* the largest block is 4 MiB */

enum alloc_flags {
	/* For programs: leaves more than what cannot wait, so that reclaim, fork and I/O find some. => as assert_may_reclaim(). */
	ALLOC_USER = 4,
	ALLOC_ZERO = 1,	   /* clear it */
	ALLOC_RESERVE = 2, /* may use the reserve kept for what must not fail: kernel bookkeeping of a dying process */
	/*
	 * Makes room when there is none: sleeps, while pages are written. NULL only if there is nothing left that could go. For
	 * the kernel's own memory. Below a fault that holds its lock it neither makes room nor sleeps: NULL; the fault is answered
	 * with "out of memory", and its caller makes room and comes again. => as assert_may_reclaim().
	 */
	ALLOC_WAIT = 8,
};
#define ALLOC_MAY_LOOK (ALLOC_USER | ALLOC_WAIT) /* no lock is held that waking kswapd would have to come before */

/* The shared zero page: PG_RESERVED, never counted, mapped read-only with the "special" bit. */
extern struct page *zero_page;

/* Boot: hands [start, end) of usable memory to the allocator; page frames outside stay PG_RESERVED. */
void page_alloc_init(void);
void page_alloc_add_range(paddr_t start, paddr_t end);

/* 2^order pages, refcount 1, mapcount 0, or NULL. */
struct page *alloc_pages(unsigned order, unsigned flags);
void free_pages(struct page *page, unsigned order);
/* One page: the path of every fault, so it has a short way of its own. */
struct page *alloc_page(unsigned flags);

/*
 * Debug builds: what is allocated here may have to make room first, and so wait for write-back. Nothing may be held that
 * write-back needs, a page lock before all (F1); nor an atomic section.
 */
static inline void assert_may_reclaim(void)
{
	lock_order_check(&zero_page, RANK_RECLAIM);
}

/* References. The last page_put frees the page (cache and anonymous pages alike), whatever its order. */
static inline void page_get(struct page *page)
{
	atomic_inc(&page->refcount);
}
void page_put(struct page *page);
/*
 * For who has found a page without a lock: false when it is free. With true, it may have become another owner's before
 * the reference was taken: ask again whether it is still where it was found.
 */
static inline bool page_get_unless_free(struct page *page)
{
	s32 refcount = READ_ONCE(page->refcount);

	while (refcount > 0)
		if (__atomic_compare_exchange_n(&page->refcount, &refcount, refcount + 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* Pages in the buddy allocator and on the per-CPU lists: exact at a quiet moment. */
u64 nr_free_pages(void);
/* Those in the buddy allocator alone, which all can have: what the marks of free memory (watermark.h) are compared with. */
u64 nr_pages_in_zone(void);
/* Of the single pages that a CPU keeps for itself: how many there are, and may be. */
struct page_stash_figures {
	u32 nr, limit;
};
struct page_stash_figures page_stash_figures(unsigned cpu);
/* Pages ever handed to the allocator. */
u64 nr_managed_pages(void);
/* Gives every CPU-local list of the calling CPU back (before a leak check, or when memory is short). */
void page_alloc_drain(void);

/*
 * The first page frame from pfn on that is not part of a free block; max_pfn or more: none. The machine is quiet:
 * nobody allocates.
 */
static inline pfn_t next_used_pfn(pfn_t pfn)
{
	while (pfn < max_pfn && page_test(pfn_to_page(pfn), PG_BUDDY))
		pfn += 1UL << pfn_to_page(pfn)->order;
	return pfn;
}
#define for_each_used_pfn(pfn) for ((pfn) = next_used_pfn(0); (pfn) < max_pfn; (pfn) = next_used_pfn((pfn) + 1))

#endif
