/* SPDX-License-Identifier: MIT */
/*
 * Mappings: pages by index in a radix tree, reading and writing them, and their fault operation. truncate.c removes
 * pages from a mapping.
 *
 * A page in a slot has PG_CACHE set, and the slot holds one reference. When a page is removed, PG_CACHE is cleared
 * first and the page is unmapped after; its owner and index stay until it is freed, since entries may map it for a
 * little longer. A fault that maps a page of a mapping increments mapcount first and tests PG_CACHE second, under the
 * PTE lock. So either the test sees the removal, or the removal sees the count, and waits for the PTE lock to find the
 * entry.
 *
 * Locks: mapping.lock (RANK_MAPPING) for changes; it is not held across anything that could reclaim: pages are
 * allocated before it is taken. Look-ups run in an RCU section: they take a reference unless the page is free, and it
 * is valid only if the slot still holds the page afterwards.
 */
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "mm/cache/mapping.h"
#include "mm/cache/mapping_tree.h"
#include "mm/debug/race.h"
#include "mm/page/slab.h"
#include "mm/swap/shmem_swap.h"

static struct slab_cache *mapping_cache;

void mapping_init_caches(void)
{
	mapping_cache = slab_create("mapping", sizeof(struct mapping), CACHE_LINE);
	mapping_tree_init_cache();
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

struct mapping *mapping_create(u64 size, bool shmem)
{
	struct mapping *mapping = slab_alloc(mapping_cache, ALLOC_ZERO | (shmem ? ALLOC_WAIT : 0));

	if (!mapping)
		return NULL;
	spin_init(&mapping->lock, RANK_MAPPING);
	spin_init(&mapping->i_mmap_lock, RANK_I_MMAP);
	mutex_init(&mapping->removal_lock, RANK_REMOVAL);
	wait_queue_init(&mapping->leaving);
	mapping->size = size;
	mapping->shmem = shmem;
	mapping->refcount = 1;
	return mapping;
}

void mapping_get(struct mapping *mapping)
{
	atomic_inc(&mapping->refcount);
}

bool mapping_get_unless_gone(struct mapping *mapping)
{
	s32 refcount = READ_ONCE(mapping->refcount);

	while (refcount > 0)
		if (__atomic_compare_exchange_n(&mapping->refcount, &refcount, refcount + 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* The page loses PG_CACHE before its mapping is freed, and the mapping is freed only after a grace period. */
struct mapping *mapping_of_page(const struct page *page)
{
	struct mapping *mapping = NULL;

	assert_page_locked(page);
	rcu_read_lock();
	if (page_test(page, PG_CACHE)) {
		mapping = READ_ONCE(page->mapping);
		if (!mapping_get_unless_gone(mapping))
			mapping = NULL;
	}
	rcu_read_unlock();
	return mapping;
}

void mapping_put(struct mapping *mapping)
{
	s32 refcount = atomic_dec_return(&mapping->refcount);
	struct page *page;
	u64 index = 0;

	ASSERT(refcount >= 0, "every reference to a mapping is dropped once");
	if (refcount)
		return;
	ASSERT(interval_tree_is_empty(&mapping->i_mmap), "a VMA that maps a mapping holds a reference");
	ASSERT(!mapping->ops || !mapping->nr_pages, "a file system empties its mapping before it drops it");
	spin_lock(&mapping->lock);
	while (mapping_tree_take(mapping, &index, ~0UL, &page))
		if (page)
			page_put(page);
	spin_unlock(&mapping->lock);
	shmem_forget(mapping);
	slab_free_rcu(mapping_cache, mapping, &mapping->rcu);
}

/* ---- Look-up ----------------------------------------------------------------------------------------------------- */

struct page *mapping_find(struct mapping *mapping, u64 index)
{
	struct page *page;

	rcu_read_lock();
	page = mapping_tree_get(mapping, index);
	rcu_read_unlock();
	return page;
}

/* Charges one page to the quota. False: the limit is reached. Context: mapping->lock held. */
static bool mapping_charge(struct mapping *mapping)
{
	struct mapping_quota *quota = mapping->quota;

	assert_spin_held(&mapping->lock);
	if (!quota || atomic_add_return(&quota->nr_pages, 1) <= READ_ONCE(quota->max_pages))
		return true;
	(void)atomic_add_return(&quota->nr_pages, -1UL);
	return false;
}

void mapping_leave_quota(struct mapping *mapping)
{
	spin_lock(&mapping->lock);
	uncharge(mapping, mapping->nr_pages);
	mapping->quota = NULL;
	spin_unlock(&mapping->lock);
}

/*
 * The page of the slot, with a reference; an empty slot gets `new` first. NULL if no memory; err_ptr(-EAGAIN): the page
 * is in swap; err_ptr(-ENOSPC): the quota is reached.
 *
 * Context: mapping->lock held.
 */
static struct page *find_or_insert(struct mapping *mapping, u64 index, struct page *new)
{
	struct page *page = mapping_tree_find(mapping, index);
	swap_slot_t slot;

	assert_spin_held(&mapping->lock);
	if (!page && mapping->nr_swapped && mapping_tree_value(mapping, index, &slot))
		return err_ptr(-EAGAIN);
	if (!page) {
		if (!mapping_charge(mapping))
			return err_ptr(-ENOSPC);
		if (!mapping_tree_insert(mapping, index, new)) {
			uncharge(mapping, 1);
			return NULL;
		}
		page = new;
	}
	page_get(page);
	return page;
}

/* Allocates a page, with `flags` set, for a slot that was empty. Returns: as find_or_insert(). */
static struct page *mapping_create_page(struct mapping *mapping, u64 index, u32 flags)
{
	/* A file system allocates metadata pages with its locks held; a writer to shared memory can reclaim. */
	u32 how = mapping->metadata ? 0 : mapping->shmem ? ALLOC_USER | ALLOC_WAIT : ALLOC_USER;
	struct page *new = alloc_page(how | ALLOC_ZERO), *page;

	if (!new)
		return NULL;
	new->flags |= flags;
	spin_lock(&mapping->lock);
	page = find_or_insert(mapping, index, new);
	spin_unlock(&mapping->lock);
	if (page != new)
		page_put(new); /* another thread filled the slot, or there is no memory for the tree */
	return page;
}

static struct page *mapping_find_or_create_with(struct mapping *mapping, u64 index, u32 flags)
{
	struct page *page;

	do {
		page = shmem_get_page(mapping, index);
		if (!page)
			page = mapping_create_page(mapping, index, flags);
	} while (is_err(page) && ptr_err(page) == -EAGAIN);
	return is_err(page) ? NULL : page;
}

struct page *mapping_find_or_create(struct mapping *mapping, u64 index)
{
	return mapping_find_or_create_with(mapping, index, 0);
}

struct page *mapping_set_aside(struct mapping *mapping, u64 index)
{
	struct page *page = shmem_get_page(mapping, index);

	if (!page)
		return mapping_find_or_create_with(mapping, index, 1u << PG_SET_ASIDE);
	if (is_err(page))
		return NULL;
	page_use(page);
	return page;
}

bool mapping_is_within(const struct mapping *mapping, u64 index)
{
	return index < (READ_ONCE(mapping->size) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* Checks the size under the lock under which truncation changes it: so no page is inserted beyond the end. */
struct page *mapping_create_within(struct mapping *mapping, u64 index)
{
	struct page *new = alloc_page(ALLOC_USER | ALLOC_ZERO), *page = NULL;
	bool within;

	if (!new)
		return err_ptr(-ENOMEM);
	race_point(mapping_before_fill);
	spin_lock(&mapping->lock);
	within = mapping_is_within(mapping, index);
	if (within)
		page = mapping_slot_is_leaving(mapping, index) ? err_ptr(-EAGAIN) : find_or_insert(mapping, index, new);
	spin_unlock(&mapping->lock);
	if (page != new)
		page_put(new);
	return within && !page ? err_ptr(-ENOMEM) : page;
}

struct page *mapping_find_or_create_within(struct mapping *mapping, u64 index)
{
	struct page *page = mapping_is_within(mapping, index) ? mapping_find(mapping, index) : NULL;

	return page ? page : mapping_is_within(mapping, index) ? mapping_create_within(mapping, index) : NULL;
}

bool mapping_next(struct mapping *mapping, u64 index, u64 *found)
{
	spin_lock(&mapping->lock);
	bool any = mapping_tree_next(mapping, index, ~0UL, found);
	spin_unlock(&mapping->lock);
	return any;
}

/* ---- Kernel copies ----------------------------------------------------------------------------------------------- */

long mapping_read(struct mapping *mapping, u64 pos, void *buf, size_t len)
{
	u64 size = READ_ONCE(mapping->size);
	size_t done = 0;

	if (pos >= size)
		return 0;
	len = min((u64)len, size - pos);
	while (done < len) {
		u64 offset = (pos + done) & ~PAGE_MASK;
		size_t chunk = min(len - done, (size_t)(PAGE_SIZE - offset));
		struct page *page = shmem_get_page(mapping, (pos + done) >> PAGE_SHIFT);

		if (is_err(page))
			return done ? (long)done : ptr_err(page);
		if (page) {
			memcpy((char *)buf + done, (char *)page_to_virt(page) + offset, chunk);
			page_put(page);
		} else {
			memset((char *)buf + done, 0, chunk);
		}
		done += chunk;
	}
	return (long)done;
}

long mapping_write(struct mapping *mapping, u64 pos, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		u64 offset = (pos + done) & ~PAGE_MASK;
		size_t chunk = min(len - done, (size_t)(PAGE_SIZE - offset));
		struct page *page = mapping_find_or_create(mapping, (pos + done) >> PAGE_SHIFT);

		if (!page)
			return done ? (long)done : -ENOMEM;
		memcpy((char *)page_to_virt(page) + offset, (const char *)buf + done, chunk);
		page_use(page);
		page_set(page, PG_DIRTY); /* after the copy, and in any case: see shmem_swap.c */
		page_put(page);
		done += chunk;
	}
	return (long)done;
}
