/* SPDX-License-Identifier: MIT */
/*
 * The B+tree of VMAs. Every change is one operation, vma_tree_replace(): the entries that overlap a range give way to up
 * to three others. It builds new nodes from the leaf upwards out of those set aside, publishes the new root by one
 * release store, and only then hands the old nodes to RCU: handed over before, a reader that starts in between could
 * still find them when the grace period ends.
 *
 * Each entry carries the bounds of what lies below it and the largest gap inside, so a search for free space looks only
 * where there is some. A node has 15 entries: most programs have one leaf and nothing else, and a change copies one node.
 *
 * Locks: writers hold mmap_lock for writing, look-ups hold mmap_lock or are in an RCU section; nothing is taken here.
 */
#include "kernel/errno.h"
#include "mm/vma.h"
#include "mm/slab.h"

#define FANOUT 15
#define UNDERFULL 5 /* a node with fewer entries shares with a neighbour */
#define MAX_HEIGHT 12

struct vma_node {
	struct rcu_head rcu; /* not read by look-ups; links the node while it is set aside or dead */
	u8 level;	     /* 0: a leaf */
	u8 nr;
	u64 end[FANOUT + 1]; /* end[nr] is ~0, so that a search stops by itself */
	u64 start[FANOUT];
	u64 gap[FANOUT];    /* the largest gap between two VMAs below; 0 in a leaf */
	void *slot[FANOUT]; /* struct vma in a leaf, struct vma_node above */
};
_Static_assert(sizeof(struct vma_node) == 512, "a node fills eight cache lines");

static struct slab_cache *node_cache;

/* One change under way. */
struct edit {
	struct vma_tree *tree;
	u64 from, to; /* the entries that overlap this go */
	const struct vma_range *with;
	unsigned nr_with;
	struct vma_node *dead; /* to be freed once the new root is published */
};

/* Entries [from, to) of a node: what new nodes are put together from. */
struct run {
	const struct vma_node *node;
	unsigned from, to;
};

static unsigned replace_below(struct edit *edit, struct vma_node *node, bool insert, struct vma_node **out);
static struct vma_node *grow_root(struct edit *edit, struct vma_node **out, unsigned nr);
static struct vma_node *shrink_root(struct edit *edit, struct vma_node *root);
static void bury(struct edit *edit, struct vma_node *node);

void vma_tree_init_caches(void)
{
	node_cache = slab_create("vma_node", sizeof(struct vma_node), CACHE_LINE);
}

void vma_tree_init(struct vma_tree *tree)
{
	tree->root = NULL;
	tree->reserve = NULL;
	tree->nr_reserve = 0;
}

static void free_subtree(struct vma_node *node)
{
	if (node->level)
		for (unsigned i = 0; i < node->nr; i++)
			free_subtree(node->slot[i]);
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
	vma_tree_init(tree);
}

/* ---- Nodes set aside --------------------------------------------------------------------------------------------- */

static void set_aside(struct vma_tree *tree, struct vma_node *node)
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
 * The most nodes that one change of a tree of that height holds at a time. On each level but the top one it makes up to
 * three nodes, and four from those and a neighbour when one is underfull; at the top two, and a new root.
 */
static unsigned nodes_per_change(unsigned height)
{
	return height <= 1 ? 3 : 4 * height + 2;
}

int vma_tree_reserve(struct vma_tree *tree, unsigned nr_changes)
{
	/* Each change but the last may add a level. In practice one does at most, so that is what further ones assume. */
	unsigned height = tree->root ? tree->root->level + 1u : 1;
	unsigned need = nodes_per_change(height) + (nr_changes - 1) * nodes_per_change(height + 1);

	while (tree->nr_reserve < need) {
		struct vma_node *node = slab_alloc(node_cache, 0);

		if (!node)
			return -ENOMEM;
		set_aside(tree, node);
	}
	return 0;
}

/* ---- Changes ------------------------------------------------------------------------------------------------------ */

void vma_tree_replace(struct vma_tree *tree, u64 from, u64 to, const struct vma_range *with, unsigned nr_with)
{
	struct edit edit = { .tree = tree, .from = from, .to = to, .with = with, .nr_with = nr_with };
	struct vma_node *out[4], *root = tree->root, *dead;
	unsigned nr;

	if (!root) {
		if (!nr_with)
			return;
		root = take_reserved(tree, 0); /* an empty leaf to begin with; it goes the way of every old root */
		root->end[0] = ~0UL;
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
	ASSERT(!vma_tree_find_from(tree, start) || vma_tree_find_from(tree, start)->start >= end ||
		       vma_tree_find_from(tree, start) == vma,
	       "a new VMA does not overlap another");
	vma_tree_replace(tree, start, end, &(struct vma_range){ start, end, vma }, 1);
}

void vma_tree_remove(struct vma_tree *tree, struct vma *vma, u64 start)
{
	ASSERT(vma_tree_find(tree, start) == vma, "the VMA to be removed is in the tree");
	(void)vma;
	vma_tree_replace(tree, start, start + 1, NULL, 0);
}

void vma_tree_set_bounds(struct vma_tree *tree, struct vma *vma, u64 old_start, u64 start, u64 end)
{
	ASSERT(vma_tree_find(tree, old_start) == vma, "the VMA to be resized is in the tree");
	vma_tree_replace(tree, old_start, old_start + 1, &(struct vma_range){ start, end, vma }, 1);
}

/* The first entry that ends above addr, or nr. */
static inline unsigned first_above(const struct vma_node *node, u64 addr)
{
	unsigned i = 0;

	while (node->end[i] <= addr)
		i++;
	return i;
}

static inline void append(struct vma_node *node, u64 start, u64 end, u64 gap, void *slot)
{
	unsigned i = node->nr++;

	node->start[i] = start;
	node->end[i] = end;
	node->gap[i] = gap;
	node->slot[i] = slot;
}

/* The entry that stands for a whole node in its parent. */
static void append_child(struct vma_node *parent, struct vma_node *child)
{
	u64 gap = child->gap[0];

	for (unsigned i = 1; i < child->nr; i++) {
		gap = max(gap, child->gap[i]);
		gap = max(gap, child->start[i] - child->end[i - 1]);
	}
	append(parent, child->start[0], child->end[child->nr - 1], gap, child);
}

static void copy_run(struct vma_node *to, const struct vma_node *from, unsigned first, unsigned nr)
{
	for (unsigned i = first; i < first + nr; i++)
		append(to, from->start[i], from->end[i], from->gap[i], from->slot[i]);
}

/* Puts the runs into as few new nodes as hold them, evenly. Returns how many. */
static unsigned build(struct edit *edit, unsigned level, const struct run *runs, unsigned nr_runs,
		      struct vma_node **out)
{
	unsigned total = 0, nr_out = 0, each;

	for (unsigned r = 0; r < nr_runs; r++)
		total += runs[r].to - runs[r].from;
	if (!total)
		return 0;
	each = (total + FANOUT - 1) / FANOUT;
	each = (total + each - 1) / each;
	out[0] = take_reserved(edit->tree, level);
	for (unsigned r = 0; r < nr_runs; r++) {
		for (unsigned pos = runs[r].from, nr; pos < runs[r].to; pos += nr) {
			if (out[nr_out]->nr == each)
				out[++nr_out] = take_reserved(edit->tree, level);
			nr = min(runs[r].to - pos, each - out[nr_out]->nr);
			copy_run(out[nr_out], runs[r].node, pos, nr);
		}
	}
	for (unsigned i = 0; i <= nr_out; i++)
		out[i]->end[out[i]->nr] = ~0UL;
	return nr_out + 1;
}

/* `node` without its entries [i, j), with those of `middle` in their place. */
static unsigned splice(struct edit *edit, struct vma_node *node, unsigned i, unsigned j, const struct vma_node *middle,
		       struct vma_node **out)
{
	const struct run runs[] = { { node, 0, i }, { middle, 0, middle->nr }, { node, j, node->nr } };

	bury(edit, node);
	return build(edit, node->level, runs, ARRAY_SIZE(runs), out);
}

static unsigned replace_in_leaf(struct edit *edit, struct vma_node *leaf, bool insert, struct vma_node **out)
{
	unsigned i = first_above(leaf, edit->from), j = i;
	struct vma_node middle;

	while (j < leaf->nr && leaf->start[j] < edit->to)
		j++;
	middle.nr = 0;
	for (unsigned k = 0; insert && k < edit->nr_with; k++)
		append(&middle, edit->with[k].start, edit->with[k].end, 0, edit->with[k].vma);
	return splice(edit, leaf, i, j, &middle, out);
}

static bool has_underfull_child(const struct vma_node *middle)
{
	for (unsigned k = 0; k < middle->nr; k++)
		if (((struct vma_node *)middle->slot[k])->nr < UNDERFULL)
			return true;
	return false;
}

/* Shares the entries of the new children in `middle` and of one old neighbour, [*i, *j) growing by it, evenly. */
static void rebalance(struct edit *edit, struct vma_node *node, unsigned *i, unsigned *j, struct vma_node *middle)
{
	struct vma_node *out[4], *child, *neighbour = NULL;
	unsigned nr_runs = 0, nr_out;
	struct run runs[4];

	if (*i > 0) {
		neighbour = node->slot[--*i];
		runs[nr_runs++] = (struct run){ neighbour, 0, neighbour->nr };
	}
	for (unsigned k = 0; k < middle->nr; k++) {
		child = middle->slot[k];
		runs[nr_runs++] = (struct run){ child, 0, child->nr };
	}
	if (!neighbour && *j < node->nr) {
		neighbour = node->slot[(*j)++];
		runs[nr_runs++] = (struct run){ neighbour, 0, neighbour->nr };
	}
	nr_out = build(edit, node->level - 1, runs, nr_runs, out);
	if (neighbour)
		bury(edit, neighbour);
	for (unsigned k = 0; k < middle->nr; k++)
		set_aside(edit->tree, middle->slot[k]); /* never published */
	middle->nr = 0;
	for (unsigned k = 0; k < nr_out; k++)
		append_child(middle, out[k]);
}

static void bury_subtree(struct edit *edit, struct vma_node *node)
{
	if (node->level)
		for (unsigned i = 0; i < node->nr; i++)
			bury_subtree(edit, node->slot[i]);
	bury(edit, node);
}

/* Replaces in the child at `slot` of a node; what becomes of it joins `middle`. */
static void replace_in_child(struct edit *edit, struct vma_node *child, bool insert, struct vma_node *middle)
{
	struct vma_node *out[4];
	unsigned nr = replace_below(edit, child, insert, out);

	for (unsigned k = 0; k < nr; k++)
		append_child(middle, out[k]);
}

/* The children [i, j) overlap the range: what is between the first and the last of them goes as a whole. */
static unsigned replace_in_inner(struct edit *edit, struct vma_node *node, bool insert, struct vma_node **out)
{
	unsigned i = first_above(node, edit->from), j = i;
	struct vma_node middle;

	while (j < node->nr && node->start[j] < edit->to)
		j++;
	if (i == j) { /* the range lies between two children */
		i = min(i, node->nr - 1u);
		j = i + 1;
	}
	middle.nr = 0;
	replace_in_child(edit, node->slot[i], insert, &middle);
	for (unsigned k = i + 1; k + 1 < j; k++)
		bury_subtree(edit, node->slot[k]);
	if (j - i > 1)
		replace_in_child(edit, node->slot[j - 1], false, &middle);
	if (has_underfull_child(&middle))
		rebalance(edit, node, &i, &j, &middle);
	return splice(edit, node, i, j, &middle, out);
}

/* What replaces `node`: 0 to 2 nodes in `out`. The node itself is dead then. */
static unsigned replace_below(struct edit *edit, struct vma_node *node, bool insert, struct vma_node **out)
{
	return node->level ? replace_in_inner(edit, node, insert, out) : replace_in_leaf(edit, node, insert, out);
}

static struct vma_node *grow_root(struct edit *edit, struct vma_node **out, unsigned nr)
{
	struct vma_node *root = take_reserved(edit->tree, out[0]->level + 1);

	for (unsigned k = 0; k < nr; k++)
		append_child(root, out[k]);
	root->end[nr] = ~0UL;
	return root;
}

/* A root with one child is not needed. */
static struct vma_node *shrink_root(struct edit *edit, struct vma_node *root)
{
	struct vma_node *child;

	while (root->level && root->nr == 1) {
		child = root->slot[0];
		set_aside(edit->tree, root);
		root = child;
	}
	return root;
}

static void bury(struct edit *edit, struct vma_node *node)
{
	node->rcu.next = (struct rcu_head *)edit->dead;
	edit->dead = node;
}

/* ---- Look-ups ----------------------------------------------------------------------------------------------------- */

/* The leaf and the entry that end first above addr. False: there is none. */
static inline bool seek(const struct vma_tree *tree, u64 addr, const struct vma_node **leaf, unsigned *entry)
{
	const struct vma_node *node = load_acquire(&tree->root);
	unsigned i;

	if (!node || addr == ~0UL) /* ~0 is the mark that ends a search */
		return false;
	for (;;) {
		i = first_above(node, addr);
		if (i == node->nr)
			return false;
		if (!node->level)
			break;
		node = node->slot[i];
	}
	*leaf = node;
	*entry = i;
	return true;
}

struct vma *vma_tree_find(const struct vma_tree *tree, u64 addr)
{
	const struct vma_node *leaf;
	unsigned i;

	return seek(tree, addr, &leaf, &i) && leaf->start[i] <= addr ? leaf->slot[i] : NULL;
}

struct vma *vma_tree_find_from(const struct vma_tree *tree, u64 addr)
{
	const struct vma_node *leaf;
	unsigned i;

	return seek(tree, addr, &leaf, &i) ? leaf->slot[i] : NULL;
}

struct vma *vma_tree_find_before(const struct vma_tree *tree, u64 addr)
{
	const struct vma_node *node = load_acquire(&tree->root);
	unsigned i;

	if (!node || node->start[0] >= addr)
		return NULL;
	for (;;) {
		for (i = node->nr - 1; node->start[i] >= addr; i--)
			; /* start[0] is below addr, on every level: ends */
		if (!node->level)
			return node->slot[i];
		node = node->slot[i];
	}
}

/* ---- Free space --------------------------------------------------------------------------------------------------- */

/* The part of the gap [from, to) inside [low, high) holds len bytes. */
static bool gap_fits(u64 *from, u64 *to, u64 len, u64 low, u64 high)
{
	*from = max(*from, low);
	*to = min(*to, high);
	return *from < *to && *to - *from >= len;
}

static bool may_hold_gap(const struct vma_node *node, unsigned i, u64 len, u64 low, u64 high)
{
	return node->gap[i] >= len && node->start[i] < high && node->end[i] > low;
}

/* Between two VMAs below this node. */
static u64 highest_inner_gap(const struct vma_node *node, u64 len, u64 low, u64 high)
{
	u64 from, to, found;

	for (unsigned i = node->nr; i-- > 0;) {
		if (may_hold_gap(node, i, len, low, high)) {
			found = highest_inner_gap(node->slot[i], len, low, high);
			if (found)
				return found;
		}
		if (!i || node->start[i] <= low)
			break;
		from = node->end[i - 1];
		to = node->start[i];
		if (gap_fits(&from, &to, len, low, high))
			return to - len;
	}
	return 0;
}

static u64 lowest_inner_gap(const struct vma_node *node, u64 len, u64 low, u64 high)
{
	u64 from, to, found;

	for (unsigned i = 0; i < node->nr; i++) {
		from = i ? node->end[i - 1] : node->start[0];
		to = node->start[i];
		if (gap_fits(&from, &to, len, low, high))
			return from;
		if (node->start[i] >= high)
			break;
		if (may_hold_gap(node, i, len, low, high)) {
			found = lowest_inner_gap(node->slot[i], len, low, high);
			if (found)
				return found;
		}
	}
	return 0;
}

u64 vma_tree_gap_top_down(const struct vma_tree *tree, u64 len, u64 low, u64 high)
{
	const struct vma_node *root = load_acquire(&tree->root);
	u64 from = root ? root->end[root->nr - 1] : 0, to = high, found;

	if (gap_fits(&from, &to, len, low, high))
		return to - len;
	found = root ? highest_inner_gap(root, len, low, high) : 0;
	if (found || !root)
		return found;
	from = 0;
	to = root->start[0];
	return gap_fits(&from, &to, len, low, high) ? to - len : 0;
}

u64 vma_tree_gap_bottom_up(const struct vma_tree *tree, u64 len, u64 low, u64 high)
{
	const struct vma_node *root = load_acquire(&tree->root);
	u64 from = 0, to = root ? root->start[0] : high, found;

	if (gap_fits(&from, &to, len, low, high))
		return from;
	found = root ? lowest_inner_gap(root, len, low, high) : 0;
	if (found || !root)
		return found;
	from = root->end[root->nr - 1];
	to = high;
	return gap_fits(&from, &to, len, low, high) ? from : 0;
}

/* ---- The checker -------------------------------------------------------------------------------------------------- */

static void check_leaf_entry(const struct vma_node *leaf, unsigned i)
{
	const struct vma *vma = leaf->slot[i];

	BUG_ON(vma->start != leaf->start[i] || vma->end != leaf->end[i],
	       "VMA tree: the leaf says [%lx, %lx), the VMA says [%lx, %lx)", leaf->start[i], leaf->end[i], vma->start,
	       vma->end);
}

static u64 check_node(const struct vma_node *node);

static u64 check_child(const struct vma_node *node, unsigned i)
{
	const struct vma_node *child = node->slot[i];
	struct vma_node summary = { .nr = 0 };

	BUG_ON(child->level + 1 != node->level, "VMA tree: a child of level %u below level %u", child->level,
	       node->level);
	append_child(&summary, (struct vma_node *)child);
	BUG_ON(summary.start[0] != node->start[i] || summary.end[0] != node->end[i] || summary.gap[0] != node->gap[i],
	       "VMA tree: the entry [%lx, %lx) gap %lx does not describe its child", node->start[i], node->end[i],
	       node->gap[i]);
	return check_node(child);
}

static u64 check_node(const struct vma_node *node)
{
	u64 count = 0;

	BUG_ON(!node->nr || node->nr > FANOUT || node->level >= MAX_HEIGHT,
	       "VMA tree: a node of %u entries on level %u", node->nr, node->level);
	BUG_ON(node->end[node->nr] != ~0UL, "VMA tree: the mark that ends a search is missing");
	for (unsigned i = 0; i < node->nr; i++) {
		BUG_ON(node->start[i] >= node->end[i] || (i && node->start[i] < node->end[i - 1]),
		       "VMA tree: [%lx, %lx) is out of order", node->start[i], node->end[i]);
		if (node->level) {
			count += check_child(node, i);
		} else {
			check_leaf_entry(node, i);
			count++;
		}
	}
	return count;
}

u64 vma_tree_check(const struct vma_tree *tree)
{
	const struct vma_node *root = load_acquire(&tree->root);

	return root ? check_node(root) : 0;
}
