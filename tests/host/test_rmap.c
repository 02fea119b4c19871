/* SPDX-License-Identifier: MIT */
/* Tests of the reverse map of anonymous memory: which VMAs share an anon_vma, what fork does, and the checker. */
#include "test.h"

#include "mm/cache/mapping.h"
#include "mm/check/check.h"
#include "mm/vma/rmap.h"

static struct vma *vma_at(struct mm *mm, vaddr_t addr)
{
	struct vma *vma;

	mmap_read_lock(mm);
	vma = sim_vma(mm, addr);
	mmap_read_unlock(mm);
	CHECK(vma);
	return vma;
}

static unsigned nr_chains(const struct vma *vma)
{
	unsigned nr = 0;

	for (const struct list_head *link = vma->anon_vma_chain.next; link != &vma->anon_vma_chain; link = link->next)
		nr++;
	return nr;
}

static struct page *page_at(struct mm *mm, vaddr_t addr)
{
	struct page *page = pte_counted_page(sim_pte(mm, addr));

	CHECK(page);
	return page;
}

static struct mm *fork_of(struct mm *parent)
{
	struct mm *child = test_mm(POLICY_DEFAULT);

	CHECK_EQ(mm_fork(child, parent), 0);
	return child;
}

static void put_in(struct mm *mm, vaddr_t addr, u64 value)
{
	sim_use_mm(mm);
	put(addr, value);
	sim_leave_mm();
}

/* ---- Which VMA has which anon_vma -------------------------------------------------------------------------------- */

TEST(rmap_first_write_prepares, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 4, RW, ANON);
	struct vma *vma = vma_at(mm, addr);
	struct page *page;

	sim_use_mm(mm);
	get(addr);
	CHECK(!vma->anon_vma); /* the zero page needs none */
	put(addr + PAGES(3), 1);
	page = page_at(mm, addr + PAGES(3));
	CHECK(vma->anon_vma && page->anon_vma == vma->anon_vma);
	CHECK(page_test(page, PG_ANON));
	CHECK_EQ(page->mapcount, 1);
	CHECK_EQ(page->index, vma->pgoff + 3);
	CHECK_EQ(nr_chains(vma), 1);
	sim_leave_mm();
	test_mm_put(mm);
}

TEST(rmap_neighbours_share, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = 0x10000000;
	struct vma *low, *middle, *far;

	/*
	 * Their rights differ, so they are three VMAs. They could merge with the same rights, except for the one behind
	 * a gap.
	 */
	map_at(mm, addr, 2, RW, ANON);
	map_at(mm, addr + PAGES(2), 2, RW | PROT_EXEC, ANON);
	map_at(mm, addr + PAGES(5), 2, RW, ANON);
	low = vma_at(mm, addr);
	middle = vma_at(mm, addr + PAGES(2));
	far = vma_at(mm, addr + PAGES(5));
	sim_use_mm(mm);
	put(addr, 1);
	put(addr + PAGES(2), 2);
	put(addr + PAGES(5), 3);
	CHECK(low != middle && low->anon_vma && low->anon_vma == middle->anon_vma);
	CHECK(far->anon_vma && far->anon_vma != middle->anon_vma);
	sim_leave_mm();
	test_mm_put(mm);
}

/*
 * The VMAs map one object through two open files, so they never merge, and would gain nothing from a shared anon_vma.
 */
TEST(rmap_neighbours_of_two_descriptors_do_not_share, 1)
{
	static char descriptors[2];
	struct mm *mm = test_mm(POLICY_MMAP);
	struct mapping *object = mapping_create(PAGES(3), true);
	const vaddr_t addr = 0x10000000;

	sim_use_mm(mm);
	for (unsigned i = 0; i < 3; i++) {
		const struct mmap_request request = { .addr = addr + PAGES(i),
						      .len = PAGES(1),
						      .pgoff = i,
						      .prot = i == 1 ? PROT_READ | PROT_WRITE | PROT_EXEC : RW,
						      .flags = MAP_PRIVATE | MAP_FIXED,
						      .file = (struct file *)&descriptors[i == 2],
						      .mapping = object,
						      .ops = &mapping_vma_ops };

		CHECK_EQ(mm_mmap(mm, &request), request.addr);
		put(request.addr, i);
	}
	CHECK(vma_at(mm, addr) != vma_at(mm, addr + PAGES(1)));
	CHECK(vma_at(mm, addr)->anon_vma == vma_at(mm, addr + PAGES(1))->anon_vma);
	CHECK(vma_at(mm, addr + PAGES(1))->anon_vma != vma_at(mm, addr + PAGES(2))->anon_vma);
	sim_leave_mm();
	test_mm_put(mm);
	mapping_put(object);
}

TEST(rmap_fork_gives_the_child_its_own, 1)
{
	struct mm *parent = test_mm(POLICY_MMAP), *child;
	vaddr_t addr = map(parent, 2, RW, ANON);
	struct anon_vma *of_parent, *of_child;

	put_in(parent, addr, 1);
	child = fork_of(parent);
	of_parent = vma_at(parent, addr)->anon_vma;
	of_child = vma_at(child, addr)->anon_vma;
	CHECK(of_child && of_child != of_parent);
	CHECK(of_child->root == of_parent);
	CHECK_EQ(nr_chains(vma_at(child, addr)), 2);
	CHECK_EQ(page_at(parent, addr)->mapcount, 2);
	CHECK(page_at(parent, addr) == page_at(child, addr));
	put_in(child, addr, 2);
	CHECK(page_at(child, addr)->anon_vma == of_child);
	CHECK_EQ(page_at(parent, addr)->mapcount, 1);
	check_quiet();
	/* The family outlives its first member. */
	test_mm_put(parent);
	put_in(child, addr + PAGES(1), 3);
	test_mm_put(child);
}

/* Only an anon_vma whose owner has exited is reused, and never the root, to which the whole family refers. */
TEST(rmap_grandchild_has_its_own, 1)
{
	struct mm *parent = test_mm(POLICY_MMAP), *child, *grandchild;
	vaddr_t addr = map(parent, 2, RW, ANON);
	const struct anon_vma *of_child, *root;

	put_in(parent, addr, 1);
	child = fork_of(parent);
	of_child = vma_at(child, addr)->anon_vma;
	root = of_child->root;
	for (unsigned round = 0; round < 2; round++) {
		grandchild = fork_of(child);
		CHECK(vma_at(grandchild, addr)->anon_vma != of_child);
		CHECK(vma_at(grandchild, addr)->anon_vma != root);
		CHECK_EQ(nr_chains(vma_at(grandchild, addr)), 3);
		test_mm_put(grandchild);
		if (!round)
			unmap(parent, addr, 2);
	}
	test_mm_put(parent);
	test_mm_put(child);
}

/*
 * The owner has exited, but its only child has not: the child's next fork reuses the anon_vma, and needs no further
 * chain.
 */
TEST(rmap_abandoned_anon_vma_is_taken_over, 1)
{
	struct mm *parent = test_mm(POLICY_MMAP), *child, *grandchild, *last;
	vaddr_t addr = map(parent, 2, RW, ANON);
	const struct anon_vma *of_child;

	put_in(parent, addr, 1);
	child = fork_of(parent);
	of_child = vma_at(child, addr)->anon_vma;
	grandchild = fork_of(child);
	test_mm_put(child);
	last = fork_of(grandchild);
	CHECK(vma_at(last, addr)->anon_vma == of_child);
	CHECK_EQ(nr_chains(vma_at(last, addr)), nr_chains(vma_at(grandchild, addr)));
	put_in(last, addr, 2);
	check_quiet();
	test_mm_put(parent);
	test_mm_put(grandchild);
	test_mm_put(last);
}

/* A line of descendants whose ancestors exit: without reuse each generation would have one more chain. */
TEST(rmap_chains_do_not_grow_for_ever, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP), *child;
	vaddr_t addr = map(mm, 2, RW, ANON);

	put_in(mm, addr, 1);
	for (u64 generation = 1; generation < 30; generation++) {
		child = fork_of(mm);
		test_mm_put(mm);
		mm = child;
		put_in(mm, addr + PAGES(generation % 2), generation);
		CHECK(nr_chains(vma_at(mm, addr)) <= 3);
	}
	test_mm_put(mm);
}

TEST(rmap_follows_splits_and_moves, 1)
{
	struct mm *mm = test_mm(POLICY_FULL);
	vaddr_t addr = map(mm, 10, RW, ANON);
	long moved;

	sim_use_mm(mm);
	for (u64 i = 0; i < 10; i++)
		put(addr + PAGES(i), i);
	CHECK_EQ(mm_mprotect(mm, addr + PAGES(4), PAGES(2), PROT_READ, -1), 0);
	unmap(mm, addr + PAGES(1), 1);
	check_quiet();
	moved = mm_mremap(mm, addr + PAGES(6), PAGES(4), PAGES(20), 1 /* MREMAP_MAYMOVE */, 0);
	CHECK(moved > 0);
	check_quiet();
	for (u64 i = 6; i < 10; i++)
		expect_get((vaddr_t)moved + PAGES(i - 6), i);
	put((vaddr_t)moved + PAGES(15), 15);
	check_quiet();
	sim_leave_mm();
	test_mm_put(mm);
}

/* ---- Bounds and trees -------------------------------------------------------------------------------------------- */

#define BOUNDS_AT PAGES(0x1000)

/* Applies each change of bounds to a VMA of 20 touched pages; its interval trees must follow (W8). */
static void change_bounds(struct mm *mm, vaddr_t addr)
{
	long to = (long)(addr + PAGES(100));

	CHECK_EQ(mm_mprotect(mm, addr + PAGES(8), PAGES(4), PROT_READ, -1), 0); /* split at both ends */
	check_quiet();
	CHECK_EQ(mm_mprotect(mm, addr + PAGES(12), PAGES(2), PROT_READ, -1), 0); /* the boundary moves up */
	check_quiet();
	CHECK_EQ(mm_mprotect(mm, addr + PAGES(6), PAGES(2), PROT_READ, -1), 0); /* and one moves down */
	check_quiet();
	CHECK_EQ(mm_mprotect(mm, addr + PAGES(6), PAGES(8), PROT_READ | PROT_WRITE, -1), 0); /* three become one */
	check_quiet();
	unmap(mm, addr, 1);
	unmap(mm, addr + PAGES(19), 1);
	check_quiet();
	unmap(mm, addr + PAGES(9), 2);
	check_quiet();
	CHECK_EQ(mm_mremap(mm, addr + PAGES(1), PAGES(8), PAGES(6), 0, 0), addr + PAGES(1));
	CHECK_EQ(mm_mremap(mm, addr + PAGES(1), PAGES(6), PAGES(8), 0, 0), addr + PAGES(1));
	check_quiet();
	CHECK_EQ(mm_mremap(mm, addr + PAGES(3), PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, (vaddr_t)to), to);
	check_quiet();
	CHECK_EQ(mm_mremap(mm, (vaddr_t)to, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, addr + PAGES(3)),
		 addr + PAGES(3));
	check_quiet();
}

TEST(w8_trees_follow_every_change_of_bounds, 1)
{
	struct mm *mm = test_mm(POLICY_FULL), *child;

	map_at(mm, BOUNDS_AT, 20, RW, ANON);
	map_at(mm, BOUNDS_AT + PAGES(30), 20, RW, MAP_SHARED | MAP_ANONYMOUS);
	map_at(mm, BOUNDS_AT + PAGES(2000), 2, RW, ANON | MAP_GROWSDOWN);
	sim_use_mm(mm);
	put_pages(BOUNDS_AT, 20, 1);
	put_pages(BOUNDS_AT + PAGES(30), 20, 1);
	put_pages(BOUNDS_AT + PAGES(1990), 12, 1);
	check_quiet();
	child = fork_of(mm);
	change_bounds(mm, BOUNDS_AT);
	change_bounds(mm, BOUNDS_AT + PAGES(30));
	put_pages(BOUNDS_AT + PAGES(1980), 5, 1);
	check_quiet();
	sim_leave_mm();
	sim_use_mm(child);
	change_bounds(child, BOUNDS_AT);
	change_bounds(child, BOUNDS_AT + PAGES(30));
	sim_leave_mm();
	test_mm_put(child);
	test_mm_put(mm);
}

/* The wrong bounds are detected when the tree leads to the VMA, not only at the end of the program. */
TEST_DIES(w8_bounds_that_the_tree_does_not_know, 1, "knows the VMA's bounds")
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 4, RW, ANON);
	struct vma *vma = vma_at(mm, addr);

	sim_use_mm(mm);
	put(addr + PAGES(3), 1);
	vma->end = addr + PAGES(2);
	(void)rmap_check();
}

TEST(w8_check_sees_a_vma_outside_of_its_tree, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	struct vma *vma = vma_at(mm, addr);

	CHECK(check_rmap());
	i_mmap_remove(vma);
	CHECK(!check_rmap());
	i_mmap_insert(vma);
	vma->pgoff++;
	CHECK(!check_rmap());
	vma->pgoff--;
	CHECK(check_rmap());
	test_mm_put(mm);
}

/* ---- Two threads prepare one VMA --------------------------------------------------------------------------------- */

TEST(rmap_preparation_has_one_winner, 3)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 2, RW, ANON);
	struct actor slow = { .mm = mm, .addr = addr, .value = 1 };
	struct actor fast = { .mm = mm, .addr = addr + PAGES(1), .value = 2 };
	struct vma *vma = vma_at(mm, addr);

	stop_at(RACE_anon_vma_before_publish, 1);
	sim_start(1, act_write, &slow);
	wait_stopped(RACE_anon_vma_before_publish);
	sim_start(2, act_write, &fast);
	sim_join(2);
	CHECK(vma->anon_vma);
	let_go(RACE_anon_vma_before_publish);
	sim_join_all();
	CHECK_EQ(nr_chains(vma), 1);
	CHECK(page_at(mm, addr)->anon_vma == vma->anon_vma);
	CHECK(page_at(mm, addr + PAGES(1))->anon_vma == vma->anon_vma);
	test_mm_put(mm);
}

/* ---- A family of processes --------------------------------------------------------------------------------------- */

#define FAMILY 8
#define AREA_PAGES 24

static void mutate(struct mm **family, vaddr_t addr)
{
	struct mm **member = &family[sim_random_below(FAMILY)];
	vaddr_t at = addr + PAGES(sim_random_below(AREA_PAGES));

	if (!*member) {
		struct mm *parent = family[sim_random_below(FAMILY)];

		*member = parent ? fork_of(parent) : NULL;
		return;
	}
	sim_use_mm(*member);
	switch (sim_random_below(8)) {
	case 0:
		unmap(*member, at, 1);
		break;
	case 1:
		CHECK_EQ(mm_madvise(*member, at, PAGES(1), MADV_DONTNEED) & ~(long)-ENOMEM, 0);
		break;
	case 2:
		map_at(*member, at, 1, RW, ANON);
		break;
	default:
		(void)sim_write(at, sim_random());
	}
	sim_leave_mm();
	if (!sim_random_below(12)) {
		mmput(*member);
		*member = NULL;
	}
}

TEST(rmap_family, 1)
{
	FOR_EACH_SETUP (setup) {
		struct mm *family[FAMILY] = { test_mm(POLICY_DEFAULT) };
		vaddr_t addr = map(family[0], AREA_PAGES, RW, ANON);

		for (unsigned round = 0; round < 400; round++) {
			mutate(family, addr);
			if (round % 20 == 0)
				check_quiet();
		}
		for (unsigned i = 0; i < FAMILY; i++)
			if (family[i])
				test_mm_put(family[i]);
	}
}

/* Each CPU forks from one parent, writes in parent and child, and destroys the child. */
struct storm {
	struct mm *mm;
	vaddr_t addr;
};

static void fork_and_write(void *arg)
{
	struct storm *storm = arg;

	for (unsigned round = 0; round < 25; round++) {
		struct mm *child = test_mm(POLICY_DEFAULT);

		CHECK_EQ(mm_fork(child, storm->mm), 0);
		sim_use_mm(storm->mm);
		for (unsigned i = 0; i < 10; i++)
			put(storm->addr + PAGES(sim_random_below(AREA_PAGES)), i);
		sim_leave_mm();
		sim_use_mm(child);
		for (unsigned i = 0; i < 10; i++)
			put(storm->addr + PAGES(sim_random_below(AREA_PAGES)), i);
		sim_leave_mm();
		mmput(child);
	}
}

TEST(rmap_fork_storm, 4)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = test_mm(POLICY_DEFAULT);
		struct storm storm = { .mm = mm, .addr = map(mm, AREA_PAGES, RW, ANON) };

		for (unsigned cpu = 1; cpu < 4; cpu++)
			sim_start(cpu, fork_and_write, &storm);
		sim_join_all();
		test_mm_put(mm);
	}
}

/*
 * One CPU forks from a process. Parts of its parent's VMA, which share an anon_vma, are unmapped and mapped meanwhile:
 * both CPUs change the counts of the family.
 */
static void fork_again_and_again(void *mm)
{
	for (unsigned round = 0; round < 20; round++)
		mmput(fork_of(mm));
}

TEST(rmap_family_of_parts_that_come_and_go, 2)
{
	struct mm *parent = test_mm(POLICY_MMAP), *child, *grandchild;
	vaddr_t addr = map(parent, 4, RW, ANON);

	put_in(parent, addr, 1);
	child = fork_of(parent);
	grandchild = fork_of(child);
	sim_start(1, fork_again_and_again, grandchild);
	while (sim_running(1)) {
		CHECK_EQ(mm_mprotect(child, addr + PAGES(1), PAGES(1), PROT_READ, -1), 0);
		unmap(child, addr + PAGES(1), 1);
		map_at(child, addr + PAGES(1), 1, RW, ANON);
	}
	sim_join(1);
	test_mm_put(grandchild);
	test_mm_put(child);
	test_mm_put(parent);
}

/* ---- Tests of the checks ----------------------------------------------------------------------------------------- */

TEST(rmap_checker_sees_what_is_wrong, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 4, RW, ANON);
	struct page *page;

	put_in(mm, addr, 1);
	put_in(mm, addr + PAGES(2), 1);
	page = page_at(mm, addr);
	CHECK_EQ(rmap_check(), 0);
	CHECK(check_mapcounts());

	page->mapcount++;
	CHECK_EQ(rmap_check(), 1);
	CHECK(!check_mapcounts());
	page->mapcount--;

	page->index++; /* as if the page were mapped elsewhere, or nowhere */
	CHECK_EQ(rmap_check(), 1);
	page->index--;

	CHECK_EQ(rmap_check(), 0);
	test_mm_put(mm);
}

/* Each count of an address space is made wrong in turn. */
TEST(check_sees_wrong_counts, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	u64 *const counts[] = { &mm->nr_vmas,	   &mm->total_pages, &mm->data_pages,	&mm->stack_pages,
				&mm->locked_pages, &mm->exec_pages,  &mm->shared_pages, &mm->nr_tables };

	put_in(mm, map(mm, 4, RW, ANON), 1);
	CHECK(check_address_spaces());
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		++*counts[i];
		CHECK(!check_address_spaces());
		--*counts[i];
	}
	for (unsigned kind = 0; kind < NR_RSS_KINDS; kind++) {
		mm_rss_add(mm, (enum rss_kind)kind, 1);
		CHECK(!check_address_spaces());
		mm_rss_add(mm, (enum rss_kind)kind, -1);
	}
	CHECK(check_address_spaces());
	test_mm_put(mm);
}

TEST(check_sees_wrong_counts_of_a_mapping, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	struct mapping *mapping = vma_at(mm, addr)->mapping;

	put_in(mm, addr + PAGES(2), 1);
	CHECK(check_mapping_counts());
	mapping->nr_pages++;
	CHECK(!check_mapping_counts());
	mapping->nr_pages--;
	mapping->nr_swapped++;
	CHECK(!check_mapping_counts());
	mapping->nr_swapped--;
	CHECK(check_mapping_counts());
	test_mm_put(mm);
}

TEST(check_sees_leaks, 1)
{
	struct page *page = alloc_page(0);
	struct mm *mm;

	CHECK(!check_pages());
	page_put(page);
	CHECK(check_pages());

	mm = test_mm(POLICY_MMAP);
	CHECK(!check_objects());
	put_in(mm, map(mm, 1, RW, ANON), 1);
	CHECK(!check_pages());
	mmput(mm);
	rcu_barrier();
	CHECK(check_objects());
	CHECK(check_pages());
}
