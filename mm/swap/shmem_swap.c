/* SPDX-License-Identifier: MIT */
/*
 * Swapping shared memory out and in; see shmem_swap.h for how a mapping records pages in swap.
 *
 * Out, with the page locked:
 *	1. a swap slot	holds the page from now on: a thread that finds the value, finds the page there
 *	2. unmap	through the reverse map; a page that locked memory maps stays. Then the batch is flushed
 *			(swap_out.c)
 *	3. the value	replaces the page, unless the page is mapped again. That is decided under mapping.lock:
 *			PG_CACHE is cleared first and mapcount is read second, while a fault increments mapcount
 *			first and tests PG_CACHE second (mapping.c). So a fault either keeps the page in memory,
 *			or cannot map it any more
 *	4. write
 * In, with the page locked, and no write of it in flight: the page replaces the value, and the swap slot is released.
 * Both happen under mapping.lock, so truncation finds one of the two.
 *
 * A thread that got a reference before that may still read or write the page (a write() to the file): the page stays in
 * the swap cache while the reference is held, and PG_DIRTY, which the thread sets afterwards, has it written again.
 *
 * Rejected: to insert the value first, check whether the page is mapped second, and undo all if it is. By then a hole
 * may have been punched, so that the page has no slot to return to; and a page in locked memory cannot be unmapped.
 *
 * Locks: page lock › i_mmap_lock › PTE lock; page lock › mapping.lock › swap area.
 * known.lock (RANK_LEAF): the list.
 */
#include "mm/swap/shmem_swap.h"
#include "kernel/lib/errno.h"
#include "mm/cache/mapping_tree.h"
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"
#include "mm/vma/mm.h"
#include "mm/vma/rmap.h"

static struct {
	spinlock_t lock;
	struct list_head mappings; /* lock: mappings that have had values, linked by struct mapping.swapped */
} known = { .lock = SPINLOCK_INIT(LEAF), .mappings = LIST_HEAD_INIT(known.mappings) };

/* ---- The list of mappings ---------------------------------------------------------------------------------------- */

static void make_known(struct mapping *mapping)
{
	spin_lock(&known.lock);
	if (!mapping->has_swapped) {
		mapping->has_swapped = true;
		list_add(&known.mappings, &mapping->swapped);
	}
	spin_unlock(&known.lock);
}

void shmem_forget(struct mapping *mapping)
{
	spin_lock(&known.lock);
	if (mapping->has_swapped)
		list_del(&mapping->swapped);
	spin_unlock(&known.lock);
}

/* The caller's reference keeps `prev` on the list until the next one is found. */
struct mapping *shmem_next(struct mapping *prev)
{
	struct mapping *next = NULL;
	struct list_head *link;

	spin_lock(&known.lock);
	for (link = prev ? prev->swapped.next : known.mappings.next; link != &known.mappings; link = link->next) {
		next = list_entry(link, struct mapping, swapped);
		if (mapping_get_unless_gone(next))
			break;
		next = NULL;
	}
	spin_unlock(&known.lock);
	if (prev)
		mapping_put(prev);
	return next;
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

/* Ignores the dirty bit: shared memory is always written to swap, and file systems are notified before a write. */
static bool shmem_unmap_entry(struct page *page, struct vma *vma, vaddr_t addr, pte_t *ptep, void *arg)
{
	if (READ_ONCE(vma->flags) & VM_LOCKED)
		return false; /* it stays mapped there, and so in memory */
	race_point(reclaim_before_clear);
	(void)tlb_batch_take(arg, vma->mm, addr, ptep);
	rmap_remove(page);
	mm_rss_add(vma->mm, page_rss_kind(page), -1);
	page_put(page);
	return true;
}

void mapping_page_unmap(struct page *page, struct tlb_batch *batch)
{
	assert_mapping_held(page->mapping);
	assert_page_locked(page);
	if (READ_ONCE(page->mapcount))
		rmap_walk(page, shmem_unmap_entry, batch);
}

/*
 * Step 3. The mapping's reference to the page becomes the caller's. False: the page was truncated, or is mapped again;
 * then nothing has changed. A thread that finds PG_CACHE clear for a moment, although the page stays, looks the page up
 * again, as after a truncation.
 */
static bool exchange_for_value(struct mapping *mapping, struct page *page, swap_slot_t slot)
{
	bool leaves = false;

	spin_lock(&mapping->lock);
	if (page_test(page, PG_CACHE)) {
		page_clear(page, PG_CACHE);
		race_point(shmem_uncached);
		leaves = !READ_ONCE(page->mapcount);
		if (!leaves)
			page_set(page, PG_CACHE);
	}
	if (leaves) {
		swap_dup(slot);
		mapping_tree_replace(mapping, page->index, slot_of_value(slot));
	}
	spin_unlock(&mapping->lock);
	return leaves;
}

static bool holds_value(struct mapping *mapping, u64 index, swap_slot_t slot)
{
	swap_slot_t now;

	return mapping_tree_value(mapping, index, &now) && now.val == slot.val;
}

/* Replaces the value by the page, with a reference for the slot. False: truncated. Context: the page locked. */
static bool exchange_for_page(struct mapping *mapping, u64 index, struct page *page, swap_slot_t slot)
{
	bool there;

	assert_page_locked(page);
	spin_lock(&mapping->lock);
	there = holds_value(mapping, index, slot);
	if (there) {
		page_get(page);
		WRITE_ONCE(page->mapping, mapping);
		WRITE_ONCE(page->index, index);
		page_set(page, PG_SHMEM);
		page_clear(page, PG_ANON);
		page_set(page, PG_CACHE);
		mapping_tree_replace(mapping, index, (struct mapping_slot){ page });
		swap_put(slot);
		(void)swap_cache_delete_unused(page);
		page_set(page, PG_DIRTY);
	}
	spin_unlock(&mapping->lock);
	return there;
}

/* True: the page has left the mapping, and is only in its swap slot. */
static bool leave_mapping(struct mapping *mapping, struct page *page, swap_slot_t slot)
{
	if (READ_ONCE(page->mapcount))
		return false; /* mapped in locked memory, or mapped again */
	race_point(shmem_unmapped);
	if (!exchange_for_value(mapping, page, slot))
		return false;
	page_set(page, PG_ANON);
	page_put(page);
	return true;
}

enum swap_out shmem_swap_out_begin(struct page *page, struct tlb_batch *batch)
{
	assert_mapping_held(page->mapping);
	ASSERT(page_test(page, PG_SHMEM), "a page of shared memory");
	assert_page_locked(page);
	if (page_test(page, PG_WRITEBACK) || !swap_cache_alloc(page))
		return SWAP_OUT_STAYS;
	page_use(page); /* a page that fallocate made has contents from now on: zeros */
	mapping_page_unmap(page, batch);
	return SWAP_OUT_BEGUN;
}

bool shmem_swap_out_finish(struct mapping *mapping, struct page *page)
{
	assert_mapping_held(mapping);
	ASSERT(page_test(page, PG_SHMEM), "a page of shared memory");
	assert_page_locked(page);
	make_known(mapping);
	if (!leave_mapping(mapping, page, (swap_slot_t){ READ_ONCE(page->private) })) {
		(void)swap_cache_delete_unused(page);
		page_set(page, PG_DIRTY);
		return false;
	}
	race_point(shmem_before_write);
	swap_write_start(page);
	return swap_cache_delete_clean(page);
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

bool shmem_in_swap(struct mapping *mapping, u64 index, swap_slot_t *slot)
{
	bool there;

	if (!READ_ONCE(mapping->nr_swapped)) /* unlocked: if one is swapped out just now, the caller's retry finds it */
		return false;
	spin_lock(&mapping->lock);
	there = mapping_tree_value(mapping, index, slot);
	spin_unlock(&mapping->lock);
	if (there)
		race_point(shmem_found_in_swap);
	return there;
}

int shmem_put_back(struct mapping *mapping, u64 index, struct page *page, swap_slot_t slot, bool read)
{
	assert_page_locked(page);
	if (!swap_cache_holds(page, slot))
		return 0;
	if (!page_is_uptodate(page)) {
		swap_cache_delete(page);
		return read ? -EIO : 0;
	}
	(void)exchange_for_page(mapping, index, page, slot);
	return 0;
}

/* *read: true if the page was not in the swap cache. Returns: as swap_read_ahead(). */
static struct page *shmem_find_or_read(swap_slot_t slot, bool *read)
{
	struct page *page = swap_cache_find(slot);

	*read = !page;
	return page ? page : swap_read_ahead(slot);
}

/* Context: the area held. */
static int shmem_bring_back(struct mapping *mapping, u64 index, swap_slot_t slot)
{
	bool read;
	struct page *page = shmem_find_or_read(slot, &read);
	int error;

	assert_area_held(slot);
	if (!page || is_err(page))
		return (int)ptr_err(page);
	page_lock(page);
	page_wait_writeback(page);
	error = shmem_put_back(mapping, index, page, slot, read);
	page_unlock(page);
	page_put(page);
	return error;
}

/*
 * The loop ends: a round that finds the page neither in its slot nor readable ends in an error, and any other round was
 * overtaken by another thread that swapped the page out or in. An area that was removed has no values left.
 */
struct page *shmem_get_page(struct mapping *mapping, u64 index)
{
	if (mapping->shmem) /* only shared memory is in swap */
		assert_no_lock_from(RANK_RECLAIM);
	for (;;) {
		struct page *page = mapping_find(mapping, index);
		swap_slot_t slot;
		int error;

		if (page)
			return page;
		if (!shmem_in_swap(mapping, index, &slot))
			return mapping_find(mapping, index); /* it may have been swapped in between the two look-ups */
		if (!swap_area_get(slot))
			continue;
		error = shmem_bring_back(mapping, index, slot);
		swap_area_put(slot);
		if (error == -EAGAIN) {
			swap_request_wait();
			continue;
		}
		if (error == -ENOMEM && make_room())
			continue;
		if (error)
			return err_ptr(error);
	}
}

bool shmem_next_in_swap(struct mapping *mapping, u64 *index, u64 last)
{
	swap_slot_t slot;

	for (; READ_ONCE(mapping->nr_swapped) && mapping_next(mapping, *index, index) && *index <= last; ++*index)
		if (shmem_in_swap(mapping, *index, &slot))
			return true;
	return false;
}

/* ---- swapoff ----------------------------------------------------------------------------------------------------- */

static int unuse_mapping(struct mapping *mapping, unsigned area)
{
	int error = 0;

	for (u64 index = 0; shmem_next_in_swap(mapping, &index, ~0UL); index++) {
		struct page *page;
		swap_slot_t slot;

		if (!shmem_in_swap(mapping, index, &slot) || swap_slot_area(slot) != area)
			continue;
		if (thread_killed())
			return -EINTR;
		page = shmem_get_page(mapping, index);
		if (is_err(page))
			error = (int)ptr_err(page);
		else if (page)
			page_put(page);
		if (error == -ENOMEM)
			return error;
		cond_resched();
	}
	return error;
}

int shmem_unuse(unsigned area)
{
	struct mapping *mapping = NULL;
	int result, error = 0;

	while ((mapping = shmem_next(mapping)) != NULL) {
		result = unuse_mapping(mapping, area);
		error = result ? result : error;
		if (result == -ENOMEM || result == -EINTR) {
			mapping_put(mapping);
			break;
		}
	}
	return error;
}
