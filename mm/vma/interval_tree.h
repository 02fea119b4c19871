/* SPDX-License-Identifier: MIT */
/*
 * Interval trees: sets of page-offset ranges [start, last], which may overlap, searched for those that overlap a given
 * range. Each is an AVL tree ordered by start, in which each node also holds the greatest last of its subtree, so that
 * a search skips subtrees that end too early. The links are embedded in the objects. Ranges with equal starts keep the
 * order in which they were inserted.
 *
 * The reverse map has two kinds: the VMAs that map a mapping, and the VMAs in which pages of an anon_vma may be mapped.
 *
 * No locking of its own. Insertion, removal and search take O(log n) steps, and each further range found O(log n) at
 * most. Nothing sleeps or allocates.
 *
 * Mirrors: Linux, lib/interval_tree_generic.h and mm/interval_tree.c, on another kind of balanced tree.
 */
#ifndef MM_INTERVAL_TREE_H
#define MM_INTERVAL_TREE_H

#include "kernel/lib/base.h"

struct interval_node {
	u64 start, last; /* inclusive; constant while the node is in a tree */
	u64 serial;	 /* number of its insertion: orders ranges with equal starts */
	u64 max_last;	 /* the greatest last of the subtree */
	struct interval_node *parent;
	struct interval_node *child[2]; /* subtrees of the ranges before it and after it */
	u32 height;			/* of the subtree: 1 for a leaf; 0: in no tree */
};

struct interval_tree {
	struct interval_node *root;
	u64 nr;		 /* ranges in the tree */
	u64 nr_inserted; /* so far; while unchanged, no range has been added to the tree */
};

/* ---- The tree is locked by its owner. Context: any. -------------------------------------------------------------- */
/* An empty tree is one whose bytes are zero; so is a node that is in no tree. */
static inline void interval_tree_init(struct interval_tree *tree)
{
	*tree = (struct interval_tree){ 0 };
}
static inline bool interval_tree_is_empty(const struct interval_tree *tree)
{
	return !tree->root;
}
static inline bool interval_node_is_linked(const struct interval_node *node)
{
	return node->height != 0;
}

/*
 * The node is in no tree.
 * @start, @last: the range, last included; start <= last.
 */
void interval_tree_insert(struct interval_tree *tree, struct interval_node *node, u64 start, u64 last);
/* The node is in this tree. */
void interval_tree_remove(struct interval_tree *tree, struct interval_node *node);

/* The first range, in the order of the tree, that overlaps [start, last]. Returns: its node, or NULL. */
struct interval_node *interval_tree_first(const struct interval_tree *tree, u64 start, u64 last);
/* The first such range after the node, which is in the tree. Returns: its node, or NULL. */
struct interval_node *interval_tree_next(const struct interval_node *node, u64 start, u64 last);

#define interval_tree_for_each(node, tree, start, last)                                                                \
	for ((node) = interval_tree_first((tree), (start), (last)); (node);                                            \
	     (node) = interval_tree_next((node), (start), (last)))

/*
 * A position between two ranges in the order, which stays valid when the tree changes: a walk that drops the tree's
 * lock between two ranges continues after the last one that it visited, even if that has been removed.
 */
struct interval_cursor {
	u64 start, serial; /* zeros: before the first range */
};

static inline struct interval_cursor interval_cursor_behind(const struct interval_node *node)
{
	return (struct interval_cursor){ node->start, node->serial + 1 };
}
/* As interval_tree_first(), among the ranges after the cursor. Returns: its node, or NULL. */
struct interval_node *interval_tree_first_behind(const struct interval_tree *tree, struct interval_cursor cursor,
						 u64 start, u64 last);

/*
 * For tests and the debug kernel's checks.
 *
 * Returns: true if the tree is ordered and balanced, and its subtree data and its number of ranges are correct.
 */
bool interval_tree_check(const struct interval_tree *tree);
/* For asserts. Returns: true if the node is in that tree. */
bool interval_tree_contains(const struct interval_tree *tree, const struct interval_node *node);

#endif
