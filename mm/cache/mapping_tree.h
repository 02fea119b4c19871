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
static inline struct mapping_slot slot_read(const struct mapping_slot *slot)
{
	return (struct mapping_slot){ load_acquire(&slot->entry) };
}
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

/* Uncharges nr pages from the quota. => mapping->lock held. */
static inline void uncharge(struct mapping *mapping, u64 nr)
{
	assert_spin_held(&mapping->lock);
	if (mapping->quota)
		(void)atomic_add_return(&mapping->quota->nr_pages, -nr);
}

void mapping_tree_init_cache(void); /* boot */

/*
 * The page of the slot, or NULL. Takes no reference: under RCU alone the page may have been freed and reused already.
 * => mapping->lock or an RCU section held.
 */
struct page *mapping_tree_find(const struct mapping *mapping, u64 index);
/*
 * The slot of index and those that follow it in the same node, *nr in all; NULL: *nr slots from index on are empty. =>
 * mapping->lock or an RCU section held.
 */
const struct mapping_slot *mapping_tree_slots(const struct mapping *mapping, u64 index, u64 *nr);
/*
 * The slot's page with a reference, or NULL. The page may be removed, and even freed, between the read of the slot and
 * the reference; so the reference is valid only if the slot still holds the page afterwards (S11). => an RCU section.
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
/* The page of the slot, with a reference, or NULL. => an RCU section. */
struct page *mapping_tree_get(const struct mapping *mapping, u64 index);
/*
 * Fills an empty slot, which becomes the owner of the caller's reference. False if no memory: then nothing changed. =>
 * mapping->lock held.
 */
bool mapping_tree_insert(struct mapping *mapping, u64 index, struct page *page);
/*
 * Empties the first used slot of [*first, last], and moves *first to its index; false if there is none. *page is its
 * page, with the slot's reference and PG_CACHE clear; NULL if it was in swap: then the swap slot is released. =>
 * mapping->lock held.
 */
bool mapping_tree_take(struct mapping *mapping, u64 *first, u64 last, struct page **page);
/* The swap slot whose number the slot holds; false if it holds none. => mapping->lock held. */
bool mapping_tree_value(const struct mapping *mapping, u64 index, swap_slot_t *value);
/* Replaces a value by a page, or a page by a value. => mapping->lock held. */
void mapping_tree_replace(struct mapping *mapping, u64 index, struct mapping_slot with);

/* Pages of shared memory (struct mapping.shmem) in memory: the sum over all CPUs, exact if none changes. No lock. */
u64 nr_shmem_pages(void);

/* The index of the first used slot of [first, last]; false if there is none. */
bool mapping_tree_next(const struct mapping *mapping, u64 first, u64 last, u64 *index);

#endif
