/* SPDX-License-Identifier: MIT */
/*
 * Tests of the state that a swap-in fault leaves: the entry, the reverse map, the slot; and of its handling of a failed
 * read.
 */
#include "swap_stage.h"

#include "mm/reclaim/reclaim.h"

/* ---- The entry --------------------------------------------------------------------------------------------------- */

/* A write to a swapped-out page that is shared takes one fault, which reads the page and copies it. */
TEST(swap_write_of_a_shared_page_is_one_fault, 2)
{
	struct mm *child = test_mm(POLICY_DEFAULT);

	begin(POLICY_DEFAULT, PLENTY, true);
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
 * The child is the first to bring the page back. The page gets the parent's anon_vma all the same, since the parent
 * maps it next: otherwise reclaim could not unmap it from both.
 */
TEST(swap_page_that_a_child_brings_back_is_found_at_its_parent, 2)
{
	struct mm *child = test_mm(POLICY_DEFAULT);

	begin(POLICY_DEFAULT, PLENTY, true);
	CHECK_EQ(mm_fork(child, mm), 0);
	sim_leave_mm();
	disk_start(1, disk);
	sim_use_mm(child);
	put(addr + PAGES(1), 1); /* gives the child an anon_vma of its own */
	expect_get(addr, 100);
	sim_leave_mm();
	sim_use_mm(mm);
	expect_get(addr, 100);
	CHECK(pte_counted_page(sim_pte(mm, addr)) == pte_counted_page(sim_pte(child, addr)));
	(void)reclaim_pages(1000);
	(void)reclaim_pages(1000); /* pages that were used lately get a second chance */
	disk_stop(1);
	CHECK_EQ(pte_kind(sim_pte(mm, addr)), PTE_KIND_SWAP);
	CHECK_EQ(pte_kind(sim_pte(child, addr)), PTE_KIND_SWAP);
	test_mm_put(child);
	end();
}

/* ---- The slot ---------------------------------------------------------------------------------------------------- */

/* After a mere read the page keeps its slot, so that it can be evicted again without being written. */
TEST(swap_slot_is_kept_by_a_read, 2)
{
	begin(POLICY_DEFAULT, PLENTY, true);
	disk_start(1, disk);
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES);
	end();
}

TEST(swap_slot_is_given_up_by_a_write, 2)
{
	begin(POLICY_DEFAULT, PLENTY, true);
	disk_start(1, disk);
	put(addr, 1);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES - 1);
	end();
}

TEST(swap_slot_is_given_up_by_locked_memory, 2)
{
	begin(POLICY_DEFAULT, PLENTY, true);
	disk_start(1, disk);
	CHECK_EQ(mm_mlock(mm, addr, PAGES(1), true), 0); /* on fault */
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES - 1);
	end();
}

TEST(swap_slot_is_given_up_where_slots_are_scarce, 2)
{
	begin(POLICY_DEFAULT, SCARCE, true);
	disk_start(1, disk);
	expect_get(addr, 100);
	disk_stop(1);
	CHECK_EQ(swap_figures().used, NR_PAGES - 1);
	end();
}

/* ---- Failed reads ------------------------------------------------------------------------------------------------ */

/*
 * A neighbour whose read-ahead failed is still in the cache. Speculation leaves it there, and a fault that holds a lock
 * removes it; the next attempt reads it.
 */
TEST(swap_neighbour_that_could_not_be_read_is_read_again, 4)
{
	u64 value;

	begin(POLICY_SPEC, PLENTY, true);
	idler_start(3, mm);
	disk_start(1, disk);
	WRITE_ONCE(disk->error_rate[0], 1);
	CHECK_EQ(sim_read(addr, &value), FAULT_IO_ERROR);
	disk_stop(1); /* the neighbours' reads have failed, too */
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
