/* SPDX-License-Identifier: MIT */
/*
 * The radix tree of a mapping: pages by index. No function here sleeps.
 */
#ifndef MM_MAPPING_TREE_H
#define MM_MAPPING_TREE_H

#include "mm/cache/mapping.h"
#include "mm/table/pgtable.h"

/*
 * What a slot holds: nothing, a page, or a tagged value (the lowest bit set), which is the swap slot that the page is
 * in (shmem_swap.h). Use slot_page() to get the page; it returns NULL for a value.
 */
struct mapping_slot {
	void *entry;
};

/* ---- Slots. Context: any. ---------------------------------------------------------------------------------------- */
/* Reads a slot that another CPU may change. */
static inline struct mapping_slot slot_read(const struct mapping_slot *slot)
{
	return (struct mapping_slot){ load_acquire(&slot->entry) };
}
/* Returns: the page; NULL for an empty slot and for a tagged value. */
static inline struct page *slot_page(struct mapping_slot slot)
{
	return (u64)slot.entry & 1 ? NULL : slot.entry;
}

static inline bool slot_is_value(struct mapping_slot slot)
{
	return (u64)slot.entry & 1;
}
static inline struct mapping_slot slot_of_value(swap_slot_t value)
{
	return (struct mapping_slot){ (void *)(value.val << 1 | 1) };
}
static inline swap_slot_t slot_value(struct mapping_slot slot)
{
	return (swap_slot_t){ (u64)slot.entry >> 1 };
}

/* Uncharges nr pages from the quota. Context: mapping->lock held. */
static inline void uncharge(struct mapping *mapping, u64 nr)
{
	assert_spin_held(&mapping->lock);
	if (mapping->quota)
		(void)atomic_add_return(&mapping->quota->nr_pages, -nr);
}

/* Creates the cache of nodes. Context: boot. */
void mapping_tree_init_cache(void);

/*
 * The page of the slot. Takes no reference: under RCU alone the page may have been freed and reused already.
 *
 * Context: mapping->lock or an RCU section held. Does not sleep.
 * Returns: the page, or NULL.
 */
struct page *mapping_tree_find(const struct mapping *mapping, u64 index);
/*
 * The slots of one node, from that of index on.
 * @nr: set to how many follow, this one included.
 *
 * Context: mapping->lock or an RCU section held. Does not sleep.
 * Returns: the first slot; NULL: *nr slots from index on are empty.
 */
const struct mapping_slot *mapping_tree_slots(const struct mapping *mapping, u64 index, u64 *nr);
/*
 * The slot's page. The page may be removed, and even freed, between the read of the slot and the reference; so the
 * reference is valid only if the slot still holds the page afterwards (S11).
 *
 * Context: an RCU section.
 * Returns: the page, with a reference, or NULL.
 */
static inline struct page *slot_get_page(const struct mapping_slot *slot)
{
	struct page *page;

	assert_in_rcu();
	while ((page = slot_page(slot_read(slot))) != NULL) {
		if (unlikely(!page_try_get(page)))
			continue;
		if (likely(slot_page(slot_read(slot)) == page))
			break;
		page_put(page);
	}
	return page;
}
/* The page of the slot. Context: an RCU section. Returns: the page, with a reference, or NULL. */
struct page *mapping_tree_get(const struct mapping *mapping, u64 index);
/*
 * Fills an empty slot, which becomes the owner of the caller's reference.
 *
 * Context: mapping->lock held.
 * Returns: false if no memory: then nothing changed.
 */
bool mapping_tree_insert(struct mapping *mapping, u64 index, struct page *page);
/*
 * Empties the first used slot of [*first, last], and moves *first to its index.
 * @page: set to its page, with the slot's reference and PG_CACHE clear; NULL if it was in swap: then the swap slot is
 *   released.
 *
 * Context: mapping->lock held.
 * Returns: false if there is none.
 */
bool mapping_tree_take(struct mapping *mapping, u64 *first, u64 last, struct page **page);
/* Reads the swap slot whose number the slot holds. Context: mapping->lock held. Returns: false if it holds none. */
bool mapping_tree_value(const struct mapping *mapping, u64 index, swap_slot_t *value);
/* Replaces a value by a page, or a page by a value. Context: mapping->lock held. */
void mapping_tree_replace(struct mapping *mapping, u64 index, struct mapping_slot with);

/*
 * Pages of shared memory (struct mapping.shmem) in memory: the sum over all CPUs, exact if none changes. No lock.
 *
 * Context: any.
 * Returns: the number.
 */
u64 nr_shmem_pages(void);

/*
 * Finds the first used slot of [first, last].
 * @index: set to its index.
 *
 * Context: mapping->lock held.
 * Returns: false if there is none.
 */
bool mapping_tree_next(const struct mapping *mapping, u64 first, u64 last, u64 *index);

#endif
