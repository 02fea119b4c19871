/* SPDX-License-Identifier: MIT */
/*
 * Tests of counters: exactly the right counters of faults and of shootdowns count each event, and mappings and pages
 * record their users correctly.
 */
#include "test.h"

#include "disk.h"

#include "mm/cache/mapping.h"
#include "mm/swap/swap.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma.h"

/* ---- Counters of faults ------------------------------------------------------------------------------------------ */

/* The counters of one strategy, which counts these events under names of its own. */
static const struct strategy_counters {
	enum fault_policy policy;
	unsigned attempts, answered, success, cached, swap;
} strategies[] = {
	{ POLICY_MMAP, COUNT_mmap_attempts, COUNT_mmap_answered, COUNT_pgfault, COUNT_mmap_answered_cached,
	  COUNT_mmap_answered_swap },
	{ POLICY_VMA, COUNT_vma_lock_attempts, COUNT_vma_lock_answered, COUNT_vma_lock_success,
	  COUNT_vma_lock_answered_cached, COUNT_vma_lock_answered_swap },
};
static const struct strategy_counters *strategy;

/*
 * Checks that since counters_mark() one fault was answered in one attempt, and each of `more` was counted once, and
 * nothing else.
 */
static void expect_one_fault(const unsigned *more, unsigned nr_more)
{
	u64 expected[NR_COUNTERS] = { 0 };

	expected[COUNT_pgfault] = expected[strategy->attempts] = expected[strategy->answered] =
		expected[strategy->success] = 1;
	for (unsigned i = 0; i < nr_more; i++)
		expected[more[i]]++;
	for (unsigned counter = 0; counter < NR_COUNTERS; counter++)
		if (counted(counter) != expected[counter])
			sim_fail("%s was counted %lu times, expected %lu", counter_name(counter),
				 (unsigned long)counted(counter), (unsigned long)expected[counter]);
}

#define FAULT(addr, access, ...)                                                                                       \
	do {                                                                                                           \
		const unsigned _more[] = { __VA_ARGS__ };                                                              \
                                                                                                                       \
		counters_mark();                                                                                       \
		CHECK_EQ(fault_in(mm, addr, access, FAULT_USER), FAULT_DONE);                                          \
		expect_one_fault(_more, ARRAY_SIZE(_more));                                                            \
	} while (0)

TEST(faults_count_what_they_are, 1)
{
	struct disk *disk = disk_create(16);

	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	for (strategy = strategies; strategy < strategies + ARRAY_SIZE(strategies); strategy++) {
		struct mm *mm = test_mm(strategy->policy), *child = test_mm(strategy->policy);
		vaddr_t addr = map(mm, 8, RW, ANON), shared = map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS);
		u64 major = sim_major_faults();

		sim_use_mm(mm);
		put(addr, 1); /* builds the page tables and the anon_vma */
		put(shared, 1);
		FAULT(addr + PAGES(1), ACCESS_WRITE);
		FAULT(addr + PAGES(2), ACCESS_READ, COUNT_zero_page_maps);
		FAULT(addr + PAGES(2), ACCESS_READ, COUNT_spurious_faults);
		FAULT(addr + PAGES(2), ACCESS_WRITE, COUNT_cow_copies);
		FAULT(addr + PAGES(2), ACCESS_WRITE, COUNT_spurious_faults);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(8), PROT_READ, -1), 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(8), RW, -1), 0);
		FAULT(addr + PAGES(1), ACCESS_WRITE, COUNT_cow_reuses);
		CHECK_EQ(mm_fork(child, mm), 0);
		FAULT(addr + PAGES(1), ACCESS_WRITE, COUNT_cow_copies);
		test_mm_put(child);
		CHECK_EQ(mm_madvise(mm, shared, PAGES(1), MADV_DONTNEED), 0);
		FAULT(shared, ACCESS_READ, strategy->cached);
		/* no notification is needed: it was mapped writable */
		FAULT(shared, ACCESS_WRITE, COUNT_spurious_faults);
		CHECK_EQ(sim_major_faults(), major);
		CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_PAGEOUT), 0);
		(void)swap_cache_shrink();
		FAULT(addr, ACCESS_READ, strategy->swap, COUNT_pswpin, COUNT_pgmajfault);
		CHECK_EQ(sim_major_faults(), major + 1);
		sim_leave_mm();
		test_mm_put(mm);
		rcu_barrier();
		swap_cache_trim();
	}
	disk_swapoff(disk);
}

/*
 * A shootdown of several CPUs counts as one. None is sent to a CPU that does not use the address space, or to the
 * sender itself.
 */
TEST(shootdowns_count_whom_they_tell, 4)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 4, RW, ANON);

	sim_use_mm(mm);
	for (unsigned others = 0; others < 4; others++) {
		if (others)
			idler_start(others, mm);
		put_pages(addr, 4, 0);
		counters_mark();
		CHECK_EQ(mm_madvise(mm, addr, PAGES(4), MADV_DONTNEED), 0);
		CHECK_EQ(COUNTED(tlb_shootdowns), others != 0);
		CHECK_EQ(COUNTED(tlb_shootdown_targets), others);
	}
	for (unsigned cpu = 1; cpu < 4; cpu++)
		idler_stop(cpu);
	sim_leave_mm();
	test_mm_put(mm);
}

/* Page tables are counted when they are allocated and freed, in total and for their address space. */
TEST(page_tables_are_counted, 1)
{
	struct mm *mm;
	u64 before = pgtable_nr_pages();
	vaddr_t addr;

	counters_mark();
	mm = test_mm(POLICY_MMAP);
	addr = map(mm, 1024, RW, ANON);
	sim_use_mm(mm);
	CHECK_EQ(mm->nr_tables, 1);
	put(addr, 1);
	put(addr + PAGES(1023), 1);
	CHECK(mm->nr_tables >= 5);
	CHECK_EQ(COUNTED(pgtable_allocs), mm->nr_tables);
	CHECK_EQ(pgtable_nr_pages(), before + mm->nr_tables);
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	CHECK_EQ(pgtable_nr_pages(), before);
	CHECK_EQ(COUNTED(pgtable_frees), COUNTED(pgtable_allocs));
}

/* ---- Peaks ------------------------------------------------------------------------------------------------------- */

/* The peaks stay when the memory is unmapped. */
TEST(peaks_are_remembered, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 40, RW, ANON);

	sim_use_mm(mm);
	put_pages(addr, 20, 0);
	CHECK_EQ(mm->hiwater_vm, 40);
	unmap(mm, addr + PAGES(10), 20);
	CHECK_EQ(mm->hiwater_vm, 40);
	CHECK_EQ(mm->hiwater_rss, 20);
	CHECK_EQ(mm_rss_total(mm), 10);
	put_pages(addr, 10, 0);
	unmap(mm, addr, 5);
	CHECK_EQ(mm->hiwater_rss, 20);
	(void)map(mm, 40, RW, ANON);
	CHECK_EQ(mm->hiwater_vm, 55);
	sim_leave_mm();
	test_mm_put(mm);
}

/* ---- Writable mappings and dirty pages --------------------------------------------------------------------------- */

static struct mapping *mapping;
static struct mm *mm;

static vaddr_t map_it(u64 pages, u64 prot, u64 flags, bool writable)
{
	const struct mmap_request request = { .len = PAGES(pages),
					      .prot = prot,
					      .flags = flags,
					      .mapping = mapping,
					      .ops = &mapping_vma_ops,
					      .file_writable = writable };
	long addr = mm_mmap(mm, &request);

	CHECK(addr > 0);
	return (vaddr_t)addr;
}

/*
 * Counts the VMAs through which the object can be written, or could be after mprotect: a seal against writing checks
 * this.
 */
TEST(mapping_counts_who_may_write_to_it, 1)
{
	struct mm *child = test_mm(POLICY_MMAP);
	vaddr_t read_only, shared;

	mapping = mapping_create(PAGES(8), true);
	mm = test_mm(POLICY_MMAP);
	CHECK_EQ(mapping->nr_writable, 0);
	(void)map_it(8, RW, MAP_PRIVATE, true);
	read_only = map_it(8, PROT_READ, MAP_SHARED, false);
	CHECK_EQ(mapping->nr_writable, 0);
	shared = map_it(8, PROT_READ, MAP_SHARED, true);
	CHECK_EQ(mapping->nr_writable, 1);
	CHECK_EQ(mm_mprotect(mm, shared, PAGES(2), RW, -1), 0); /* splits the VMA in two */
	CHECK_EQ(mapping->nr_writable, 2);
	unmap(mm, shared + PAGES(4), 2);
	CHECK_EQ(mapping->nr_writable, 3);
	unmap(mm, read_only + PAGES(2), 2);
	CHECK_EQ(mapping->nr_writable, 3);
	CHECK_EQ(mm_fork(child, mm), 0);
	CHECK_EQ(mapping->nr_writable, 6);
	test_mm_put(child);
	CHECK_EQ(mapping->nr_writable, 3);
	unmap(mm, shared, 8);
	CHECK_EQ(mapping->nr_writable, 0);
	test_mm_put(mm);
	rcu_barrier();
	mapping_put(mapping);
}

static bool is_dirty(u64 index)
{
	struct page *page = mapping_find(mapping, index);
	bool dirty = page_test(page, PG_DIRTY);

	page_put(page);
	return dirty;
}

/* Shared pages that were written to are dirty, even after their entries are gone; pages that were only read are not. */
TEST(shared_pages_know_that_they_were_written_to, 1)
{
	FOR_EACH_SETUP (setup) {
		vaddr_t addr;

		mapping = mapping_create(PAGES(6), true);
		mm = test_mm(POLICY_DEFAULT);
		addr = map_it(6, RW, MAP_SHARED, true);
		sim_use_mm(mm);
		for (u64 page = 0; page < 6; page++)
			page_put(mapping_find_or_create(mapping, page));
		put(addr + PAGES(3), 1); /* there was no entry */
		expect_get(addr + PAGES(1), 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(6), PROT_READ, -1), 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(6), RW, -1), 0);
		put(addr + PAGES(2), 1); /* the entry becomes writable */
		CHECK(is_dirty(2) && is_dirty(3));
		CHECK_EQ(mm_madvise(mm, addr + PAGES(4), PAGES(1), MADV_DONTNEED), 0);
		expect_get(addr + PAGES(4), 0);
		put(addr + PAGES(4), 1); /* the entry was writable: the CPU sets its dirty bit */
		unmap(mm, addr, 6);
		for (u64 page = 0; page < 6; page++)
			CHECK_EQ(is_dirty(page), page >= 2 && page <= 4);
		sim_leave_mm();
		test_mm_put(mm);
		rcu_barrier();
		mapping_put(mapping);
	}
}
