/* SPDX-License-Identifier: MIT */
/*
 * Implements interval trees; see interval_tree.h.
 *
 * A change links or unlinks one node, and then repairs its ancestors from below: each recomputes its subtree data
 * (height and max_last) from its children, and is rotated when one side is higher than the other by two. The repair
 * stops at an ancestor whose data has not changed, because those above it depend on nothing else.
 *
 * Rejected: a tree for each page offset's VMAs, or a list sorted by start: neither finds a range that begins far below
 * the offset.
 */
#include "mm/machine.h"
#include "mm/vma/interval_tree.h"

enum side { BEFORE, AFTER };

/* ---- Shape ------------------------------------------------------------------------------------------------------- */

static u32 height_of(const struct interval_node *node)
{
	return node ? node->height : 0;
}

/* Recomputes the node's subtree data from its children. Returns whether it changed. */
static bool refresh(struct interval_node *node)
{
	const struct interval_node *before = node->child[BEFORE], *after = node->child[AFTER];
	u32 height = 1 + max(height_of(before), height_of(after));
	u64 max_last = node->last;

	if (before)
		max_last = max(max_last, before->max_last);
	if (after)
		max_last = max(max_last, after->max_last);
	if (node->height == height && node->max_last == max_last)
		return false;
	node->height = height;
	node->max_last = max_last;
	return true;
}

/* Links `with`, which may be NULL, to node's parent in the place of `node`. */
static void replace_child(struct interval_tree *tree, struct interval_node *node, struct interval_node *with)
{
	struct interval_node *parent = node->parent;

	if (!parent)
		tree->root = with;
	else
		parent->child[parent->child[AFTER] == node] = with;
	if (with)
		with->parent = parent;
}

static void set_child(struct interval_node *parent, enum side side, struct interval_node *child)
{
	parent->child[side] = child;
	if (child)
		child->parent = parent;
}

/* Rotates: the child on that side takes the node's place, and the node becomes its other child. Returns the new top. */
static struct interval_node *raise_child(struct interval_tree *tree, struct interval_node *node, enum side side)
{
	struct interval_node *child = node->child[side];

	replace_child(tree, node, child);
	set_child(node, side, child->child[!side]);
	set_child(child, !side, node);
	(void)refresh(node);
	(void)refresh(child);
	return child;
}

/* Both subtrees are balanced, and their heights differ by two at most. Returns the top of the balanced subtree. */
static struct interval_node *interval_balance(struct interval_tree *tree, struct interval_node *node)
{
	u32 before = height_of(node->child[BEFORE]), after = height_of(node->child[AFTER]);
	enum side high = after > before;
	struct interval_node *child = node->child[high];

	if (max(before, after) - min(before, after) < 2)
		return node;
	if (height_of(child->child[!high]) > height_of(child->child[high]))
		(void)raise_child(tree, child, !high);
	return raise_child(tree, node, high);
}

static void repair_upwards(struct interval_tree *tree, struct interval_node *node)
{
	for (; node; node = node->parent) {
		bool changed = refresh(node);
		struct interval_node *top = interval_balance(tree, node);

		if (!changed && top == node)
			return;
		node = top;
	}
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

void interval_tree_insert(struct interval_tree *tree, struct interval_node *node, u64 start, u64 last)
{
	struct interval_node *parent = NULL, *below = tree->root;
	enum side side = BEFORE;

	ASSERT(!interval_node_is_linked(node), "a range is in one tree, once");
	ASSERT(start <= last, "a range is not empty");
	*node = (struct interval_node){ .start = start, .last = last, .serial = tree->nr_inserted++ };
	tree->nr++;
	while (below) {
		parent = below;
		side = parent->start <= start ? AFTER : BEFORE;
		below = parent->child[side];
	}
	if (parent)
		set_child(parent, side, node);
	else
		tree->root = node;
	repair_upwards(tree, node);
}

/* The node has one child at most. */
static void unlink_node(struct interval_tree *tree, struct interval_node *node)
{
	replace_child(tree, node, node->child[node->child[BEFORE] ? BEFORE : AFTER]);
	repair_upwards(tree, node->parent);
}

/* The heir first copies the node's subtree data, from which the ancestors' data was computed; then all are repaired. */
static void take_place_of(struct interval_tree *tree, struct interval_node *heir, struct interval_node *node)
{
	replace_child(tree, node, heir);
	set_child(heir, BEFORE, node->child[BEFORE]);
	set_child(heir, AFTER, node->child[AFTER]);
	heir->height = node->height;
	heir->max_last = node->max_last;
	repair_upwards(tree, heir);
}

void interval_tree_remove(struct interval_tree *tree, struct interval_node *node)
{
	ASSERT(interval_node_is_linked(node), "a range that is removed is in the tree");
	if (node->child[BEFORE] && node->child[AFTER]) {
		struct interval_node *successor = node->child[AFTER];

		while (successor->child[BEFORE])
			successor = successor->child[BEFORE];
		unlink_node(tree, successor);
		take_place_of(tree, successor, node);
	} else {
		unlink_node(tree, node);
	}
	node->height = 0;
	tree->nr--;
}

/* ---- Search ------------------------------------------------------------------------------------------------------ */

static bool reaches(const struct interval_node *subtree, u64 start)
{
	return subtree && subtree->max_last >= start;
}

/*
 * The first range of the subtree that overlaps [start, last]. If ranges before the node end late enough, the first of
 * them is the answer, or it starts too late, and then so do all that follow.
 */
static struct interval_node *first_in(struct interval_node *node, u64 start, u64 last)
{
	while (node) {
		if (reaches(node->child[BEFORE], start)) {
			node = node->child[BEFORE];
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		node = reaches(node->child[AFTER], start) ? node->child[AFTER] : NULL;
	}
	return NULL;
}

struct interval_node *interval_tree_first(const struct interval_tree *tree, u64 start, u64 last)
{
	return reaches(tree->root, start) ? first_in(tree->root, start, last) : NULL;
}

struct interval_node *interval_tree_next(const struct interval_node *node, u64 start, u64 last)
{
	struct interval_node *parent;

	if (reaches(node->child[AFTER], start))
		return first_in(node->child[AFTER], start, last);
	for (; (parent = node->parent) != NULL; node = parent) {
		if (parent->child[AFTER] == node)
			continue; /* the parent is before us in the order */
		if (parent->start > last)
			return NULL;
		if (parent->last >= start)
			return parent;
		if (reaches(parent->child[AFTER], start))
			return first_in(parent->child[AFTER], start, last);
	}
	return NULL;
}

static bool lies_before(const struct interval_node *node, struct interval_cursor cursor)
{
	return node->start < cursor.start || (node->start == cursor.start && node->serial < cursor.serial);
}

struct interval_node *interval_tree_first_behind(const struct interval_tree *tree, struct interval_cursor cursor,
						 u64 start, u64 last)
{
	struct interval_node *node = tree->root, *found = NULL;

	while (node) {
		bool before = lies_before(node, cursor);

		if (!before)
			found = node;
		node = node->child[before ? AFTER : BEFORE];
	}
	if (!found || (found->start <= last && found->last >= start))
		return found;
	return interval_tree_next(found, start, last);
}

/* ---- The checker ------------------------------------------------------------------------------------------------- */

static bool is_in_order(const struct interval_node *a, const struct interval_node *b)
{
	return lies_before(a, (struct interval_cursor){ b->start, b->serial });
}

static bool node_ok(const struct interval_node *node, const struct interval_node *previous)
{
	const struct interval_node *before = node->child[BEFORE], *after = node->child[AFTER];
	u64 max_last = max(node->last, max(before ? before->max_last : 0, after ? after->max_last : 0));
	u32 low = min(height_of(before), height_of(after)), high = max(height_of(before), height_of(after));

	return node->start <= node->last && (!previous || is_in_order(previous, node)) &&
	       (!before || before->parent == node) && (!after || after->parent == node) && node->height == high + 1 &&
	       high - low <= 1 && node->max_last == max_last;
}

/*
 * Returns the number of ranges of the subtree, or -1 if it is wrong. It must follow *previous in the order; sets
 * *previous to its last range.
 */
static s64 check_subtree(const struct interval_node *node, const struct interval_node **previous)
{
	s64 nr_before, nr_after;

	if (!node)
		return 0;
	nr_before = check_subtree(node->child[BEFORE], previous);
	if (nr_before < 0 || !node_ok(node, *previous))
		return -1;
	*previous = node;
	nr_after = check_subtree(node->child[AFTER], previous);
	return nr_after < 0 ? -1 : nr_before + 1 + nr_after;
}

bool interval_tree_check(const struct interval_tree *tree)
{
	const struct interval_node *previous = NULL;

	return (!tree->root || !tree->root->parent) && check_subtree(tree->root, &previous) == (s64)tree->nr;
}

bool interval_tree_contains(const struct interval_tree *tree, const struct interval_node *node)
{
	if (!interval_node_is_linked(node))
		return false;
	while (node->parent)
		node = node->parent;
	return node == tree->root;
}
