/* SPDX-License-Identifier: MIT */
/*
 * Removing pages from a mapping: truncation and hole punching.
 *
 * First the pages are removed from their slots and lose PG_CACHE, so that no fault can map them any more (see
 * mapping.c). Then they are unmapped from every address space that maps one. This is repeated until none is mapped,
 * since a concurrent fork may have copied an entry into a child. Only then are the slots' references dropped.
 *
 * Rejected: unmapping under i_mmap_lock, as Linux does. It is a spinlock here, and mmap_lock, which keeps VMAs and
 * page tables in place, cannot be taken below it. So i_mmap only tells which address spaces to visit, and it changes
 * while one is visited; see visit_everywhere() for why none is missed.
 *
 * One removal per mapping at a time (K9): a second one finds the slots empty, and must not return while the first still
 * has translations of their pages to flush. Until a page is mapped nowhere, no other page may take its slot
 * (mapping_slot_is_leaving()), or threads of two address spaces would see two pages at one offset.
 *
 * Locks: mapping.removal_lock around the whole removal; the page lock of a page whose mapping has ops; mapping.lock and
 * i_mmap_lock one after the other, never together; mmap_lock of each address space, for reading, with neither these two
 * nor a page lock held.
 */
#include "kernel/sync/rwsem.h"
#include "mm/cache/mapping_tree.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/swap/shmem_swap.h"
#include "mm/table/tlb.h"
#include "mm/table/zap.h"
#include "mm/vma/mm.h"
#include "mm/vma/vma_change.h"

#define REMOVE_BATCH 32

/* What happens to private copies of the pages: truncation removes them too, a hole keeps them (as on Linux). */
enum removal_kind { REMOVE_HOLE, REMOVE_END };

/* Pages being removed: no longer in the mapping, perhaps still mapped. The removal owns the slots' references. */
struct removal {
	struct mapping *mapping;
	enum removal_kind kind;
	u64 first, last; /* the range of indices that is being removed */
	u64 next;	 /* where the search continues; in a hole, pages that faults add before it stay */
	bool searched;	 /* nothing is left to search; `next` cannot tell: ~0 has no successor */
	bool unmapped;	 /* every VMA that maps the range was unmapped once */
	unsigned nr_pages;
	struct page *pages[REMOVE_BATCH];
};

static bool take_batch(struct removal *removal);
static void truncate_put_batch(struct removal *removal);
static bool still_mapped(const struct removal *removal);
static void wait_for_reclaim(const struct removal *removal);
static void unmap_range(const struct removal *removal, u64 first, u64 last);
static void flush_everywhere(const struct removal *removal);

/* A file system's metadata pages are never mapped. They are removed under its own lock, which ranks below ours. */
static void truncate_begin(struct removal *removal)
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
 * A VMA that maps one page of the range usually maps others, so the first pass unmaps the whole range; later passes
 * unmap only the batch.
 *
 * The loop ends: unmapping skips no entry, not even of locked memory, and faults add none, since the pages have lost
 * PG_CACHE. It passes over address spaces that are ending, and VMAs that are being unmapped: their own threads clear
 * those entries, and wait for nothing that we hold.
 */
static void unmap_batch(struct removal *removal)
{
	while (still_mapped(removal)) {
		if (removal->unmapped)
			unmap_range(removal, removal->pages[0]->index, removal->pages[removal->nr_pages - 1]->index);
		else
			unmap_range(removal, removal->first, removal->last);
		removal->unmapped = true;
	}
}

static void truncate_remove_pages(struct removal *removal)
{
	while (take_batch(removal)) {
		unmap_batch(removal);
		wait_for_reclaim(removal);
		truncate_put_batch(removal);
		cond_resched();
	}
}

void mapping_remove_range(struct mapping *mapping, u64 first, u64 last)
{
	struct removal removal = {
		.mapping = mapping, .kind = REMOVE_HOLE, .first = first, .last = last, .next = first
	};

	assert_may_sleep();
	truncate_begin(&removal);
	truncate_remove_pages(&removal);
	flush_everywhere(&removal);
	end(&removal);
}

/* The bytes of the last page beyond the new end must read as zeros if the object grows again. */
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
	race_point(tail_page_found);
	clear_from(page, offset);
	page_set(page, PG_DIRTY); /* after the clearing: see shmem_swap.c */
	page_put(page);
}

/* With ops the zeros must reach the backing store, too. */
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

/* Called between truncate_begin() and end(). */
static int truncate_set_size(struct removal *removal, u64 size)
{
	struct mapping *mapping = removal->mapping;
	int error = mapping->ops ? write_tail(mapping, size) : 0;
	bool shrinks;

	if (error)
		return error;
	/* Under the lock: from here on no fault adds a page beyond the end. */
	spin_lock(&mapping->lock);
	shrinks = size < READ_ONCE(mapping->size);
	WRITE_ONCE(mapping->size, size);
	spin_unlock(&mapping->lock);
	if (!shrinks)
		return 0;
	truncate_remove_pages(removal);
	/* Private copies: after the pages have lost PG_CACHE, so that no new copies are made. */
	unmap_range(removal, removal->first, removal->last);
	clear_tail(mapping, size);
	return 0;
}

int mapping_truncate(struct mapping *mapping, u64 size)
{
	u64 first = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct removal removal = {
		.mapping = mapping, .kind = REMOVE_END, .first = first, .last = ~0UL, .next = first
	};
	int error;

	assert_may_sleep();
	truncate_begin(&removal);
	error = truncate_set_size(&removal, size);
	end(&removal);
	return error;
}

/* ---- Out of the slots -------------------------------------------------------------------------------------------- */

/* A thread that keeps faulting in the page must not make the search return to it. */
static void search_behind(struct removal *removal, u64 index)
{
	removal->next = index + 1;
	removal->searched = index == removal->last;
}

/* Without ops: removes as many as fit, under one lock, and releases swap slots at once. False: there were none. */
static bool take_many(struct removal *removal)
{
	unsigned taken = 0;
	struct page *page;

	spin_lock(&removal->mapping->lock);
	for (; taken < REMOVE_BATCH && !removal->searched; taken++) {
		u64 index = removal->next;

		if (!mapping_tree_take(removal->mapping, &index, removal->last, &page))
			break;
		search_behind(removal, index);
		if (page)
			removal->pages[removal->nr_pages++] = page;
	}
	spin_unlock(&removal->mapping->lock);
	return taken != 0;
}

/* The slot's reference passes to the removal. Context: the page locked; a reference. No I/O is under way. */
static void take_settled(struct removal *removal, struct page *page)
{
	u64 index = page->index;

	assert_referenced(page);
	assert_page_locked(page);
	if (!page_test(page, PG_CACHE))
		return; /* it was removed before we locked it */
	spin_lock(&removal->mapping->lock);
	(void)mapping_tree_take(removal->mapping, &index, index, &page);
	removal->pages[removal->nr_pages++] = page;
	spin_unlock(&removal->mapping->lock);
	mapping_undirty_page(page);
}

/*
 * With ops: removes one page, after I/O on it has ended, because its place on the backing store may soon be reused. The
 * page lock keeps other threads from reading it in, dirtying it, or writing it back.
 */
static void take_one(struct removal *removal)
{
	struct mapping *mapping = removal->mapping;
	struct page *page;
	u64 index;

	while (!removal->nr_pages && !removal->searched && mapping_next(mapping, removal->next, &index) &&
	       index <= removal->last) {
		page = mapping_find(mapping, index);
		if (!page)
			continue;
		page_lock(page);
		page_wait_writeback(page);
		take_settled(removal, page);
		page_unlock(page);
		page_put(page);
		search_behind(removal, index);
	}
}

static bool take_batch(struct removal *removal)
{
	if (!removal->mapping->ops)
		return take_many(removal);
	take_one(removal);
	return removal->nr_pages != 0;
}

/* Drops the references; from here on other pages may use the slots. */
static void truncate_put_batch(struct removal *removal)
{
	unsigned nr_pages = removal->nr_pages;

	spin_lock(&removal->mapping->lock);
	removal->nr_pages = 0;
	spin_unlock(&removal->mapping->lock);
	wake_up_all(&removal->mapping->leaving);
	for (unsigned i = 0; i < nr_pages; i++)
		page_put(removal->pages[i]);
}

/* PG_LOCKED: reclaim may have unmapped the page and not flushed yet; it keeps the page locked until it has. */
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
	assert_no_lock_from(RANK_REMOVAL);
	lock_order_check(&mapping->removal_lock, RANK_REMOVAL);
	return wait_event_killable(&mapping->leaving, has_left(mapping, index));
}

/* Reads mapcount unlocked: a fault that increments it later finds PG_CACHE clear, and decrements it again. */
static bool still_mapped(const struct removal *removal)
{
	for (unsigned i = 0; i < removal->nr_pages; i++)
		if (READ_ONCE(removal->pages[i]->mapcount))
			return true;
	return false;
}

/*
 * Reclaim may have unmapped a page before still_mapped() read its mapcount, and not flushed yet, but no thread may
 * access a removed page once we return. Reclaim keeps the page locked until it has flushed (W6). With ops, take_one()
 * held the page lock when it removed the page; without, reclaim evicts shared memory only.
 */
static void wait_for_reclaim(const struct removal *removal)
{
	for (unsigned i = 0; removal->mapping->shmem && i < removal->nr_pages; i++)
		page_wait_unlocked(removal->pages[i]);
}

/*
 * Removes the page if it is clean and not mapped, and only the slot and the caller have references: under mapping.lock
 * no thread can get another one, since every lookup goes through the slot. Returns true if it was removed; the slot's
 * reference then passes to the caller.
 *
 * Context: the page locked.
 */
static bool truncate_take_unused(struct mapping *mapping, struct page *page)
{
	u64 index = page->index;
	bool taken;

	assert_page_locked(page);
	spin_lock(&mapping->lock);
	taken = page_test(page, PG_CACHE) && mapping_page_is_clean(page) && !READ_ONCE(page->mapcount) &&
		load_acquire(&page->refcount) == 2;
	if (taken)
		(void)mapping_tree_take(mapping, &index, index, &page);
	spin_unlock(&mapping->lock);
	return taken;
}

/* A clean page's entries are write-protected, and it is dirtied only under its lock: it is still clean when removed. */
bool mapping_take_clean(struct mapping *mapping, struct page *page)
{
	assert_mapping_held(mapping);
	assert_page_locked(page);
	if (!truncate_take_unused(mapping, page))
		return false;
	page_put(page);
	return true;
}

void mapping_drop_clean(struct mapping *mapping)
{
	assert_may_sleep();
	for (u64 index = 0; mapping_next(mapping, index, &index); index++) {
		struct page *page = mapping_find(mapping, index);
		bool taken;

		if (!page)
			continue;
		if (page_trylock(page)) {
			taken = truncate_take_unused(mapping, page);
			page_unlock(page);
			if (taken)
				page_put(page);
		}
		page_put(page);
		cond_resched();
	}
}

/* ---- Address spaces ---------------------------------------------------------------------------------------------- */

/* A visit to each VMA that maps the offsets [first, last]. */
struct walk {
	const struct removal *removal;
	u64 first, last;
	u64 nr_inserted;	       /* into i_mmap, before the walk began */
	struct interval_cursor cursor; /* in i_mmap: after the VMA visited last */
	bool overtaken;		       /* VMAs were inserted since: every address space is searched whole */
	vaddr_t addr;		       /* then: where the search of the address space continues */
};

/* Handles one address space: all VMAs that next_vma_of() returns. */
typedef void visit_mm_t(struct walk *walk, struct mm *mm);

/* The next VMA along i_mmap; NULL at the end of the walk. Context: mapping->i_mmap_lock held. */
static struct vma *next_along_tree(struct walk *walk)
{
	const struct interval_tree *tree = &walk->removal->mapping->i_mmap;
	struct interval_node *node = interval_tree_first_behind(tree, walk->cursor, walk->first, walk->last);

	assert_spin_held(&walk->removal->mapping->i_mmap_lock);
	walk->overtaken |= tree->nr_inserted != walk->nr_inserted;
	return node && !walk->overtaken ? container_of(node, struct vma, i_mmap) : NULL;
}

/*
 * The address space of the next VMA along i_mmap, with one more user; NULL at the end. A VMA in the tree has not left
 * its mm yet, so struct mm is valid. An address space that is ending unmaps everything itself.
 */
static struct mm *next_mm(struct walk *walk)
{
	struct mapping *mapping = walk->removal->mapping;
	struct mm *mm = NULL;
	struct vma *vma;

	do {
		spin_lock(&mapping->i_mmap_lock);
		vma = next_along_tree(walk);
		if (vma && mmget_not_zero(vma->mm))
			mm = vma->mm;
		else if (vma)
			walk->cursor = interval_cursor_behind(&vma->i_mmap);
		spin_unlock(&mapping->i_mmap_lock);
	} while (vma && !mm);
	return mm;
}

static struct vma *next_along_tree_of(struct walk *walk, const struct mm *mm)
{
	struct mapping *mapping = walk->removal->mapping;
	struct vma *vma;

	spin_lock(&mapping->i_mmap_lock);
	vma = next_along_tree(walk);
	if (vma && vma->mm == mm)
		walk->cursor = interval_cursor_behind(&vma->i_mmap);
	else
		vma = NULL;
	spin_unlock(&mapping->i_mmap_lock);
	return vma;
}

static bool shows(const struct walk *walk, const struct vma *vma)
{
	return vma->mapping == walk->removal->mapping && walk->last >= vma->pgoff &&
	       walk->first < vma->pgoff + (u64)vma_pages(vma);
}

static struct vma *next_in_mm(struct walk *walk, const struct mm *mm)
{
	struct vma *vma;

	do {
		vma = vma_tree_find_from(&mm->tree, walk->addr);
		if (vma)
			walk->addr = vma->end;
	} while (vma && !shows(walk, vma));
	return vma;
}

/* The next VMA of the walk, if it belongs to mm. Context: mmap_lock held, until the visit to the VMA is over. */
static struct vma *next_vma_of(struct walk *walk, const struct mm *mm)
{
	assert_mmap_locked(mm);
	return walk->overtaken ? next_in_mm(walk, mm) : next_along_tree_of(walk, mm);
}

/*
 * Walks along i_mmap. The walk takes at most as many steps as there were VMAs when it began: it stops when a VMA is
 * inserted, and each step either moves the cursor or finds that the VMA was removed.
 */
static void visit_along_tree(struct walk *walk, visit_mm_t *visit)
{
	struct mm *mm;

	while ((mm = next_mm(walk)) != NULL) {
		visit(walk, mm);
		mmput(mm);
		cond_resched();
	}
}

static void visit_all(struct walk *walk, visit_mm_t *visit)
{
	struct mm *mm = NULL;

	while ((mm = mm_next(mm)) != NULL) {
		if (!mmget_not_zero(mm))
			continue;
		walk->addr = 0;
		visit(walk, mm);
		mmput(mm);
		cond_resched();
	}
}

/*
 * Visits every VMA that mapped the offsets when this began, and every VMA that has received entries from one since: by
 * fork, split or move. A newly mapped VMA has no entry of a removed page, and no private copy of one.
 *
 * A walk along i_mmap misses none as long as no VMA is inserted, since removing one moves no other. Each insertion is
 * counted, also that of a VMA that only changes its bounds: it may have received entries from a VMA not visited yet,
 * and lie on the part of the tree that the cursor has passed. Then all address spaces are searched whole, in order of
 * creation. One that was visited has no entry left and gets none, since entries pass to another address space only by
 * fork. A child of one not visited yet comes later in that order, and fork holds its mmap_lock until the copy is
 * complete. So one pass is enough.
 */
static void visit_everywhere(const struct removal *removal, u64 first, u64 last, visit_mm_t *visit)
{
	struct walk walk = { .removal = removal, .first = first, .last = last };
	struct mapping *mapping = removal->mapping;

	spin_lock(&mapping->i_mmap_lock);
	walk.nr_inserted = mapping->i_mmap.nr_inserted;
	spin_unlock(&mapping->i_mmap_lock);
	visit_along_tree(&walk, visit);
	if (walk.overtaken)
		visit_all(&walk, visit);
	cond_resched();
}

/* ---- Unmapping --------------------------------------------------------------------------------------------------- */

static void unmap_vma(const struct walk *walk, struct tlb_gather *tlb, const struct vma *vma)
{
	u64 first = max(walk->first, vma->pgoff) - vma->pgoff;
	u64 last = min(walk->last - vma->pgoff, (u64)vma_pages(vma) - 1);
	vaddr_t start = vma->start + first * PAGE_SIZE, end = vma->start + (last + 1) * PAGE_SIZE;

	if (walk->removal->kind == REMOVE_END)
		zap_range(tlb, vma->mm, start, end);
	else
		zap_range_shared(tlb, vma->mm, start, end);
}

/*
 * With mmap_lock held for reading, faults run concurrently. One that read the entry before we cleared it compares it
 * again under the PTE lock; a later one finds no page.
 */
static void unmap_in(struct walk *walk, struct mm *mm)
{
	struct tlb_gather tlb;
	struct vma *vma;

	mmap_read_lock(mm);
	tlb_gather_begin(&tlb, mm);
	while ((vma = next_vma_of(walk, mm)) != NULL)
		unmap_vma(walk, &tlb, vma);
	tlb_gather_finish(&tlb);
	mmap_read_unlock(mm);
}

static void unmap_range(const struct removal *removal, u64 first, u64 last)
{
	visit_everywhere(removal, first, last, unmap_in);
}

static void flush_pending_in(struct walk *walk, struct mm *mm)
{
	mmap_read_lock(mm);
	while (next_vma_of(walk, mm))
		;
	mmap_read_unlock(mm);
	if (mm_tlb_flush_pending(mm))
		tlb_flush_range(mm, 0, ~0UL);
}

/* A page found unmapped may have been zapped by another thread (MADV_DONTNEED) that has not flushed yet (K9). */
static void flush_everywhere(const struct removal *removal)
{
	visit_everywhere(removal, removal->first, removal->last, flush_pending_in);
}
