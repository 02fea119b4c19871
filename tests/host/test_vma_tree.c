/* SPDX-License-Identifier: MIT */
/* Tests of the VMA tree against a simple model: an array with one element for each page. */
#include "test.h"

#include "kernel/lib/string.h"
#include "mm/vma/vma.h"

#include <stdlib.h>

#define BASE 0x100000UL
#define SPAN 2048 /* in pages */

static struct vma_tree tree;
static struct vma *model[SPAN]; /* the VMA that covers each page */

static vaddr_t addr_of(u64 page)
{
	return BASE + PAGES(page);
}

static struct vma *model_find_from(u64 page)
{
	while (page < SPAN && !model[page])
		page++;
	return page < SPAN ? model[page] : NULL;
}

static struct vma *model_find_before(u64 page)
{
	while (page && !model[page - 1])
		page--;
	return page ? model[page - 1] : NULL;
}

static bool model_is_free(u64 start, u64 len)
{
	for (u64 page = start; page < start + len; page++)
		if (model[page])
			return false;
	return true;
}

/* Searches within [low, high). */
static u64 model_gap_top_down(u64 len, u64 low, u64 high)
{
	for (u64 start = high + 1; start-- > low;)
		if (start + len <= high && model_is_free(start, len))
			return addr_of(start);
	return 0;
}

static u64 model_gap_bottom_up(u64 len, u64 low, u64 high)
{
	for (u64 start = low; start + len <= high; start++)
		if (model_is_free(start, len))
			return addr_of(start);
	return 0;
}

static void model_set(struct vma *vma, struct vma *to)
{
	for (u64 page = (vma->start - BASE) >> PAGE_SHIFT; page < (vma->end - BASE) >> PAGE_SHIFT; page++)
		model[page] = to;
}

static struct vma *make_vma(vaddr_t start, vaddr_t end)
{
	struct vma *vma = aligned_alloc(CACHE_LINE, align_up(sizeof(*vma), (size_t)CACHE_LINE));

	memset(vma, 0, sizeof(*vma));
	vma->start = start;
	vma->end = end;
	return vma;
}

static void insert_at(u64 page)
{
	struct vma *vma;
	u64 len = 1, max_len = 1 + sim_random_below(12);

	if (model[page])
		return;
	while (len < max_len && page + len < SPAN && !model[page + len])
		len++;
	vma = make_vma(addr_of(page), addr_of(page + len));
	CHECK_EQ(vma_tree_reserve(&tree, 1), 0);
	vma_tree_insert(&tree, vma, vma->start, vma->end);
	model_set(vma, vma);
}

static void remove_at(u64 page)
{
	struct vma *vma = model[page];

	if (!vma)
		return;
	CHECK_EQ(vma_tree_reserve(&tree, 1), 0);
	vma_tree_remove(&tree, vma, vma->start);
	model_set(vma, NULL);
	free(vma);
}

/* Shrinks from below, or grows downwards into the gap. */
static void resize_at(u64 page)
{
	struct vma *vma = model[page];
	vaddr_t old_start;

	if (!vma)
		return;
	old_start = vma->start;
	CHECK_EQ(vma_tree_reserve(&tree, 1), 0);
	model_set(vma, NULL);
	if (vma->end - vma->start > PAGE_SIZE && sim_random_below(2))
		vma->start += PAGE_SIZE;
	else if (vma->start > BASE && !model[(vma->start - BASE) / PAGE_SIZE - 1])
		vma->start -= PAGE_SIZE;
	vma_tree_set_bounds(&tree, vma, old_start, vma->start, vma->end);
	model_set(vma, vma);
}

static void add_range(struct vma_range *ranges, unsigned *nr, vaddr_t start, vaddr_t end)
{
	if (start < end)
		ranges[(*nr)++] = (struct vma_range){ start, end, make_vma(start, end) };
}

/*
 * Removes all that overlaps [page, page + len), in however many nodes. The parts outside the range stay, and a new VMA
 * may replace the rest.
 */
static void replace_at(u64 page, u64 len)
{
	vaddr_t from = addr_of(page), to = addr_of(page + len), low = from, high = to;
	struct vma_range ranges[3];
	unsigned nr = 0;

	for (u64 i = page, next; i < page + len; i = next) {
		struct vma *vma = model[i];

		next = i + 1;
		if (!vma)
			continue;
		next = (vma->end - BASE) >> PAGE_SHIFT;
		low = min(low, vma->start);
		high = max(high, vma->end);
		model_set(vma, NULL);
		free(vma);
	}
	add_range(ranges, &nr, low, from);
	if (sim_random_below(2))
		add_range(ranges, &nr, from, to);
	add_range(ranges, &nr, to, high);
	CHECK_EQ(vma_tree_reserve(&tree, 1), 0);
	vma_tree_replace(&tree, from, to, ranges, nr);
	for (unsigned i = 0; i < nr; i++)
		model_set(ranges[i].vma, ranges[i].vma);
}

/* Compares gaps in [low, high), which may be the whole span, any part of it, or empty. */
static void compare_gaps(u64 low, u64 high)
{
	u64 len = 1 + sim_random_below(20);

	CHECK_EQ(vma_tree_gap_top_down(&tree, PAGES(len), addr_of(low), addr_of(high)),
		 model_gap_top_down(len, low, high));
	CHECK_EQ(vma_tree_gap_bottom_up(&tree, PAGES(len), addr_of(low), addr_of(high)),
		 model_gap_bottom_up(len, low, high));
}

static void compare_at(u64 page)
{
	vaddr_t inside = addr_of(page) + sim_random_below(PAGE_SIZE);
	struct vma *prev;

	CHECK(vma_tree_find(&tree, inside) == model[page]);
	CHECK(vma_tree_find_from(&tree, inside) == model_find_from(page));
	CHECK(vma_tree_find_before(&tree, addr_of(page)) == model_find_before(page));
	if (!model[page] || model[page]->start == addr_of(page)) {
		CHECK(vma_tree_neighbours(&tree, addr_of(page), &prev) == model_find_from(page));
		CHECK(prev == model_find_before(page));
	}
	compare_gaps(0, SPAN);
	compare_gaps(page, min(page + sim_random_below(100), (u64)SPAN));
	compare_gaps(sim_random_below(SPAN), sim_random_below(SPAN));
}

TEST(vma_tree_equals_the_model, 1)
{
	for (unsigned round = 0; round < 12000; round++) {
		u64 page = sim_random_below(SPAN);
		u64 action = sim_random_below(16), growth = round % 4000 < 2000 ? 10 : 4;

		if (action < growth)
			insert_at(page);
		else if (action < 12)
			remove_at(page);
		else if (action < 14)
			resize_at(page);
		else
			replace_at(page, min(1 + sim_random_below(round % 64 ? 24 : 800), (u64)SPAN - page));
		if (round % 8 == 0)
			compare_at(sim_random_below(SPAN));
		if (round % 256 == 0) {
			(void)vma_tree_check(&tree);
			sim_user_boundary();
		}
	}
	for (u64 page = 0; page < SPAN; page++)
		remove_at(page);
	CHECK_EQ(vma_tree_check(&tree), 0);
	vma_tree_destroy(&tree);
}

/* Destroying a tree frees its nodes, and the nodes in reserve: the check at the end of each test counts them. */
TEST(vma_tree_is_destroyed_with_all_its_nodes, 1)
{
	for (unsigned size = 0; size <= 3; size++) {
		for (u64 page = 0; page < SPAN && size; page += size == 1 ? 512 : 40 / size)
			insert_at(page);
		CHECK_EQ(vma_tree_reserve(&tree, 3), 0);
		vma_tree_destroy(&tree);
		CHECK(!tree.root && !tree.reserve && !tree.nr_reserve);
		for (u64 page = 0; page < SPAN; page++)
			if (model[page] && (!page || model[page - 1] != model[page]))
				free(model[page]);
		memset(model, 0, sizeof(model));
	}
}

/* ---- S14: look-ups concurrent with a writer ---------------------------------------------------------------------- */

static bool stop;
static struct vma *fixed[64]; /* VMAs that stay, while others between them come and go */

static void look_up(void *arg)
{
	(void)arg;
	while (!READ_ONCE(stop)) {
		u64 i = sim_random_below(64);

		rcu_read_lock();
		CHECK(vma_tree_find(&tree, addr_of(i * 16 + 3)) == fixed[i]);
		rcu_read_unlock();
		sim_user_boundary();
	}
}

/* A VMA that stays is always found, whatever changes around it. */
TEST(s14_lookups_beside_a_writer, 4)
{
	for (u64 i = 0; i < 64; i++) {
		insert_at(i * 16 + 3);
		fixed[i] = model[i * 16 + 3];
	}
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, look_up, NULL);
	for (unsigned round = 0; round < 4000; round++) {
		u64 page = sim_random_below(1024);

		if (!model[page])
			insert_at(page);
		else if (fixed[page / 16] != model[page] && (page < 16 || fixed[page / 16 - 1] != model[page]))
			remove_at(page);
		sim_user_boundary();
	}
	WRITE_ONCE(stop, true);
	sim_join_all();
	for (u64 page = 0; page < SPAN; page++)
		remove_at(page);
	vma_tree_destroy(&tree);
}
