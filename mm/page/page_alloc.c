/* SPDX-License-Identifier: MIT */
/*
 * The physical page allocator.
 *
 * The upper layer: each CPU has a stash of single pages, which no other CPU touches. Interrupt handlers do not allocate
 * and the kernel is not preemptible, so the stash needs no lock and interrupts stay on. The lower layer: one buddy
 * allocator under the zone lock. Stashes are filled and emptied in batches, so that the usual allocation is an array
 * access and writes no shared cache line.
 *
 * Rejected: a stash as a linked list through the pages, as Linux has it: popping would touch the next page's
 * descriptor, a cache miss that an array does not have.
 *
 * Locks: zone.lock (RANK_ZONE), with interrupts as they are. Only allocations with ALLOC_WAIT sleep, and their caller
 * holds only locks that rank above RANK_RECLAIM.
 */
#include "kernel/lib/string.h"
#include "mm/fault/fault_sleep.h"
#include "mm/page/page_alloc.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/kswapd.h"
#include "mm/reclaim/lru.h"
#include "mm/reclaim/reclaim.h"

#define STASH_MAX 128
#define WAIT_TRIES 64 /* if other allocations took the reclaimed pages so often, more reclaim does not help */

/* Written only by its own CPU; other CPUs read the count for statistics. */
struct page_stash {
	u32 count;
	u32 limit; /* at most STASH_MAX, less on a small machine; 0 until the CPU's first slow path */
	struct page *pages[STASH_MAX];
};
STATIC_PER_CPU(struct page_stash, stashes);

static struct {
	spinlock_t lock;
	u64 nr_free;			      /* lock; in blocks, not in stashes. Unlocked reads are statistics */
	u64 nr_managed;			      /* boot */
	u32 stash_limit;		      /* boot */
	struct list_head free[MAX_ORDER + 1]; /* lock: the heads of free blocks, linked by struct page.lru */
} __cacheline_aligned zone = { .lock = SPINLOCK_INIT(ZONE) }; /* shares no cache line */

struct page *zero_page;

static struct page *alloc_page_slow(unsigned flags);
static struct page *wait_for_pages(unsigned order, unsigned flags);
static struct page *stash_refill(struct page_stash *stash, unsigned flags);
static void stash_spill(struct page_stash *stash);
static void free_page_slow(struct page *page);
static struct page *alloc_block(unsigned order, unsigned flags);
static void free_block(struct page *page, unsigned order);
static struct page *take_block(unsigned order);
static u32 take_pages(struct page **pages, u32 nr);
static void give_block(struct page *page, unsigned order);
static void poison_pages(struct page *page, unsigned order);
static void pages_check_poison(struct page *page, unsigned order);

/* ---- Boot -------------------------------------------------------------------------------------------------------- */

void page_alloc_init(void)
{
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		list_init(&zone.free[order]);
	for (pfn_t pfn = 0; pfn < max_pfn; pfn++)
		*pfn_to_page(pfn) = (struct page){ .flags = 1u << PG_RESERVED };
}

/* The stash limit is a power of two, so that half a stash can be a single block. */
static void set_limits(void)
{
	watermarks_init(zone.nr_managed);
	zone.stash_limit = 4;
	while (zone.stash_limit < STASH_MAX && zone.stash_limit * 1024UL < zone.nr_managed)
		zone.stash_limit *= 2;
}

/* Allocates the zero page from the first memory that is added: every address space needs it. */
static void make_zero_page(void)
{
	struct page *page = alloc_block(0, ALLOC_ZERO);

	BUG_ON(!page, "no memory for the shared zero page");
	clear_page(page_to_virt(page));
	page->flags = 1u << PG_RESERVED;
	zero_page = page;
}

void page_alloc_add_range(paddr_t start, paddr_t end)
{
	pfn_t pfn = align_up(start, PAGE_SIZE) >> PAGE_SHIFT;
	pfn_t stop = min(end >> PAGE_SHIFT, (u64)max_pfn);

	spin_lock(&zone.lock);
	while (pfn < stop) {
		unsigned order = MAX_ORDER;

		while ((pfn & ((1UL << order) - 1)) || pfn + (1UL << order) > stop)
			order--;
		for (pfn_t i = pfn; i < pfn + (1UL << order); i++)
			pfn_to_page(i)->flags = 0;
		give_block(pfn_to_page(pfn), order);
		zone.nr_managed += 1UL << order;
		pfn += 1UL << order;
	}
	set_limits();
	spin_unlock(&zone.lock);
	if (!zero_page && zone.nr_free)
		make_zero_page();
}

/* ---- Allocation -------------------------------------------------------------------------------------------------- */

/* Prepares free pages for their new owner. */
static inline struct page *prepare_pages(struct page *page, unsigned order, unsigned flags)
{
	machine_unpoison(page_to_virt(page), PAGE_SIZE << order);
	if (DEBUG)
		pages_check_poison(page, order);
	WRITE_ONCE(page->refcount, 1);
	if (flags & ALLOC_ZERO)
		for (u64 i = 0; i < 1UL << order; i++)
			clear_page(page_to_virt(page + i));
	return page;
}

struct page *alloc_page(unsigned flags)
{
	struct page_stash *stash = &this_cpu(stashes);
	u32 count = stash->count;
	struct page *page;

	if (flags & ALLOC_WAIT)
		assert_may_reclaim();
	if (machine_fails_allocation())
		return NULL;
	if (unlikely(!count))
		return alloc_page_slow(flags);
	page = stash->pages[count - 1];
	WRITE_ONCE(stash->count, count - 1);
	return prepare_pages(page, 0, flags);
}

static __noinline struct page *alloc_page_slow(unsigned flags)
{
	struct page *page = stash_refill(&this_cpu(stashes), flags);

	if (flags & ALLOC_MAY_LOOK)
		kswapd_look();
	if (unlikely(!page))
		return flags & ALLOC_WAIT ? wait_for_pages(0, flags) : NULL;
	return prepare_pages(page, 0, flags);
}

struct page *alloc_pages(unsigned order, unsigned flags)
{
	struct page *page;

	if (!order)
		return alloc_page(flags);
	if (flags & ALLOC_WAIT)
		assert_may_reclaim();
	if (machine_fails_allocation())
		return NULL;
	page = alloc_block(order, flags);
	if (flags & ALLOC_MAY_LOOK)
		kswapd_look();
	if (unlikely(!page))
		return flags & ALLOC_WAIT ? wait_for_pages(order, flags) : NULL;
	return prepare_pages(page, order, flags);
}

/*
 * Direct reclaim. The pages that it frees are in this CPU's stash, unless the thread slept and now runs on another CPU,
 * or another thread allocated them first: then it retries. For a single page it may invoke the OOM killer. For a block
 * it does not: it reclaims a limited number of times, in the hope that freed pages merge outside the stash. A dying
 * thread takes a page from what is kept for allocations that cannot wait. Refused in a fault that holds its lock: a
 * thread that waits to write-lock would wait for the disk, too (V19).
 */
static __noinline struct page *wait_for_pages(unsigned order, unsigned flags)
{
	unsigned now = flags & ~ALLOC_WAIT;
	struct page *page = NULL;

	if (fault_forbids_reclaim())
		return NULL;
	if (!order) {
		while (!page && make_room())
			page = alloc_page(now);
		return page || !thread_killed() ? page : alloc_page(now & ~ALLOC_USER);
	}
	for (unsigned tries = 0; !page && tries < WAIT_TRIES && reclaim_pages(RECLAIM_BATCH); tries++) {
		page_alloc_drain();
		page = alloc_pages(order, now);
	}
	return page;
}

/* How many pages an allocation with these flags must leave free; see watermark.h. */
static u64 nr_kept(unsigned flags)
{
	u64 lowest = READ_ONCE(watermarks.min);

	return flags & (ALLOC_USER | ALLOC_WAIT) ? lowest : lowest / 2;
}

/* How many single pages a caller may take now. The reserve is handed out page by page, so that no stash hoards it. */
static u64 pages_available(unsigned flags)
{
	u64 kept = nr_kept(flags);

	if (zone.nr_free > kept)
		return zone.nr_free - kept;
	return flags & ALLOC_RESERVE ? min(zone.nr_free, 1UL) : 0;
}

/* Fills half the stash from the buddy allocator, and returns one of the pages. */
static __noinline struct page *stash_refill(struct page_stash *stash, unsigned flags)
{
	u32 count;

	stash->limit = zone.stash_limit;
	spin_lock(&zone.lock);
	count = take_pages(stash->pages, (u32)min((u64)stash->limit / 2, pages_available(flags)));
	spin_unlock(&zone.lock);
	if (!count)
		return NULL;
	WRITE_ONCE(stash->count, count - 1);
	return stash->pages[count - 1];
}

static struct page *alloc_block(unsigned order, unsigned flags)
{
	struct page *page = NULL;

	ASSERT(order <= MAX_ORDER, "a block is at most 2^MAX_ORDER pages");
	spin_lock(&zone.lock);
	if (zone.nr_free >= (1UL << order) + (flags & ALLOC_RESERVE ? 0 : nr_kept(flags)))
		page = take_block(order);
	spin_unlock(&zone.lock);
	if (page)
		page->order = order;
	return page;
}

/* ---- Freeing ----------------------------------------------------------------------------------------------------- */

static inline void stash_push(struct page_stash *stash, struct page *page)
{
	u32 count = stash->count;

	stash->pages[count] = page;
	WRITE_ONCE(stash->count, count + 1);
}

/* A free page keeps neither flags, nor owner, nor private data. */
static inline void page_free(struct page *page, unsigned order)
{
	struct page_stash *stash = &this_cpu(stashes);

	ASSERT(READ_ONCE(page->mapcount) == 0, "a page that is freed is mapped nowhere");
	ASSERT(page->order == order, "pages are freed by the order they were allocated by");
	if (unlikely(page_test(page, PG_LRU)))
		lru_forget(page);
	WRITE_ONCE(page->flags, 0);
	WRITE_ONCE(page->anon_vma, NULL);
	page->private = 0;
	if (DEBUG)
		poison_pages(page, order);
	machine_poison(page_to_virt(page), PAGE_SIZE << order);
	if (unlikely(order)) {
		free_block(page, order);
		return;
	}
	if (unlikely(stash->count == stash->limit))
		free_page_slow(page);
	else
		stash_push(stash, page);
}

void page_put(struct page *page)
{
	s32 refcount = atomic_dec_return(&page->refcount);

	ASSERT(refcount >= 0, "every reference to a page is dropped once");
	if (refcount)
		return;
	ASSERT(!(page->flags & (1u << PG_RESERVED | 1u << PG_BUDDY | 1u << PG_TABLE | 1u << PG_SLAB | 1u << PG_CACHE)),
	       "the last reference to a reserved, free, table, slab or cache page is not dropped by page_put");
	ASSERT(!page_test(page, PG_LOCKED) && !page_test(page, PG_WRITEBACK), "a page that is freed is not under I/O");
	page_free(page, page->order);
}

void free_pages(struct page *page, unsigned order)
{
	s32 refcount = atomic_dec_return(&page->refcount);

	ASSERT(!page_test(page, PG_RESERVED) && !page_test(page, PG_BUDDY), "free_pages frees allocated pages");
	ASSERT(refcount >= 0, "pages are freed once");
	/*
	 * A lockless look-up may still hold a reference, and find that this is not its page: its page_put() frees it.
	 */
	if (refcount)
		return;
	page_free(page, order);
}

/* Returns the older half of the stash to the buddy allocator; the younger half may still be in the CPU's cache. */
static void stash_spill(struct page_stash *stash)
{
	u32 nr = (stash->count + 1) / 2;

	spin_lock(&zone.lock);
	for (u32 i = 0; i < nr; i++)
		give_block(stash->pages[i], 0);
	spin_unlock(&zone.lock);
	memmove(stash->pages, stash->pages + nr, (stash->count - nr) * sizeof(stash->pages[0]));
	WRITE_ONCE(stash->count, stash->count - nr);
	stash->limit = zone.stash_limit;
}

static __noinline void free_page_slow(struct page *page)
{
	struct page_stash *stash = &this_cpu(stashes);

	stash_spill(stash);
	stash_push(stash, page);
}

static void free_block(struct page *page, unsigned order)
{
	page->order = 0;
	spin_lock(&zone.lock);
	give_block(page, order);
	spin_unlock(&zone.lock);
}

void page_alloc_drain(void)
{
	struct page_stash *stash = &this_cpu(stashes);

	while (stash->count)
		stash_spill(stash);
}

/* ---- The buddy allocator. Context: zone.lock held. --------------------------------------------------------------- */

/* Plain stores of the flags: a free page has no others, and only the holder of the zone lock writes them. */
static void put_on_list(struct page *page, unsigned order)
{
	assert_spin_held(&zone.lock);
	page->order = order;
	WRITE_ONCE(page->flags, 1u << PG_BUDDY);
	list_add(&zone.free[order], &page->lru);
}

static void take_off_list(struct page *page)
{
	assert_spin_held(&zone.lock);
	list_del(&page->lru);
	WRITE_ONCE(page->flags, 0);
	page->order = 0;
}

/* A block of 2^order pages, split off the smallest free block that is large enough. */
static struct page *take_block(unsigned order)
{
	unsigned from = order;
	struct page *page;

	assert_spin_held(&zone.lock);
	while (from <= MAX_ORDER && list_empty(&zone.free[from]))
		from++;
	if (from > MAX_ORDER)
		return NULL;
	page = list_first(&zone.free[from], struct page, lru);
	take_off_list(page);
	while (from > order) {
		from--;
		put_on_list(page + (1UL << from), from);
	}
	WRITE_ONCE(zone.nr_free, zone.nr_free - (1UL << order));
	return page;
}

/*
 * Takes up to nr single pages, in as few blocks as possible: the lock is held for a fraction of the time that nr blocks
 * of order 0 would take. Within a block the lowest address comes last, since a stash is emptied from its end.
 */
static u32 take_pages(struct page **pages, u32 nr)
{
	unsigned order = 0;
	u32 count = 0;

	assert_spin_held(&zone.lock);
	while (2u << order <= nr)
		order++;
	while (count < nr) {
		struct page *block = 1u << order <= nr - count ? take_block(order) : NULL;

		if (block) {
			for (u32 i = 1u << order; i > 0; i--)
				pages[count++] = block + i - 1;
		} else if (order-- == 0) {
			break;
		}
	}
	return count;
}

/*
 * The flags of an allocated page may change at any time, but PG_BUDDY, and the order that goes with it, change only
 * under the zone lock.
 */
static bool is_free_block(pfn_t pfn, unsigned order)
{
	assert_spin_held(&zone.lock);
	return pfn < max_pfn && page_test(pfn_to_page(pfn), PG_BUDDY) && pfn_to_page(pfn)->order == order;
}

static void give_block(struct page *page, unsigned order)
{
	pfn_t pfn = page_to_pfn(page);

	assert_spin_held(&zone.lock);
	WRITE_ONCE(zone.nr_free, zone.nr_free + (1UL << order));
	for (; order < MAX_ORDER; order++) {
		pfn_t buddy = pfn ^ (1UL << order);

		if (!is_free_block(buddy, order))
			break;
		take_off_list(pfn_to_page(buddy));
		pfn &= ~(1UL << order);
	}
	put_on_list(pfn_to_page(pfn), order);
}

/* ---- Statistics -------------------------------------------------------------------------------------------------- */

u64 nr_pages_in_zone(void)
{
	return READ_ONCE(zone.nr_free);
}

u64 nr_free_pages(void)
{
	u64 nr = READ_ONCE(zone.nr_free);

	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		nr += READ_ONCE(per_cpu(stashes, cpu).count);
	return nr;
}

struct page_stash_figures page_stash_figures(unsigned cpu)
{
	return (struct page_stash_figures){ .nr = READ_ONCE(per_cpu(stashes, cpu).count), .limit = zone.stash_limit };
}

u64 nr_managed_pages(void)
{
	return zone.nr_managed;
}

/* ---- Debug builds: freed pages hold a pattern, and still hold it when they are allocated ------------------------- */

#define POISON 0xdeadbeefdeadbeefUL

/* `private` of a free page tells whether it was poisoned: pages added at boot are not, which saves time. */
static void poison_pages(struct page *page, unsigned order)
{
	for (u64 i = 0; i < 1UL << order; i++) {
		u64 *words = page_to_virt(page + i);

		for (unsigned word = 0; word < PAGE_SIZE / sizeof(u64); word++)
			words[word] = POISON;
		page[i].private = POISON;
	}
}

static void pages_check_poison(struct page *page, unsigned order)
{
	for (u64 i = 0; i < 1UL << order; i++) {
		const u64 *words = page_to_virt(page + i);

		if (page[i].private != POISON)
			continue;
		page[i].private = 0;
		for (unsigned word = 0; word < PAGE_SIZE / sizeof(u64); word++)
			BUG_ON(words[word] != POISON,
			       "page frame %#lx was written to after it was freed (offset %#lx: %#lx)",
			       (unsigned long)page_to_pfn(page + i), (unsigned long)(word * sizeof(u64)),
			       (unsigned long)words[word]);
	}
}
