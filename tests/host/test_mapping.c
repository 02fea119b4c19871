/* SPDX-License-Identifier: MIT */
/*
 * Tests of mappings: the tree, reading and writing, faults on them, and truncation under address spaces that map them.
 */
#include "test.h"

#include "kernel/lib/string.h"
#include "mm/cache/mapping.h"

static const u64 indices[] = {
	0, 1, 63, 64, 65, 4095, 4096, 262143, 262144, 1UL << 30, (1UL << 40) + 77, (1UL << 52) - 1, ~0UL - 1, ~0UL,
};

static void fill(struct mapping *mapping, u64 index)
{
	struct page *page = mapping_find_or_create(mapping, index);

	CHECK(page);
	CHECK(page_test(page, PG_CACHE));
	CHECK_EQ(page->index, index);
	CHECK_EQ(page->refcount, 2);
	*(u64 *)page_to_virt(page) = index;
	page_put(page);
}

static bool holds(struct mapping *mapping, u64 index)
{
	struct page *page = mapping_find(mapping, index);
	bool there = page;

	if (page) {
		CHECK_EQ(*(u64 *)page_to_virt(page), index);
		page_put(page);
	}
	return there;
}

TEST(mapping_tree_holds_any_index, 1)
{
	/* In both directions: the tree grows level by level, or gets its full height at once. */
	for (unsigned round = 0; round < 2; round++) {
		struct mapping *mapping = mapping_create(~0UL, true);

		for (unsigned i = 0; i < ARRAY_SIZE(indices); i++) {
			u64 index = indices[round ? ARRAY_SIZE(indices) - 1 - i : i];

			CHECK(!holds(mapping, index));
			fill(mapping, index);
			CHECK_EQ(mapping->nr_pages, i + 1);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(indices); i++)
			CHECK(holds(mapping, indices[i]));
		CHECK(!holds(mapping, 2) && !holds(mapping, 66) && !holds(mapping, ~0UL - 2));
		mapping_put(mapping);
	}
}

TEST(mapping_remove_range_takes_the_range_only, 1)
{
	for (unsigned first = 0; first < ARRAY_SIZE(indices); first++) {
		unsigned last = first + (unsigned)sim_random_below(ARRAY_SIZE(indices) - first);
		struct mapping *mapping = mapping_create(~0UL, true);

		for (unsigned i = 0; i < ARRAY_SIZE(indices); i++)
			fill(mapping, indices[i]);
		mapping_remove_range(mapping, indices[first], indices[last]);
		for (unsigned i = 0; i < ARRAY_SIZE(indices); i++)
			CHECK_EQ(holds(mapping, indices[i]), i < first || i > last);
		CHECK_EQ(mapping->nr_pages, ARRAY_SIZE(indices) - (last - first + 1));
		mapping_remove_range(mapping, 0, ~0UL);
		CHECK_EQ(mapping->nr_pages, 0);
		CHECK(!mapping->root);
		mapping_put(mapping);
	}
}

/* Random changes, with a model for comparison. */
TEST(mapping_tree_against_a_model, 1)
{
	static bool model[3000];
	struct mapping *mapping = mapping_create(~0UL, false);
	u64 nr = 0;

	for (unsigned round = 0; round < 20000; round++) {
		u64 index = sim_random_below(ARRAY_SIZE(model));

		CHECK_EQ(holds(mapping, index), model[index]);
		if (sim_random_below(3)) {
			nr += !model[index];
			if (!model[index])
				fill(mapping, index);
			model[index] = true;
		} else {
			u64 last = min(index + sim_random_below(20), (u64)ARRAY_SIZE(model) - 1);

			mapping_remove_range(mapping, index, last);
			for (u64 i = index; i <= last; i++) {
				nr -= model[i];
				model[i] = false;
			}
		}
		CHECK_EQ(mapping->nr_pages, nr);
	}
	mapping_put(mapping);
}

TEST(mapping_without_memory, 1)
{
	struct mapping *mapping = mapping_create(~0UL, true);
	u64 nr = 0, index;
	struct page *page;

	for (index = 0; (page = mapping_find_or_create(mapping, index)) != NULL; index += 4096) {
		page_put(page);
		nr++;
	}
	CHECK(nr > 1000);
	CHECK_EQ(mapping->nr_pages, nr);
	CHECK(!mapping_find(mapping, index));
	CHECK_EQ(mapping_write(mapping, PAGES(index), "x", 1), -ENOMEM);
	mapping_remove_range(mapping, 0, 4096 * 100);
	CHECK_EQ(mapping->nr_pages, nr - 101);
	fill(mapping, index);
	mapping_put(mapping);
}

/* ---- Kernel copies ----------------------------------------------------------------------------------------------- */

TEST(mapping_reads_what_was_written, 1)
{
	static u8 out[3 * PAGE_SIZE], in[3 * PAGE_SIZE];
	const u64 size = 10 * PAGE_SIZE + 100;
	struct mapping *mapping = mapping_create(size, false);

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (u8)(i * 7 + i / 256 + 1);
	CHECK_EQ(mapping_write(mapping, 2 * PAGE_SIZE + 50, out, sizeof(out)), sizeof(out));
	CHECK_EQ(mapping->nr_pages, 4);
	for (u64 index = 2; index < 6; index++) { /* otherwise a page under write-out to swap would lose the write */
		struct page *page = mapping_find(mapping, index);

		CHECK(page_test(page, PG_DIRTY));
		page_put(page);
	}
	CHECK_EQ(mapping_read(mapping, 2 * PAGE_SIZE + 50, in, sizeof(in)), sizeof(in));
	CHECK(!memcmp(in, out, sizeof(in)));
	/* Holes read as zeros, and are not filled. */
	CHECK_EQ(mapping_read(mapping, 0, in, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
	for (unsigned i = 0; i < 2 * PAGE_SIZE; i++)
		CHECK_EQ(in[i], 0);
	CHECK_EQ(mapping->nr_pages, 4);
	/* Reading stops at the end. */
	CHECK_EQ(mapping_read(mapping, size - 10, in, 100), 10);
	CHECK_EQ(mapping_read(mapping, size, in, 100), 0);
	CHECK_EQ(mapping_read(mapping, ~0UL - 10, in, 100), 0);
	mapping_put(mapping);
}

TEST(mapping_truncate_clears_the_tail, 1)
{
	struct mapping *mapping = mapping_create(3 * PAGE_SIZE, false);
	u8 bytes[64];

	memset(bytes, 0xaa, sizeof(bytes));
	for (u64 pos = 0; pos < 3 * PAGE_SIZE; pos += sizeof(bytes))
		CHECK_EQ(mapping_write(mapping, pos, bytes, sizeof(bytes)), sizeof(bytes));
	mapping_truncate(mapping, PAGE_SIZE + 10);
	CHECK_EQ(mapping->nr_pages, 2);
	mapping_truncate(mapping, 3 * PAGE_SIZE);
	CHECK_EQ(mapping_read(mapping, PAGE_SIZE, bytes, sizeof(bytes)), sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		CHECK_EQ(bytes[i], i < 10 ? 0xaa : 0);
	CHECK_EQ(mapping_read(mapping, 3 * PAGE_SIZE - 1, bytes, 1), 1);
	CHECK_EQ(bytes[0], 0);
	mapping_put(mapping);
}

static vaddr_t map_mapping(struct mm *mm, struct mapping *mapping, u64 pages, u64 flags)
{
	struct mmap_request request = {
		.len = PAGES(pages),
		.prot = RW,
		.flags = flags,
		.mapping = mapping,
		.ops = &mapping_vma_ops,
		.file_writable = true,
	};
	long addr = mm_mmap(mm, &request);

	CHECK(addr > 0);
	return (vaddr_t)addr;
}

/* ---- Quotas, and pages that are set aside ------------------------------------------------------------------------ */

/*
 * A quota limits the pages of all its mappings together; a fault on a page beyond it answers as beyond the end of the
 * object.
 */
TEST(mapping_keeps_within_its_quota, 1)
{
	struct mapping *mapping = mapping_create(PAGES(16), true), *other = mapping_create(PAGES(16), true);
	struct mapping_quota quota = { .max_pages = 4 };
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr;

	mapping->quota = other->quota = &quota;
	fill(other, 0);
	for (u64 index = 0; index < 3; index++)
		fill(mapping, index);
	fill(mapping, 0); /* already exists */
	CHECK_EQ(quota.nr_pages, 4);
	CHECK(!mapping_find_or_create(mapping, 3));
	CHECK(!mapping_set_aside(mapping, 3));
	CHECK_EQ(mapping_write(mapping, PAGES(3) - 1, "xy", 2), 1);
	CHECK_EQ(mapping_write(mapping, PAGES(3), "x", 1), -ENOMEM);
	addr = map_mapping(mm, mapping, 8, MAP_SHARED);
	sim_use_mm(mm);
	put(addr, 1);
	CHECK_EQ(sim_write(addr + PAGES(3), 1), FAULT_BEYOND_END);
	CHECK_EQ(quota.nr_pages, 4);
	mapping_remove_range(mapping, 1, 1);
	CHECK_EQ(quota.nr_pages, 3);
	put(addr + PAGES(3), 1);
	CHECK_EQ(quota.nr_pages, 4);
	sim_leave_mm();
	test_mm_put(mm);
	mapping_leave_quota(mapping);
	CHECK_EQ(quota.nr_pages, 1);
	fill(mapping, 9);
	CHECK_EQ(quota.nr_pages, 1);
	mapping_put(mapping);
	mapping_put(other);
	CHECK_EQ(quota.nr_pages, 0);
}

static bool is_set_aside(struct mapping *mapping, u64 index)
{
	struct page *page = mapping_find(mapping, index);
	bool aside = page_test(page, PG_SET_ASIDE);

	page_put(page);
	return aside;
}

/* A page that fallocate creates exists, but is not in use until it is read, written or allocated again. */
TEST(mapping_pages_set_aside_are_not_in_use, 1)
{
	struct mapping *mapping = mapping_create(PAGES(8), true);
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map_mapping(mm, mapping, 8, MAP_SHARED);
	u8 seen[8];

	for (u64 index = 0; index < 4; index++)
		page_put(mapping_set_aside(mapping, index));
	CHECK_EQ(mapping->nr_pages, 4);
	fill(mapping, 5);
	CHECK_EQ(mm_mincore(mm, addr, 8, seen), 0);
	for (u64 index = 0; index < 8; index++)
		CHECK_EQ(seen[index] & 1, index == 5);
	page_put(mapping_set_aside(mapping, 0));
	CHECK_EQ(mapping_write(mapping, PAGES(1), "x", 1), 1);
	sim_use_mm(mm);
	expect_get(addr + PAGES(2), 0);
	for (u64 index = 0; index < 4; index++)
		CHECK_EQ(is_set_aside(mapping, index), index == 3);
	page_put(mapping_set_aside(mapping, 5));
	CHECK(!is_set_aside(mapping, 5));
	sim_leave_mm();
	test_mm_put(mm);
	mapping_put(mapping);
}

/* ---- Several CPUs, one slot -------------------------------------------------------------------------------------- */

static struct page *found[MAX_CPUS];

static void find_or_create(void *mapping)
{
	found[cpu_id()] = mapping_find_or_create(mapping, 5);
}

TEST(mapping_racing_faults_share_the_page, 4)
{
	for (unsigned round = 0; round < 100; round++) {
		struct mapping *mapping = mapping_create(~0UL, true);

		for (unsigned cpu = 1; cpu < 4; cpu++)
			sim_start(cpu, find_or_create, mapping);
		sim_join_all();
		CHECK(found[1] && found[1] == found[2] && found[2] == found[3]);
		CHECK_EQ(found[1]->refcount, 4);
		CHECK_EQ(mapping->nr_pages, 1);
		for (unsigned cpu = 1; cpu < 4; cpu++)
			page_put(found[cpu]);
		mapping_put(mapping);
	}
}

/* ---- Address spaces that map it ---------------------------------------------------------------------------------- */

TEST(mapping_shared_and_private, 1)
{
	FOR_EACH_SETUP (setup) {
		struct mapping *mapping = mapping_create(PAGES(4), false);
		struct mm *mm = test_mm(POLICY_DEFAULT);
		vaddr_t shared = map_mapping(mm, mapping, 4, MAP_SHARED);
		vaddr_t private = map_mapping(mm, mapping, 4, MAP_PRIVATE);
		u64 value;

		sim_use_mm(mm);
		put(shared, 1);
		expect_get(private, 1);
		put(private, 2);
		expect_get(shared, 1);
		put(shared, 3);
		expect_get(private, 2);
		expect_get(private + PAGES(1), 0);
		put(shared + PAGES(1), 7);
		expect_get(private + PAGES(1), 7);
		CHECK_EQ(mapping_read(mapping, 0, &value, sizeof(value)), sizeof(value));
		CHECK_EQ(value, 3);
		CHECK_EQ(mapping->nr_pages, 2);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 1);
		sim_leave_mm();
		test_mm_put(mm);
		mapping_put(mapping);
	}
}

/* If the first access is a write, the rest of the copy has the object's contents. */
TEST(mapping_private_copy_is_of_the_whole_page, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mapping *mapping = mapping_create(PAGES(2), true);
		struct mm *mm = test_mm(POLICY_DEFAULT);
		vaddr_t private = map_mapping(mm, mapping, 2, MAP_PRIVATE);
		u64 words[PAGE_SIZE / sizeof(u64)];

		for (u64 i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = i + 1;
		CHECK_EQ(mapping_write(mapping, PAGES(1), words, sizeof(words)), sizeof(words));
		idler_start(1, mm);
		sim_use_mm(mm);
		put(private + PAGES(1) + 8, 77);
		for (u64 i = 0; i < ARRAY_SIZE(words); i++)
			expect_get(private + PAGES(1) + 8 * i, i == 1 ? 77 : i + 1);
		sim_leave_mm();
		idler_stop(1);
		test_mm_put(mm);
		mapping_put(mapping);
	}
}

TEST(mapping_beyond_the_end_is_sigbus, 1)
{
	FOR_EACH_SETUP (setup) {
		struct mapping *mapping = mapping_create(PAGE_SIZE + 1, true);
		struct mm *mm = test_mm(POLICY_DEFAULT);
		vaddr_t addr = map_mapping(mm, mapping, 4, MAP_SHARED);
		u64 value;

		sim_use_mm(mm);
		put(addr + PAGES(1), 1);
		CHECK_EQ(sim_read(addr + PAGES(2), &value), FAULT_BEYOND_END);
		CHECK_EQ(sim_write(addr + PAGES(3), 1), FAULT_BEYOND_END);
		mapping_truncate(mapping, PAGES(3));
		expect_get(addr + PAGES(2), 0);
		CHECK_EQ(sim_read(addr + PAGES(3), &value), FAULT_BEYOND_END);
		sim_leave_mm();
		test_mm_put(mm);
		mapping_put(mapping);
	}
}

TEST(mapping_truncate_unmaps, 1)
{
	struct mapping *mapping = mapping_create(PAGES(100), true);
	struct mm *parent = test_mm(POLICY_DEFAULT), *child = test_mm(POLICY_DEFAULT);
	vaddr_t addr = map_mapping(parent, mapping, 100, MAP_SHARED);
	vaddr_t second = map_mapping(parent, mapping, 100, MAP_SHARED);
	u64 value;

	sim_use_mm(parent);
	for (u64 i = 0; i < 100; i++) {
		put(addr + PAGES(i), i + 1);
		expect_get(second + PAGES(i), i + 1);
	}
	CHECK_EQ(mm_fork(child, parent), 0);
	mapping_truncate(mapping, PAGES(10));
	CHECK_EQ(mm_rss(parent, RSS_SHMEM), 20);
	CHECK(mm_rss(child, RSS_SHMEM) <= 20);
	CHECK_EQ(sim_read(addr + PAGES(10), &value), FAULT_BEYOND_END);
	CHECK_EQ(sim_read(second + PAGES(99), &value), FAULT_BEYOND_END);
	expect_get(second + PAGES(9), 10);
	mapping_truncate(mapping, PAGES(100));
	expect_get(addr + PAGES(50), 0);
	sim_leave_mm();
	sim_use_mm(child);
	expect_get(addr + PAGES(9), 10);
	expect_get(second + PAGES(10), 0);
	sim_leave_mm();
	test_mm_put(child);
	test_mm_put(parent);
	mapping_put(mapping);
}

/* A VMA that maps pages before, around or behind the hole keeps its other pages mapped. */
TEST(mapping_hole_unmaps_the_hole_only, 1)
{
	struct mapping *mapping = mapping_create(PAGES(12), true);
	struct mm *mm = test_mm(POLICY_DEFAULT);
	vaddr_t addr = map_mapping(mm, mapping, 12, MAP_SHARED);

	CHECK_EQ(mm_mprotect(mm, addr + PAGES(3), PAGES(6), RW | PROT_EXEC, -1), 0); /* three VMAs */
	sim_use_mm(mm);
	put_pages(addr, 12, 100);
	mapping_remove_range(mapping, 4, 5);
	for (u64 page = 0; page < 12; page++)
		CHECK_EQ(pte_none(sim_pte(mm, addr + PAGES(page))), page == 4 || page == 5);
	expect_pages(addr, 4, 100);
	expect_get(addr + PAGES(4), 0);
	expect_get(addr + PAGES(5), 0);
	expect_pages(addr + PAGES(6), 6, 106);
	sim_leave_mm();
	test_mm_put(mm);
	mapping_put(mapping);
}

static void map_and_unmap(void *arg)
{
	struct mm *mm = test_mm(POLICY_MMAP);

	for (unsigned round = 0; round < 50; round++)
		unmap(mm, map_mapping(mm, arg, 4, MAP_SHARED), 4);
	mmput(mm);
}

/* Address spaces map and unmap an object at the same time: they all change its interval tree of VMAs. */
TEST(mapping_is_mapped_and_unmapped_by_many, 3)
{
	struct mapping *mapping = mapping_create(PAGES(4), true);

	for (unsigned cpu = 1; cpu < 3; cpu++)
		sim_start(cpu, map_and_unmap, mapping);
	sim_join_all();
	CHECK_EQ(mapping->nr_pages, 0);
	rcu_barrier();
	mapping_put(mapping);
}

/* ---- Faults concurrent with truncation --------------------------------------------------------------------------- */

struct storm {
	struct mm *mm;
	vaddr_t addr;
	bool stop;
};

static void fault_until_stopped(void *arg)
{
	struct storm *storm = arg;

	sim_use_mm(storm->mm);
	while (!load_acquire(&storm->stop)) {
		vaddr_t addr = storm->addr + PAGES(sim_random_below(16));
		enum fault_answer answer;
		u64 value;

		answer = sim_random_below(2) ? sim_read(addr, &value) : sim_write(addr, 1);
		CHECK(answer == FAULT_DONE || answer == FAULT_BEYOND_END);
	}
	sim_leave_mm();
}

/* A page that a fault maps behind the truncation's back would stay mapped: the check at the end would find it. */
TEST(mapping_truncate_storm, 3)
{
	FOR_EACH_SETUP (setup) {
		struct mapping *mapping = mapping_create(PAGES(16), true);
		struct mm *mm = test_mm(POLICY_DEFAULT);
		struct storm storm = { .mm = mm, .addr = map_mapping(mm, mapping, 16, MAP_SHARED) };

		for (unsigned cpu = 1; cpu < 3; cpu++)
			sim_start(cpu, fault_until_stopped, &storm);
		for (unsigned round = 0; round < 15; round++) {
			mapping_truncate(mapping, sim_random_below(PAGES(16)));
			sim_user_boundary();
			mapping_truncate(mapping, PAGES(16));
			sim_user_boundary();
		}
		store_release(&storm.stop, true);
		sim_join_all();
		mapping_truncate(mapping, 0);
		CHECK_EQ(mapping->nr_pages, 0);
		CHECK_EQ(mm_rss(mm, RSS_SHMEM), 0);
		test_mm_put(mm);
		mapping_put(mapping);
	}
}

/* ---- Truncation at race points ----------------------------------------------------------------------------------- */

/* Stops a fault at the point, truncates the object to nothing, and lets the fault continue. */
static void truncate_under_a_fault(enum race_point_id point, enum fault_policy policy, u64 map_flags, bool fill)
{
	struct mapping *mapping = mapping_create(PAGES(4), true);
	struct mm *mm = test_mm(policy);
	struct actor actor = { .mm = mm, .addr = map_mapping(mm, mapping, 4, map_flags) + PAGES(2), .value = 1 };

	if (fill)
		page_put(mapping_find_or_create(mapping, 2));
	stop_at(point, 1);
	sim_start(1, act_write, &actor);
	wait_stopped(point);
	mapping_truncate(mapping, 0);
	CHECK_EQ(mapping->nr_pages, 0);
	let_go(point);
	sim_join(1);
	CHECK_EQ(actor.result, FAULT_BEYOND_END);
	CHECK_EQ(mapping->nr_pages, 0);
	CHECK_EQ(mm_rss_total(mm), 0);
	test_mm_put(mm);
	mapping_put(mapping);
}

/* The fault has found the page, which has since left the mapping: it must not be mapped. */
TEST(m1_truncated_page_is_not_mapped, 2)
{
	truncate_under_a_fault(RACE_mapping_page_found, POLICY_MMAP, MAP_SHARED, true);
	truncate_under_a_fault(RACE_mapping_page_found, POLICY_VMA, MAP_SHARED, true);
}

/* The same for a private copy of the page: as on Linux, there is none beyond the end. */
TEST(m1_truncated_page_is_not_copied, 2)
{
	truncate_under_a_fault(RACE_anon_page_ready, POLICY_MMAP, MAP_PRIVATE, true);
	truncate_under_a_fault(RACE_anon_page_ready, POLICY_VMA, MAP_PRIVATE, true);
}

/* The fault checked the size before it shrank: no page may be created beyond the new end. */
TEST(m2_hole_beyond_the_end_is_not_filled, 2)
{
	truncate_under_a_fault(RACE_mapping_before_fill, POLICY_MMAP, MAP_SHARED, false);
	truncate_under_a_fault(RACE_mapping_before_fill, POLICY_VMA, MAP_SHARED, false);
}
