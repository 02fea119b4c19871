/* SPDX-License-Identifier: MIT */
/* Tests of swap: swap-out and swap-in under every strategy, system calls on swapped-out pages, read-ahead, errors. */
#include "swap_stage.h"

#include "mm/reclaim/reclaim.h"

static struct page *page_at(u64 page)
{
	return pte_counted_page(sim_pte(mm, addr + PAGES(page)));
}

static swap_slot_t slot_at(u64 page)
{
	CHECK(is_out(page));
	return pte_swap_slot(sim_pte(mm, addr + PAGES(page)));
}

TEST(swap_out_frees_pages, 1)
{
	u64 nr_free;

	begin(POLICY_DEFAULT, PLENTY, false);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 0);
	CHECK_EQ(mm_rss(mm, RSS_SWAP), NR_PAGES);
	CHECK_EQ(mm_rss_total(mm), 0);
	CHECK_EQ(swap_figures().used, NR_PAGES);
	CHECK_EQ(swap_figures().cached, 0);
	CHECK_EQ(swap_figures().total, PLENTY);
	nr_free = nr_free_pages();
	expect_pages(addr, NR_PAGES, 100);
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
			begin(POLICY_DEFAULT, PLENTY, async);
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

/* A page that was only read still has its copy on the disk: it is evicted again without being written. */
TEST(swap_clean_pages_are_dropped, 2)
{
	begin(POLICY_DEFAULT, PLENTY, true);
	disk_start(1, disk);
	expect_pages(addr, NR_PAGES, 100);
	put(addr + PAGES(3), 7);
	disk_stop(1);
	CHECK_EQ(swap_figures().cached, NR_PAGES - 1); /* the page that was written to has freed its slot */
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

/* A page that no one else maps and whose slot has no other user needs no copy when a write brings it back. */
TEST(swap_exclusive_pages_are_reused, 2)
{
	FOR_EACH_DISK (async) {
		disk_start(1, disk);
		put_pages(addr, NR_PAGES, 0);
		CHECK_EQ(COUNTED(pgfault), NR_PAGES);
		expect_get(addr, 0);
		disk_stop(1);
		CHECK_EQ(COUNTED(cow_copies), 0);
		CHECK_EQ(COUNTED(cow_reuses), 0); /* nor a second fault */
	}
	FOR_EACH_DISK (async) { /* read first: the write frees the slot, which no entry names any more */
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
		put(addr, 1); /* the child maps it too: a copy */
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
	begin(POLICY_DEFAULT, PLENTY, false);
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

/* One read brings in as many pages as page-cluster says, if they are adjacent on the disk. */
TEST(swap_reads_ahead, 2)
{
	begin(POLICY_DEFAULT, PLENTY, true);
	WRITE_ONCE(sysctl_page_cluster, 2);
	disk_start(1, disk);
	expect_get(addr + PAGES(7), 107); /* slot 8 of the group 8 to 11 */
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

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

TEST(swap_read_error_is_sigbus_again_and_again, 2)
{
	FOR_EACH_SETUP (setup)
		for (int async = 0; async < 2; async++) {
			u64 value;

			begin(POLICY_DEFAULT, PLENTY, async);
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

		begin(POLICY_DEFAULT, PLENTY, async);
		sim_leave_mm();
		mmput(mm);
		mm = test_mm(POLICY_DEFAULT);
		addr = map(mm, NR_PAGES, RW, ANON);
		sim_use_mm(mm);
		put_pages(addr, NR_PAGES, 100);
		WRITE_ONCE(disk->error_rate[1], 1);
		page_out(0, NR_PAGES);
		counters_mark();
		expect_pages(addr, NR_PAGES, 100);
		CHECK_EQ(COUNTED(pswpin), 0); /* they had stayed in memory */
		WRITE_ONCE(disk->error_rate[1], 0);
		page_out(0, NR_PAGES); /* to other slots */
		WRITE_ONCE(disk->async, false);
		expect_pages(addr, NR_PAGES, 100);
		sim_leave_mm();
		test_mm_put(mm);
		swap_cache_trim();
		CHECK(swap_area_figures((unsigned)swap_area_on(disk), &figures));
		CHECK_EQ(figures.used, NR_PAGES); /* retired for good */
		disk_swapoff(disk);
	}
}

/* MADV_PAGEOUT evicts only pages that the caller alone maps. */
TEST(swap_advice_leaves_what_others_map, 1)
{
	struct mm *child;

	begin(POLICY_DEFAULT, PLENTY, false);
	expect_pages(addr, NR_PAGES, 100);
	child = test_mm(POLICY_DEFAULT);
	put(addr, 100); /* brings each page into memory and frees its slot */
	for (u64 page = 0; page < NR_PAGES; page++)
		put(addr + PAGES(page), 100 + page);
	CHECK_EQ(mm_fork(child, mm), 0);
	put(addr + PAGES(3), 103); /* a copy, which only we map */
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK_EQ(is_out(page), page == 3);
	test_mm_put(child);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	expect_out();
	expect_pages(addr, NR_PAGES, 100);
	end();
}
