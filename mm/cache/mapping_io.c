/* SPDX-License-Identifier: MIT */
/*
 * Reading in, dirtying and writing back the pages of mappings with a backing store (mapping.ops).
 *
 * Filling. A page is inserted into its slot first, not up to date, and filled under its page lock; a thread that finds
 * it before it is filled waits for the lock. After a failed read the next caller tries again.
 *
 * Writing back. Under the page lock every entry of the page is write-protected and flushed, and only then PG_DIRTY is
 * cleared: a later write faults, and waits for the page lock to mark the page dirty again. So no write is lost, whether
 * it comes before or after the clearing.
 *
 * Locks: page lock › i_mmap_lock › PTE lock; mapping.lock by itself.
 *
 * Mirrors: Linux, filemap_read_folio(), write_cache_pages(), folio_clear_dirty_for_io(), page_mkclean().
 */
#include "kernel/lib/errno.h"
#include "mm/cache/mapping.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/reclaim/reclaim.h"
#include "mm/table/tlb.h"
#include "mm/vma/rmap.h"

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

/* Returns: 0: locked, and in its slot; -EAGAIN: it was removed before we locked it; -EINTR. */
static int lock_in_slot(struct page *page)
{
	if (page_lock_killable(page))
		return -EINTR;
	if (page_test(page, PG_CACHE))
		return 0;
	page_unlock(page);
	return -EAGAIN;
}

void mapping_start_read(struct mapping *mapping, struct page *page)
{
	int error;

	assert_page_locked(page);
	page_clear(page, PG_ERROR);
	page_lock_hand_over(page);
	error = mapping->ops->read_page(mapping, page);
	if (error)
		page_end_read(page, error);
}

/* Unlocks the page. Context: the page locked. Returns: 0: up to date; -EAGAIN: another thread retries; -EIO, -EINTR. */
static int read_locked(struct mapping *mapping, struct page *page)
{
	assert_page_locked(page);
	mapping_start_read(mapping, page);
	if (page_wait_unlocked_killable(page))
		return -EINTR;
	if (page_is_uptodate(page))
		return 0;
	return page_test(page, PG_ERROR) ? -EIO : -EAGAIN;
}

static int make_uptodate(struct mapping *mapping, struct page *page)
{
	int error;

	if (page_is_uptodate(page))
		return 0;
	error = lock_in_slot(page);
	if (error)
		return error;
	if (!page_is_uptodate(page))
		return read_locked(mapping, page);
	page_unlock(page);
	return 0;
}

struct page *mapping_read_page(struct mapping *mapping, u64 index)
{
	for (;;) {
		struct page *page = mapping_find_or_create_within(mapping, index);
		int error;

		if (is_err(page) && ptr_err(page) == -ENOMEM && make_room())
			continue;
		if (is_err(page) && ptr_err(page) == -EAGAIN && !mapping_wait_leaving(mapping, index))
			continue;
		if (is_err(page) && ptr_err(page) == -EAGAIN)
			return err_ptr(-EINTR);
		if (!page || is_err(page))
			return page;
		error = make_uptodate(mapping, page);
		if (!error)
			return page;
		page_put(page);
		if (error != -EAGAIN)
			return err_ptr(error);
	}
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

struct page *mapping_write_begin(struct mapping *mapping, u64 index, enum write_extent extent)
{
	for (;;) {
		struct page *page = mapping_find_or_create(mapping, index);
		int error;

		if (!page && make_room())
			continue;
		if (!page)
			return err_ptr(-ENOMEM);
		error = lock_in_slot(page);
		if (!error && (extent == WRITE_WHOLE_PAGE || page_is_uptodate(page)))
			return page;
		if (!error)
			error = read_locked(mapping, page);
		page_put(page);
		if (error && error != -EAGAIN)
			return err_ptr(error);
	}
}

size_t mapping_write_end(struct page *page, size_t copied)
{
	assert_page_locked(page);
	if (!page_is_uptodate(page)) {
		if (copied == PAGE_SIZE)
			page_set(page, PG_UPTODATE);
		else
			copied = 0;
	}
	if (copied)
		mapping_dirty_page(page);
	page_unlock(page);
	page_put(page);
	return copied;
}

/* Counts the page if it was clean before. */
static void set_dirty(struct page *page)
{
	if (!(atomic_or(&page->flags, 1u << PG_DIRTY) & 1u << PG_DIRTY))
		atomic_inc(&page->mapping->nr_dirty);
}

void mapping_dirty_page(struct page *page)
{
	assert_page_locked(page);
	set_dirty(page);
}

void mapping_undirty_page(struct page *page)
{
	assert_page_locked(page);
	if (atomic_and(&page->flags, ~(1u << PG_DIRTY)) & 1u << PG_DIRTY)
		(void)atomic_add_return(&page->mapping->nr_dirty, -1UL);
}

/* ---- Writing back ------------------------------------------------------------------------------------------------ */

/* Flushes for a dirty read-only entry too: mprotect has write-protected it, and may not have flushed yet. */
static bool clean_entry(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg)
{
	pte_t old = pte_clear_bits(pte, PTE_WRITE | PTE_DIRTY);

	(void)page, (void)arg;
	if (pte_write(old) || pte_dirty(old))
		tlb_flush_page(vma->mm, addr);
	return true;
}

/* From here on the first write to the page faults. Context: the page locked. */
static void clear_dirty_for_io(struct page *page)
{
	assert_page_locked(page);
	if (READ_ONCE(page->mapcount))
		rmap_walk(page, clean_entry, NULL);
	race_point(writeback_cleaned);
	mapping_undirty_page(page);
}

/* Starts write-back of one page, if it is dirty and in its slot. */
static int write_back(struct mapping *mapping, struct page *page, enum writeback_wait wait)
{
	int error = 0;

	page_lock(page);
	if (wait == WRITEBACK_WAIT)
		page_wait_writeback(page); /* it may have been dirtied again since that write-back began */
	if (page_test(page, PG_CACHE) && page_test(page, PG_DIRTY) && !page_test(page, PG_WRITEBACK)) {
		clear_dirty_for_io(page);
		page_set(page, PG_WRITEBACK);
		error = mapping->ops->write_page(mapping, page);
		if (error)
			page_end_writeback(page, error);
	}
	page_unlock(page);
	return error;
}

/* The first page of [*index, last], with a reference, or NULL; sets *index to the index after it. */
static struct page *next_page(struct mapping *mapping, u64 *index, u64 last)
{
	struct page *page;
	u64 found;

	while (*index <= last && mapping_next(mapping, *index, &found) && found <= last) {
		*index = found + 1;
		page = mapping_find(mapping, found);
		if (page)
			return page;
	}
	return NULL;
}

int mapping_writeback(struct mapping *mapping, u64 first, u64 last, enum writeback_wait wait)
{
	u64 index = first;
	struct page *page;
	int error = 0;

	if (!mapping->ops)
		return 0;
	while ((page = next_page(mapping, &index, last)) != NULL) {
		/* Read without a lock: a page dirtied after this check need not be written by this call. */
		int failed = page_test(page, PG_DIRTY) ? write_back(mapping, page, wait) : 0;

		error = error ? error : failed;
		page_put(page);
		cond_resched();
	}
	for (index = first; wait == WRITEBACK_WAIT && (page = next_page(mapping, &index, last)) != NULL; page_put(page))
		page_wait_writeback(page);
	return error;
}

int mapping_check_error(struct mapping *mapping, u32 *seen)
{
	u32 now = READ_ONCE(mapping->nr_write_errors);
	int error = now == READ_ONCE(*seen) ? 0 : -EIO;

	WRITE_ONCE(*seen, now);
	return error;
}

void mapping_note_write_error(struct mapping *mapping, struct page *page)
{
	set_dirty(page);
	atomic_inc(&mapping->nr_write_errors);
}
