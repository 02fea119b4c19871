/* SPDX-License-Identifier: MIT */
/* Tests of shared memory in swap: swap-out and swap-in, over fork, and at race points. */
#include "test.h"

#include "disk.h"
#include "hoard.h"

#include "kernel/lib/string.h"
#include "mm/cache/mapping.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/shmem_swap.h"
#include "mm/swap/swap.h"
#include "mm/vma/vma.h"

#define NR_PAGES 16
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)

static struct disk *disk;
static struct mm *mm;
static struct mapping *mapping; /* holds a reference */
static vaddr_t addr;		/* of NR_PAGES mapped pages; page n holds n + 100 */

static void begin(enum fault_policy policy, bool async)
{
	disk = disk_create(256);
	WRITE_ONCE(disk->async, async);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(policy);
	addr = map(mm, NR_PAGES, RW, SHARED);
	mapping = sim_vma(mm, addr)->mapping;
	mapping_get(mapping);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 100);
	counters_mark();
}

static void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
	mapping_put(mapping);
	rcu_barrier();
	swap_cache_trim();
	CHECK_EQ(swap_figures().used, 0);
	disk_swapoff(disk);
}

static void page_out(u64 first, u64 nr)
{
	CHECK_EQ(mm_madvise(mm, addr + PAGES(first), PAGES(nr), MADV_PAGEOUT), 0);
	disk_complete_all(disk);
	(void)swap_cache_shrink();
}

static bool is_out(u64 page)
{
	swap_slot_t slot;

	return shmem_in_swap(mapping, page, &slot);
}

static void expect_all(u64 first, u64 nr)
{
	for (u64 page = first; page < first + nr; page++)
		expect_get(addr + PAGES(page), page + 100);
}

TEST(shmem_goes_to_swap_and_comes_back, 3)
{
	FOR_EACH_SETUP (setup)
		for (int async = 0; async < 2; async++) {
			u64 nr_free = nr_free_pages();

			begin(setup->policy, async);
			page_out(0, NR_PAGES);
			CHECK_EQ(mapping->nr_swapped, NR_PAGES);
			CHECK_EQ(mapping->nr_pages, NR_PAGES);
			CHECK_EQ(mm_rss(mm, RSS_SHMEM), 0);
			/* as on Linux: swapped-out shared memory does not count for a process */
			CHECK_EQ(mm_rss(mm, RSS_SWAP), 0);
			CHECK_EQ(swap_figures().used, NR_PAGES);
			CHECK_EQ(COUNTED(pswpout), NR_PAGES);
			idler_start(1, mm);
			disk_start(2, disk);
			expect_all(0, NR_PAGES / 2);
			for (u64 page = NR_PAGES / 2; page < NR_PAGES; page++)
				put(addr + PAGES(page) + 8, page);
			expect_all(0, NR_PAGES);
			disk_stop(2);
			idler_stop(1);
			CHECK_EQ(mapping->nr_swapped, 0);
			end();
			CHECK(nr_free >= nr_free_pages());
		}
}

TEST(shmem_in_swap_is_one_memory_over_fork, 1)
{
	struct mm *child;

	begin(POLICY_DEFAULT, false);
	page_out(0, NR_PAGES / 2); /* the pages of the first half, which one process maps */
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
	CHECK_EQ(reclaim_pages(1000), NR_PAGES / 2); /* and those of the second half, which two map */
	CHECK_EQ(mapping->nr_swapped, NR_PAGES);
	put(addr, 7);
	sim_leave_mm();
	sim_use_mm(child);
	expect_get(addr, 7);
	expect_all(1, NR_PAGES - 1);
	sim_leave_mm();
	sim_use_mm(mm);
	test_mm_put(child);
	end();
}

TEST(shmem_truncation_gives_slots_back, 1)
{
	begin(POLICY_DEFAULT, false);
	page_out(0, NR_PAGES);
	mapping_remove_range(mapping, 2, 5);
	CHECK_EQ(swap_figures().used, NR_PAGES - 4);
	expect_get(addr + PAGES(2), 0);
	expect_get(addr + PAGES(6), 106);
	CHECK_EQ(mapping_truncate(mapping, PAGES(8) + 8), 0);
	CHECK_EQ(mapping->nr_swapped, 3); /* 0, 1, 7: part of 8 was cleared, for which it was read back */
	CHECK_EQ(swap_figures().used, 3);
	expect_get(addr + PAGES(8), 108);
	expect_all(0, 2);
	end();
}

TEST(shmem_swapoff_brings_back, 1)
{
	begin(POLICY_DEFAULT, true);
	page_out(0, NR_PAGES);
	WRITE_ONCE(disk->async, false);
	disk_swapoff(disk);
	CHECK_EQ(mapping->nr_swapped, 0);
	expect_all(0, NR_PAGES);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	end();
}

/* A mapping that had pages in swap, and has none any more, does not make swapoff miss the pages of other memory. */
TEST(shmem_that_came_back_does_not_end_swapoff, 1)
{
	vaddr_t private;

	begin(POLICY_DEFAULT, false);
	page_out(0, 4);
	expect_all(0, 4);
	private = map(mm, 4, RW, ANON);
	put_pages(private, 4, 7);
	CHECK_EQ(mm_madvise(mm, private, PAGES(4), MADV_PAGEOUT), 0);
	disk_swapoff(disk);
	expect_pages(private, 4, 7);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	end();
}

TEST(shmem_locked_memory_stays, 1)
{
	begin(POLICY_DEFAULT, false);
	CHECK_EQ(mm_mlock(mm, addr, PAGES(4), false), 0);
	CHECK_EQ(reclaim_pages(1000), NR_PAGES - 4);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK_EQ(is_out(page), page >= 4);
	expect_all(0, NR_PAGES);
	end();
}

TEST(shmem_mincore_and_errors, 1)
{
	u8 seen[NR_PAGES];
	u64 values[2];

	begin(POLICY_DEFAULT, false);
	page_out(0, 4);
	CHECK_EQ(mm_mincore(mm, addr, NR_PAGES, seen), 0);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK_EQ(seen[page] & 1, page >= 4);
	WRITE_ONCE(disk->error_rate[0], 1);
	CHECK_EQ(fault_in(mm, addr, ACCESS_READ, 0), FAULT_IO_ERROR);
	CHECK_EQ(fault_in(mm, addr, ACCESS_WRITE, 0), FAULT_IO_ERROR);
	CHECK_EQ(ptr_err(shmem_get_page(mapping, 0)), -EIO);
	CHECK_EQ(mapping_read(mapping, PAGES(3), values, sizeof(values)), -EIO);
	CHECK_EQ(mapping_read(mapping, PAGES(5) - 8, values, 16), 16);
	WRITE_ONCE(disk->error_rate[0], 0);
	expect_all(0, NR_PAGES);
	end();
}

/* Nothing can be reclaimed, as the rest is locked: the page stays in swap. */
TEST(shmem_in_swap_without_memory, 1)
{
	struct hoard hoard = { 0 };

	begin(POLICY_DEFAULT, false);
	page_out(0, 1);
	CHECK_EQ(mm_mlock(mm, addr + PAGES(1), PAGES(NR_PAGES - 1), false), 0);
	hoard_take(&hoard, 0);
	CHECK_EQ(ptr_err(shmem_get_page(mapping, 0)), -ENOMEM);
	CHECK(is_out(0));
	hoard_give_all(&hoard);
	expect_all(0, NR_PAGES);
	end();
}

/* On a slow device the fault retries; the read error still ends the fault that began the read. */
TEST(shmem_read_error_ends_the_fault, 3)
{
	const enum fault_policy policies[] = { POLICY_MMAP, POLICY_VMA };

	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		struct actor faulter;
		u64 nr_reads;

		begin(policies[i], true);
		page_out(0, 1);
		sim_leave_mm();
		faulter = (struct actor){ .mm = mm, .addr = addr };
		nr_reads = disk->nr_transfers[0];
		WRITE_ONCE(disk->error_rate[0], 1);
		disk_start(2, disk);
		sim_start(1, act_read, &faulter);
		let_others_run_until(!sim_running(1) || READ_ONCE(disk->nr_transfers[0]) > nr_reads + 1,
				     "the fault neither ends nor reads again");
		CHECK_EQ(disk->nr_transfers[0], nr_reads + 1);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_IO_ERROR);
		CHECK_EQ(COUNTED(pgmajfault), 1);
		WRITE_ONCE(disk->error_rate[0], 0);
		sim_use_mm(mm);
		expect_all(0, 1);
		disk_stop(2);
		end();
	}
}

/* Finds the next page of the range that is in swap. It skips pages in memory, and nothing else. */
TEST(shmem_next_in_swap_of_a_range, 1)
{
	u64 index;

	begin(POLICY_DEFAULT, false);
	index = 0;
	CHECK(!shmem_next_in_swap(mapping, &index, ~0UL));
	page_out(0, 1);
	page_out(5, 2);
	index = 0;
	CHECK(shmem_next_in_swap(mapping, &index, 0));
	CHECK_EQ(index, 0);
	index = 1;
	CHECK(!shmem_next_in_swap(mapping, &index, 4));
	index = 1;
	CHECK(shmem_next_in_swap(mapping, &index, 5));
	CHECK_EQ(index, 5);
	index = 6;
	CHECK(shmem_next_in_swap(mapping, &index, ~0UL));
	CHECK_EQ(index, 6);
	index = 7;
	CHECK(!shmem_next_in_swap(mapping, &index, ~0UL));
	expect_all(0, NR_PAGES);
	end();
}

/* ---- Races ------------------------------------------------------------------------------------------------------- */

static struct actor reclaimer, faulter;

static struct page *page_at(struct mm *of, vaddr_t where)
{
	return pte_counted_page(sim_pte(of, where));
}

/* Reclaims the page as kswapd would: in no address space, and without mmap_lock. */
static void act_reclaim_page(void *arg)
{
	struct actor *actor = arg;
	struct page *page = page_at(actor->mm, actor->addr);

	CHECK(page);
	page_get(page);
	reclaim_batch(&page, 1);
}

static void act_mlock(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_mlock(actor->mm, actor->addr, actor->len, false);
	sim_leave_mm();
}

static void begin_race(enum fault_policy policy)
{
	begin(policy, false);
	sim_leave_mm();
	reclaimer = (struct actor){ .mm = mm, .addr = addr, .len = PAGE_SIZE };
	faulter = (struct actor){ .mm = mm, .addr = addr, .value = 7 };
}

static void end_race(u64 value)
{
	sim_use_mm(mm);
	expect_get(addr, value);
	expect_all(1, NR_PAGES - 1);
	end();
}

/* A fault maps the page after it was unmapped, and before it leaves the mapping: it stays. */
TEST(m5_page_that_is_mapped_again_stays, 3)
{
	FOR_EACH_SETUP (setup) {
		begin_race(setup->policy);
		stop_at(RACE_shmem_unmapped, 1);
		sim_start(1, act_page_out, &reclaimer);
		wait_stopped(RACE_shmem_unmapped);
		sim_start(2, act_write, &faulter);
		sim_join(2);
		let_go(RACE_shmem_unmapped);
		sim_join(1);
		CHECK(!is_out(0));
		CHECK_EQ(swap_figures().used, 0);
		end_race(7);
	}
}

/* Maps the whole object in another address space as well. */
static vaddr_t map_in(struct mm *another)
{
	struct mmap_request request = { .len = PAGES(NR_PAGES),
					.prot = RW,
					.flags = MAP_SHARED,
					.mapping = mapping,
					.ops = &mapping_vma_ops,
					.file_writable = true };
	long at = mm_mmap(another, &request);

	CHECK(at > 0);
	return (vaddr_t)at;
}

/* The second address space maps the object from its second page on: the walk over the page's entries ends there. */
static struct mm *begin_with_second_entry(void)
{
	struct mm *second = test_mm(POLICY_DEFAULT);
	vaddr_t at;

	begin_race(POLICY_DEFAULT);
	at = map_in(second);
	unmap(second, at, 1);
	faulter = (struct actor){ .mm = second, .addr = at + PAGES(1), .len = PAGES(NR_PAGES - 1) };
	reclaimer.addr = addr + PAGES(1);
	sim_use_mm(second);
	expect_get(faulter.addr, 101);
	sim_leave_mm();
	return second;
}

/* Reclaim is unmapping the page from the first address space when the second one locks it in memory. */
TEST(w5_shared_page_that_is_locked_meanwhile_stays, 4)
{
	struct mm *second = begin_with_second_entry();

	stop_at(RACE_reclaim_before_clear, 1);
	sim_start(1, act_reclaim_page, &reclaimer);
	wait_stopped(RACE_reclaim_before_clear);
	sim_start(2, act_mlock, &faulter);
	sim_join(2);
	CHECK_EQ(faulter.result, 0);
	let_go(RACE_reclaim_before_clear);
	sim_join(1);
	CHECK(page_at(second, faulter.addr));
	CHECK(!is_out(1));
	test_mm_put(second);
	end_race(100);
}

/* A page that stays in memory because the first address space has locked it is left mapped in the second as well. */
TEST(shmem_page_of_locked_memory_stays_mapped_elsewhere, 2)
{
	struct mm *second = begin_with_second_entry();

	CHECK_EQ(mm_mlock(mm, addr, PAGES(NR_PAGES), false), 0);
	sim_start(1, act_reclaim_page, &reclaimer);
	sim_join(1);
	CHECK(page_at(mm, reclaimer.addr));
	CHECK(page_at(second, faulter.addr));
	test_mm_put(second);
	end_race(100);
}

static void act_punch(void *unused)
{
	(void)unused;
	mapping_remove_range(mapping, 0, 0);
}

/*
 * The same through locked memory, from which reclaim cannot unmap it again; then a hole is punched before reclaim does
 * anything else. Reclaim finishes, and no thread sees the old page in the hole.
 */
TEST(m6_page_that_locked_memory_maps_again_stays, 4)
{
	struct mm *second;

	begin_race(POLICY_DEFAULT);
	second = test_mm(POLICY_DEFAULT);
	faulter = (struct actor){ .mm = second, .addr = map_in(second), .value = 7 };
	sim_use_mm(second);
	CHECK_EQ(mm_mlock(second, faulter.addr, PAGES(NR_PAGES), true), 0);
	sim_leave_mm();
	stop_at(RACE_shmem_unmapped, 1);
	sim_start(1, act_page_out, &reclaimer);
	wait_stopped(RACE_shmem_unmapped);
	sim_start(2, act_write, &faulter);
	sim_join(2);
	stop_at(RACE_shmem_exchanged, 1);
	let_go(RACE_shmem_unmapped);
	let_others_run_until(race_stopped_at(RACE_shmem_exchanged) || is_out(0), "reclaim does not finish");
	CHECK(!is_out(0));
	sim_start(3, act_punch, NULL);
	sim_join(3);
	sim_use_mm(second);
	expect_get(faulter.addr, 0);
	sim_leave_mm();
	let_go(RACE_shmem_exchanged);
	sim_join(1);
	test_mm_put(second);
	end_race(0);
}

/*
 * A fault comes after the page has lost PG_CACHE and before its mapcount is read: it cannot map the page, and finds it
 * in swap.
 */
TEST(m5_page_is_mapped_or_leaves, 3)
{
	begin_race(POLICY_MMAP);
	stop_at(RACE_shmem_uncached, 1);
	sim_start(1, act_page_out, &reclaimer);
	wait_stopped(RACE_shmem_uncached);
	sim_start(2, act_write, &faulter);
	let_others_run_until(COUNTED(pgfault) > 3 || !sim_running(2), "the fault does not look again");
	CHECK(sim_running(2));
	let_go(RACE_shmem_uncached);
	sim_join(2);
	sim_join(1);
	end_race(7);
}

/* A fault has found the page, which is then swapped out: the fault does not map it, but reads it back. */
TEST(shmem_page_that_goes_is_not_mapped, 3)
{
	for (enum fault_policy policy = POLICY_MMAP; policy <= POLICY_VMA; policy++) {
		begin_race(policy);
		sim_use_mm(mm);
		CHECK_EQ(mm_madvise(mm, addr, PAGE_SIZE, MADV_DONTNEED), 0);
		sim_leave_mm();
		stop_at(RACE_mapping_page_found, 1);
		sim_start(1, act_write, &faulter);
		wait_stopped(RACE_mapping_page_found);
		(void)reclaim_pages(1000);
		CHECK(is_out(0));
		let_go(RACE_mapping_page_found);
		sim_join(1);
		CHECK(!is_out(0));
		end_race(7);
	}
}

static void act_write_and_page_out(void *arg)
{
	act_write(arg);
	act_page_out(arg);
}

/*
 * A fault has allocated a page for a hole. Before it fills the slot, another thread has written there, and that page
 * has been swapped out.
 */
TEST(m10_hole_has_gone_to_swap_meanwhile, 3)
{
	FOR_EACH_SETUP (setup) {
		begin_race(setup->policy);
		act_punch(NULL);
		stop_at(RACE_mapping_before_fill, 1);
		sim_start(1, act_read, &faulter);
		wait_stopped(RACE_mapping_before_fill);
		reclaimer.value = 7;
		sim_start(2, act_write_and_page_out, &reclaimer);
		sim_join(2);
		CHECK(is_out(0));
		let_go(RACE_mapping_before_fill);
		sim_join(1);
		CHECK_EQ(faulter.value, 7);
		CHECK_EQ(COUNTED(allocstall_normal), 0); /* the failure was not taken for a lack of memory */
		end_race(7);
	}
}

static void act_swapoff(void *unused)
{
	(void)unused;
	disk_swapoff(disk);
}

/* CPU 1 has found the page in swap and is about to read it. swapoff brings it back first, and removes the area. */
static void swapoff_overtakes(sim_func *bring_back)
{
	page_out(0, NR_PAGES);
	sim_leave_mm();
	stop_at(RACE_shmem_found_in_swap, 1);
	sim_start(1, bring_back, &faulter);
	wait_stopped(RACE_shmem_found_in_swap);
	sim_start(2, act_swapoff, NULL);
	sim_join(2);
	let_go(RACE_shmem_found_in_swap);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
}

TEST(w3_swapoff_overtakes_a_fault_on_shared_memory, 3)
{
	FOR_EACH_SETUP (setup) {
		begin(setup->policy, false);
		faulter = (struct actor){ .mm = mm, .addr = addr };
		swapoff_overtakes(act_read);
		end_race(100);
	}
}

static void act_read_file(void *unused)
{
	(void)unused;
	CHECK_EQ(mapping_read(mapping, 0, &faulter.value, sizeof(faulter.value)), sizeof(faulter.value));
}

TEST(w3_swapoff_overtakes_a_read_of_shared_memory, 3)
{
	begin(POLICY_DEFAULT, false);
	swapoff_overtakes(act_read_file);
	end_race(100);
}

/* The slot holds neither a page nor a swap entry. */
static bool is_hole(u64 page)
{
	u64 found;

	return !mapping_next(mapping, page, &found) || found != page;
}

/* The page is truncated while it is swapped out: nothing of it is left, neither in memory nor in swap. */
TEST(shmem_truncated_while_it_goes, 3)
{
	const enum race_point_id points[] = { RACE_shmem_unmapped, RACE_shmem_before_write, RACE_shmem_exchanged };

	for (unsigned i = 0; i < ARRAY_SIZE(points); i++) {
		begin_race(POLICY_DEFAULT);
		stop_at(points[i], 1);
		sim_start(1, act_page_out, &reclaimer);
		wait_stopped(points[i]);
		sim_start(2, act_punch, NULL);
		let_others_run_until(is_hole(0), "the page does not leave its slot");
		let_go(points[i]);
		sim_join(1);
		sim_join(2);
		CHECK_EQ(mapping->nr_swapped, 0);
		end_race(0);
	}
}

/* In the last page. */
#define NEW_END (PAGES(NR_PAGES - 1) + 8)

static void act_cut(void *unused)
{
	(void)unused;
	CHECK_EQ(mapping_truncate(mapping, NEW_END), 0);
}

/*
 * Truncation is about to clear the end of the last page, which reclaim writes to swap first: the zeros must not be lost
 * with the page, which looks clean.
 */
TEST(shmem_tail_is_cleared_although_the_page_goes, 3)
{
	begin_race(POLICY_DEFAULT);
	sim_use_mm(mm);
	put(addr + NEW_END, 7);
	sim_leave_mm();
	stop_at(RACE_tail_page_found, 1);
	sim_start(1, act_cut, NULL);
	wait_stopped(RACE_tail_page_found);
	reclaimer.addr = addr + PAGES(NR_PAGES - 1);
	sim_start(2, act_page_out, &reclaimer);
	sim_join(2);
	CHECK(is_out(NR_PAGES - 1));
	let_go(RACE_tail_page_found);
	sim_join(1);
	(void)swap_cache_shrink();
	sim_use_mm(mm);
	expect_get(addr + NEW_END, 0);
	sim_leave_mm();
	end_race(100);
}
