/* SPDX-License-Identifier: MIT */
/*
 * What a fault that brings a page back leaves behind: the entry, the reverse map, the slot. And what it makes of a read that
 * has failed.
 */
#include "test.h"

#include "disk.h"

#include "mm/reclaim.h"
#include "mm/swap.h"
#include "mm/vma.h"

#define NR_PAGES 4
#define PLENTY (8 * NR_PAGES) /* slots: less than half of them are in use */
#define SCARCE NR_PAGES

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr; /* of NR_PAGES pages: each holds its number + 100, and is swapped out */

static void page_out(void)
{
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	disk_complete_all(disk);
	CHECK_EQ(swap_cache_shrink(), NR_PAGES);
}

/* One slot is the header's. */
static void begin(enum fault_policy policy, u64 nr_slots)
{
	disk = disk_create(nr_slots + 1);
	WRITE_ONCE(disk->async, true);
	(void)disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(policy);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	for (u64 page = 0; page < NR_PAGES; page++)
		put(addr + PAGES(page), page + 100);
	page_out();
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

/* ---- The entry --------------------------------------------------------------------------------------------------- */

/* A write to a page that others may have too is one fault: it comes back, and is copied. */
TEST(swap_write_of_a_shared_page_is_one_fault, 2)
{
	struct mm *child = test_mm(POLICY_DEFAULT);

	begin(POLICY_DEFAULT, PLENTY);
	CHECK_EQ(mm_fork(child, mm), 0);
	disk_start(1, disk);
	put(addr, 1);
	disk_stop(1);
	CHECK_EQ(COUNTED(pgfault), 1);
	CHECK_EQ(COUNTED(cow_copies), 1);
	test_mm_put(child);
	end();
}

/* ---- The reverse map --------------------------------------------------------------------------------------------- */

/*
 * The child is the first to bring the page back: it belongs to the parent's anon_vma all the same, since the parent maps it
 * next. Otherwise it could not be taken out of both again.
 */
TEST(swap_page_that_a_child_brings_back_is_found_at_its_parent, 2)
{
	struct mm *child = test_mm(POLICY_DEFAULT);

	begin(POLICY_DEFAULT, PLENTY);
	CHECK_EQ(mm_fork(child, mm), 0);
	sim_leave_mm();
	disk_start(1, disk);
	sim_use_mm(child);
	put(addr + PAGES(1), 1); /* so that the child has an anon_vma of its own */
	expect_get(addr, 100);
	sim_leave_mm();
	sim_use_mm(mm);
	expect_get(addr, 100);
	CHECK(pte_counted_page(sim_pte(mm, addr)) == pte_counted_page(sim_pte(child, addr)));
	(void)reclaim_pages(1000);
	(void)reclaim_pages(1000); /* what was used lately has a second chance */
	disk_stop(1);
	CHECK_EQ(pte_kind(sim_pte(mm, addr)), PTE_KIND_SWAP);
	CHECK_EQ(pte_kind(sim_pte(child, addr)), PTE_KIND_SWAP);
	test_mm_put(child);
	end();
}

/* ---- The slot ---------------------------------------------------------------------------------------------------- */

/* Who only reads keeps the slot, so that the page can go out again without being written. */
TEST(swap_slot_is_kept_by_a_read, 2)
{
	begin(POLICY_DEFAULT, PLENTY);
	disk_start(1, disk);
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES);
	end();
}

TEST(swap_slot_is_given_up_by_a_write, 2)
{
	begin(POLICY_DEFAULT, PLENTY);
	disk_start(1, disk);
	put(addr, 1);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES - 1);
	end();
}

TEST(swap_slot_is_given_up_by_locked_memory, 2)
{
	begin(POLICY_DEFAULT, PLENTY);
	disk_start(1, disk);
	CHECK_EQ(mm_mlock(mm, addr, PAGES(1), true), 0); /* on fault */
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES - 1);
	end();
}

TEST(swap_slot_is_given_up_where_slots_are_scarce, 2)
{
	begin(POLICY_DEFAULT, SCARCE);
	disk_start(1, disk);
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES - 1);
	end();
}

/* ---- The area ---------------------------------------------------------------------------------------------------- */

static void act_swapoff(void *arg)
{
	((struct actor *)arg)->result = swap_area_remove((unsigned)swap_area_on(disk));
}

/* The entry has been read; before the fault holds the area, swapoff has brought everything back and forgotten it. */
TEST(swap_area_may_be_gone_before_it_is_held, 4)
{
	struct actor faulter, other;

	begin(POLICY_SPEC, PLENTY);
	faulter = other = (struct actor){ .mm = mm, .addr = addr };
	WRITE_ONCE(disk->async, false);
	idler_start(3, mm);
	stop_at(RACE_spec_after_walk, 1);
	sim_start(1, act_read, &faulter);
	wait_stopped(RACE_spec_after_walk);
	sim_start(2, act_swapoff, &other);
	sim_join(2);
	CHECK_EQ(other.result, 0);
	let_go(RACE_spec_after_walk);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(faulter.value, 100);
	race_disarm_all();
	idler_stop(3);
	sim_leave_mm();
	test_mm_put(mm);
}

/* ---- Failed reads ------------------------------------------------------------------------------------------------ */

/* Nobody is told of an error of what has been given back meanwhile. */
TEST(swap_read_error_of_a_changed_entry_is_nobodys, 4)
{
	struct actor faulter, other;

	for (enum fault_policy policy = POLICY_MMAP; policy <= POLICY_VMA; policy++) {
		begin(policy, PLENTY);
		faulter = other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(1) };
		disk_start(3, disk);
		WRITE_ONCE(disk->error_rate[0], 1);
		stop_at(RACE_swap_page_locked, 1);
		sim_start(1, act_read, &faulter);
		wait_stopped(RACE_swap_page_locked);
		sim_start(2, act_dontneed, &other);
		sim_join(2);
		let_go(RACE_swap_page_locked);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 0);
		race_disarm_all();
		WRITE_ONCE(disk->error_rate[0], 0);
		disk_stop(3);
		end();
	}
}

/*
 * A neighbour that was read ahead, in vain, is still in the cache. Speculation leaves it there, and a fault that holds a lock
 * drops it; the next one reads it.
 */
TEST(swap_neighbour_that_could_not_be_read_is_read_again, 4)
{
	u64 value;

	begin(POLICY_SPEC, PLENTY);
	idler_start(3, mm);
	disk_start(1, disk);
	WRITE_ONCE(disk->error_rate[0], 1);
	CHECK_EQ(sim_read(addr, &value), FAULT_IO_ERROR);
	disk_stop(1); /* the neighbours have failed, too */
	WRITE_ONCE(disk->error_rate[0], 0);
	disk_start(1, disk);
	counters_mark();
	expect_get(addr + PAGES(1), 101);
	CHECK_EQ(REASONS(spf_abort_swap_not_cached), 2);
	CHECK_EQ(COUNTED(mmap_answered_swap), 2);
	disk_stop(1);
	idler_stop(3);
	end();
}
