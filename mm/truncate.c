/* SPDX-License-Identifier: MIT */
/*
 * Taking pages out of a mapping: truncation and hole punching.
 *
 * First the pages leave their slots and lose PG_CACHE, so that no fault can map them any more (see mapping.c). Then
 * they are unmapped from every address space that still maps one; again, until none is mapped, since a fork that runs
 * meanwhile may have copied an entry into a child. Only then the slots' references are dropped.
 *
 * Rejected: unmapping under i_mmap_lock, as Linux does. It is a spinlock here, and mmap_lock, which keeps VMAs and page
 * tables where they are, cannot be taken below it. So i_mmap tells whose address spaces to visit, nothing more.
 *
 * One removal of a mapping at a time (K9): a second one finds the slots empty, and must not return while the first has translations
 * of their pages to flush. Until a page is mapped nowhere, no other takes its place (mapping_slot_is_leaving()), or threads of two
 * address spaces would see two pages at one offset.
 *
 * Locks: mapping.removal_lock around it all; the page lock of a page whose contents live elsewhere; mapping.lock and i_mmap_lock one after the other, never
 * together; mmap_lock of each address space, for reading, with none of these held.
 */
#include "kernel/rwsem.h"
#include "mm/mapping_tree.h"
#include "mm/mm.h"
#include "mm/page_lock.h"
#include "mm/shmem_swap.h"
#include "mm/tlb.h"
#include "mm/vma.h"

#define REMOVE_BATCH 32

/* What happens to private copies of the pages: truncation takes them away too, a hole leaves them (as on Linux). */
enum removal_kind { REMOVE_HOLE, REMOVE_END };

/* Pages on their way out: no longer in the mapping, perhaps still mapped. The slots' references are ours. */
struct removal {
	struct mapping *mapping;
	enum removal_kind kind;
	u64 first, last; /* the range of indices that is being removed */
	u64 next;	 /* where the search goes on: what a fault fills in behind it, in a hole being punched, stays */
	unsigned nr_pages;
	struct page *pages[REMOVE_BATCH];
};

static bool take_batch(struct removal *removal);
static void put_batch(struct removal *removal);
static bool still_mapped(const struct removal *removal);
static void wait_for_reclaim(const struct removal *removal);
static void unmap_everywhere(const struct removal *removal);
static void flush_everywhere(const struct removal *removal);

/* Nobody maps a file system's own pages, and they are removed under its own lock, which ranks below. */
static void begin(struct removal *removal)
{
	struct mapping *mapping = removal->mapping;

	ASSERT(!mapping->inode_lock || rwsem_is_write_locked_by_me(mapping->inode_lock),
	       "pages of a file are removed with its writers excluded");
	if (mapping->metadata)
		return;
	mutex_lock(&mapping->removal_lock);
	spin_lock(&mapping->lock);
	mapping->removal = removal;
	spin_unlock(&mapping->lock);
}

static void end(struct removal *removal)
{
	struct mapping *mapping = removal->mapping;

	if (mapping->metadata)
		return;
	spin_lock(&mapping->lock);
	mapping->removal = NULL;
	spin_unlock(&mapping->lock);
	mutex_unlock(&mapping->removal_lock);
}

/*
 * The inner loop ends: unmapping refuses no entry, locked memory included, and no entry is added, since the pages have lost
 * PG_CACHE. What it passes over is an address space that is ending, or a VMA that is being unmapped: their own threads take
 * the entries, and wait for nothing that we hold.
 */
static void remove_pages(struct removal *removal)
{
	while (take_batch(removal)) {
		while (still_mapped(removal))
			unmap_everywhere(removal);
		wait_for_reclaim(removal);
		put_batch(removal);
		cond_resched();
	}
}

void mapping_remove_range(struct mapping *mapping, u64 first, u64 last)
{
	struct removal removal = { .mapping = mapping, .kind = REMOVE_HOLE, .first = first, .last = last, .next = first };

	begin(&removal);
	remove_pages(&removal);
	flush_everywhere(&removal);
	end(&removal);
}

/* What lies behind the new end in the last page must read as zeros if the object grows again. */
static void clear_from(struct page *page, u64 offset)
{
	clear_shared((char *)page_to_virt(page) + offset, PAGE_SIZE - offset);
}

static void clear_tail(struct mapping *mapping, u64 size)
{
	u64 offset = size & ~PAGE_MASK;
	struct page *page = offset ? shmem_get_page(mapping, size >> PAGE_SHIFT) : NULL;

	if (!page || is_err(page))
		return;
	clear_from(page, offset);
	page_set(page, PG_DIRTY); /* after the clearing: see shmem_swap.c */
	page_put(page);
}

/* With ops the zeros must reach the place where the object lives, too. */
static int write_tail(struct mapping *mapping, u64 size)
{
	u64 offset = size & ~PAGE_MASK;
	struct page *page;

	if (!offset || size >= READ_ONCE(mapping->size))
		return 0;
	page = mapping_write_begin(mapping, size >> PAGE_SHIFT, WRITE_PART_OF_PAGE);
	if (is_err(page))
		return (int)ptr_err(page);
	clear_from(page, offset);
	(void)mapping_write_end(page, PAGE_SIZE - offset);
	return 0;
}

/* => begun. */
static int set_size(struct removal *removal, u64 size)
{
	struct mapping *mapping = removal->mapping;
	int error = mapping->ops ? write_tail(mapping, size) : 0;
	bool shrinks;

	if (error)
		return error;
	/* Under the lock: from here on no fault puts a page beyond the end. */
	spin_lock(&mapping->lock);
	shrinks = size < READ_ONCE(mapping->size);
	WRITE_ONCE(mapping->size, size);
	spin_unlock(&mapping->lock);
	if (!shrinks)
		return 0;
	remove_pages(removal);
	unmap_everywhere(removal); /* private copies: after the pages have lost PG_CACHE, so that no more are made */
	clear_tail(mapping, size);
	return 0;
}

int mapping_truncate(struct mapping *mapping, u64 size)
{
	u64 first = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct removal removal = { .mapping = mapping, .kind = REMOVE_END, .first = first, .last = ~0UL, .next = first };
	int error;

	begin(&removal);
	error = set_size(&removal, size);
	end(&removal);
	return error;
}

/* ---- Out of the slots -------------------------------------------------------------------------------------------- */

/* Without ops: as many as there is room for, under one lock. What is in swap is gone then. False: nothing was there. */
static bool take_many(struct removal *removal)
{
	unsigned taken = 0;
	struct page *page;

	spin_lock(&removal->mapping->lock);
	for (; taken < REMOVE_BATCH; taken++) {
		if (!mapping_tree_take(removal->mapping, &removal->next, removal->last, &page))
			break;
		if (page)
			removal->pages[removal->nr_pages++] = page;
	}
	spin_unlock(&removal->mapping->lock);
	return taken != 0;
}

/* => locked, not under I/O, and a reference of the caller's besides the slot's, which becomes the removal's. */
static void take_settled(struct removal *removal, struct page *page)
{
	u64 index = page->index;

	if (!page_test(page, PG_CACHE))
		return; /* somebody was faster */
	spin_lock(&removal->mapping->lock);
	(void)mapping_tree_take(removal->mapping, &index, index, &page);
	removal->pages[removal->nr_pages++] = page;
	spin_unlock(&removal->mapping->lock);
	mapping_undirty_page(page);
}

/*
 * With ops: one page, once no I/O on it is under way, for where it lives may be somebody else's soon. Holding its lock keeps
 * out whoever would read it in, dirty it, or write it back.
 */
static void take_one(struct removal *removal)
{
	struct mapping *mapping = removal->mapping;
	struct page *page;
	u64 index;

	while (!removal->nr_pages && mapping_next(mapping, removal->next, &index) && index <= removal->last) {
		page = mapping_find(mapping, index);
		if (!page)
			continue;
		page_lock(page);
		page_wait_writeback(page);
		take_settled(removal, page);
		page_unlock(page);
		page_put(page);
		removal->next = index;
	}
}

static bool take_batch(struct removal *removal)
{
	if (!removal->mapping->ops)
		return take_many(removal);
	take_one(removal);
	return removal->nr_pages != 0;
}

/* From here on other pages may take their slots. */
static void put_batch(struct removal *removal)
{
	unsigned nr_pages = removal->nr_pages;

	spin_lock(&removal->mapping->lock);
	removal->nr_pages = 0;
	spin_unlock(&removal->mapping->lock);
	wake_up_all(&removal->mapping->leaving);
	for (unsigned i = 0; i < nr_pages; i++)
		page_put(removal->pages[i]);
}

/* Reclaim has unmapped a page, and not flushed yet: it has it locked until then. */
static bool is_leaving(const struct page *page)
{
	return READ_ONCE(page->mapcount) || page_test(page, PG_LOCKED);
}

bool mapping_slot_is_leaving(const struct mapping *mapping, u64 index)
{
	const struct removal *removal = mapping->removal;

	assert_spin_held(&mapping->lock);
	for (unsigned i = 0; removal && i < removal->nr_pages; i++)
		if (removal->pages[i]->index == index)
			return is_leaving(removal->pages[i]);
	return false;
}

static bool has_left(struct mapping *mapping, u64 index)
{
	bool leaving;

	spin_lock(&mapping->lock);
	leaving = mapping_slot_is_leaving(mapping, index);
	spin_unlock(&mapping->lock);
	return !leaving;
}

int mapping_wait_leaving(struct mapping *mapping, u64 index)
{
	lock_order_check(&mapping->removal_lock, RANK_REMOVAL);
	return wait_event_killable(&mapping->leaving, has_left(mapping, index));
}

/* Unlocked: whoever counts a page after this look finds PG_CACHE clear, and takes the count back. */
static bool still_mapped(const struct removal *removal)
{
	for (unsigned i = 0; i < removal->nr_pages; i++)
		if (READ_ONCE(removal->pages[i]->mapcount))
			return true;
	return false;
}

/*
 * Reclaim may have unmapped a page before we looked, and not flushed yet: nobody shall see what we have taken out once we are back.
 * It has the page locked until then (W6). With ops the page was locked by us when it was taken; without, reclaim takes shared memory
 * only.
 */
static void wait_for_reclaim(const struct removal *removal)
{
	for (unsigned i = 0; removal->mapping->shmem && i < removal->nr_pages; i++)
		page_wait_unlocked(removal->pages[i]);
}

/*
 * => locked. Nobody maps the page, and the slot and the caller have the only references: under mapping.lock nobody gets
 * another, for all find it in its slot. True: it is out, and the slot's reference is the caller's.
 */
static bool take_unused(struct mapping *mapping, struct page *page)
{
	u64 index = page->index;
	bool taken;

	spin_lock(&mapping->lock);
	taken = page_test(page, PG_CACHE) && mapping_page_is_clean(page) && !READ_ONCE(page->mapcount) &&
		READ_ONCE(page->refcount) == 2;
	if (taken)
		(void)mapping_tree_take(mapping, &index, index, &page);
	spin_unlock(&mapping->lock);
	return taken;
}

/* Entries let nobody write while the page is clean, and it becomes dirty under its lock only: so it still is when it goes. */
bool mapping_take_clean(struct mapping *mapping, struct page *page)
{
	if (!take_unused(mapping, page))
		return false;
	page_put(page);
	return true;
}

void mapping_drop_clean(struct mapping *mapping)
{
	for (u64 index = 0; mapping_next(mapping, index, &index); index++) {
		struct page *page = mapping_find(mapping, index);
		bool taken;

		if (!page)
			continue;
		if (page_trylock(page)) {
			taken = take_unused(mapping, page);
			page_unlock(page);
			if (taken)
				page_put(page);
		}
		page_put(page);
		cond_resched();
	}
}

/* ---- Unmapping --------------------------------------------------------------------------------------------------- */

/* The part of a VMA that shows the removed range, as [*start, *end). False when none does. */
static bool overlap(const struct removal *removal, const struct vma *vma, vaddr_t *start, vaddr_t *end)
{
	u64 pgoff = READ_ONCE(vma->pgoff);
	u64 nr_pages = (READ_ONCE(vma->end) - READ_ONCE(vma->start)) >> PAGE_SHIFT;

	if (removal->last < pgoff || removal->first >= pgoff + nr_pages)
		return false;
	*start = vma->start + (max(removal->first, pgoff) - pgoff) * PAGE_SIZE;
	*end = vma->start + (min(removal->last - pgoff, nr_pages - 1) + 1) * PAGE_SIZE;
	return true;
}

/*
 * Under mmap_lock for reading faults go on beside us. One that has looked at the entry before we emptied it compares it
 * again under the PTE lock; one that comes later finds no page.
 */
static void unmap_from(const struct removal *removal, struct mm *mm)
{
	struct tlb_gather tlb;
	vaddr_t start, end;
	struct vma *vma;

	mmap_read_lock(mm);
	tlb_gather_begin(&tlb, mm);
	vma_tree_for_each (vma, &mm->tree) {
		if (vma->mapping != removal->mapping || !overlap(removal, vma, &start, &end))
			continue;
		if (removal->kind == REMOVE_END)
			zap_range(&tlb, mm, start, end);
		else
			zap_range_shared(&tlb, mm, start, end);
	}
	tlb_gather_finish(&tlb);
	mmap_read_unlock(mm);
}

/*
 * The address space of the first VMA on the list from place *nr on, with one user more, or NULL. A VMA that is on the list
 * has not left its mm yet, so the struct is there. Moves *nr behind that VMA.
 */
static struct mm *next_mm(struct mapping *mapping, unsigned *nr)
{
	unsigned place = 0;
	struct mm *mm = NULL;
	struct vma *vma;

	spin_lock(&mapping->i_mmap_lock);
	list_for_each (vma, &mapping->i_mmap, i_mmap) {
		if (place++ < *nr || !mm_get_unless_ending(vma->mm))
			continue;
		mm = vma->mm;
		*nr = place;
		break;
	}
	spin_unlock(&mapping->i_mmap_lock);
	return mm;
}

typedef void visit_mm_t(const struct removal *removal, struct mm *mm);

/* The list may change between two looks, so that one is missed or met twice; the caller looks until nothing is mapped. */
static void visit_everywhere(const struct removal *removal, visit_mm_t *visit)
{
	struct mm *mm, *last = NULL;
	unsigned nr = 0;

	while ((mm = next_mm(removal->mapping, &nr)) != NULL) {
		if (mm != last)
			visit(removal, mm);
		last = mm;
		mm_put(mm);
	}
	cond_resched();
}

static void unmap_everywhere(const struct removal *removal)
{
	visit_everywhere(removal, unmap_from);
}

static void flush_pending(const struct removal *removal, struct mm *mm)
{
	(void)removal;
	if (tlb_is_pending(mm))
		tlb_flush_range(mm, 0, ~0UL);
}

/* A page that we found mapped nowhere may have been zapped by another thread (MADV_DONTNEED) that has not flushed yet (K9). */
static void flush_everywhere(const struct removal *removal)
{
	visit_everywhere(removal, flush_pending);
}
