/* SPDX-License-Identifier: MIT */
/* Swap: out and in again under every strategy, what the calls make of swapped-out pages, errors, areas. */
#include "test.h"

#include "disk.h"

#include "kernel/string.h"
#include "mm/reclaim.h"
#include "mm/swap.h"
#include "mm/vma.h"

#define NR_PAGES 16

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr; /* of NR_PAGES pages, each written with its number + 100, and swapped out */

static void page_out(u64 first, u64 nr)
{
	CHECK_EQ(mm_madvise(mm, addr + PAGES(first), PAGES(nr), MADV_PAGEOUT), 0);
	disk_complete_all(disk);
	(void)swap_cache_shrink();
}

static bool is_out(u64 page)
{
	return pte_kind(sim_pte(mm, addr + PAGES(page))) == PTE_KIND_SWAP;
}

static struct page *page_at(u64 page)
{
	return pte_counted_page(sim_pte(mm, addr + PAGES(page)));
}

static swap_slot_t slot_at(u64 page)
{
	CHECK(is_out(page));
	return pte_swap_slot(sim_pte(mm, addr + PAGES(page)));
}

static void begin(bool async)
{
	disk = disk_create(256);
	WRITE_ONCE(disk->async, async);
	(void)disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(POLICY_DEFAULT);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	for (u64 page = 0; page < NR_PAGES; page++)
		put(addr + PAGES(page), page + 100);
	page_out(0, NR_PAGES);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(is_out(page));
	counters_mark();
}

static void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	CHECK_EQ(swap_figures().used, 0);
	disk_swapoff(disk);
}

#define FOR_EACH_DISK(async)                                                                                           \
	for (int async = 0; async < 2 && (begin(async), true); end(), async++)

TEST(swap_out_frees_pages, 1)
{
	u64 nr_free;

	begin(false);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 0);
	CHECK_EQ(mm_rss(mm, RSS_SWAP), NR_PAGES);
	CHECK_EQ(mm_rss_total(mm), 0);
	CHECK_EQ(swap_figures().used, NR_PAGES);
	CHECK_EQ(swap_figures().cached, 0);
	CHECK_EQ(swap_figures().total, 255);
	nr_free = nr_free_pages();
	for (u64 page = 0; page < NR_PAGES; page++)
		expect_get(addr + PAGES(page), page + 100);
	CHECK_EQ(nr_free - nr_free_pages(), NR_PAGES);
	CHECK_EQ(mm_rss(mm, RSS_ANON), NR_PAGES);
	CHECK_EQ(mm_rss(mm, RSS_SWAP), 0);
	CHECK_EQ(COUNTED(pswpin), NR_PAGES);
	CHECK_EQ(COUNTED(pgmajfault), NR_PAGES);
	CHECK_EQ(swap_figures().used, 0);
	end();
}

/* Each strategy, reading and writing, with another thread so that speculation is tried. */
TEST(swap_in_under_every_strategy, 3)
{
	FOR_EACH_SETUP (setup)
		for (int async = 0; async < 2; async++) {
			begin(async);
			idler_start(1, mm);
			disk_start(2, disk);
			for (u64 page = 0; page < NR_PAGES; page++)
				if (page % 2)
					put(addr + PAGES(page) + 8, page);
			for (u64 page = 0; page < NR_PAGES; page++) {
				expect_get(addr + PAGES(page), page + 100);
				expect_get(addr + PAGES(page) + 8, page % 2 ? page : 0);
			}
			disk_stop(2);
			idler_stop(1);
			end();
		}
}

/* A page that was only read has its copy on the disk still: it goes out again without being written. */
TEST(swap_clean_pages_are_dropped, 2)
{
	begin(true);
	disk_start(1, disk);
	for (u64 page = 0; page < NR_PAGES; page++)
		expect_get(addr + PAGES(page), page + 100);
	put(addr + PAGES(3), 7);
	disk_stop(1);
	CHECK_EQ(swap_figures().cached, NR_PAGES - 1); /* the written one gave its slot up */
	counters_mark();
	page_out(0, NR_PAGES);
	CHECK_EQ(COUNTED(pswpout), 1);
	CHECK_EQ(swap_figures().cached, 0);
	disk_start(1, disk);
	expect_get(addr + PAGES(3), 7);
	expect_get(addr + PAGES(4), 104);
	disk_stop(1);
	end();
}

/* Nobody else has the page or its slot: the write that brings it back needs no copy. */
TEST(swap_exclusive_pages_are_reused, 2)
{
	FOR_EACH_DISK (async) {
		disk_start(1, disk);
		for (u64 page = 0; page < NR_PAGES; page++)
			put(addr + PAGES(page), page);
		CHECK_EQ(COUNTED(pgfault), NR_PAGES);
		expect_get(addr, 0);
		disk_stop(1);
		CHECK_EQ(COUNTED(cow_copies), 0);
		CHECK_EQ(COUNTED(cow_reuses), 0); /* nor a second step */
	}
	FOR_EACH_DISK (async) { /* read first: the slot, which nobody names any more, is given up by the write */
		disk_start(1, disk);
		for (u64 page = 0; page < NR_PAGES; page++) {
			expect_get(addr + PAGES(page), page + 100);
			put(addr + PAGES(page), page);
		}
		disk_stop(1);
		CHECK_EQ(COUNTED(cow_copies), 0);
		CHECK_EQ(COUNTED(cow_reuses), NR_PAGES);
	}
}

TEST(swap_fork_shares_slots, 2)
{
	FOR_EACH_DISK (async) {
		struct mm *child = test_mm(POLICY_DEFAULT);

		CHECK_EQ(mm_fork(child, mm), 0);
		CHECK_EQ(swap_count(slot_at(0)), 2);
		CHECK_EQ(mm_rss(child, RSS_SWAP), NR_PAGES);
		CHECK_EQ(swap_figures().used, NR_PAGES);
		disk_start(1, disk);
		put(addr, 1); /* the child has it too: a copy */
		CHECK_EQ(COUNTED(cow_copies), 1);
		expect_get(addr + PAGES(1), 101);
		sim_leave_mm();
		sim_use_mm(child);
		expect_get(addr, 100);
		put(addr + PAGES(1), 2);
		expect_get(addr + PAGES(2), 102);
		sim_leave_mm();
		sim_use_mm(mm);
		expect_get(addr + PAGES(1), 101);
		expect_get(addr, 1);
		put(addr + PAGES(2), 3);
		sim_leave_mm();
		sim_use_mm(child);
		expect_get(addr + PAGES(2), 102);
		sim_leave_mm();
		disk_stop(1);
		test_mm_put(child);
		sim_use_mm(mm);
	}
}

TEST(swap_calls_on_swapped_pages, 2)
{
	FOR_EACH_DISK (async) {
		u8 vec[NR_PAGES];
		vaddr_t to;

		CHECK_EQ(mm_mincore(mm, addr, NR_PAGES, vec), 0);
		for (u64 page = 0; page < NR_PAGES; page++)
			CHECK_EQ(vec[page], 0);
		disk_start(1, disk);
		CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_DONTNEED), 0);
		expect_get(addr, 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), PROT_READ, -1), 0);
		expect_get(addr + PAGES(1), 101);
		CHECK_EQ(sim_write(addr + PAGES(2), 1), FAULT_NO_ACCESS);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), RW, -1), 0);
		put(addr + PAGES(2), 1);
		unmap(mm, addr + PAGES(4), 4);
		to = (vaddr_t)mm_mremap(mm, addr + PAGES(8), PAGES(8), PAGES(32), MREMAP_MAYMOVE, 0);
		for (u64 page = 8; page < NR_PAGES; page++)
			expect_get(to + PAGES(page - 8), page + 100);
		disk_stop(1);
	}
}

TEST(swap_mlocked_pages_stay, 1)
{
	begin(false);
	CHECK_EQ(mm_mlock(mm, addr, PAGES(4), false), 0);
	CHECK(!is_out(0) && !is_out(3) && is_out(4));
	CHECK_EQ(mm_madvise(mm, addr, PAGES(4), MADV_PAGEOUT), -EINVAL);
	CHECK(page_at(0));
	page_get(page_at(0));
	CHECK(!reclaim_page(page_at(0)));
	page_put(page_at(0));
	CHECK(!is_out(0));
	end();
}

/* ---- Errors ------------------------------------------------------------------------------------------------------- */

TEST(swap_read_error_is_sigbus_again_and_again, 2)
{
	FOR_EACH_SETUP (setup)
		for (int async = 0; async < 2; async++) {
			u64 value;

			begin(async);
			disk_start(1, disk);
			WRITE_ONCE(disk->error_rate[0], 1);
			for (unsigned i = 0; i < 3; i++)
				CHECK_EQ(sim_read(addr, &value), FAULT_IO_ERROR);
			CHECK_EQ(sim_write(addr, 1), FAULT_IO_ERROR);
			WRITE_ONCE(disk->error_rate[0], 0);
			expect_get(addr, 100);
			expect_get(addr + PAGES(1), 101);
			disk_stop(1);
			end();
		}
}

TEST(swap_write_error_keeps_the_page, 1)
{
	for (int async = 0; async < 2; async++) {
		struct swap_area_figures figures;

		begin(async);
		sim_leave_mm();
		mm_put(mm);
		mm = test_mm(POLICY_DEFAULT);
		addr = map(mm, NR_PAGES, RW, ANON);
		sim_use_mm(mm);
		for (u64 page = 0; page < NR_PAGES; page++)
			put(addr + PAGES(page), page + 100);
		WRITE_ONCE(disk->error_rate[1], 1);
		page_out(0, NR_PAGES);
		counters_mark();
		for (u64 page = 0; page < NR_PAGES; page++)
			expect_get(addr + PAGES(page), page + 100);
		CHECK_EQ(COUNTED(pswpin), 0); /* they had stayed in memory */
		WRITE_ONCE(disk->error_rate[1], 0);
		page_out(0, NR_PAGES); /* to other slots */
		WRITE_ONCE(disk->async, false);
		for (u64 page = 0; page < NR_PAGES; page++)
			expect_get(addr + PAGES(page), page + 100);
		sim_leave_mm();
		test_mm_put(mm);
		swap_cache_trim();
		CHECK(swap_area_figures((unsigned)swap_area_on(disk), &figures));
		CHECK_EQ(figures.used, NR_PAGES); /* retired for good */
		disk_swapoff(disk);
	}
}

/* ---- Areas -------------------------------------------------------------------------------------------------------- */

TEST(swap_areas_by_priority, 1)
{
	struct disk *high = disk_create(5), *equal[2] = { disk_create(200), disk_create(200) };
	struct swap_area_figures figures;
	vaddr_t more;

	begin(false);
	(void)disk_swapon(high, 10);
	(void)disk_swapon(equal[0], 5);
	(void)disk_swapon(equal[1], 5);
	more = map(mm, 100, RW, ANON);
	for (u64 page = 0; page < 100; page++)
		put(more + PAGES(page), page);
	CHECK_EQ(mm_madvise(mm, more, PAGES(100), MADV_PAGEOUT), 0);
	CHECK(swap_area_figures((unsigned)swap_area_on(high), &figures));
	CHECK_EQ(figures.used, 4);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(swap_area_figures((unsigned)swap_area_on(equal[i]), &figures));
		CHECK(figures.used >= 32 && figures.used <= 64);
	}
	CHECK(swap_area_figures((unsigned)swap_area_on(disk), &figures));
	CHECK_EQ(figures.used, NR_PAGES);
	for (u64 page = 0; page < 100; page++)
		expect_get(more + PAGES(page), page);
	disk_swapoff(high);
	disk_swapoff(equal[0]);
	disk_swapoff(equal[1]);
	end();
}

/* What no access would be allowed to touch comes back, too. */
TEST(swapoff_brings_everything_back, 2)
{
	FOR_EACH_DISK (async) {
		struct mm *child = test_mm(POLICY_DEFAULT);

		CHECK_EQ(mm_mprotect(mm, addr, PAGES(2), PROT_NONE, -1), 0);
		CHECK_EQ(mm_fork(child, mm), 0);
		disk_start(1, disk);
		disk_swapoff(disk);
		disk_stop(1);
		CHECK_EQ(swap_figures().total, 0);
		CHECK_EQ(mm_rss(mm, RSS_SWAP) + mm_rss(child, RSS_SWAP), 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(2), RW, -1), 0);
		for (u64 page = 0; page < NR_PAGES; page++)
			expect_get(addr + PAGES(page), page + 100);
		(void)disk_swapon(disk, SWAP_PRIORITY_NEXT);
		test_mm_put(child);
	}
}

static void act_swapoff(void *result)
{
	*(int *)result = swap_area_remove((unsigned)swap_area_on(disk));
}

/* Nothing has happened then: the area is in use as before. */
TEST(swapoff_that_fails_changes_nothing, 2)
{
	int result = 0;

	begin(true);
	sim_start(1, act_swapoff, &result);
	while (!READ_ONCE(disk->nr_waiting))
		let_others_run_once();
	sim_kill(1);
	disk_complete_all(disk);
	while (sim_running(1)) {
		disk_complete_all(disk);
		let_others_run_once();
	}
	CHECK_EQ(result, -EINTR);
	WRITE_ONCE(disk->async, false);
	WRITE_ONCE(disk->error_rate[0], 1);
	page_out(0, NR_PAGES);
	CHECK_EQ(swap_area_remove((unsigned)swap_area_on(disk)), -EIO);
	WRITE_ONCE(disk->error_rate[0], 0);
	for (u64 page = 0; page < NR_PAGES; page++)
		expect_get(addr + PAGES(page), page + 100);
	page_out(0, NR_PAGES);
	CHECK(is_out(0));
	end();
}

/* A full area: pages that find no slot stay. */
TEST(swap_full_area, 1)
{
	vaddr_t more;
	u64 nr_out = 0;

	begin(false);
	more = map(mm, 300, RW, ANON);
	for (u64 page = 0; page < 300; page++)
		put(more + PAGES(page), page);
	CHECK_EQ(mm_madvise(mm, more, PAGES(300), MADV_PAGEOUT), 0);
	for (u64 page = 0; page < 300; page++)
		nr_out += pte_kind(sim_pte(mm, more + PAGES(page))) == PTE_KIND_SWAP;
	CHECK_EQ(nr_out, 255 - NR_PAGES);
	for (u64 page = 0; page < 300; page++)
		expect_get(more + PAGES(page), page);
	end();
}

/* One read brings in as many as page-cluster says, where they lie together on the disk. */
TEST(swap_reads_ahead, 2)
{
	begin(true);
	WRITE_ONCE(sysctl_page_cluster, 2);
	disk_start(1, disk);
	expect_get(addr + PAGES(7), 107); /* slot 8: 8 to 11 */
	disk_stop(1);
	CHECK_EQ(COUNTED(pswpin), 4);
	CHECK_EQ(COUNTED(pgmajfault), 1);
	expect_get(addr + PAGES(9), 109);
	CHECK_EQ(COUNTED(pswpin), 4);
	CHECK_EQ(COUNTED(pgmajfault), 1);
	WRITE_ONCE(sysctl_page_cluster, 0);
	disk_start(1, disk);
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(COUNTED(pswpin), 5);
	end();
}

/* ---- Reclaim ------------------------------------------------------------------------------------------------------ */

/* More than is free, most of memory being taken: what was not used lately goes out, and everything comes back right. */
TEST(reclaim_twice_the_memory, 1)
{
	struct page *blocks[64];
	unsigned nr_blocks = 0;
	vaddr_t more;

	begin(false);
	struct disk *large = disk_create(8192);
	(void)disk_swapon(large, 10);
	while (nr_free_pages() > 3072 && (blocks[nr_blocks] = alloc_pages(MAX_ORDER, 0)) != NULL)
		nr_blocks++;
	more = map(mm, 6144, RW, ANON);
	for (u64 page = 0; page < 6144; page++)
		put(more + PAGES(page), page);
	for (u64 page = 0; page < 6144; page++)
		expect_get(more + PAGES(page), page);
	CHECK(COUNTED(pswpout) > 3072);
	unmap(mm, more, 6144);
	while (nr_blocks)
		free_pages(blocks[--nr_blocks], MAX_ORDER);
	disk_swapoff(large);
	end();
}

static void take_every_page(void ***all)
{
	struct page *page;

	while ((page = alloc_page(0)) != NULL) {
		void **link = page_to_virt(page);

		*link = *all;
		*all = link;
	}
}

static void give_back(void **all)
{
	while (all) {
		struct page *page = virt_to_page(all);

		all = *all;
		page_put(page);
	}
}

/* Memory is full of program's pages, and the kernel's share is used up, too: what the kernel needs for calls comes from swap. */
TEST(reclaim_makes_room_for_the_kernel, 1)
{
	struct page *blocks[64];
	unsigned nr_blocks = 0;
	void **all = NULL;

	begin(false);
	struct disk *large = disk_create(8192);
	(void)disk_swapon(large, 10);
	while (nr_free_pages() > 3072 && (blocks[nr_blocks] = alloc_pages(MAX_ORDER, 0)) != NULL)
		nr_blocks++;
	vaddr_t more = map(mm, 4096, RW, ANON);
	for (u64 page = 0; page < 4096; page++)
		put(more + PAGES(page), page);
	for (unsigned i = 0; i < 60; i++) { /* more than the free objects would do for */
		take_every_page(&all);
		CHECK_EQ(mm_mprotect(mm, more + PAGES(2 * i), PAGES(1), PROT_READ, -1), 0);
	}
	take_every_page(&all);
	struct mm *child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
	take_every_page(&all);
	CHECK_EQ(mm_munmap(mm, more + PAGES(3000), PAGES(1)), 0);
	give_back(all);
	test_mm_put(child);
	for (u64 page = 0; page < 3000; page++)
		expect_get(more + PAGES(page), page);
	unmap(mm, more, 4096);
	while (nr_blocks)
		free_pages(blocks[--nr_blocks], MAX_ORDER);
	disk_swapoff(large);
	end();
}

/* On a device that takes its time, with pages that are used all the time and stay. */
TEST(reclaim_waits_for_writing, 3)
{
	begin(true);
	disk_start(1, disk);
	CHECK(reclaim_pages(1000) == 0); /* there is nothing in memory but what the disk has */
	for (u64 page = 0; page < NR_PAGES; page++)
		put(addr + PAGES(page), page);
	CHECK(reclaim_pages(1000) >= NR_PAGES); /* the second turn finds that they were not used since the first */
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(is_out(page));
	for (u64 page = 0; page < NR_PAGES; page++)
		expect_get(addr + PAGES(page), page);
	disk_stop(1);
	end();
}
