/* SPDX-License-Identifier: MIT */
/* Tests of the interval tree against a simple model: an array of ranges that is searched from end to end. */
#include "test.h"

#include "mm/vma/interval_tree.h"

#define NR_RANGES 300
#define SPAN 128 /* few offsets, so that many ranges start at the same one */

static struct interval_tree tree;
static struct interval_node nodes[NR_RANGES];

static bool comes_before(const struct interval_node *a, const struct interval_node *b)
{
	return a->start != b->start ? a->start < b->start : a->serial < b->serial;
}

/* Returns the first range after `previous` that meets [start, last]; if `previous` is NULL, the first of all. */
static struct interval_node *model_next(const struct interval_node *previous, u64 start, u64 last)
{
	struct interval_node *found = NULL;

	for (struct interval_node *node = nodes; node < nodes + NR_RANGES; node++) {
		if (!interval_node_is_linked(node) || node->start > last || node->last < start)
			continue;
		if ((!previous || comes_before(previous, node)) && (!found || comes_before(node, found)))
			found = node;
	}
	return found;
}

static u64 model_nr(void)
{
	u64 nr = 0;

	for (struct interval_node *node = nodes; node < nodes + NR_RANGES; node++)
		nr += interval_node_is_linked(node);
	return nr;
}

static void compare(u64 start, u64 last)
{
	struct interval_node *node = interval_tree_first(&tree, start, last), *expected = model_next(NULL, start, last);

	CHECK(node == expected);
	while (node) {
		struct interval_cursor behind = interval_cursor_behind(node);

		expected = model_next(node, start, last);
		node = interval_tree_next(node, start, last);
		CHECK(node == expected);
		CHECK(interval_tree_first_behind(&tree, behind, start, last) == expected);
	}
}

/*
 * Picks the last offset for a range of one offset, a short one, or one of any length. Long ranges must be found far
 * from their start.
 */
static u64 some_last(u64 start)
{
	u64 kind = sim_random_below(4), room = SPAN - 1 - start;

	return start + (kind == 0 || !room ? 0 : sim_random_below(kind == 3 ? room + 1 : min(room + 1, 8UL)));
}

static void insert(struct interval_node *node)
{
	u64 start = sim_random_below(SPAN);

	interval_tree_insert(&tree, node, start, some_last(start));
	CHECK(interval_tree_contains(&tree, node));
}

TEST(interval_tree_equals_the_model, 1)
{
	for (unsigned round = 0; round < 6000; round++) {
		struct interval_node *node = &nodes[sim_random_below(NR_RANGES)];
		bool grows = round % 2000 < 1000;
		u64 start = sim_random_below(SPAN);

		if (!interval_node_is_linked(node)) {
			if (grows || sim_random_below(4) == 0)
				insert(node);
		} else if (!grows || sim_random_below(4) == 0) {
			interval_tree_remove(&tree, node);
			CHECK(!interval_tree_contains(&tree, node));
		}
		CHECK(interval_tree_check(&tree));
		if (round % 16 == 0)
			compare(start, some_last(start));
	}
	CHECK_EQ(tree.nr, model_nr());
	compare(0, ~0UL);
	for (struct interval_node *node = nodes; node < nodes + NR_RANGES; node++)
		if (interval_node_is_linked(node))
			interval_tree_remove(&tree, node);
	CHECK(interval_tree_is_empty(&tree));
}

/*
 * A cursor keeps its place when its range is removed, and precedes a range that is inserted later with the same start.
 */
TEST(interval_tree_cursor_outlives_its_range, 1)
{
	struct interval_cursor cursor = { 0 };

	for (unsigned i = 0; i < 8; i++)
		interval_tree_insert(&tree, &nodes[i], 5, 5 + i);
	CHECK(interval_tree_first_behind(&tree, cursor, 0, ~0UL) == &nodes[0]);
	cursor = interval_cursor_behind(&nodes[3]);
	interval_tree_remove(&tree, &nodes[3]);
	CHECK(interval_tree_first_behind(&tree, cursor, 0, ~0UL) == &nodes[4]);
	CHECK(interval_tree_first_behind(&tree, cursor, 11, 11) == &nodes[6]);
	interval_tree_insert(&tree, &nodes[3], 5, 5);
	for (unsigned i = 4; i < 8; i++)
		interval_tree_remove(&tree, &nodes[i]);
	CHECK(interval_tree_first_behind(&tree, cursor, 0, ~0UL) == &nodes[3]);
	for (unsigned i = 0; i < 4; i++)
		interval_tree_remove(&tree, &nodes[i]);
}

/* Insertion in ascending order would degrade an unbalanced search tree to a list. */
TEST(interval_tree_stays_low, 1)
{
	static struct interval_node many[1 << 14];

	for (u64 i = 0; i < ARRAY_SIZE(many); i++)
		interval_tree_insert(&tree, &many[i], i, i);
	CHECK(interval_tree_check(&tree));
	CHECK(tree.root->height <= 20); /* at most 1.44 times 14 */
	for (u64 i = 0; i < ARRAY_SIZE(many) - 100; i++)
		interval_tree_remove(&tree, &many[i]);
	CHECK(interval_tree_check(&tree));
	CHECK(tree.root->height <= 9);
	for (u64 i = ARRAY_SIZE(many) - 100; i < ARRAY_SIZE(many); i++)
		interval_tree_remove(&tree, &many[i]);
}

/* The checker detects each kind of damage. */
TEST(interval_tree_check_notices, 1)
{
	struct interval_node *leaf;

	for (unsigned i = 0; i < 20; i++)
		interval_tree_insert(&tree, &nodes[i], i, 2 * i);
	CHECK(interval_tree_check(&tree));
	for (leaf = tree.root; leaf->child[1]; leaf = leaf->child[1])
		;
	leaf->last++;
	CHECK(!interval_tree_check(&tree));
	leaf->last--;
	leaf->start = 0;
	CHECK(!interval_tree_check(&tree));
	leaf->start = 19;
	leaf->parent->height++;
	CHECK(!interval_tree_check(&tree));
	leaf->parent->height--;
	tree.nr++;
	CHECK(!interval_tree_check(&tree));
	tree.nr--;
	for (unsigned side = 0; side < 2; side++) {
		tree.root->child[side]->parent = leaf;
		CHECK(!interval_tree_check(&tree));
		tree.root->child[side]->parent = tree.root;
	}
	tree.root->parent = leaf;
	CHECK(!interval_tree_check(&tree));
	tree.root->parent = NULL;
	CHECK(interval_tree_check(&tree));
}
