/* SPDX-License-Identifier: MIT */
/*
 * The VMAs of an mm, ordered by address: a B+tree whose nodes never change once published. A writer copies the path it
 * changes and publishes a new root; old nodes are freed after an RCU grace period. So a lockless reader sees one
 * consistent tree, takes a bounded number of steps, and never sees an incomplete node (S14).
 *
 * Leaves repeat each VMA's bounds, so that a look-up touches one VMA only, and a writer changes bounds by replacing the
 * leaf, in the VMA's bracket.
 */
#ifndef MM_VMA_TREE_H
#define MM_VMA_TREE_H

#include "kernel/lib/base.h"

struct rwsem;
struct vma;
struct vma_node;

struct vma_tree {
	/* Writers: mmap_lock for writing, store_release; readers: RCU or mmap_lock, load_acquire. */
	struct vma_node *root;
	struct vma_node *reserve; /* mmap_lock for writing: preallocated nodes: a change once begun cannot fail */
	u32 nr_reserve;
#if DEBUG
	const struct rwsem *lock; /* constant: mmap_lock; NULL: only one thread uses the tree */
#endif
};

/* Creates the cache. Context: boot. */
void vma_tree_init_caches(void);
/*
 * Makes an empty tree.
 * @lock: the mmap_lock that guards it, for asserts. NULL: only one thread uses the tree.
 *
 * Context: any.
 */
void vma_tree_init(struct vma_tree *tree, const struct rwsem *lock);
/*
 * Frees nodes and reserve, not the VMAs.
 *
 * Context: thread. Does not sleep. No other thread can reach the tree any more.
 */
void vma_tree_destroy(struct vma_tree *tree);

/*
 * Preallocates nodes for nr_changes insertions, removals or bound changes. Call it before the first change of an
 * operation; unused nodes remain for the next one.
 *
 * Context: mmap_lock held for writing. Sleeps only for memory.
 * Returns: 0; -ENOMEM.
 */
int __must_check vma_tree_reserve(struct vma_tree *tree, unsigned nr_changes);
/*
 * With vma_tree_set_bounds(), the three changes; none can fail after vma_tree_reserve().
 * @start, @end: the bounds that the tree is to hold.
 *
 * Context: mmap_lock held for writing. Do not sleep.
 */
void vma_tree_insert(struct vma_tree *tree, struct vma *vma, u64 start, u64 end);
void vma_tree_remove(struct vma_tree *tree, struct vma *vma, u64 start);
/*
 * Gives the VMA at old_start other bounds, between the same neighbours.
 *
 * Context: mmap_lock held for writing. Does not sleep.
 */
void vma_tree_set_bounds(struct vma_tree *tree, struct vma *vma, u64 old_start, u64 start, u64 end);

/* An entry for vma_tree_replace(). */
struct vma_range {
	u64 start, end;
	struct vma *vma;
};
/*
 * The operation behind all three, atomic for readers: replaces the entries that overlap [from, to) by nr ≤ 3 others, in
 * order, which overlap no remaining entry. Counts as one change.
 *
 * Context: mmap_lock held for writing. Does not sleep.
 */
void vma_tree_replace(struct vma_tree *tree, u64 from, u64 to, const struct vma_range *with, unsigned nr);

/* The VMA that contains addr. Context: mmap_lock or an RCU section held. Does not sleep. Returns: the VMA, or NULL. */
struct vma *vma_tree_find(const struct vma_tree *tree, u64 addr);
/*
 * The first VMA that ends above addr (so contains addr or lies after it).
 *
 * Context: mmap_lock or an RCU section held. Does not sleep.
 * Returns: the VMA, or NULL.
 */
struct vma *vma_tree_find_from(const struct vma_tree *tree, u64 addr);

/* ---- Searches of a tree that stays as it is. Context: mmap_lock held. Does not sleep. ---------------------------- */
/* The last VMA that starts below addr. Returns: the VMA, or NULL. */
struct vma *vma_tree_find_before(const struct vma_tree *tree, u64 addr);

/*
 * vma_tree_find_from(), and in *prev the last VMA that starts below addr: both sides of a gap.
 *
 * Returns: the VMA, or NULL.
 */
struct vma *vma_tree_neighbours(const struct vma_tree *tree, u64 addr, struct vma **prev);

/* The highest gap of len bytes inside [low, high). Returns: its start address, or 0. */
u64 vma_tree_gap_top_down(const struct vma_tree *tree, u64 len, u64 low, u64 high);
/* The lowest such gap. Returns: its start address, or 0. */
u64 vma_tree_gap_bottom_up(const struct vma_tree *tree, u64 len, u64 low, u64 high);

/* Panics on a tree that breaks its own rules (order, gaps, bounds equal to the VMAs'). Returns: the number of VMAs. */
u64 vma_tree_check(const struct vma_tree *tree);

#define vma_tree_for_each(vma, tree) vma_tree_for_each_range (vma, tree, 0, ~0UL)
/* Each VMA that overlaps [from, to), in order; the body may remove or resize the current. Context: mmap_lock held. */
#define vma_tree_for_each_range(vma, tree, from, to)                                                                   \
	for (u64 _next = ((vma) = vma_tree_find_from((tree), (from))) ? (vma)->end : 0; (vma) && (vma)->start < (to);  \
	     (vma) = _next < (to) ? vma_tree_find_from((tree), _next) : NULL, _next = (vma) ? (vma)->end : 0)

#endif
