/* SPDX-License-Identifier: MIT */
/*
 * The radix tree of a mapping. A node has 64 slots and covers 6 bits of the index; the tree is as high as its largest
 * index asks for, and a node without a used slot is freed at once.
 *
 * Locks: the caller holds mapping.lock; nodes come from an object cache under it, which never sleeps or reclaims.
 */
#include "mm/mapping_tree.h"
#include "mm/slab.h"

#define SLOT_BITS 6
#define SLOTS (1u << SLOT_BITS)
#define MAX_HEIGHT 11 /* 66 bits: every index fits */

struct mapping_node {
	void *slots[SLOTS]; /* pages at the lowest level, nodes above */
	u32 used;
};

static struct slab_cache *node_cache;

void mapping_tree_init_cache(void)
{
	node_cache = slab_create("mapping_node", sizeof(struct mapping_node), CACHE_LINE);
}

/* A tree of this height holds indices up to this one. Height 0 is the empty tree. */
static u64 max_index(u32 height)
{
	return height * SLOT_BITS >= 64 ? ~0UL : (1UL << (height * SLOT_BITS)) - 1;
}

static unsigned slot_of(u64 index, u32 level)
{
	return (index >> ((level - 1) * SLOT_BITS)) & (SLOTS - 1);
}

struct page *mapping_tree_find(const struct mapping *mapping, u64 index)
{
	const struct mapping_node *node = mapping->root;
	u32 level = mapping->height;

	if (!node || index > max_index(level))
		return NULL;
	for (; level > 1 && node; level--)
		node = node->slots[slot_of(index, level)];
	return node ? node->slots[slot_of(index, 1)] : NULL;
}

/* ---- Insertion --------------------------------------------------------------------------------------------------- */

static u32 height_for(u64 index)
{
	u32 height = 1;

	while (index > max_index(height))
		height++;
	return height;
}

/* Makes the tree high enough for index. What it built stays when memory runs out: the tree is right at every step. */
static bool grow(struct mapping *mapping, u64 index)
{
	struct mapping_node *node;

	while (!mapping->root || index > max_index(mapping->height)) {
		node = slab_alloc(node_cache, ALLOC_ZERO);
		if (!node)
			return false;
		if (mapping->root) {
			node->slots[0] = mapping->root;
			node->used = 1;
			mapping->height++;
		} else {
			mapping->height = height_for(index);
		}
		mapping->root = node;
	}
	return true;
}

/* Frees the nodes on the way to index that hold nothing. */
static void prune(struct mapping *mapping, u64 index)
{
	struct mapping_node *path[MAX_HEIGHT + 1] = { NULL };
	struct mapping_node *node = mapping->root;

	for (u32 level = mapping->height; level >= 1 && node; level--) {
		path[level] = node;
		node = level > 1 ? node->slots[slot_of(index, level)] : NULL;
	}
	for (u32 level = 1; level <= mapping->height; level++) {
		if (!path[level])
			continue;
		if (path[level]->used)
			return;
		slab_free(node_cache, path[level]);
		if (level == mapping->height)
			break;
		path[level + 1]->slots[slot_of(index, level + 1)] = NULL;
		path[level + 1]->used--;
	}
	mapping->root = NULL;
	mapping->height = 0;
}

bool mapping_tree_insert(struct mapping *mapping, u64 index, struct page *page)
{
	struct mapping_node *node;

	if (!grow(mapping, index))
		goto no_memory;
	node = mapping->root;
	for (u32 level = mapping->height; level > 1; level--) {
		void **slot = &node->slots[slot_of(index, level)];

		if (!*slot) {
			*slot = slab_alloc(node_cache, ALLOC_ZERO);
			if (!*slot)
				goto no_memory;
			node->used++;
		}
		node = *slot;
	}
	ASSERT(!node->slots[slot_of(index, 1)], "only an empty slot is filled");
	node->slots[slot_of(index, 1)] = page;
	node->used++;
	mapping->nr_pages++;
	WRITE_ONCE(page->mapping, mapping);
	WRITE_ONCE(page->index, index);
	/* Nobody else has the page yet. What lives in memory alone is never out of date. */
	WRITE_ONCE(page->flags, 1u << PG_CACHE | (mapping->ops ? 0 : 1u << PG_UPTODATE));
	return true;
no_memory:
	if (mapping->root)
		prune(mapping, index <= max_index(mapping->height) ? index : 0);
	return false;
}

/* ---- Removal ----------------------------------------------------------------------------------------------------- */

/* The lowest index of [first, last] whose slot is used, below this node. False if there is none. */
static bool find_used(const struct mapping_node *node, u32 level, u64 base, u64 first, u64 last, u64 *index)
{
	u64 span = max_index(level - 1) + 1; /* indices below one slot; 1 at the lowest level */

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		u64 low = base + slot * span;
		u64 high = low + (span - 1);

		if (!node->slots[slot] || high < first)
			continue;
		if (low > last)
			return false;
		if (level == 1) {
			*index = low;
			return true;
		}
		if (find_used(node->slots[slot], level - 1, low, first, last, index))
			return true;
	}
	return false;
}

static struct page *take_at(struct mapping *mapping, u64 index)
{
	struct mapping_node *node = mapping->root;
	struct page *page;

	for (u32 level = mapping->height; level > 1; level--)
		node = node->slots[slot_of(index, level)];
	page = node->slots[slot_of(index, 1)];
	node->slots[slot_of(index, 1)] = NULL;
	node->used--;
	mapping->nr_pages--;
	page_clear(page, PG_CACHE);
	prune(mapping, index);
	return page;
}

bool mapping_tree_next(const struct mapping *mapping, u64 first, u64 last, u64 *index)
{
	return mapping->root && find_used(mapping->root, mapping->height, 0, first, last, index);
}

struct page *mapping_tree_take(struct mapping *mapping, u64 first, u64 last)
{
	u64 index;

	if (!mapping_tree_next(mapping, first, last, &index))
		return NULL;
	return take_at(mapping, index);
}
