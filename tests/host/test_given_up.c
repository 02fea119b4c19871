/* SPDX-License-Identifier: MIT */
/*
 * Tests of reclaim of lazily freed pages (MADV_FREE): they are freed without a write to swap, by every path of reclaim,
 * unless they were written to since. CPU 2 reclaims, CPU 3 (the puppet) holds translations.
 */
#include "race_script.h"

#include "disk.h"

#include "mm/reclaim/lazyfree.h"
#include "mm/reclaim/reclaim.h"
#include "mm/table/tlb.h"

#define NR_PAGES 32

static struct disk *disk;

static void begin(void)
{
	sim_quirks.evict = 0;
	disk = disk_create(256);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(POLICY_FULL);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 100);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_FREE), 0);
	counters_mark();
}

static void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	disk_swapoff(disk);
}

static void by_direct_reclaim(void)
{
	CHECK_EQ(reclaim_pages(NR_PAGES), NR_PAGES);
}

static void by_kswapd(void)
{
	CHECK_EQ(reclaim_in_advance(NR_PAGES), NR_PAGES);
}

static void by_advice(void)
{
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
}

/* MADV_FREE frees neither a page that a child maps as well, nor what is in a swap slot. */
TEST(given_up_are_only_pages_of_ones_own, 1)
{
	struct page *page;

	begin();
	put_pages(addr, NR_PAGES, 100);
	for (u64 i = 0; i < NR_PAGES; i++)
		page_clear(pte_counted_page(sim_pte(mm, addr + PAGES(i))), PG_LAZYFREE);
	child = test_mm(POLICY_FULL);
	CHECK_EQ(mm_fork(child, mm), 0);
	put(addr + PAGES(3), 103); /* the parent now has its own copy */
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_FREE), 0);
	for (u64 i = 0; i < NR_PAGES; i++) {
		page = pte_counted_page(sim_pte(mm, addr + PAGES(i)));
		CHECK_EQ(page_test(page, PG_LAZYFREE), i == 3);
	}
	CHECK_EQ(mm_drop_lazy(mm), 1);
	CHECK(pte_none(sim_pte(mm, addr + PAGES(3))));
	expect_pages(addr, 3, 100);
	expect_get(addr + PAGES(3), 0);
	test_mm_put(child);
	end();
}

/*
 * A page in a swap slot may be another process's as well, which has not mapped it yet. What one of them gives up, the
 * other one keeps.
 */
TEST(given_up_page_in_a_slot_stays_for_its_other_owner, 1)
{
	begin();
	put_pages(addr, NR_PAGES, 100);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	child = test_mm(POLICY_FULL);
	CHECK_EQ(mm_fork(child, mm), 0);
	expect_get(addr, 100);
	CHECK(page_test(pte_counted_page(sim_pte(mm, addr)), PG_SWAPCACHE));
	CHECK_EQ(mm_madvise(mm, addr, PAGE_SIZE, MADV_FREE), 0);
	sim_leave_mm();
	sim_use_mm(child);
	expect_get(addr, 100);
	CHECK(pte_counted_page(sim_pte(child, addr)) == pte_counted_page(sim_pte(mm, addr)));
	CHECK_EQ(mm_madvise(child, addr + PAGES(1), PAGE_SIZE, MADV_FREE), 0);
	CHECK_EQ(mm_drop_lazy(child), 0);
	expect_get(addr, 100);
	sim_leave_mm();
	sim_use_mm(mm);
	test_mm_put(child);
	end();
}

static void (*const ways_out[])(void) = { by_direct_reclaim, by_kswapd, by_advice };

static void expect_nothing_written(void)
{
	CHECK_EQ(disk->nr_transfers[1], 0);
	CHECK_EQ(COUNTED(pswpout), 0);
	CHECK_EQ(swap_figures().used, 0);
}

TEST(given_up_pages_go_without_a_write, 1)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ways_out); i++) {
		begin();
		ways_out[i]();
		expect_nothing_written();
		CHECK_EQ(mm_rss(mm, RSS_ANON), 0);
		CHECK_EQ(mm_rss(mm, RSS_SWAP), 0);
		for (u64 page = 0; page < NR_PAGES; page++)
			expect_get(addr + PAGES(page), 0);
		end();
	}
}

/* Freeing these pages does not require swap. */
TEST(given_up_pages_go_without_swap, 1)
{
	begin();
	disk_swapoff(disk);
	by_advice();
	CHECK_EQ(mm_rss(mm, RSS_ANON), 0);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	end();
}

/* A page that was written to since has contents again, and is swapped out. Its neighbours are freed. */
TEST(given_up_page_that_is_written_to_is_kept, 1)
{
	begin();
	put(addr + PAGES(5), 7);
	by_advice();
	CHECK_EQ(COUNTED(pswpout), 1);
	expect_get(addr + PAGES(4), 0);
	expect_get(addr + PAGES(5), 7);
	end();
}

/* A page that was shared with a child since is freed from both. */
TEST(given_up_pages_go_from_all_who_share_them, 1)
{
	begin();
	child = test_mm(POLICY_FULL);
	CHECK_EQ(mm_fork(child, mm), 0);
	by_direct_reclaim();
	expect_nothing_written();
	CHECK_EQ(mm_rss(mm, RSS_ANON) + mm_rss(child, RSS_ANON), 0);
	expect_get(addr, 0);
	sim_leave_mm();
	sim_use_mm(child);
	expect_get(addr, 0);
	sim_leave_mm();
	sim_use_mm(mm);
	test_mm_put(child);
	end();
}

TEST(given_up_page_in_locked_memory_stays, 1)
{
	begin();
	CHECK_EQ(mm_mlock(mm, addr, PAGES(4), true), 0);
	CHECK_EQ(reclaim_pages(1000), NR_PAGES - 4);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 4);
	expect_nothing_written();
	expect_get(addr, 100);
	end();
}

/* mm_drop_all_lazy() drops the pages of every address space once, and returns their number. */
TEST(given_up_pages_of_all_go_at_once, 1)
{
	struct mm *second;
	vaddr_t start;

	begin();
	second = test_mm(POLICY_FULL);
	start = map(second, 4, RW, ANON);
	sim_leave_mm();
	sim_use_mm(second);
	put_pages(start, 4, 100);
	CHECK_EQ(mm_madvise(second, start, PAGES(3), MADV_FREE), 0);
	CHECK_EQ(mm_drop_all_lazy(), NR_PAGES + 3);
	CHECK_EQ(mm_drop_all_lazy(), 0);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 0);
	CHECK_EQ(mm_rss(second, RSS_ANON), 1);
	expect_get(start, 0);
	expect_get(start + PAGES(3), 103);
	expect_nothing_written();
	sim_leave_mm();
	test_mm_put(second);
	sim_use_mm(mm);
	end();
}

/* More pages than a gather holds. */
TEST(given_up_pages_go_in_batches, 1)
{
	const u64 many = 2 * TLB_GATHER_PAGES + 5;
	vaddr_t start;

	begin();
	start = map(mm, many, RW, ANON);
	put_pages(start, many, 100);
	CHECK_EQ(mm_madvise(mm, start, PAGES(many - 1), MADV_FREE), 0);
	CHECK_EQ(mm_drop_all_lazy(), NR_PAGES + many - 1);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 1);
	expect_get(start + PAGES(many - 1), 100 + many - 1);
	expect_get(start + PAGES(many - 2), 0);
	end();
}

static void begin_with_puppet(void)
{
	begin();
	sim_leave_mm();
	other = (struct actor){ .mm = mm, .addr = addr, .len = PAGE_SIZE };
	puppet_start();
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE); /* a clean translation */
}

static void end_with_puppet(void)
{
	puppet_stop();
	sim_use_mm(mm);
	end();
}

/* CPU 3 writes to the page after reclaim has seen that it is clean: the write is kept. */
TEST(k8_given_up_page_is_written_to_at_the_last_moment, 4)
{
	begin_with_puppet();
	change_until(RACE_reclaim_before_clear, act_page_out);
	CHECK(puppet_do(true, false, addr, 7));
	go_on(RACE_reclaim_before_clear, 2);
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, 7);
	end_with_puppet();
}

static void act_drop(void *arg)
{
	struct actor *actor = arg;

	actor->result = (long)mm_drop_lazy(actor->mm);
}

/*
 * Likewise when mm_drop_lazy() drops an address space's pages because memory is short: the entry is read again, and
 * only the other pages are dropped.
 */
TEST(k8_dropped_page_is_written_to_at_the_last_moment, 4)
{
	begin_with_puppet();
	change_until(RACE_lazyfree_entry_read, act_drop);
	CHECK(puppet_do(true, false, addr, 7));
	go_on(RACE_lazyfree_entry_read, 2);
	CHECK_EQ(other.result, NR_PAGES - 1);
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, 7);
	CHECK_EQ(puppet_do(false, true, addr + PAGES(1), 0), FAULT_DONE);
	CHECK_EQ(puppet.value, 0);
	end_with_puppet();
}

/* A page that is only read at the last moment is still clean, and is dropped. */
TEST(k8_dropped_page_is_read_at_the_last_moment, 4)
{
	begin();
	sim_leave_mm();
	other = (struct actor){ .mm = mm };
	puppet_start();
	change_until(RACE_lazyfree_entry_read, act_drop);
	CHECK(puppet_do(false, false, addr, 0));
	CHECK_EQ(puppet.value, 100);
	go_on(RACE_lazyfree_entry_read, 2);
	CHECK_EQ(other.result, NR_PAGES);
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, 0);
	end_with_puppet();
}

/* Once the page is freed, no CPU can access it. */
TEST(w4_given_up_page_is_flushed_before_it_goes, 4)
{
	begin_with_puppet();
	change_now(act_page_out);
	CHECK(!puppet_do(false, false, addr, 0));
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, 0);
	end_with_puppet();
}
