/* SPDX-License-Identifier: MIT */
/*
 * Taking pages out of a mapping: truncation and hole punching.
 *
 * First the pages leave their slots and lose PG_CACHE, so that no fault can map them any more (see mapping.c). Then
 * they are unmapped from every address space that still maps one; again, until none is mapped, since a fork that runs
 * meanwhile may have copied an entry into a child. Only then the slots' references are dropped.
 *
 * Rejected: unmapping under i_mmap_lock, as Linux does. It is a spinlock here, and mmap_lock, which keeps VMAs and page
 * tables where they are, cannot be taken below it. So i_mmap tells whose address spaces to visit, nothing more, and changes while
 * one is visited; see visit_everywhere() for why none is missed.
 *
 * One removal of a mapping at a time (K9): a second one finds the slots empty, and must not return while the first has translations
 * of their pages to flush. Until a page is mapped nowhere, no other takes its place (mapping_slot_is_leaving()), or threads of two
 * address spaces would see two pages at one offset.
 *
 * Locks: mapping.removal_lock around it all; the page lock of a page whose contents live elsewhere; mapping.lock and i_mmap_lock one after the other, never
 * together; mmap_lock of each address space, for reading, with none of these held.
 */
#include "kernel/sync/rwsem.h"
#include "mm/cache/mapping_tree.h"
#include "mm/page/page_lock.h"
#include "mm/swap/shmem_swap.h"
#include "mm/table/tlb.h"
#include "mm/vma/mm.h"
#include "mm/vma/vma_change.h"

#define REMOVE_BATCH 32

/* What happens to private copies of the pages: truncation takes them away too, a hole leaves them (as on Linux). */
enum removal_kind { REMOVE_HOLE, REMOVE_END };

/* Pages on their way out: no longer in the mapping, perhaps still mapped. The slots' references are ours. */
struct removal {
	struct mapping *mapping;
	enum removal_kind kind;
	u64 first, last; /* the range of indices that is being removed */
	u64 next;	 /* where the search goes on: what a fault fills in behind it, in a hole being punched, stays */
	bool searched;	 /* nothing is behind `next`: the last index of all has no successor */
	bool unmapped;	 /* everything that showed the range was unmapped once */
	unsigned nr_pages;
	struct page *pages[REMOVE_BATCH];
};

static bool take_batch(struct removal *removal);
static void put_batch(struct removal *removal);
static bool still_mapped(const struct removal *removal);
static void wait_for_reclaim(const struct removal *removal);
static void unmap_range(const struct removal *removal, u64 first, u64 last);
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
 * What maps one page of the range mostly maps others, so the first time all of it is unmapped; what is mapped again goes alone.
 *
 * The loop ends: unmapping refuses no entry, locked memory included, and no entry is added, since the pages have lost
 * PG_CACHE. What it passes over is an address space that is ending, or a VMA that is being unmapped: their own threads take
 * the entries, and wait for nothing that we hold.
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

static void remove_pages(struct removal *removal)
{
	while (take_batch(removal)) {
		unmap_batch(removal);
		wait_for_reclaim(removal);
		put_batch(removal);
		cond_resched();
	}
}

void mapping_remove_range(struct mapping *mapping, u64 first, u64 last)
{
	struct removal removal = { .mapping = mapping, .kind = REMOVE_HOLE, .first = first, .last = last, .next = first };

	assert_may_sleep();
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

/* It has begun. */
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
	unmap_range(removal, removal->first, removal->last); /* private copies: after the pages have lost PG_CACHE, so that no more are made */
	clear_tail(mapping, size);
	return 0;
}

int mapping_truncate(struct mapping *mapping, u64 size)
{
	u64 first = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct removal removal = { .mapping = mapping, .kind = REMOVE_END, .first = first, .last = ~0UL, .next = first };
	int error;

	assert_may_sleep();
	begin(&removal);
	error = set_size(&removal, size);
	end(&removal);
	return error;
}

/* ---- Out of the slots -------------------------------------------------------------------------------------------- */

/* A thread that touches the page again and again must not bring the search back to it. */
static void search_behind(struct removal *removal, u64 index)
{
	removal->next = index + 1;
	removal->searched = index == removal->last;
}

/* Without ops: as many as there is room for, under one lock. What is in swap is gone then. False: nothing was there. */
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

/* It is not under I/O. The caller's reference becomes the removal's. => the page locked; a reference. */
static void take_settled(struct removal *removal, struct page *page)
{
	u64 index = page->index;

	assert_referenced(page);
	assert_page_locked(page);
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

	while (!removal->nr_pages && !removal->searched && mapping_next(mapping, removal->next, &index) && index <= removal->last) {
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
	assert_no_lock_from(RANK_REMOVAL);
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
 * => the page locked. Nobody maps the page, and the slot and the caller have the only references: under mapping.lock
 * nobody gets another, for all find it in its slot. True: it is out, and the slot's reference is the caller's.
 */
static bool take_unused(struct mapping *mapping, struct page *page)
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

/* Entries let nobody write while the page is clean, and it becomes dirty under its lock only: so it still is when it goes. */
bool mapping_take_clean(struct mapping *mapping, struct page *page)
{
	assert_mapping_held(mapping);
	assert_page_locked(page);
	if (!take_unused(mapping, page))
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
			taken = take_unused(mapping, page);
			page_unlock(page);
			if (taken)
				page_put(page);
		}
		page_put(page);
		cond_resched();
	}
}

/* ---- Address spaces ---------------------------------------------------------------------------------------------- */

/* A visit to each VMA that shows the offsets [first, last]. */
struct walk {
	const struct removal *removal;
	u64 first, last;
	u64 nr_inserted;	       /* into i_mmap, before the walk began */
	struct interval_cursor cursor; /* in i_mmap: behind the VMA that was visited last */
	bool overtaken;		       /* VMAs have come to i_mmap since: now each address space is visited whole */
	vaddr_t addr;		       /* where in that address space */
};

/* What is done in one address space: to all VMAs that next_vma_of() answers. */
typedef void visit_mm_t(struct walk *walk, struct mm *mm);

/* The next VMA along i_mmap; NULL at the end of the walk. => mapping->i_mmap_lock held. */
static struct vma *next_along_tree(struct walk *walk)
{
	const struct interval_tree *tree = &walk->removal->mapping->i_mmap;
	struct interval_node *node = interval_tree_first_behind(tree, walk->cursor, walk->first, walk->last);

	assert_spin_held(&walk->removal->mapping->i_mmap_lock);
	walk->overtaken |= tree->nr_inserted != walk->nr_inserted;
	return node && !walk->overtaken ? container_of(node, struct vma, i_mmap) : NULL;
}

/*
 * The address space of the next VMA along i_mmap, with one user more; NULL at the end. A VMA that is in the tree has not left its
 * mm yet, so the struct is there. One that is ending unmaps everything itself.
 */
static struct mm *next_mm(struct walk *walk)
{
	struct mapping *mapping = walk->removal->mapping;
	struct mm *mm = NULL;
	struct vma *vma;

	do {
		spin_lock(&mapping->i_mmap_lock);
		vma = next_along_tree(walk);
		if (vma && mm_get_unless_ending(vma->mm))
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

/*
 * The next VMA of the walk, if it is one of that mm. => mmap_lock held, until the visit to the VMA is over.
 */
static struct vma *next_vma_of(struct walk *walk, const struct mm *mm)
{
	assert_mmap_locked(mm);
	return walk->overtaken ? next_in_mm(walk, mm) : next_along_tree_of(walk, mm);
}

/*
 * Along i_mmap. It ends after as many steps as VMAs were there when it began, for it is given up when others come, and each step
 * either moves the cursor or finds that the VMA has left.
 */
static void visit_along_tree(struct walk *walk, visit_mm_t *visit)
{
	struct mm *mm;

	while ((mm = next_mm(walk)) != NULL) {
		visit(walk, mm);
		mm_put(mm);
		cond_resched();
	}
}

static void visit_all(struct walk *walk, visit_mm_t *visit)
{
	struct mm *mm = NULL;

	while ((mm = mm_next(mm)) != NULL) {
		if (!mm_get_unless_ending(mm))
			continue;
		walk->addr = 0;
		visit(walk, mm);
		mm_put(mm);
		cond_resched();
	}
}

/*
 * Visits every VMA that showed the offsets when this began, and those that have entries from such a one since: copies made by fork,
 * parts, the places that they moved to. A VMA that is mapped anew has no entry of a page that is out, and no private copy of one.
 *
 * A walk along i_mmap misses none as long as no VMA comes to it, for those that leave move no other. Each that comes is counted,
 * also one that only changes its bounds: it may have got entries from one that was not visited yet, and lie behind the cursor.
 * Then all address spaces are visited whole, in the order of their creation. One that was visited has no entry left, and gets
 * none, since entries pass to another address space by fork alone. A child of one that was not visited yet comes later in that
 * order, and its mmap_lock is the fork's until the copy is complete. So one pass is enough.
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
 * Under mmap_lock for reading faults go on beside us. One that has looked at the entry before we emptied it compares it
 * again under the PTE lock; one that comes later finds no page.
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
	if (tlb_is_pending(mm))
		tlb_flush_range(mm, 0, ~0UL);
}

/* A page that we found mapped nowhere may have been zapped by another thread (MADV_DONTNEED) that has not flushed yet (K9). */
static void flush_everywhere(const struct removal *removal)
{
	visit_everywhere(removal, removal->first, removal->last, flush_pending_in);
}
