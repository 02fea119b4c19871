/* SPDX-License-Identifier: MIT */
/*
 * The stage for the races of swap: NR_PAGES pages of an address space are swapped out to a disk that has one slot for
 * each, so that a freed slot is the next one to be allocated. Page n holds n + 100.
 */
#ifndef SWAP_RACE_STAGE_H
#define SWAP_RACE_STAGE_H

#include "race_script.h"

#include "disk.h"

#include "mm/page/page_lock.h"
#include "mm/swap/swap.h"

#define NR_PAGES 4

static struct disk *disk;

/* Whether the pages are still in the swap cache as well. */
enum kept { KEPT, DROPPED };

static __maybe_unused void begin(enum fault_policy policy, enum spf_validate validate, bool async, enum kept kept)
{
	WRITE_ONCE(spf_validate, (u8)validate);
	sim_quirks.evict = 0;
	sim_quirks.refill = ALWAYS;
	disk = disk_create(NR_PAGES + 1);
	WRITE_ONCE(disk->async, true);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(policy);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 100);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	sim_leave_mm();
	disk_complete_all(disk);
	if (kept == DROPPED)
		CHECK_EQ(swap_cache_shrink(), NR_PAGES);
	WRITE_ONCE(disk->async, async);
	faulter = other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(1), .value = 1 };
	counters_mark();
}

static __maybe_unused void end(void)
{
	race_disarm_all();
	disk_complete_all(disk);
	sim_join_all();
	test_mm_put(mm);
	swap_cache_trim();
	if (swap_area_on(disk) >= 0)
		disk_swapoff(disk);
}

#define FOR_EACH_STRATEGY(setup, async, kept)                                                                          \
	for (const struct strategy_setup *setup = strategy_setups;                                                     \
	     setup < strategy_setups + nr_strategy_setups &&                                                           \
	     (begin(setup->policy, setup->validate, async, kept), true);                                               \
	     end(), setup++)

/* Returns the page of the first address, from the swap cache, locked on behalf of a disk or of another fault. */
static __maybe_unused struct page *lock_cached_page(void)
{
	struct page *page = swap_cache_find(pte_swap_slot(sim_pte(mm, addr)));

	CHECK(page);
	CHECK(page_trylock(page));
	return page;
}

static __maybe_unused void unlock_cached_page(struct page *page)
{
	page_unlock(page);
	page_put(page);
}

/* Starts CPU 1's fault and waits until it sleeps because that page is locked. */
static __maybe_unused struct page *fault_until_locked(void)
{
	struct page *page = lock_cached_page();

	sim_start(1, act_read, &faulter);
	wait_asleep(1);
	return page;
}

static __maybe_unused void expect_value(vaddr_t where, u64 value)
{
	sim_use_mm(mm);
	WRITE_ONCE(disk->async, false);
	expect_get(where, value);
	sim_leave_mm();
}

#endif
