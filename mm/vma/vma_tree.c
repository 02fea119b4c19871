/* SPDX-License-Identifier: MIT */
/*
 * The B+tree of VMAs. Every change is one operation, vma_tree_replace(), which replaces the entries that overlap a
 * range by up to three others. It builds new nodes from the leaf upwards out of the reserve, publishes the new root by
 * one release store, and only then passes the old nodes to RCU: if it did so before, a reader that starts in between
 * could still find them when the grace period ends.
 *
 * Each entry holds the bounds of its subtree and the largest gap in it, so a search for free space visits only subtrees
 * that have enough. A node has 15 entries: most programs have one leaf and nothing else, and a change copies one node.
 *
 * Locks: writers hold mmap_lock for writing, look-ups hold mmap_lock or are in an RCU section; nothing is taken here.
 */
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"
#include "mm/vma/vma.h"

#define FANOUT 15
#define UNDERFULL 5 /* a node with fewer entries is rebalanced with a neighbour */
#define MAX_HEIGHT 12

/* A VMA in a leaf, a subtree above. */
struct entry {
	u64 start, end;
	u64 gap;    /* the largest gap between two VMAs of the subtree; 0 in a leaf */
	void *slot; /* struct vma in a leaf, struct vma_node above */
};

struct vma_node {
	struct rcu_head rcu; /* not read by look-ups; links the node while it is in the reserve or dead */
	u8 level;	     /* 0: a leaf */
	u8 nr;
	struct entry entries[FANOUT]; /* in order; unused ones end at ~0, for first_above() */
};
_Static_assert(sizeof(struct vma_node) <= 512, "a node fills eight cache lines");

#if DEBUG
#define assert_tree_write_locked(tree)                                                                                 \
	ASSERT(!(tree)->lock || rwsem_is_write_locked_by_me((tree)->lock), "mmap_lock is held for writing")
#define assert_tree_locked(tree) ASSERT(!(tree)->lock || lock_is_held((tree)->lock), "mmap_lock is held")
#define assert_tree_readable(tree)                                                                                     \
	ASSERT(!(tree)->lock || lock_is_held((tree)->lock) || rcu_read_lock_held(),                                    \
	       "mmap_lock or an RCU section is held")
#else
#define assert_tree_write_locked(tree) ((void)(tree))
#define assert_tree_locked(tree) ((void)(tree))
#define assert_tree_readable(tree) ((void)(tree))
#endif

static struct slab_cache *node_cache;

/* A change in progress. */
struct edit {
	struct vma_tree *tree;
	u64 from, to; /* the entries that overlap this are removed */
	const struct vma_range *with;
	unsigned nr_with;
	struct vma_node *dead; /* to be freed once the new root is published */
};

/* Consecutive entries, from which new nodes are assembled. */
struct run {
	const struct entry *entries;
	unsigned nr;
};

/* The new entries that replace those that a change removes from a node. */
struct middle {
	unsigned nr;
	struct entry entries[4];
};

static unsigned replace_below(struct edit *edit, struct vma_node *node, bool insert, struct vma_node **out);
static struct vma_node *grow_root(struct edit *edit, struct vma_node **out, unsigned nr);
static struct vma_node *shrink_root(struct edit *edit, struct vma_node *root);
static void bury(struct edit *edit, struct vma_node *node);
static void seal(struct vma_node *node);

void vma_tree_init_caches(void)
{
	node_cache = slab_create("vma_node", sizeof(struct vma_node), CACHE_LINE);
}

void vma_tree_init(struct vma_tree *tree, const struct rwsem *lock)
{
	tree->root = NULL;
	tree->reserve = NULL;
	tree->nr_reserve = 0;
#if DEBUG
	tree->lock = lock;
#else
	(void)lock;
#endif
}

static void free_subtree(struct vma_node *node)
{
	if (node->level)
		for (unsigned i = 0; i < node->nr; i++)
			free_subtree(node->entries[i].slot);
	slab_free(node_cache, node);
}

void vma_tree_destroy(struct vma_tree *tree)
{
	struct vma_node *node;

	if (tree->root)
		free_subtree(tree->root);
	while ((node = tree->reserve)) {
		tree->reserve = (struct vma_node *)node->rcu.next;
		slab_free(node_cache, node);
	}
	vma_tree_init(tree, NULL);
}

/* ---- The reserve of nodes ---------------------------------------------------------------------------------------- */

static void vma_tree_set_aside(struct vma_tree *tree, struct vma_node *node)
{
	node->rcu.next = (struct rcu_head *)tree->reserve;
	tree->reserve = node;
	tree->nr_reserve++;
}

static struct vma_node *take_reserved(struct vma_tree *tree, unsigned level)
{
	struct vma_node *node = tree->reserve;

	BUG_ON(!node, "a change of the VMA tree needs more nodes than vma_tree_reserve() set aside");
	tree->reserve = (struct vma_node *)node->rcu.next;
	tree->nr_reserve--;
	node->level = level;
	node->nr = 0;
	return node;
}

/*
 * The most nodes that one change of a tree of that height uses at a time. On each level but the top one it builds up to
 * three nodes, and four from those and a neighbour when one is underfull; at the top two, and a new root.
 */
static unsigned nodes_per_change(unsigned height)
{
	return height <= 1 ? 3 : 4 * height + 2;
}

int vma_tree_reserve(struct vma_tree *tree, unsigned nr_changes)
{
	assert_tree_write_locked(tree);
	/* Each change but the last may add a level. In practice at most one does; further changes assume that. */
	unsigned height = tree->root ? tree->root->level + 1u : 1;
	unsigned need = nodes_per_change(height) + (nr_changes - 1) * nodes_per_change(height + 1);

	while (tree->nr_reserve < need) {
		struct vma_node *node = slab_alloc(node_cache, ALLOC_WAIT);

		if (!node)
			return -ENOMEM;
		vma_tree_set_aside(tree, node);
	}
	return 0;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

void vma_tree_replace(struct vma_tree *tree, u64 from, u64 to, const struct vma_range *with, unsigned nr_with)
{
	struct edit edit = { .tree = tree, .from = from, .to = to, .with = with, .nr_with = nr_with };
	struct vma_node *out[4], *root = tree->root, *dead;
	unsigned nr;

	assert_tree_write_locked(tree);
	if (!root) {
		if (!nr_with)
			return;
		root = take_reserved(tree, 0); /* an empty leaf to start with; freed like every old root */
		seal(root);
	}
	nr = replace_below(&edit, root, true, out);
	root = nr > 1 ? grow_root(&edit, out, nr) : nr ? shrink_root(&edit, out[0]) : NULL;
	store_release(&tree->root, root);
	while ((dead = edit.dead)) {
		edit.dead = (struct vma_node *)dead->rcu.next;
		slab_free_rcu(node_cache, dead, &dead->rcu);
	}
}

void vma_tree_insert(struct vma_tree *tree, struct vma *vma, u64 start, u64 end)
{
	assert_tree_write_locked(tree);
	ASSERT(!vma_tree_find_from(tree, start) || vma_tree_find_from(tree, start)->start >= end ||
		       vma_tree_find_from(tree, start) == vma,
	       "a new VMA does not overlap another");
	vma_tree_replace(tree, start, end, &(struct vma_range){ start, end, vma }, 1);
}

void vma_tree_remove(struct vma_tree *tree, struct vma *vma, u64 start)
{
	assert_tree_write_locked(tree);
	ASSERT(vma_tree_find(tree, start) == vma, "the VMA to be removed is in the tree");
	(void)vma;
	vma_tree_replace(tree, start, start + 1, NULL, 0);
}

void vma_tree_set_bounds(struct vma_tree *tree, struct vma *vma, u64 old_start, u64 start, u64 end)
{
	assert_tree_write_locked(tree);
	ASSERT(vma_tree_find(tree, old_start) == vma, "the VMA to be resized is in the tree");
	vma_tree_replace(tree, old_start, old_start + 1, &(struct vma_range){ start, end, vma }, 1);
}

/* The first entry that ends above addr, or the one after the last: four steps of a binary search. */
static inline const struct entry *first_above(const struct vma_node *node, u64 addr)
{
	const struct entry *entry = node->entries;

	_Static_assert(FANOUT == 15, "four steps choose among 15 entries and the end");
	if (entry[7].end <= addr)
		entry += 8;
	if (entry[3].end <= addr)
		entry += 4;
	if (entry[1].end <= addr)
		entry += 2;
	if (entry[0].end <= addr)
		entry += 1;
	return entry;
}

static inline unsigned index_above(const struct vma_node *node, u64 addr)
{
	return first_above(node, addr) - node->entries;
}

static inline const struct entry *last_entry(const struct vma_node *node)
{
	return &node->entries[node->nr - 1];
}

/* The entry that describes a whole node in its parent. */
static struct entry entry_of(const struct vma_node *child)
{
	const struct entry *entry = child->entries;
	u64 gap = entry->gap;

	for (unsigned i = 1; i < child->nr; i++) {
		gap = max(gap, entry[i].gap);
		gap = max(gap, entry[i].start - entry[i - 1].end);
	}
	return (struct entry){ entry->start, last_entry(child)->end, gap, (void *)child };
}

static void seal(struct vma_node *node)
{
	for (struct entry *entry = node->entries + node->nr; entry < node->entries + FANOUT; entry++)
		entry->end = ~0UL;
}

/* Distributes the runs evenly over as few new nodes as hold them. Returns how many. */
static unsigned build(struct edit *edit, unsigned level, const struct run *runs, unsigned nr_runs,
		      struct vma_node **out)
{
	unsigned total = 0, nr_out = 0, each;
	struct vma_node *node;

	for (unsigned r = 0; r < nr_runs; r++)
		total += runs[r].nr;
	if (!total)
		return 0;
	each = (total + FANOUT - 1) / FANOUT;
	each = (total + each - 1) / each;
	node = out[nr_out++] = take_reserved(edit->tree, level);
	for (unsigned r = 0; r < nr_runs; r++) {
		for (unsigned pos = 0, nr; pos < runs[r].nr; pos += nr) {
			if (node->nr == each)
				node = out[nr_out++] = take_reserved(edit->tree, level);
			nr = min(runs[r].nr - pos, each - node->nr);
			memcpy(node->entries + node->nr, runs[r].entries + pos, nr * sizeof(struct entry));
			node->nr += nr;
		}
	}
	for (unsigned i = 0; i < nr_out; i++)
		seal(out[i]);
	return nr_out;
}

static inline struct entry *copy_entries(struct entry *to, const struct entry *from, unsigned nr)
{
	memcpy(to, from, nr * sizeof(*to));
	return to + nr;
}

/* The rare cases of splice(): the result needs two nodes, or none. */
static __noinline unsigned splice_unevenly(struct edit *edit, struct vma_node *node, unsigned i, unsigned j,
					   const struct middle *middle, struct vma_node **out)
{
	const struct run runs[] = { { node->entries, i },
				    { middle->entries, middle->nr },
				    { node->entries + j, node->nr - j } };

	return build(edit, node->level, runs, ARRAY_SIZE(runs), out);
}

/* Replaces `node` by a copy in which the entries of `middle` replace [i, j). Returns the number of nodes in `out`. */
static unsigned splice(struct edit *edit, struct vma_node *node, unsigned i, unsigned j, const struct middle *middle,
		       struct vma_node **out)
{
	unsigned total = i + middle->nr + node->nr - j;
	struct vma_node *new;
	struct entry *to;

	bury(edit, node);
	if (unlikely(total == 0 || total > FANOUT))
		return splice_unevenly(edit, node, i, j, middle, out);
	new = take_reserved(edit->tree, node->level);
	to = copy_entries(new->entries, node->entries, i);
	for (unsigned k = 0; k < middle->nr; k++)
		*to++ = middle->entries[k];
	copy_entries(to, node->entries + j, node->nr - j);
	new->nr = total;
	seal(new);
	out[0] = new;
	return 1;
}

/* The first entry from i on that starts at or above addr. */
static unsigned skip_below(const struct vma_node *node, unsigned i, u64 addr)
{
	while (i < node->nr && node->entries[i].start < addr)
		i++;
	return i;
}

static unsigned replace_in_leaf(struct edit *edit, struct vma_node *leaf, bool insert, struct vma_node **out)
{
	unsigned i = index_above(leaf, edit->from), j = skip_below(leaf, i, edit->to);
	struct middle middle;

	for (middle.nr = 0; insert && middle.nr < edit->nr_with; middle.nr++) {
		const struct vma_range *range = &edit->with[middle.nr];

		middle.entries[middle.nr] = (struct entry){ range->start, range->end, 0, range->vma };
	}
	return splice(edit, leaf, i, j, &middle, out);
}

static bool has_underfull_child(const struct middle *middle)
{
	for (unsigned k = 0; k < middle->nr; k++)
		if (((struct vma_node *)middle->entries[k].slot)->nr < UNDERFULL)
			return true;
	return false;
}

static struct run whole(const struct vma_node *node)
{
	return (struct run){ node->entries, node->nr };
}

static void add_children(struct middle *middle, struct vma_node **children, unsigned nr)
{
	for (unsigned k = 0; k < nr; k++)
		middle->entries[middle->nr++] = entry_of(children[k]);
}

/* Distributes the entries of the new children in `middle` and of one old neighbour, added to [*i, *j), evenly. */
static void rebalance(struct edit *edit, struct vma_node *node, unsigned *i, unsigned *j, struct middle *middle)
{
	struct vma_node *out[4], *neighbour = NULL;
	unsigned nr_runs = 0, nr_out;
	struct run runs[4];

	if (*i > 0) {
		neighbour = node->entries[--*i].slot;
		runs[nr_runs++] = whole(neighbour);
	}
	for (unsigned k = 0; k < middle->nr; k++)
		runs[nr_runs++] = whole(middle->entries[k].slot);
	if (!neighbour && *j < node->nr) {
		neighbour = node->entries[(*j)++].slot;
		runs[nr_runs++] = whole(neighbour);
	}
	nr_out = build(edit, node->level - 1, runs, nr_runs, out);
	if (neighbour)
		bury(edit, neighbour);
	while (middle->nr)
		vma_tree_set_aside(edit->tree, middle->entries[--middle->nr].slot); /* never published */
	add_children(middle, out, nr_out);
}

static void bury_subtree(struct edit *edit, struct vma_node *node)
{
	if (node->level)
		for (unsigned i = 0; i < node->nr; i++)
			bury_subtree(edit, node->entries[i].slot);
	bury(edit, node);
}

/* Replaces in one child, and adds the resulting nodes to `middle`. */
static void replace_in_child(struct edit *edit, struct vma_node *child, bool insert, struct middle *middle)
{
	struct vma_node *out[2];
	unsigned nr = replace_below(edit, child, insert, out);

	add_children(middle, out, nr);
}

/* The children [i, j) overlap the range: those between the first and the last of them are removed whole. */
static unsigned replace_in_inner(struct edit *edit, struct vma_node *node, bool insert, struct vma_node **out)
{
	unsigned i = index_above(node, edit->from), j = skip_below(node, i, edit->to);
	struct middle middle;

	if (i == j) { /* the range lies between two children */
		i = min(i, node->nr - 1u);
		j = i + 1;
	}
	middle.nr = 0;
	replace_in_child(edit, node->entries[i].slot, insert, &middle);
	for (unsigned k = i + 1; k + 1 < j; k++)
		bury_subtree(edit, node->entries[k].slot);
	if (j - i > 1)
		replace_in_child(edit, node->entries[j - 1].slot, false, &middle);
	if (has_underfull_child(&middle))
		rebalance(edit, node, &i, &j, &middle);
	return splice(edit, node, i, j, &middle, out);
}

/* Builds the 0 to 2 nodes that replace `node`, in `out`. The node itself is dead then. */
static unsigned replace_below(struct edit *edit, struct vma_node *node, bool insert, struct vma_node **out)
{
	return node->level ? replace_in_inner(edit, node, insert, out) : replace_in_leaf(edit, node, insert, out);
}

static struct vma_node *grow_root(struct edit *edit, struct vma_node **out, unsigned nr)
{
	struct vma_node *root = take_reserved(edit->tree, out[0]->level + 1);

	for (; root->nr < nr; root->nr++)
		root->entries[root->nr] = entry_of(out[root->nr]);
	seal(root);
	return root;
}

/* Removes roots that have only one child. */
static struct vma_node *shrink_root(struct edit *edit, struct vma_node *root)
{
	struct vma_node *child;

	while (root->level && root->nr == 1) {
		child = root->entries[0].slot;
		vma_tree_set_aside(edit->tree, root);
		root = child;
	}
	return root;
}

static void bury(struct edit *edit, struct vma_node *node)
{
	node->rcu.next = (struct rcu_head *)edit->dead;
	edit->dead = node;
}

/* ---- Look-ups ---------------------------------------------------------------------------------------------------- */

/* The first leaf entry that ends above addr, or NULL. */
static inline const struct entry *seek(const struct vma_tree *tree, u64 addr)
{
	const struct vma_node *node = load_acquire(&tree->root);
	const struct entry *entry;

	if (!node || last_entry(node)->end <= addr)
		return NULL;
	for (;;) { /* the last entry ends above addr, on every level */
		entry = first_above(node, addr);
		if (!node->level)
			return entry;
		node = entry->slot;
	}
}

struct vma *vma_tree_find(const struct vma_tree *tree, u64 addr)
{
	const struct entry *entry = seek(tree, addr);

	assert_tree_readable(tree);
	return entry && entry->start <= addr ? entry->slot : NULL;
}

struct vma *vma_tree_find_from(const struct vma_tree *tree, u64 addr)
{
	const struct entry *entry = seek(tree, addr);

	assert_tree_readable(tree);
	return entry ? entry->slot : NULL;
}

struct vma *vma_tree_find_before(const struct vma_tree *tree, u64 addr)
{
	const struct vma_node *node = load_acquire(&tree->root);
	const struct entry *entry;

	assert_tree_locked(tree);
	if (!node || node->entries[0].start >= addr)
		return NULL;
	for (;;) { /* the first entry starts below addr, on every level */
		entry = first_above(node, addr - 1);
		if (entry == node->entries + node->nr || entry->start >= addr)
			entry--;
		if (!node->level)
			return entry->slot;
		node = entry->slot;
	}
}

struct vma *vma_tree_neighbours(const struct vma_tree *tree, u64 addr, struct vma **prev)
{
	const struct vma_node *root = load_acquire(&tree->root);
	unsigned i;

	assert_tree_locked(tree);
	if (!root || root->level) {
		*prev = vma_tree_find_before(tree, addr);
		return vma_tree_find_from(tree, addr);
	}
	i = index_above(root, addr);
	*prev = i ? root->entries[i - 1].slot : NULL;
	return i < root->nr ? root->entries[i].slot : NULL;
}

/* ---- Free space -------------------------------------------------------------------------------------------------- */

/* Clips the gap [*from, *to) to [low, high). Returns whether len bytes fit. */
static bool gap_fits(u64 *from, u64 *to, u64 len, u64 low, u64 high)
{
	*from = max(*from, low);
	*to = min(*to, high);
	return *from < *to && *to - *from >= len;
}

static bool may_hold_gap(const struct entry *entry, u64 len, u64 low, u64 high)
{
	return entry->gap >= len && entry->start < high && entry->end > low;
}

/* The highest fitting place between two VMAs below this node, or 0. */
static u64 highest_inner_gap(const struct vma_node *node, u64 len, u64 low, u64 high)
{
	u64 from, to, found;

	for (const struct entry *entry = last_entry(node);; entry--) {
		if (may_hold_gap(entry, len, low, high)) {
			found = highest_inner_gap(entry->slot, len, low, high);
			if (found)
				return found;
		}
		if (entry == node->entries || entry->start <= low)
			return 0;
		from = entry[-1].end;
		to = entry->start;
		if (gap_fits(&from, &to, len, low, high))
			return to - len;
	}
}

static u64 lowest_inner_gap(const struct vma_node *node, u64 len, u64 low, u64 high)
{
	u64 from, to, found;

	for (const struct entry *entry = node->entries;; entry++) {
		if (may_hold_gap(entry, len, low, high)) {
			found = lowest_inner_gap(entry->slot, len, low, high);
			if (found)
				return found;
		}
		if (entry == last_entry(node) || entry->end >= high)
			return 0;
		from = entry->end;
		to = entry[1].start;
		if (gap_fits(&from, &to, len, low, high))
			return from;
	}
}

u64 vma_tree_gap_top_down(const struct vma_tree *tree, u64 len, u64 low, u64 high)
{
	const struct vma_node *root = load_acquire(&tree->root);
	u64 from = root ? last_entry(root)->end : 0, to = high, found;

	assert_tree_locked(tree);
	if (gap_fits(&from, &to, len, low, high))
		return to - len;
	found = root ? highest_inner_gap(root, len, low, high) : 0;
	if (found || !root)
		return found;
	from = 0;
	to = root->entries[0].start;
	return gap_fits(&from, &to, len, low, high) ? to - len : 0;
}

u64 vma_tree_gap_bottom_up(const struct vma_tree *tree, u64 len, u64 low, u64 high)
{
	const struct vma_node *root = load_acquire(&tree->root);
	u64 from = 0, to = root ? root->entries[0].start : high, found;

	assert_tree_locked(tree);
	if (gap_fits(&from, &to, len, low, high))
		return from;
	found = root ? lowest_inner_gap(root, len, low, high) : 0;
	if (found || !root)
		return found;
	from = last_entry(root)->end;
	to = high;
	return gap_fits(&from, &to, len, low, high) ? from : 0;
}

/* ---- The checker ------------------------------------------------------------------------------------------------- */

static u64 check_node(const struct vma_node *node);

static u64 vma_tree_check_vma(const struct entry *entry)
{
	const struct vma *vma = entry->slot;

	BUG_ON(vma->start != entry->start || vma->end != entry->end || entry->gap,
	       "VMA tree: the leaf says [%lx, %lx), the VMA says [%lx, %lx)", entry->start, entry->end, vma->start,
	       vma->end);
	return 1;
}

static u64 check_child(const struct vma_node *node, const struct entry *entry)
{
	const struct vma_node *child = entry->slot;
	struct entry expected = entry_of(child);

	BUG_ON(child->level + 1 != node->level, "VMA tree: a child of level %u below level %u", child->level,
	       node->level);
	BUG_ON(entry->start != expected.start || entry->end != expected.end || entry->gap != expected.gap,
	       "VMA tree: the entry [%lx, %lx) gap %lx does not describe its child", entry->start, entry->end,
	       entry->gap);
	return check_node(child);
}

static u64 check_node(const struct vma_node *node)
{
	u64 count = 0;

	BUG_ON(!node->nr || node->nr > FANOUT || node->level >= MAX_HEIGHT,
	       "VMA tree: a node of %u entries on level %u", node->nr, node->level);
	for (unsigned i = 0; i < FANOUT; i++) {
		const struct entry *entry = &node->entries[i];

		if (i >= node->nr) {
			BUG_ON(entry->end != ~0UL, "VMA tree: an unused entry ends at %lx", entry->end);
			continue;
		}
		BUG_ON(entry->start >= entry->end || (i && entry->start < entry[-1].end),
		       "VMA tree: [%lx, %lx) is out of order", entry->start, entry->end);
		count += node->level ? check_child(node, entry) : vma_tree_check_vma(entry);
	}
	return count;
}

u64 vma_tree_check(const struct vma_tree *tree)
{
	const struct vma_node *root = load_acquire(&tree->root);

	assert_tree_locked(tree);
	return root ? check_node(root) : 0;
}
