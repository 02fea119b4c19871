/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: evicting pages to free memory, by threads whose allocation failed (direct reclaim) and in advance by kswapd
 * (kswapd.h).
 *
 * Pages are evicted from the old end of the inactive lists (lru.h). A page that was accessed since the last scan gets
 * a second chance there; one that was accessed again by the next scan, or through several entries, becomes active. It
 * returns to the inactive list when that has become shorter than the active one. Rounds scan ever larger parts of the
 * lists; the last round, which kswapd omits, ignores whether a page was accessed, so that no process is killed for
 * memory while there is room in swap.
 *
 * vm.swappiness divides the scanning between memory that goes to swap and pages of files: the former gets so many of
 * 200 parts.
 *
 * Locks: page locks, tried only, and the locks below them (swap_out.c). None is held while waiting for a write.
 *
 * Mirrors: Linux, mm/vmscan.c: shrink_lruvec(), shrink_inactive_list(), shrink_active_list(), folio_check_references().
 * Rejected: a clock over all page frames, as in 4.3BSD's pageout daemon and formerly in this file: it cannot
 * distinguish a page that was used once from one that is used all the time, nor anonymous memory from files.
 */
#include "mm/reclaim/reclaim.h"
#include "mm/cache/mapping.h"
#include "mm/debug/counters.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/page/page_alloc.h"
#include "mm/page/page_lock.h"
#include "mm/reclaim/kswapd.h"
#include "mm/reclaim/lru.h"
#include "mm/services.h"
#include "mm/swap/shmem_swap.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"
#include "mm/vma/rmap.h"

#define FIRST_PRIORITY 12	/* the first round scans a 4096th of the lists; as Linux, DEF_PRIORITY */
#define LAST_PRIORITY 0		/* and the last one all of it */
#define FORCED_PRIORITY (-1)	/* direct reclaim adds one more, which evicts pages whether used or not */
#define FRAMES_PER_ROUND 1024UL /* page frames that a round searches for pages on no list */
#define SWAPPINESS_MAX 200

u8 sysctl_swappiness = 60;

enum kind { ANON, FILE_BACKED, NR_KINDS };

/* One call of reclaim_pages() or reclaim_in_advance(). */
struct scan {
	u64 wanted, freed;
	bool in_advance; /* by kswapd */
	bool force;	 /* evict pages that were used, too */
	/* Pages being written to an asynchronous device, with references. */
	unsigned nr_writing;
	struct page *writing[RECLAIM_BATCH];
};

static enum lru_list inactive_list(enum kind kind)
{
	return kind == ANON ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE;
}

/* ---- Was it used? ------------------------------------------------------------------------------------------------ */

struct usage {
	u32 nr_used; /* entries through which it was accessed */
	bool executed, locked;
};

/* No flush: a CPU may use a cached translation without setting the bit again; the page then looks older than it is. */
static bool test_and_age(struct page *page, struct vma *vma, vaddr_t addr, pte_t *ptep, void *arg)
{
	u64 flags = READ_ONCE(vma->flags);
	struct usage *usage = arg;

	(void)page, (void)addr;
	if (pte_young(pte_clear_bits(ptep, PTE_ACCESSED)) && !(flags & VM_SEQ_READ))
		usage->nr_used++;
	usage->executed |= (flags & VM_EXEC) != 0;
	usage->locked |= (flags & VM_LOCKED) != 0;
	return true;
}

/* Context: the page locked. The page's type is stable; its mapping, if any, is held. */
static struct usage usage_of(struct page *page)
{
	struct usage usage = { 0 };

	assert_page_locked(page);
	if (READ_ONCE(page->mapcount))
		rmap_walk(page, test_and_age, &usage);
	return usage;
}

enum chance { TAKE_IT, LEAVE_IT, ACTIVATE_IT, IT_IS_LOCKED };

/*
 * As Linux, active: used twice since it became inactive, or by two entries, or as a program.
 *
 * Context: the page locked.
 */
static enum chance chance_of(struct page *page)
{
	bool before = atomic_and(&page->flags, ~(1u << PG_REFERENCED)) & 1u << PG_REFERENCED;
	struct usage usage = usage_of(page);

	assert_page_locked(page);
	if (usage.locked)
		return IT_IS_LOCKED;
	if (!usage.nr_used)
		return TAKE_IT;
	page_set(page, PG_REFERENCED);
	if (before || usage.nr_used > 1 || (usage.executed && !page_test(page, PG_ANON)))
		return ACTIVATE_IT;
	return LEAVE_IT;
}

/* ---- One page of an inactive list -------------------------------------------------------------------------------- */

static void note_freed(struct scan *scan, enum kind kind)
{
	scan->freed++;
	count_nr(scan->in_advance ? COUNT_pgsteal_kswapd : COUNT_pgsteal_direct, 1);
	count_nr(kind == ANON ? COUNT_pgsteal_anon : COUNT_pgsteal_file, 1);
}

/* Waits for the writes, and frees the pages; a page that cannot be freed returns to the inactive list. */
static void reclaim_finish_writing(struct scan *scan)
{
	for (unsigned i = 0; i < scan->nr_writing; i++) {
		struct page *page = scan->writing[i];

		page_wait_writeback(page);
		if (reclaim_page(page)) {
			note_freed(scan, page_test(page, PG_ANON) ? ANON : FILE_BACKED);
			page_put(page);
		} else {
			lru_put_back(page, LRU_TO_INACTIVE);
		}
	}
	scan->nr_writing = 0;
}

/* Puts the page back on a list and drops the reference, or passes it to `writing`. Context: a reference. */
static void reclaim_release_page(struct scan *scan, struct page *page, enum chance chance)
{
	assert_referenced(page);
	if (chance == TAKE_IT && page_test(page, PG_WRITEBACK)) {
		scan->writing[scan->nr_writing++] = page;
		return;
	}
	if (chance == ACTIVATE_IT)
		count(pgactivate);
	lru_put_back(page, chance == ACTIVATE_IT    ? LRU_TO_ACTIVE
			   : chance == IT_IS_LOCKED ? LRU_TO_UNEVICTABLE
						    : LRU_TO_INACTIVE);
}

/* Starts evicting the page. Context: the page locked. Its mapping, if any, is held. */
static enum swap_out begin_out(struct mapping *mapping, struct page *page, struct tlb_batch *batch)
{
	assert_page_locked(page);
	if (!mapping)
		return swap_out_begin(page, batch);
	if (page_test(page, PG_SHMEM))
		return shmem_swap_out_begin(page, batch);
	if (!mapping->ops || !mapping_page_is_clean(page))
		return SWAP_OUT_STAYS; /* dirty: not before its file system has written it */
	mapping_page_unmap(page, batch);
	return SWAP_OUT_BEGUN;
}

/*
 * Completes the eviction, unlocks the page, and drops the reference to its mapping.
 *
 * Context: the page locked. begin_out() has returned SWAP_OUT_BEGUN, and the batch was flushed since.
 * Returns: true if the page is gone.
 */
static bool finish_out(struct page *page)
{
	struct mapping *mapping = page_test(page, PG_ANON) ? NULL : page->mapping;
	bool shmem = mapping && page_test(page, PG_SHMEM), gone;

	assert_page_locked(page);
	if (!mapping)
		gone = swap_out_finish(page);
	else
		gone = shmem ? shmem_swap_out_finish(mapping, page) : mapping_take_clean(mapping, page);
	page_unlock(page);
	if (shmem)
		race_point(shmem_exchanged);
	if (mapping)
		mapping_put(mapping);
	return gone;
}

/*
 * Decides whether to evict the page, and starts to; without a scan (NULL) evicts it whether used or not. After
 * SWAP_OUT_BEGUN the mapping stays held.
 *
 * Context: the page locked.
 */
static enum swap_out judge(const struct scan *scan, struct page *page, enum chance *chance, struct tlb_batch *batch)
{
	struct mapping *mapping = page_test(page, PG_ANON) ? NULL : mapping_of_page(page);
	enum swap_out progress;

	assert_page_locked(page);
	if (!mapping && !page_test(page, PG_ANON))
		return SWAP_OUT_STAYS; /* truncated: it is about to be freed */
	*chance = scan ? chance_of(page) : TAKE_IT;
	if (scan && scan->force && *chance != IT_IS_LOCKED)
		*chance = TAKE_IT;
	progress = *chance == TAKE_IT ? begin_out(mapping, page, batch) : SWAP_OUT_STAYS;
	if (mapping && progress != SWAP_OUT_BEGUN)
		mapping_put(mapping);
	return progress;
}

/* Counts a page that is gone, or puts it back. Drops the reference. Context: a reference. The page is not locked. */
static void end_page(struct scan *scan, struct page *page, enum kind kind, bool gone, enum chance chance)
{
	assert_referenced(page);
	if (gone) {
		note_freed(scan, kind);
		page_put(page);
	} else {
		reclaim_release_page(scan, page, chance);
	}
}

/* Context: a reference. Returns: true if eviction has begun; the page is then still locked. */
static bool try_page(struct scan *scan, struct page *page, enum kind kind, struct tlb_batch *batch)
{
	enum swap_out progress = SWAP_OUT_STAYS;
	enum chance chance = LEAVE_IT;

	assert_referenced(page);
	if (page_trylock(page)) {
		progress = judge(scan, page, &chance, batch);
		if (progress == SWAP_OUT_BEGUN)
			return true;
		page_unlock(page);
	}
	end_page(scan, page, kind, progress == SWAP_OUT_GONE, chance);
	return false;
}

/* One flush for all pages: no CPU has a translation of any when the first is written or removed from its mapping. */
static void shrink_inactive(struct scan *scan, enum kind kind, u64 nr)
{
	struct page *pages[RECLAIM_BATCH];
	unsigned taken = lru_isolate(inactive_list(kind), pages, (unsigned)min(nr, (u64)RECLAIM_BATCH)), begun = 0;
	struct tlb_batch batch = { 0 };

	count_nr(scan->in_advance ? COUNT_pgscan_kswapd : COUNT_pgscan_direct, taken);
	count_nr(kind == ANON ? COUNT_pgscan_anon : COUNT_pgscan_file, taken);
	if (scan->nr_writing + taken > RECLAIM_BATCH)
		reclaim_finish_writing(scan);
	for (unsigned i = 0; i < taken; i++)
		if (try_page(scan, pages[i], kind, &batch))
			pages[begun++] = pages[i];
	tlb_batch_flush(&batch);
	for (unsigned i = 0; i < begun; i++) {
		bool gone = finish_out(pages[i]);

		end_page(scan, pages[i], kind, gone, TAKE_IT);
	}
	cond_resched();
}

/* ---- Pages that the caller selects ------------------------------------------------------------------------------- */

/* Returns: true if eviction has begun; the page is then still locked. */
static bool begin_page(struct page *page, bool *gone, struct tlb_batch *batch)
{
	enum swap_out progress;
	enum chance chance;

	*gone = false;
	if (!page_trylock(page))
		return false;
	progress = judge(NULL, page, &chance, batch);
	if (progress == SWAP_OUT_BEGUN)
		return true;
	page_unlock(page);
	*gone = progress == SWAP_OUT_GONE;
	return false;
}

bool reclaim_page(struct page *page)
{
	struct tlb_batch batch = { 0 };
	bool gone;

	assert_referenced(page);
	assert_no_lock_from(RANK_RECLAIM);
	if (begin_page(page, &gone, &batch)) {
		tlb_batch_flush(&batch);
		gone = finish_out(page);
	}
	return gone;
}

void reclaim_batch(struct page **pages, unsigned nr)
{
	struct tlb_batch batch = { 0 };
	unsigned begun = 0;
	bool gone;

	for (unsigned i = 0; i < nr; i++) {
		if (begin_page(pages[i], &gone, &batch))
			pages[begun++] = pages[i];
		else
			page_put(pages[i]);
	}
	tlb_batch_flush(&batch);
	for (unsigned i = 0; i < begun; i++) {
		(void)finish_out(pages[i]);
		page_put(pages[i]);
	}
}

/* ---- The active lists -------------------------------------------------------------------------------------------- */

/* Context: the page locked. */
static struct usage usage_of_any(struct page *page)
{
	struct mapping *mapping = page_test(page, PG_ANON) ? NULL : mapping_of_page(page);
	struct usage usage = { 0 };

	assert_page_locked(page);
	if (mapping || page_test(page, PG_ANON))
		usage = usage_of(page);
	if (mapping)
		mapping_put(mapping);
	return usage;
}

/*
 * Deactivates the old end of the active list, but for running programs. Clears accessed bits: use counts from now on.
 */
static void shrink_active(enum kind kind)
{
	struct page *pages[RECLAIM_BATCH];
	unsigned taken = lru_isolate(inactive_list(kind) + LRU_ACTIVE, pages, RECLAIM_BATCH);

	count_nr(COUNT_pgrefill, taken);
	for (unsigned i = 0; i < taken; i++) {
		struct usage usage = { 0 };

		if (page_trylock(pages[i])) {
			usage = usage_of_any(pages[i]);
			page_unlock(pages[i]);
		}
		if (kind == FILE_BACKED && usage.nr_used && usage.executed) {
			lru_put_back(pages[i], LRU_TO_ACTIVE);
			continue;
		}
		if (!usage.locked)
			count(pgdeactivate);
		lru_put_back(pages[i], usage.locked ? LRU_TO_UNEVICTABLE : LRU_TO_INACTIVE);
	}
}

/* Linux's ratio for machines with less than a gigabyte. */
static bool inactive_is_low(enum kind kind)
{
	return lru_size(inactive_list(kind)) < lru_size(inactive_list(kind) + LRU_ACTIVE);
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------ */

/* In parts of SWAPPINESS_MAX. With almost no file pages, or no swap, the other kind gets all. */
static u64 weight_of(enum kind kind)
{
	u64 swappiness = READ_ONCE(sysctl_swappiness);
	u64 nr_file = lru_size(LRU_INACTIVE_FILE) + lru_size(LRU_ACTIVE_FILE);

	if (!swap_is_on())
		swappiness = 0;
	else if (nr_file <= RECLAIM_BATCH)
		swappiness = SWAPPINESS_MAX;
	return kind == ANON ? swappiness : SWAPPINESS_MAX - swappiness;
}

static void scan_kind(struct scan *scan, enum kind kind, u64 nr)
{
	if (inactive_is_low(kind))
		shrink_active(kind);
	shrink_inactive(scan, kind, nr);
}

/* Scans both kinds alternately, by weight, until enough is freed or each kind's share of its lists was scanned. */
static void scan_lists(struct scan *scan, int priority)
{
	u64 left[NR_KINDS], slice[NR_KINDS];

	for (enum kind kind = ANON; kind < NR_KINDS; kind++) {
		u64 weight = weight_of(kind),
		    nr = lru_size(inactive_list(kind)) + lru_size(inactive_list(kind) + LRU_ACTIVE);

		slice[kind] = (RECLAIM_BATCH * weight + SWAPPINESS_MAX - 1) / SWAPPINESS_MAX;
		left[kind] = slice[kind] ? max(nr >> max(priority, 0), slice[kind]) : 0;
	}
	while (scan->freed < scan->wanted && left[ANON] + left[FILE_BACKED]) {
		for (enum kind kind = ANON; kind < NR_KINDS; kind++) {
			u64 nr = min(left[kind], slice[kind]);

			left[kind] -= nr;
			if (nr)
				scan_kind(scan, kind, nr);
		}
	}
}

/*
 * Puts pages on the lists. Most pages must be on a list before any is evicted, or listed pages would be evicted only
 * because the rest is not listed yet. Pages that the kernel uses itself are never listed; the last scan of all page
 * frames has counted them. Another full scan pays only if more pages beyond that number are unlisted than listed.
 * Before reclaim gives up, and a process is killed for its memory, all frames are scanned once more.
 */
static void gather(int priority)
{
	static u64 not_listable; /* pages in use that were on no list after the last full scan; atomic, a guess */
	u64 used = nr_managed_pages() - nr_free_pages(), listed = 0, unlisted;

	for (enum lru_list list = 0; list < NR_LRU_LISTS; list++)
		listed += lru_size(list);
	unlisted = used > listed ? used - listed : 0;
	if (unlisted < READ_ONCE(not_listable))
		WRITE_ONCE(not_listable, unlisted);
	if (priority != FORCED_PRIORITY && unlisted - READ_ONCE(not_listable) <= listed) {
		(void)lru_gather(min((u64)max_pfn, FRAMES_PER_ROUND));
		return;
	}
	unlisted -= min(unlisted, lru_gather(max_pfn));
	WRITE_ONCE(not_listable, unlisted);
}

static u64 scan_until(struct scan *scan, int last_priority)
{
	u64 began = event_clock();

	for (int priority = FIRST_PRIORITY; priority >= last_priority && scan->freed < scan->wanted; priority--) {
		gather(priority);
		scan->force = priority == FORCED_PRIORITY;
		scan_lists(scan, priority);
		reclaim_finish_writing(scan);
	}
	event_ended(EVENT_reclaim, began, 0, scan->freed);
	return scan->freed;
}

u64 reclaim_pages(u64 wanted)
{
	struct scan scan = { .wanted = wanted };

	assert_no_lock_from(RANK_RECLAIM);
	count(allocstall_normal);
	if (!scan_until(&scan, FORCED_PRIORITY))
		return 0;
	kswapd_encourage();
	return scan.freed;
}

bool make_room(void)
{
	assert_no_lock_from(RANK_RECLAIM);
	return !thread_killed() && (reclaim_pages(RECLAIM_BATCH) || out_of_memory());
}

u64 reclaim_in_advance(u64 wanted)
{
	struct scan scan = { .wanted = wanted, .in_advance = true };

	return scan_until(&scan, LAST_PRIORITY);
}
