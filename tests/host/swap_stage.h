/* SPDX-License-Identifier: MIT */
/*
 * The stage for the tests of swap: CPU 0 uses an address space of which NR_PAGES pages are swapped out, and out of the
 * swap cache. Page n holds n + 100.
 */
#ifndef SWAP_STAGE_H
#define SWAP_STAGE_H

#include "test.h"

#include "disk.h"

#include "mm/swap/swap.h"

#define NR_PAGES 16
/* Numbers of slots: less than half of them in use, or just as many as are needed. */
#define PLENTY 255
#define SCARCE NR_PAGES

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr;

static __maybe_unused void page_out(u64 first, u64 nr)
{
	CHECK_EQ(mm_madvise(mm, addr + PAGES(first), PAGES(nr), MADV_PAGEOUT), 0);
	disk_complete_all(disk);
	(void)swap_cache_shrink();
}

static __maybe_unused bool is_out(u64 page)
{
	return pte_kind(sim_pte(mm, addr + PAGES(page))) == PTE_KIND_SWAP;
}

static __maybe_unused void expect_out(void)
{
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(is_out(page));
}

/* The disk has one page more, for its header. */
static __maybe_unused void begin(enum fault_policy policy, u64 nr_slots, bool async)
{
	disk = disk_create(nr_slots + 1);
	WRITE_ONCE(disk->async, async);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(policy);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 100);
	page_out(0, NR_PAGES);
	expect_out();
	counters_mark();
}

static __maybe_unused void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	CHECK_EQ(swap_figures().used, 0);
	disk_swapoff(disk);
}

#define FOR_EACH_DISK(async)                                                                                           \
	for (int async = 0; async < 2 && (begin(POLICY_DEFAULT, PLENTY, async), true); end(), async++)

#endif
