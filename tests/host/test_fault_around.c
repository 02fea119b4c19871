/* SPDX-License-Identifier: MIT */
/*
 * Tests of fault-around: which pages around a faulting one are mapped, which must not be, and that it needs neither
 * mmap_lock nor, under speculation, any lock at all.
 */
#include "sim_file.h"
#include "test.h"

#include "mm/fault/fault_around.h"
#include "mm/page/page_alloc.h"
#include "mm/page/page_lock.h"
#include "mm/reclaim/lru.h"

#define FAULTER 1
#define OTHER 2
#define IDLER 3

static struct mm *mm;
static struct mapping *mapping;
static struct actor faulter;

static void begin(enum fault_policy policy, u64 pages)
{
	sim_quirks.evict = 0;
	mm = test_mm(policy);
	mapping = mapping_create(PAGES(pages), false);
	idler_start(IDLER, mm);
	faulter = (struct actor){ .mm = mm };
	counters_mark();
}

static void end(void)
{
	race_disarm_all();
	idler_stop(IDLER);
	test_mm_put(mm);
	mapping_put(mapping);
	CHECK_EQ(fault_around_set(DEFAULT_FAULT_AROUND_BYTES), 0);
}

static const enum fault_policy policies[] = { POLICY_MMAP, POLICY_VMA, POLICY_SPEC, POLICY_FULL };
#define FOR_EACH_POLICY(i, pages)                                                                                      \
	for (unsigned i = 0; i < ARRAY_SIZE(policies) && (begin(policies[i], pages), true); i++, end())

/* Creates the pages first to last; each holds its index. */
static void cache(u64 first, u64 last)
{
	for (u64 index = first; index <= last; index++)
		CHECK_EQ(mapping_write(mapping, PAGES(index), &index, 8), 8);
}

/* Maps `pages` pages of the mapping from `pgoff` on, beginning `into` pages into a page table. */
static vaddr_t map_window(u64 pgoff, u64 pages, u64 into, u64 flags)
{
	struct mmap_request request = {
		.addr = 0x600000000000UL + PAGES(into),
		.len = PAGES(pages),
		.prot = RW,
		.flags = flags | MAP_FIXED,
		.pgoff = pgoff,
		.mapping = mapping,
		.ops = &mapping_vma_ops,
		.file_writable = true,
	};

	CHECK_EQ(mm_mmap(mm, &request), request.addr);
	return request.addr;
}

static void read_at(vaddr_t addr, u64 value)
{
	faulter.addr = addr;
	sim_start(FAULTER, act_read, &faulter);
	sim_join(FAULTER);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(faulter.value, value);
}

/* Checks that of `pages` pages from addr on, exactly the pages [first, last] are mapped. */
static void check_mapped(vaddr_t addr, u64 pages, u64 first, u64 last)
{
	for (u64 i = 0; i < pages; i++)
		CHECK_EQ(!pte_none(sim_pte(mm, addr + PAGES(i))), i >= first && i <= last);
	CHECK_EQ(mm_rss(mm, RSS_FILE), last - first + 1);
}

TEST(around_maps_the_window, 4)
{
	FOR_EACH_POLICY (i, 64) {
		vaddr_t addr = map_window(0, 64, 0, MAP_SHARED);

		cache(0, 63);
		read_at(addr + PAGES(20), 20);
		check_mapped(addr, 64, 16, 31);
		CHECK_EQ(COUNTED(pgfault), 1);
		CHECK_EQ(COUNTED(fault_around_pages), 15);
		read_at(addr + PAGES(31), 31);
		CHECK_EQ(COUNTED(pgfault), 1);
		CHECK(sim_pte(mm, addr + PAGES(16)).val & PTE_ACCESSED);
	}
}

/* Pages that are on reclaim's lists are mapped as any others. */
TEST(around_maps_what_is_on_a_list, 4)
{
	FOR_EACH_POLICY (i, 64) {
		vaddr_t addr = map_window(0, 64, 0, MAP_SHARED);

		cache(0, 63);
		CHECK(lru_gather(max_pfn) >= 64);
		read_at(addr + PAGES(20), 20);
		check_mapped(addr, 64, 16, 31);
		CHECK(page_test(pte_counted_page(sim_pte(mm, addr + PAGES(16))), PG_LRU));
	}
}

TEST(around_ends_where_the_vma_ends, 4)
{
	FOR_EACH_POLICY (i, 64) {
		vaddr_t addr = map_window(3, 9, 18, MAP_PRIVATE);

		cache(0, 63);
		read_at(addr + PAGES(4), 7);
		check_mapped(addr, 9, 0, 8);
		CHECK(pte_none(sim_pte(mm, addr - PAGES(1))) && pte_none(sim_pte(mm, addr + PAGES(9))));
	}
}

/* As on Linux, the window is aligned by address, not by offset. */
TEST(around_is_aligned_by_address, 4)
{
	FOR_EACH_POLICY (i, 64) {
		vaddr_t addr = map_window(0, 64, 5, MAP_SHARED);

		cache(0, 63);
		read_at(addr + PAGES(20), 20);
		check_mapped(addr, 64, 11, 26);
	}
}

TEST(around_ends_where_the_object_ends, 4)
{
	FOR_EACH_POLICY (i, 20) {
		vaddr_t addr = map_window(0, 64, 0, MAP_SHARED);

		cache(0, 19);
		/* as if by a write that has not yet extended the object */
		page_put(mapping_find_or_create(mapping, 20));
		read_at(addr + PAGES(17), 17);
		check_mapped(addr, 64, 16, 19);
	}
}

TEST(around_ends_where_the_page_table_ends, 4)
{
	FOR_EACH_POLICY (i, 600) {
		vaddr_t addr = map_window(0, 600, 100, MAP_SHARED);

		CHECK_EQ(fault_around_set(PAGES(512)), 0);
		cache(0, 599);
		read_at(addr + PAGES(20), 20);
		check_mapped(addr, 600, 0, 411);
		read_at(addr + PAGES(412), 412);
		check_mapped(addr, 600, 0, 599);
		CHECK_EQ(COUNTED(pgfault), 2);
	}
}

TEST(around_bytes_are_rounded_as_on_linux, 1)
{
	static const struct {
		u64 bytes, rounded;
	} cases[] = {
		{ 0, 4096 }, { 1, 4096 }, { 4096, 4096 }, { 12288, 8192 }, { 65535, 32768 }, { 2097152, 2097152 }
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(fault_around_set(cases[i].bytes), 0);
		CHECK_EQ(sysctl_fault_around_bytes, cases[i].rounded);
	}
	CHECK_EQ(fault_around_set(2097152 + 4096), -EINVAL);
	CHECK_EQ(sysctl_fault_around_bytes, 2097152);
}

TEST(around_can_be_turned_off, 4)
{
	FOR_EACH_POLICY (i, 64) {
		vaddr_t addr = map_window(0, 64, 0, MAP_SHARED);

		CHECK_EQ(fault_around_set(4096), 0);
		cache(0, 63);
		read_at(addr + PAGES(20), 20);
		check_mapped(addr, 64, 20, 20);
	}
}

/* ---- What is skipped --------------------------------------------------------------------------------------------- */

TEST(around_skips_holes_and_locked_pages, 4)
{
	FOR_EACH_POLICY (i, 16) {
		vaddr_t addr = map_window(0, 16, 0, MAP_SHARED);
		struct page *page;

		cache(2, 6);
		cache(9, 12);
		page = mapping_find(mapping, 10);
		page_lock(page);
		read_at(addr + PAGES(4), 4);
		for (u64 j = 0; j < 16; j++)
			CHECK_EQ(!pte_none(sim_pte(mm, addr + PAGES(j))),
				 (j >= 2 && j <= 6) || (j >= 9 && j <= 12 && j != 10));
		CHECK_EQ(COUNTED(fault_around_skipped), 1);
		page_unlock(page);
		page_put(page);
	}
}

TEST(around_skips_what_is_not_up_to_date, 4)
{
	struct sim_file *file = sim_file_create(16);
	vaddr_t addr;
	u64 value;

	begin(POLICY_FULL, 1);
	addr = sim_file_map(mm, file, 16, MAP_SHARED);
	sim_use_mm(mm);
	expect_get(addr + PAGES(3), 1003);
	WRITE_ONCE(file->error, -EIO);
	CHECK_EQ(sim_read(addr + PAGES(5), &value), FAULT_IO_ERROR);
	WRITE_ONCE(file->error, 0);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(16), MADV_DONTNEED), 0);
	counters_mark();
	expect_get(addr + PAGES(3), 1003);
	CHECK_EQ(COUNTED(fault_around_skipped), 1);
	CHECK_EQ(mm_rss(mm, RSS_FILE), 1);
	CHECK(!pte_write(sim_pte(mm, addr + PAGES(3)))); /* the file system must be notified of the first write */
	sim_leave_mm();
	end();
	sim_file_destroy(file);
}

TEST(around_leaves_what_is_mapped, 4)
{
	FOR_EACH_POLICY (i, 16) {
		vaddr_t addr = map_window(0, 16, 0, MAP_PRIVATE);

		cache(0, 15);
		sim_use_mm(mm);
		put(addr + PAGES(3), 99);
		expect_get(addr + PAGES(4), 4);
		expect_get(addr + PAGES(3), 99);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 1);
		CHECK_EQ(mm_rss(mm, RSS_FILE), 15);
		sim_leave_mm();
	}
}

/* A page table is allocated only when there is a page to map. */
TEST(around_builds_no_table_for_nothing, 4)
{
	struct sim_file *file = sim_file_create(16);
	vaddr_t addr;
	u64 value;

	begin(POLICY_FULL, 1);
	addr = sim_file_map(mm, file, 16, MAP_SHARED);
	WRITE_ONCE(file->error, -EIO);
	sim_use_mm(mm);
	counters_mark();
	CHECK_EQ(sim_read(addr, &value), FAULT_IO_ERROR);
	CHECK_EQ(COUNTED(pgtable_allocs), 0);
	sim_leave_mm();
	end();
	sim_file_destroy(file);
}

/* ---- When it is stopped ------------------------------------------------------------------------------------------ */

/* With many holes: after a hundred misses fault-around stops, until enough pages were found in the cache. */
TEST(around_stops_where_it_does_not_pay, 4)
{
	vaddr_t addr;

	begin(POLICY_VMA, 2000);
	addr = map_window(0, 2000, 0, MAP_SHARED);
	sim_use_mm(mm);
	for (u64 index = 0; index < 128; index++)
		expect_get(addr + PAGES(index), 0);
	CHECK_EQ(COUNTED(fault_around_stopped), 27);
	CHECK_EQ(mapping->misses, 128);
	cache(1024, 1151);
	expect_get(addr + PAGES(1024), 1024);
	CHECK(pte_none(sim_pte(mm, addr + PAGES(1025))));
	for (u64 index = 1025; index < 1151; index++)
		expect_get(addr + PAGES(index), index);
	CHECK_EQ(mapping->misses, 0);
	CHECK_EQ(COUNTED(fault_around_stopped), 27 + 28);
	sim_leave_mm();
	end();
}

/* ---- Which locks are needed -------------------------------------------------------------------------------------- */

/* Mapping cached pages never needs mmap_lock, whatever the fault operation needs. */
TEST(around_comes_before_the_question_for_the_lock, 4)
{
	const struct vma_ops careful_ops = { .fault = mapping_vma_ops.fault, .map_pages = mapping_map_pages };
	struct mmap_request request = { .len = PAGES(16), .prot = RW, .flags = MAP_SHARED, .ops = &careful_ops };

	begin(POLICY_VMA, 16);
	cache(0, 7);
	request.mapping = mapping;
	request.file_writable = true;
	faulter.addr = (vaddr_t)mm_mmap(mm, &request);
	read_at(faulter.addr, 0);
	CHECK_EQ(COUNTED(vma_lock_answered), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	read_at(faulter.addr + PAGES(9), 0); /* a hole does need the fault operation, and so mmap_lock */
	CHECK_EQ(REASONS(vma_lock_abort_file_ops), 1);
	end();
}

TEST(around_is_all_that_speculation_needs, 4)
{
	vaddr_t addr;

	begin(POLICY_SPEC, 64);
	addr = map_window(0, 64, 0, MAP_SHARED);
	cache(0, 63);
	read_at(addr, 0); /* builds the page table */
	CHECK_EQ(REASONS(spf_abort_upper_table), 1);
	counters_mark();
	read_at(addr + PAGES(20), 20);
	CHECK_EQ(COUNTED(speculative_pgfault), 1);
	CHECK_EQ(COUNTED(spf_answered_cached), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	end();
}

TEST(object_without_pages_is_sigbus, 4)
{
	const struct vma_ops no_ops = { .without_mmap_lock = true };
	struct mmap_request request = { .len = PAGES(1), .prot = RW, .flags = MAP_SHARED, .ops = &no_ops };

	FOR_EACH_POLICY (i, 1) {
		u64 value;
		vaddr_t addr;

		request.mapping = mapping;
		request.file_writable = true;
		addr = (vaddr_t)mm_mmap(mm, &request);
		sim_use_mm(mm);
		CHECK_EQ(sim_read(addr, &value), FAULT_BEYOND_END);
		CHECK_EQ(sim_write(addr, 1), FAULT_BEYOND_END);
		sim_leave_mm();
	}
}

/* ---- S11 --------------------------------------------------------------------------------------------------------- */

/* The object is truncated to nothing after the fault has found the pages: none of them is mapped. */
TEST(s11_truncated_pages_are_not_mapped_around, 4)
{
	FOR_EACH_POLICY (i, 32) {
		vaddr_t addr = map_window(0, 32, 0, MAP_SHARED);

		cache(0, 31);
		read_at(addr, 0);
		faulter.addr = addr + PAGES(20);
		stop_at(RACE_around_pages_found, FAULTER);
		sim_start(FAULTER, act_read, &faulter);
		wait_stopped(RACE_around_pages_found);
		(void)mapping_truncate(mapping, 0);
		let_go(RACE_around_pages_found);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_BEYOND_END);
		CHECK_EQ(mm_rss_total(mm), 0);
	}
}

/*
 * Speculation has read the VMA, which is then unmapped, and with it the last reference to the object is dropped: the
 * memory that the fault reads stays readable as long as the fault needs it.
 */
TEST(s11_object_is_not_freed_under_speculation, 4)
{
	vaddr_t addr;

	begin(POLICY_SPEC, 32);
	addr = map_window(0, 32, 0, MAP_SHARED);
	cache(0, 31);
	read_at(addr, 0);
	mapping_put(mapping); /* the VMA's reference is the last */
	faulter.addr = addr + PAGES(20);
	stop_at(RACE_spec_after_walk, FAULTER);
	sim_start(FAULTER, act_read, &faulter);
	wait_stopped(RACE_spec_after_walk);
	unmap(mm, addr, 32);
	let_others_run();
	counters_mark();
	let_go(RACE_spec_after_walk);
	sim_join(FAULTER);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
	mapping = mapping_create(PAGES(1), false);
	end();
}
