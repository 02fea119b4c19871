/* SPDX-License-Identifier: MIT */
/* Tests of the physical page allocator: blocks, the reserve, references, and many CPUs at once. */
#include "test.h"

#include "disk.h"
#include "hoard.h"

#include "kernel/lib/string.h"
#include "mm/page/page_alloc.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"

#include <stdlib.h>

/*
 * A list of blocks, linked through their own first bytes, so that a test can take all memory without allocating more.
 */
struct block {
	struct block *next;
	u64 tag;
};

static struct block *take_all(unsigned order, unsigned flags)
{
	struct block *all = NULL;
	struct page *page;

	while ((page = alloc_pages(order, flags)) != NULL) {
		struct block *block = page_to_virt(page);

		block->next = all;
		block->tag = page_to_pfn(page);
		all = block;
	}
	return all;
}

static u64 give_all(struct block *all, unsigned order)
{
	u64 nr = 0;

	while (all) {
		struct block *next = all->next;

		CHECK_EQ(all->tag, page_to_pfn(virt_to_page(all)));
		free_pages(virt_to_page(all), order);
		all = next;
		nr++;
	}
	return nr;
}

TEST(pages_are_fresh, 1)
{
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		struct page *page = alloc_pages(order, ALLOC_ZERO);
		const u64 *words;

		CHECK(page);
		words = page_to_virt(page);
		CHECK_EQ(page_to_pfn(page) & ((1UL << order) - 1), 0);
		CHECK_EQ(page->refcount, 1);
		CHECK_EQ(page->mapcount, 0);
		CHECK_EQ(page->flags, 0);
		CHECK_EQ(page->order, order);
		for (u64 i = 0; i < (PAGE_SIZE << order) / sizeof(u64); i++)
			CHECK(words[i] == 0);
		memset(page_to_virt(page), 0xff, PAGE_SIZE << order);
		free_pages(page, order);
	}
}

TEST(pages_merge_again, 1)
{
	u64 before = nr_free_pages();
	u64 nr_large = give_all(take_all(MAX_ORDER, 0), MAX_ORDER);

	CHECK(nr_large > 4);
	CHECK_EQ(nr_free_pages(), before);
	CHECK(give_all(take_all(0, 0), 0) > (nr_large << MAX_ORDER));
	page_alloc_drain();
	CHECK_EQ(nr_free_pages(), before);
	CHECK_EQ(give_all(take_all(MAX_ORDER, 0), MAX_ORDER), nr_large);
}

TEST(pages_reserve, 1)
{
	u64 before = nr_free_pages();
	struct block *usual = take_all(0, 0), *reserved;
	u64 left = nr_free_pages();

	CHECK(left > 64);
	CHECK(!alloc_pages(3, 0));
	reserved = take_all(0, ALLOC_RESERVE);
	CHECK_EQ(nr_free_pages(), 0);
	CHECK_EQ(give_all(reserved, 0), left);
	CHECK_EQ(give_all(usual, 0), before - left);
	CHECK_EQ(nr_free_pages(), before);
}

/* Of two blocks that overlap, one would carry the other's tag. */
TEST(pages_do_not_overlap, 1)
{
	struct block *of_order[MAX_ORDER + 1] = { NULL };

	for (unsigned round = 0; round < 400; round++) {
		unsigned order = (unsigned)sim_random_below(6);
		struct page *page = alloc_pages(order, 0);

		CHECK(page);
		for (u64 i = 0; i < 1UL << order; i++) {
			struct block *block = page_to_virt(page + i);

			block->tag = page_to_pfn(page + i);
			block->next = i ? NULL : of_order[order];
		}
		of_order[order] = page_to_virt(page);
	}
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		for (struct block *block = of_order[order]; block; block = block->next)
			for (u64 i = 0; i < 1UL << order; i++)
				CHECK_EQ(((struct block *)((char *)block + i * PAGE_SIZE))->tag,
					 page_to_pfn(virt_to_page(block)) + i);
		give_all(of_order[order], order);
	}
}

/*
 * A CPU's stash holds at most a thousandth of memory, rounded up to a power of two, and fetches half of that at a time.
 */
TEST(pages_kept_by_a_cpu, 1)
{
	const u32 limit = page_stash_figures(0).limit;
	struct page *pages[256];

	CHECK_EQ(limit & (limit - 1), 0);
	CHECK(limit * 1024UL >= nr_managed_pages());
	CHECK(limit * 512UL < nr_managed_pages());
	page_alloc_drain();
	CHECK_EQ(page_stash_figures(0).nr, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = alloc_page(0);
		CHECK_EQ(page_stash_figures(0).nr, (2 * ARRAY_SIZE(pages) - 1 - i) % (limit / 2));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		page_put(pages[i]);
		CHECK(page_stash_figures(0).nr <= limit && page_stash_figures(0).nr >= min(i + 1, limit / 2));
	}
}

/* ---- Allocations that wait --------------------------------------------------------------------------------------- */

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr;

static void begin_short(u64 nr_pages)
{
	disk = disk_create(nr_pages + 100);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(POLICY_DEFAULT);
	addr = map(mm, nr_pages, RW, ANON);
	sim_use_mm(mm);
}

static void end_short(void)
{
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	disk_swapoff(disk);
}

/*
 * An allocation that may wait gets a block as soon as reclaim has freed a contiguous one; one that may not wait gets
 * none.
 */
TEST(pages_block_is_waited_for, 1)
{
	const u64 nr_pages = 2048;
	struct hoard hoard = { 0 };
	struct page *block;
	u64 page = 0;

	begin_short(nr_pages);
	hoard_take(&hoard, nr_pages);
	for (; page < nr_pages && nr_pages_in_zone() > watermarks.min + 64; page++)
		put(addr + PAGES(page), page);
	CHECK(!alloc_pages(8, 0));
	counters_mark();
	block = alloc_pages(8, ALLOC_WAIT);
	CHECK(block);
	CHECK_EQ(page_to_pfn(block) % 256, 0);
	CHECK_EQ(block->order, 8);
	CHECK(COUNTED(allocstall_normal) > 0);
	free_pages(block, 8);
	hoard_give_all(&hoard);
	while (page--)
		expect_get(addr + PAGES(page), page);
	end_short();
}

/* A program has every second page frame, the others stay allocated: no amount of reclaim makes a block of two pages. */
TEST(pages_that_never_make_a_block, 1)
{
	const u64 nr_pages = 4096;
	struct page **taken = calloc(2 * max_pfn, sizeof(*taken));
	u64 nr = 0, page = 0;

	begin_short(nr_pages);
	put(addr, 0); /* allocates the page tables and the anon_vma */
	while ((taken[nr] = alloc_page(ALLOC_RESERVE)) != NULL)
		nr++;
	for (u64 i = 0; i < nr; i++) {
		if (page_to_pfn(taken[i]) % 2)
			continue;
		page_put(taken[i]);
		taken[i] = NULL;
	}
	page_alloc_drain();
	for (page = 1; page < nr_pages; page++)
		put(addr + PAGES(page), page);
	while (nr_pages_in_zone() > watermarks.min + 64) {
		taken[nr] = alloc_page(0);
		CHECK(taken[nr++]);
	}
	counters_mark();
	CHECK(!alloc_pages(1, ALLOC_WAIT));
	CHECK_EQ(COUNTED(allocstall_normal), 64);
	CHECK(COUNTED(pgsteal_anon) >= 64 * RECLAIM_BATCH);
	while (nr--)
		if (taken[nr])
			page_put(taken[nr]);
	free(taken);
	expect_pages(addr, nr_pages, 0);
	end_short();
}

static bool made_room;
static u64 nr_stalls;

static void act_make_room_dying(void *unused)
{
	(void)unused;
	sim_kill(cpu_id());
	made_room = make_room();
	nr_stalls = COUNTED(allocstall_normal);
}

/* A dying thread does not reclaim, although there are pages to reclaim: it may use the reserve. */
TEST(pages_for_the_dying, 2)
{
	begin_short(64);
	put_pages(addr, 64, 0);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(64), MADV_COLD), 0);
	counters_mark();
	sim_start(1, act_make_room_dying, NULL);
	sim_join(1);
	CHECK(!made_room);
	CHECK_EQ(nr_stalls, 0);
	CHECK(make_room());
	CHECK_EQ(COUNTED(allocstall_normal), 1);
	end_short();
}

/* With nothing to reclaim the allocation fails at once. */
TEST(pages_that_nobody_can_make, 1)
{
	struct hoard hoard = { 0 };

	hoard_take(&hoard, 0);
	counters_mark();
	CHECK(!alloc_page(ALLOC_WAIT));
	CHECK(!alloc_pages(2, ALLOC_WAIT));
	CHECK(!alloc_page(0));
	CHECK_EQ(COUNTED(allocstall_normal), 2);
	hoard_give_all(&hoard);
}

/*
 * Allocations of blocks, too, fail when a test says so. A block that another thread has a reference to is freed only
 * when that reference is dropped.
 */
TEST(pages_of_a_block, 1)
{
	u64 before = nr_free_pages();
	struct page *block = alloc_pages(3, 0);

	sim_fail_allocation(1, false);
	CHECK(!alloc_pages(3, 0));
	CHECK(sim_allocation_failed());
	page_get(block); /* as a lockless lookup that found the wrong page */
	free_pages(block, 3);
	CHECK_EQ(nr_free_pages(), before - 8);
	page_put(block);
	CHECK_EQ(nr_free_pages(), before);
}

/* ---- References -------------------------------------------------------------------------------------------------- */

static void drop_reference(void *page)
{
	page_put(page);
}

TEST(pages_last_reference_frees, 4)
{
	u64 before = nr_free_pages();

	for (unsigned round = 0; round < 200; round++) {
		struct page *page = alloc_page(0);

		CHECK(page);
		for (unsigned cpu = 1; cpu < 4; cpu++)
			page_get(page);
		CHECK_EQ(page->refcount, 4);
		for (unsigned cpu = 1; cpu < 4; cpu++)
			sim_start(cpu, drop_reference, page);
		page_put(page);
		sim_join_all();
		CHECK_EQ(nr_free_pages(), before);
	}
}

/* ---- Many CPUs --------------------------------------------------------------------------------------------------- */

#define STORM_SLOTS 256
static struct page *slots[STORM_SLOTS];

/* Puts pages into slots that all CPUs share, and frees the pages found there, which another CPU usually allocated. */
static void storm(void *unused)
{
	(void)unused;
	for (unsigned round = 0; round < 20000; round++) {
		struct page *page = NULL;

		if (sim_random_below(2)) {
			unsigned order = sim_random_below(8) ? 0 : (unsigned)sim_random_below(4);

			page = alloc_pages(order, 0);
			if (page)
				*(u64 *)page_to_virt(page) = page_to_pfn(page);
		}
		page = atomic_xchg(&slots[sim_random_below(STORM_SLOTS)], page);
		if (page) {
			CHECK_EQ(*(u64 *)page_to_virt(page), page_to_pfn(page));
			free_pages(page, page->order);
		}
	}
	page_alloc_drain();
}

TEST(pages_storm, 4)
{
	u64 before;

	page_alloc_drain();
	before = nr_free_pages();
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, storm, NULL);
	storm(NULL);
	sim_join_all();
	for (unsigned i = 0; i < STORM_SLOTS; i++)
		if (slots[i])
			free_pages(slots[i], slots[i]->order);
	CHECK_EQ(nr_free_pages(), before);
}

/* All CPUs run out of memory at the same time, again and again: no page is allocated twice, and none is lost. */
static void exhaust(void *unused)
{
	(void)unused;
	for (unsigned round = 0; round < 5; round++) {
		give_all(take_all(0, 0), 0);
		page_alloc_drain();
	}
}

TEST(pages_exhaustion_storm, 3)
{
	u64 before = nr_free_pages();

	for (unsigned cpu = 1; cpu < 3; cpu++)
		sim_start(cpu, exhaust, NULL);
	exhaust(NULL);
	sim_join_all();
	CHECK_EQ(nr_free_pages(), before);
}
