/* SPDX-License-Identifier: MIT */
/* Tests of swap areas: which area a page is written to, a full area, and swapoff. */
#include "swap_stage.h"

#include "mm/swap/swap_internal.h"

TEST(swap_areas_by_priority, 1)
{
	struct disk *high = disk_create(5), *equal[2] = { disk_create(200), disk_create(200) };
	struct swap_area_figures figures;
	vaddr_t more;

	begin(POLICY_DEFAULT, PLENTY, false);
	disk_swapon(high, 10);
	disk_swapon(equal[0], 5);
	disk_swapon(equal[1], 5);
	more = map(mm, 100, RW, ANON);
	put_pages(more, 100, 0);
	CHECK_EQ(mm_madvise(mm, more, PAGES(100), MADV_PAGEOUT), 0);
	CHECK(swap_area_figures((unsigned)swap_area_on(high), &figures));
	CHECK_EQ(figures.used, 4);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(swap_area_figures((unsigned)swap_area_on(equal[i]), &figures));
		CHECK(figures.used >= 32 && figures.used <= 64);
	}
	CHECK(swap_area_figures((unsigned)swap_area_on(disk), &figures));
	CHECK_EQ(figures.used, NR_PAGES);
	expect_pages(more, 100, 0);
	disk_swapoff(high);
	disk_swapoff(equal[0]);
	disk_swapoff(equal[1]);
	end();
}

static u64 nr_used(struct disk *of)
{
	struct swap_area_figures figures;

	CHECK(swap_area_figures((unsigned)swap_area_on(of), &figures));
	return figures.used;
}

/*
 * A new area takes turns with the others of its priority: it neither catches up with what they have had, nor counts
 * what other areas had.
 */
TEST(swap_newcomer_takes_turns_with_its_equals, 1)
{
	struct disk *old = disk_create(200), *newcomer = disk_create(200), *full = disk_create(150),
		    *last = disk_create(200);
	vaddr_t more;

	begin(POLICY_DEFAULT, PLENTY, false);
	more = map(mm, 400, RW, ANON);
	put_pages(more, 400, 0);
	disk_swapon(old, 5);
	CHECK_EQ(mm_madvise(mm, more, PAGES(64), MADV_PAGEOUT), 0);
	CHECK_EQ(nr_used(old), 64);
	disk_swapon(newcomer, 5);
	CHECK_EQ(mm_madvise(mm, more + PAGES(64), PAGES(64), MADV_PAGEOUT), 0);
	CHECK_EQ(nr_used(old), 96);
	CHECK_EQ(nr_used(newcomer), 32);
	disk_swapon(full, 9);
	CHECK_EQ(mm_madvise(mm, more + PAGES(128), PAGES(149), MADV_PAGEOUT), 0);
	CHECK_EQ(nr_used(full), 149);
	disk_swapon(last, 5);
	CHECK_EQ(mm_madvise(mm, more + PAGES(277), PAGES(96), MADV_PAGEOUT), 0);
	CHECK_EQ(nr_used(old), 128);
	CHECK_EQ(nr_used(newcomer), 64);
	CHECK_EQ(nr_used(last), 32);
	expect_pages(more, 400, 0);
	disk_swapoff(full);
	disk_swapoff(old);
	disk_swapoff(newcomer);
	disk_swapoff(last);
	end();
}

/* Bad pages of the device are not used; all others are. */
TEST(swap_passes_over_bad_pages, 1)
{
	static const u32 bad[] = { 1, 7, NR_PAGES + 3 };
	struct disk *worn = disk_create(NR_PAGES + 4);
	struct swap_area_figures figures;
	unsigned area;

	begin(POLICY_DEFAULT, PLENTY, false);
	disk_swapoff(disk);
	area = (unsigned)disk_try_swapon(worn, bad, ARRAY_SIZE(bad));
	CHECK(swap_area_figures(area, &figures));
	CHECK_EQ(figures.size, NR_PAGES);
	CHECK_EQ(swap_figures().total, NR_PAGES);
	page_out(0, NR_PAGES);
	expect_out();
	for (u64 page = 0; page < NR_PAGES; page++)
		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
			CHECK(swap_slot_offset(pte_swap_slot(sim_pte(mm, addr + PAGES(page)))) != bad[i]);
	expect_pages(addr, NR_PAGES, 100);
	disk_swapoff(worn);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	end();
}

/* The search for a free slot starts after the last one that was allocated, and wraps around at the end. */
TEST(swap_search_goes_round, 1)
{
	u64 slot;

	begin(POLICY_DEFAULT, SCARCE, false);
	put(addr, 100); /* frees its slot */
	put(addr + PAGES(1), 101);
	(void)swap_cache_shrink();
	page_out(0, 1);
	slot = swap_slot_offset(pte_swap_slot(sim_pte(mm, addr)));
	page_out(1, 1);
	put(addr, 100);
	(void)swap_cache_shrink();
	page_out(0, 1); /* all slots behind it are in use */
	CHECK_EQ(swap_slot_offset(pte_swap_slot(sim_pte(mm, addr))), slot);
	expect_pages(addr, NR_PAGES, 100);
	end();
}

TEST(swapon_answers, 1)
{
	struct disk *disks[MAX_SWAP_AREAS + 1], *large = disk_create(5000);
	bool failed = false;
	int area;

	for (unsigned i = 0; i <= MAX_SWAP_AREAS; i++)
		disks[i] = disk_create(8);
	for (u64 n = 1; n <= 2 || failed; n++) {
		sim_fail_allocation(n, true);
		area = disk_try_swapon(large, NULL, 0);
		failed = sim_allocation_failed();
		CHECK(failed || n > 2); /* the slot map takes several pages */
		CHECK_EQ(area, failed ? -ENOMEM : 0);
	}
	disk_swapoff(large);
	CHECK_EQ(swap_figures().total, 0);
	for (int i = 0; i < MAX_SWAP_AREAS; i++)
		CHECK_EQ(disk_try_swapon(disks[i], NULL, 0), i);
	CHECK_EQ(disk_try_swapon(disks[MAX_SWAP_AREAS], NULL, 0), -EPERM);
	disk_swapoff(disks[3]);
	CHECK_EQ(disk_try_swapon(disks[MAX_SWAP_AREAS], NULL, 0), 3); /* the first free number */
	CHECK_EQ(swap_area_on(disks[3]), -1);
	CHECK_EQ(swap_area_on(disks[MAX_SWAP_AREAS]), 3);
	for (int i = 0; i <= MAX_SWAP_AREAS; i++)
		if (i != 3)
			disk_swapoff(disks[i]);
	CHECK_EQ(swap_figures().total, 0);
}

/* Over all areas together: exactly half is not more than half. */
TEST(swap_is_half_full_by_all_areas, 1)
{
	struct disk *as_large = disk_create(SCARCE + 1), *smaller = disk_create(SCARCE);

	begin(POLICY_DEFAULT, SCARCE, false);
	CHECK(swap_is_half_full());
	disk_swapon(as_large, 1);
	CHECK(!swap_is_half_full());
	disk_swapoff(as_large);
	disk_swapon(smaller, 1);
	CHECK(swap_is_half_full());
	disk_swapoff(smaller);
	end();
}

/* Each function that covers all of swap covers every area: figures, the swap cache, whether swap is on. */
TEST(swap_areas_are_all_looked_at, 1)
{
	struct disk *disks[3];
	vaddr_t more;

	CHECK(!swap_is_on());
	begin(POLICY_DEFAULT, PLENTY, false);
	CHECK(swap_is_on());
	more = map(mm, 24, RW, ANON);
	put_pages(more, 24, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		disks[i] = disk_create(9);
		disk_swapon(disks[i], 10 - (int)i); /* each is filled before the next */
	}
	CHECK_EQ(swap_figures().total, PLENTY + 24);
	for (u64 page = 0; page < 24; page++)
		CHECK_EQ(mm_madvise(mm, more + PAGES(page), PAGES(1), MADV_PAGEOUT), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		struct swap_area_figures figures;

		CHECK(swap_area_figures((unsigned)swap_area_on(disks[i]), &figures));
		CHECK_EQ(figures.size, 8);
		CHECK_EQ(figures.used, 8);
		CHECK_EQ(figures.priority, 10 - (int)i);
		CHECK(figures.device == disks[i]);
		CHECK_EQ(swap_area_in_use((unsigned)swap_area_on(disks[i])), 8);
	}
	CHECK_EQ(swap_figures().used, NR_PAGES + 24);
	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++)
		disk_swapoff(disks[i]);
	CHECK_EQ(swap_figures().total, PLENTY);
	expect_pages(more, 24, 0);
	end();
	CHECK(!swap_is_on());
}

/* swap_cache_shrink() drops unmapped pages from the swap cache in every area, and keeps the mapped ones. */
TEST(swap_cache_of_each_area_is_shrunk, 1)
{
	struct disk *first = disk_create(9), *second = disk_create(9);
	struct mm *child;
	vaddr_t more;

	begin(POLICY_DEFAULT, PLENTY, false);
	disk_swapon(first, 10);
	disk_swapon(second, 9);
	more = map(mm, 16, RW, ANON);
	put_pages(more, 16, 0);
	for (u64 page = 0; page < 16; page++)
		CHECK_EQ(mm_madvise(mm, more + PAGES(page), PAGES(1), MADV_PAGEOUT), 0);
	(void)swap_cache_shrink();
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
	sim_leave_mm();
	sim_use_mm(child);
	expect_pages(more, 16, 0);
	sim_leave_mm();
	sim_use_mm(mm);
	CHECK_EQ(swap_figures().cached, 16);
	CHECK_EQ(swap_cache_shrink(), 0); /* the child maps them */
	test_mm_put(child);
	CHECK_EQ(swap_figures().cached, 16);
	CHECK_EQ(swap_cache_shrink(), 16);
	CHECK_EQ(swap_figures().cached, 0);
	expect_pages(more, 16, 0);
	disk_swapoff(first);
	disk_swapoff(second);
	end();
}

static bool asked_enough;

static void ask_again_and_again(void *unused)
{
	(void)unused;
	while (!load_acquire(&asked_enough)) {
		(void)swap_is_half_full();
		(void)swap_figures();
		cpu_relax();
	}
}

/* Areas are added and removed while a thread reads, without a lock, how full they are. */
TEST(swap_is_asked_beside_swapon, 2)
{
	struct disk *more = disk_create(SCARCE);

	begin(POLICY_DEFAULT, SCARCE, false);
	sim_start(1, ask_again_and_again, NULL);
	for (unsigned round = 0; round < 10; round++) {
		disk_swapon(more, 1);
		let_others_run_once();
		disk_swapoff(more);
	}
	store_release(&asked_enough, true);
	sim_join(1);
	end();
}

/* Pages that no access may touch are brought back as well. */
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
		expect_pages(addr, NR_PAGES, 100);
		disk_swapon(disk, SWAP_PRIORITY_NEXT);
		test_mm_put(child);
	}
}

static void act_swapoff(void *result)
{
	*(int *)result = swap_area_remove((unsigned)swap_area_on(disk));
}

/* A swapoff that fails changes nothing: the area stays in use. */
TEST(swapoff_that_fails_changes_nothing, 2)
{
	int result = 0;

	begin(POLICY_DEFAULT, PLENTY, true);
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
	expect_pages(addr, NR_PAGES, 100);
	page_out(0, NR_PAGES);
	CHECK(is_out(0));
	end();
}

/*
 * A page that cannot be read does not keep later pages from being brought back: here the child's last page, which is in
 * the swap cache.
 */
TEST(swapoff_brings_back_what_it_can, 1)
{
	const vaddr_t last = PAGES(NR_PAGES - 1);
	struct mm *child;

	begin(POLICY_DEFAULT, PLENTY, false);
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
	get(addr + last);
	CHECK(!pte_present(sim_pte(child, addr + last)));
	WRITE_ONCE(disk->error_rate[0], 1);
	CHECK_EQ(swap_area_remove((unsigned)swap_area_on(disk)), -EIO);
	WRITE_ONCE(disk->error_rate[0], 0);
	CHECK(pte_present(sim_pte(child, addr + last)));
	CHECK(!pte_present(sim_pte(child, addr)));
	test_mm_put(child);
	expect_pages(addr, NR_PAGES, 100);
	end();
}

/* In a full area, pages that find no slot stay in memory. */
TEST(swap_full_area, 1)
{
	vaddr_t more;
	u64 nr_out = 0;

	begin(POLICY_DEFAULT, PLENTY, false);
	more = map(mm, 300, RW, ANON);
	put_pages(more, 300, 0);
	CHECK_EQ(mm_madvise(mm, more, PAGES(300), MADV_PAGEOUT), 0);
	for (u64 page = 0; page < 300; page++)
		nr_out += pte_kind(sim_pte(mm, more + PAGES(page))) == PTE_KIND_SWAP;
	CHECK_EQ(nr_out, PLENTY - NR_PAGES);
	expect_pages(more, 300, 0);
	end();
}

/* A swapoff without memory changes nothing either, for private and for shared memory. */
TEST(swapoff_without_memory_changes_nothing, 1)
{
	vaddr_t shared;

	begin(POLICY_DEFAULT, PLENTY, false);
	shared = map(mm, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	put_pages(shared, 4, 7);
	for (unsigned with_shared = 0; with_shared < 2; with_shared++) {
		if (with_shared)
			CHECK_EQ(mm_madvise(mm, shared, PAGES(4), MADV_PAGEOUT), 0);
		(void)swap_cache_shrink();
		sim_fail_allocation(1, true);
		CHECK_EQ(swap_area_remove((unsigned)swap_area_on(disk)), -ENOMEM);
		CHECK(sim_allocation_failed());
		CHECK_EQ(swap_figures().used, NR_PAGES + 4 * with_shared);
		expect_out();
	}
	page_out(0, NR_PAGES);
	expect_pages(shared, 4, 7);
	expect_pages(addr, NR_PAGES, 100);
	end();
}

static void act_swapoff_dying(void *result)
{
	sim_kill(cpu_id());
	act_swapoff(result);
}

/* A killed thread brings nothing back, of private or of shared memory. */
TEST(swapoff_of_the_dying_changes_nothing, 2)
{
	vaddr_t shared;
	int result = 0;

	begin(POLICY_DEFAULT, PLENTY, false);
	shared = map(mm, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	put_pages(shared, 4, 7);
	CHECK_EQ(mm_madvise(mm, shared, PAGES(4), MADV_PAGEOUT), 0);
	(void)swap_cache_shrink();
	sim_start(1, act_swapoff_dying, &result);
	sim_join(1);
	CHECK_EQ(result, -EINTR);
	CHECK_EQ(swap_figures().used, NR_PAGES + 4);
	expect_pages(shared, 4, 7);
	sim_start(1, act_swapoff_dying, &result); /* with private memory alone */
	sim_join(1);
	CHECK_EQ(result, -EINTR);
	CHECK_EQ(swap_figures().used, NR_PAGES);
	expect_pages(addr, NR_PAGES, 100);
	end();
}

/* Shared memory that cannot be read does not keep other pages from being brought back. */
TEST(swapoff_brings_back_what_it_can_of_shared_memory, 1)
{
	vaddr_t shared;

	begin(POLICY_DEFAULT, PLENTY, false);
	shared = map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS);
	put(shared, 7);
	expect_pages(addr, NR_PAGES, 100);
	for (u64 page = 0; page < NR_PAGES; page++)
		put(addr + PAGES(page), 100 + page);
	CHECK_EQ(mm_madvise(mm, shared, PAGES(1), MADV_PAGEOUT), 0);
	(void)swap_cache_shrink();
	CHECK_EQ(swap_figures().used, 1);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_PAGEOUT), 0); /* it may stay in the swap cache */
	WRITE_ONCE(disk->error_rate[0], 1);
	CHECK_EQ(swap_area_remove((unsigned)swap_area_on(disk)), -EIO);
	WRITE_ONCE(disk->error_rate[0], 0);
	expect_get(shared, 7);
	expect_pages(addr, NR_PAGES, 100);
	end();
}
