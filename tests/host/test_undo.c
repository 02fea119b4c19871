/* SPDX-License-Identifier: MIT */
/*
 * Tests that an operation that runs out of memory is undone: each allocation of an operation fails in turn, and the
 * state must then be as before. Like test_failing_calls.c, for operations that are no calls on an address space: pages
 * of mappings, faults of each kind, events.
 */
#include "test.h"

#include "disk.h"
#include "hoard.h"
#include "sim_file.h"

#include "mm/cache/mapping.h"
#include "mm/debug/events.h"
#include "mm/page/slab.h"
#include "mm/swap/swap.h"

#include "kernel/lib/string.h"

static void note_nodes(const char *name, size_t size, u64 in_use, u64 pages, void *nodes)
{
	(void)size, (void)pages;
	if (!strcmp(name, "mapping_node"))
		*(u64 *)nodes = in_use;
}

/*
 * Returns the number of tree nodes, after a grace period for those that were removed: only nodes with contents exist.
 */
static u64 nr_nodes(void)
{
	u64 nodes = 0;

	rcu_barrier();
	slab_for_each(note_nodes, &nodes);
	return nodes;
}

/* ---- Pages of mappings ------------------------------------------------------------------------------------------- */

static struct mapping *mapping;

static long find_or_create(u64 index)
{
	struct page *page = mapping_find_or_create(mapping, index);

	if (!page)
		return -ENOMEM;
	page_put(page);
	return 0;
}

static long set_aside(u64 index)
{
	struct page *page = mapping_set_aside(mapping, index);

	if (!page)
		return -ENOMEM;
	page_put(page);
	return 0;
}

static long write_to(u64 index)
{
	long result = mapping_write(mapping, PAGES(index) + 10, "xyz", 3);

	return result == 3 ? 0 : result;
}

static long create_within(u64 index)
{
	struct page *page = mapping_find_or_create_within(mapping, index);

	if (is_err(page))
		return ptr_err(page);
	CHECK(page);
	page_put(page);
	return 0;
}

static long (*const makers[])(u64 index) = { find_or_create, set_aside, write_to, create_within };

/*
 * Before page `index` is created there is none, or one at index `first`: the tree is empty, or too low, or high enough.
 */
static void make_page_short(long (*make)(u64 index), u64 first, u64 index)
{
	struct mapping_quota quota = { .max_pages = 10 };
	u64 nodes, nr_pages = first != index;
	bool failed = true;
	unsigned nr_failed = 0;

	mapping = mapping_create(PAGES(1UL << 40), false);
	mapping->quota = &quota;
	if (nr_pages)
		CHECK_EQ(find_or_create(first), 0);
	nodes = nr_nodes();
	for (u64 n = 1; failed; n++) {
		long error;

		sim_fail_allocation(n, true);
		error = make(index);
		failed = sim_allocation_failed();
		if (!error)
			continue;
		CHECK(failed);
		CHECK_EQ(error, -ENOMEM);
		nr_failed++;
		CHECK_EQ(mapping->nr_pages, nr_pages);
		CHECK_EQ(quota.nr_pages, nr_pages);
		CHECK(!mapping_find(mapping, index));
		if (!nr_pages)
			CHECK_EQ(nr_nodes(), nodes);
	}
	CHECK(nr_failed);
	CHECK_EQ(mapping->nr_pages, nr_pages + 1);
	CHECK_EQ(quota.nr_pages, nr_pages + 1);
	mapping_remove_range(mapping, index, index);
	if (nr_pages)
		mapping_remove_range(mapping, first, first);
	CHECK(!mapping->root);
	CHECK_EQ(quota.nr_pages, 0);
	mapping_put(mapping);
}

TEST(undo_of_pages_of_mappings, 1)
{
	static const u64 places[] = { 0, 5, 64, 5000, 1UL << 30 };

	for (unsigned i = 0; i < ARRAY_SIZE(makers); i++)
		for (unsigned first = 0; first < ARRAY_SIZE(places); first++)
			for (unsigned second = 0; second < ARRAY_SIZE(places); second++)
				make_page_short(makers[i], places[first], places[second]);
}

/* A page of a file is read for a write; if that fails, the page is not cached, and the write can be tried again. */
TEST(undo_of_pages_of_files, 1)
{
	struct sim_file *file = sim_file_create(8);
	bool failed = true;
	struct page *page;
	unsigned nr_failed = 0;

	for (u64 n = 1; failed; n++) {
		sim_fail_allocation(n, true);
		page = mapping_write_begin(file->mapping, n % 8, WRITE_PART_OF_PAGE);
		failed = sim_allocation_failed();
		if (is_err(page)) {
			CHECK_EQ(ptr_err(page), -ENOMEM);
			CHECK_EQ(file->mapping->nr_pages, 0);
			nr_failed++;
			continue;
		}
		CHECK_EQ(*(u64 *)page_to_virt(page), 1000 + n % 8);
		CHECK_EQ(mapping_write_end(page, 8), 8);
		CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
		mapping_remove_range(file->mapping, 0, ~0UL);
	}
	CHECK(nr_failed);
	sim_file_destroy(file);
}

/* ---- Faults ------------------------------------------------------------------------------------------------------ */

static struct mm *mm;
static struct disk *disk;
static vaddr_t addr;
static enum fault_access access;

static void map_anon(u64 flags)
{
	addr = map(mm, 4, RW, flags);
}

static void prepare_read(void)
{
	map_anon(ANON);
	access = ACCESS_READ;
}

static void prepare_write(void)
{
	map_anon(ANON);
	access = ACCESS_WRITE;
}

static void prepare_write_after_read(void)
{
	map_anon(ANON);
	get(addr);
	access = ACCESS_WRITE;
}

static void prepare_shared_write(void)
{
	map_anon(MAP_SHARED | MAP_ANONYMOUS);
	access = ACCESS_WRITE;
}

/* A private copy of an existing page of an object. */
static void prepare_copy(void)
{
	const struct mmap_request request = { .len = PAGES(4),
					      .prot = RW,
					      .flags = MAP_PRIVATE,
					      .mapping = mapping,
					      .ops = &mapping_vma_ops,
					      .file_writable = true };

	addr = (vaddr_t)mm_mmap(mm, &request);
	access = ACCESS_WRITE;
}

static void prepare_swapped(void)
{
	map_anon(ANON);
	put(addr, 1);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_PAGEOUT), 0);
	(void)swap_cache_shrink();
	access = ACCESS_READ;
}

/* Two address spaces share the slot, so the page is read into the swap cache. */
static struct mm *child;

static void prepare_swapped_shared(void)
{
	prepare_swapped();
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
}

static void prepare_shmem_swapped(void)
{
	map_anon(MAP_SHARED | MAP_ANONYMOUS);
	put(addr, 1);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_PAGEOUT), 0);
	(void)swap_cache_shrink();
	access = ACCESS_READ;
}

static void (*const preparations[])(void) = {
	prepare_read, prepare_write,   prepare_write_after_read, prepare_shared_write,
	prepare_copy, prepare_swapped, prepare_swapped_shared,	 prepare_shmem_swapped,
};

static u64 rss_of(struct mm *of)
{
	u64 all = 0;

	for (unsigned kind = 0; kind < NR_RSS_KINDS; kind++)
		all += mm_rss(of, kind) << 16 * kind;
	return all;
}

/* Returns false if no allocation failed. */
static bool fault_short_of(u64 n, void (*prepare)(void), unsigned *nr_failed)
{
	enum fault_answer answer;
	u64 rss;
	pte_t pte;
	bool failed;

	mm = test_mm(POLICY_DEFAULT);
	child = NULL;
	sim_use_mm(mm);
	prepare();
	pte = sim_pte(mm, addr);
	rss = rss_of(mm);
	sim_fail_allocation(n, true);
	answer = fault_in(mm, addr, access, FAULT_USER);
	failed = sim_allocation_failed();
	CHECK(answer == FAULT_DONE || (failed && answer == FAULT_OUT_OF_MEMORY));
	if (answer != FAULT_DONE) {
		++*nr_failed;
		CHECK_EQ(sim_pte(mm, addr).val, pte.val);
		CHECK_EQ(rss_of(mm), rss);
	}
	check_quiet();
	(void)get(addr);
	if (child)
		test_mm_put(child);
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	return failed;
}

/*
 * Each kind of fault, under each policy, runs out of memory at each allocation: it leaves no trace, and can be retried.
 */
TEST(undo_of_faults, 1)
{
	disk = disk_create(64);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mapping = mapping_create(PAGES(4), true);
	page_put(mapping_find_or_create(mapping, 0));
	FOR_EACH_SETUP (setup)
		for (unsigned i = 0; i < ARRAY_SIZE(preparations); i++) {
			unsigned nr_failed = 0;

			for (u64 n = 1; fault_short_of(n, preparations[i], &nr_failed); n++)
				;
			CHECK(nr_failed);
		}
	CHECK_EQ(swap_figures().used, 0);
	disk_swapoff(disk);
	mapping_put(mapping);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* If the new rings cannot be allocated, events_init() fails, and events are still recorded in the old ones. */
TEST(undo_of_events, 1)
{
	u32 recorded = events_recorded(0);

	sim_fail_allocation(1, true);
	CHECK(!events_init(64));
	CHECK(sim_allocation_failed());
	event_now(EVENT_flush, 1, 2);
	CHECK_EQ(events_recorded(0), recorded + 1);
}
