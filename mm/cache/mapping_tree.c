/* SPDX-License-Identifier: MIT */
/*
 * The radix tree of a mapping. A node has 64 slots and covers 6 bits of the index; the tree is as high as its largest
 * index requires, and a node without a used slot is freed after a grace period.
 *
 * Locks: writers hold mapping.lock; nodes are allocated from an object cache under it, which never sleeps or reclaims.
 * Readers hold that lock or are in an RCU section. Each node stores its level, so a look-up needs to read only the root
 * to know where to begin; slots are read by acquire and written by release, one at a time.
 */
#include "mm/cache/mapping_tree.h"
#include "mm/page/slab.h"
#include "mm/swap/swap.h"

#define SLOT_BITS 6
#define SLOTS (1u << SLOT_BITS)
#define MAX_HEIGHT 11 /* 66 bits: every index fits */

struct mapping_node {
	struct mapping_slot slots[SLOTS]; /* mapping.lock; read under RCU: pages at level 1, nodes above */
	u32 level;			  /* constant while it is reachable; the lowest is 1 */
	u32 used;			  /* mapping.lock */
	struct rcu_head rcu;
};

#define assert_slots_readable(mapping)                                                                                 \
	ASSERT(rcu_read_lock_held() || spin_is_locked_by_me(&(mapping)->lock), "mapping.lock or an RCU section is held")

static struct slab_cache *node_cache;
STATIC_PER_CPU(u64, shmem_pages); /* filled slots minus emptied ones: one CPU's may be below 0, only the sum counts */

void mapping_tree_init_cache(void)
{
	node_cache = slab_create("mapping_node", sizeof(struct mapping_node), CACHE_LINE);
}

/* The largest index that a tree of this height holds. Height 0 is the empty tree. */
static u64 max_index(u32 height)
{
	return height * SLOT_BITS >= 64 ? ~0UL : (1UL << (height * SLOT_BITS)) - 1;
}

static unsigned slot_of(u64 index, u32 level)
{
	return (index >> ((level - 1) * SLOT_BITS)) & (SLOTS - 1);
}

static struct mapping_node *child(const struct mapping_node *node, u64 index)
{
	return load_acquire(&node->slots[slot_of(index, node->level)].entry);
}

static void mapping_tree_set_slot(struct mapping_slot *slot, void *entry)
{
	store_release(&slot->entry, entry);
}

static struct mapping_node *node_alloc(u32 level)
{
	struct mapping_node *node = slab_alloc(node_cache, ALLOC_ZERO);

	if (node)
		node->level = level;
	return node;
}

/* The lowest node on the way to index, or NULL. */
static __always_inline struct mapping_node *leaf_of(const struct mapping *mapping, u64 index)
{
	struct mapping_node *node = load_acquire(&mapping->root);

	if (!node || index > max_index(node->level))
		return NULL;
	while (node && node->level > 1)
		node = child(node, index);
	return node;
}

struct page *mapping_tree_find(const struct mapping *mapping, u64 index)
{
	const struct mapping_node *leaf = leaf_of(mapping, index);

	assert_slots_readable(mapping);
	return leaf ? slot_page(slot_read(&leaf->slots[slot_of(index, 1)])) : NULL;
}

struct page *mapping_tree_get(const struct mapping *mapping, u64 index)
{
	const struct mapping_node *leaf = leaf_of(mapping, index);

	assert_in_rcu();
	return leaf ? slot_get_page(&leaf->slots[slot_of(index, 1)]) : NULL;
}

const struct mapping_slot *mapping_tree_slots(const struct mapping *mapping, u64 index, u64 *nr)
{
	const struct mapping_node *leaf = leaf_of(mapping, index);
	unsigned first = slot_of(index, 1);

	assert_slots_readable(mapping);
	*nr = SLOTS - first;
	return leaf ? &leaf->slots[first] : NULL;
}

/* ---- Counting shared memory -------------------------------------------------------------------------------------- */

/* Counts one more page, or (-1UL) one fewer. Context: mapping->lock held. */
static void count_shmem(const struct mapping *mapping, u64 nr)
{
	assert_spin_held(&mapping->lock);
	if (mapping->shmem)
		machine_local_add(&this_cpu(shmem_pages), nr);
}

u64 nr_shmem_pages(void)
{
	u64 nr = 0;

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		nr += READ_ONCE(per_cpu(shmem_pages, cpu));
	return (s64)nr > 0 ? nr : 0;
}

/* ---- Insertion --------------------------------------------------------------------------------------------------- */

static u32 height_for(u64 index)
{
	u32 height = 1;

	while (index > max_index(height))
		height++;
	return height;
}

/* Makes the tree high enough for index. When memory runs out the new nodes stay: the tree is valid after every step. */
static bool mapping_tree_grow(struct mapping *mapping, u64 index)
{
	struct mapping_node *root = mapping->root, *node;

	while (!root || index > max_index(root->level)) {
		node = node_alloc(root ? root->level + 1 : height_for(index));
		if (!node)
			return false;
		if (root) {
			mapping_tree_set_slot(&node->slots[0], root);
			node->used = 1;
		}
		store_release(&mapping->root, node);
		root = node;
	}
	return true;
}

/* Frees the empty nodes on the way to index. */
static void prune(struct mapping *mapping, u64 index)
{
	struct mapping_node *path[MAX_HEIGHT + 1] = { NULL };
	struct mapping_node *root = mapping->root, *node = root;

	while (node) {
		path[node->level] = node;
		node = node->level > 1 ? child(node, index) : NULL;
	}
	for (u32 level = 1; level <= root->level; level++) {
		if (!path[level])
			continue;
		if (path[level]->used)
			return;
		if (level < root->level) {
			mapping_tree_set_slot(&path[level + 1]->slots[slot_of(index, level + 1)], NULL);
			path[level + 1]->used--;
		} else {
			store_release(&mapping->root, NULL);
		}
		slab_free_rcu(node_cache, path[level], &path[level]->rcu);
	}
}

/* The lowest node on the way to index, built where it is missing; NULL without memory. */
static struct mapping_node *build_leaf(struct mapping *mapping, u64 index)
{
	struct mapping_node *node, *below;

	if (!mapping_tree_grow(mapping, index))
		return NULL;
	for (node = mapping->root; node->level > 1; node = below) {
		below = child(node, index);
		if (below)
			continue;
		below = node_alloc(node->level - 1);
		if (!below)
			return NULL;
		mapping_tree_set_slot(&node->slots[slot_of(index, node->level)], below);
		node->used++;
	}
	return node;
}

/* Without a backing store (ops), a page is always up to date. */
static u32 flags_of_pages(const struct mapping *mapping)
{
	u32 flags = 1u << PG_CACHE;

	if (mapping->ops)
		return flags;
	return flags | 1u << PG_UPTODATE | 1u << (mapping->shmem ? PG_SHMEM : PG_UNEVICTABLE);
}

bool mapping_tree_insert(struct mapping *mapping, u64 index, struct page *page)
{
	struct mapping_node *leaf = build_leaf(mapping, index);
	const struct mapping_node *root = mapping->root;

	assert_spin_held(&mapping->lock);
	if (!leaf) {
		if (root)
			prune(mapping, index <= max_index(root->level) ? index : 0);
		return false;
	}
	ASSERT(!leaf->slots[slot_of(index, 1)].entry, "only an empty slot is filled");
	WRITE_ONCE(page->mapping, mapping);
	WRITE_ONCE(page->index, index);
	/* A plain store will do: no other thread has the page yet. */
	WRITE_ONCE(page->flags, flags_of_pages(mapping) | (page->flags & 1u << PG_SET_ASIDE));
	mapping_tree_set_slot(&leaf->slots[slot_of(index, 1)], page);
	leaf->used++;
	mapping->nr_pages++;
	count_shmem(mapping, 1);
	return true;
}

/* ---- Removal ----------------------------------------------------------------------------------------------------- */

/* The lowest index of [first, last] whose slot is used, below this node. False if there is none. */
static bool find_used(const struct mapping_node *node, u64 base, u64 first, u64 last, u64 *index)
{
	u64 span = max_index(node->level - 1) + 1; /* indices below one slot; 1 at the lowest level */

	for (u64 slot = first > base ? (first - base) / span : 0; slot < SLOTS; slot++) {
		void *entry = node->slots[slot].entry;
		u64 low = base + slot * span;

		if (!entry)
			continue;
		if (low > last)
			return false;
		if (node->level == 1) {
			*index = low;
			return true;
		}
		if (find_used(entry, low, first, last, index))
			return true;
	}
	return false;
}

/* Empties a slot that is used. Context: mapping->lock held. */
static struct mapping_slot take_at(struct mapping *mapping, u64 index)
{
	struct mapping_node *leaf = leaf_of(mapping, index);
	struct mapping_slot *slot = &leaf->slots[slot_of(index, 1)], was = *slot;

	assert_spin_held(&mapping->lock);
	mapping_tree_set_slot(slot, NULL);
	leaf->used--;
	mapping->nr_pages--;
	uncharge(mapping, 1);
	prune(mapping, index);
	return was;
}

bool mapping_tree_next(const struct mapping *mapping, u64 first, u64 last, u64 *index)
{
	assert_spin_held(&mapping->lock);
	return mapping->root && find_used(mapping->root, 0, first, last, index);
}

bool mapping_tree_take(struct mapping *mapping, u64 *first, u64 last, struct page **page)
{
	struct mapping_slot slot;

	assert_spin_held(&mapping->lock);
	if (!mapping_tree_next(mapping, *first, last, first))
		return false;
	slot = take_at(mapping, *first);
	*page = slot_page(slot);
	if (*page) {
		page_clear(*page, PG_CACHE);
		count_shmem(mapping, -1UL);
	} else {
		WRITE_ONCE(mapping->nr_swapped, mapping->nr_swapped - 1);
		swap_put(slot_value(slot));
	}
	return true;
}

/* ---- Pages in swap ----------------------------------------------------------------------------------------------- */

bool mapping_tree_value(const struct mapping *mapping, u64 index, swap_slot_t *value)
{
	const struct mapping_node *leaf = leaf_of(mapping, index);
	struct mapping_slot slot = leaf ? slot_read(&leaf->slots[slot_of(index, 1)]) : (struct mapping_slot){ NULL };

	assert_spin_held(&mapping->lock);
	*value = slot_value(slot);
	return slot_is_value(slot);
}

void mapping_tree_replace(struct mapping *mapping, u64 index, struct mapping_slot with)
{
	struct mapping_slot *slot = &leaf_of(mapping, index)->slots[slot_of(index, 1)];

	assert_spin_held(&mapping->lock);
	ASSERT(slot_is_value(*slot) != slot_is_value(with), "a page and a value take turns");
	WRITE_ONCE(mapping->nr_swapped, slot_is_value(with) ? mapping->nr_swapped + 1 : mapping->nr_swapped - 1);
	count_shmem(mapping, slot_is_value(with) ? -1UL : 1);
	mapping_tree_set_slot(slot, with.entry);
}
