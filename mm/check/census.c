/* SPDX-License-Identifier: MIT */
/*
 * Counts pages by use; census.h says why it examines the frames. The frames are read without a lock: a page that
 * changes during the pass counts as what it was or as what it becomes.
 *
 * Locked pages are found through the address spaces that lock some, because a page does not record that it is locked. A
 * page that several locked mappings map counts for the one that the reverse map finds first.
 *
 * Locks: mmap_lock of an address space that locks memory, for reading; below it those of the reverse map.
 */
#include "mm/check/census.h"
#include "mm/page/page_alloc.h"
#include "mm/vma/mm.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma.h"

static bool is_file(const struct page *page)
{
	return page_test(page, PG_CACHE) && !page_test(page, PG_SHMEM) && !page_test(page, PG_UNEVICTABLE);
}

/* The counter of how the page could be evicted, and how soon. A page that is on no list yet is inactive (lru.h). */
static u64 *way_out(const struct page *page, struct census *census)
{
	bool active = page_test(page, PG_ACTIVE);

	if (page_test(page, PG_UNEVICTABLE))
		return &census->unevictable;
	if (is_file(page))
		return active ? &census->active_file : &census->inactive_file;
	return active ? &census->active_anon : &census->inactive_anon;
}

static void count_page(const struct page *page, struct census *census)
{
	bool cache = page_test(page, PG_CACHE), anon = page_test(page, PG_ANON);
	bool mapped = READ_ONCE(page->mapcount) > 0;

	census->cache += cache;
	census->shmem += cache && page_test(page, PG_SHMEM);
	census->cache_mapped += cache && mapped;
	census->anon_mapped += anon && mapped;
	census->writeback += page_test(page, PG_WRITEBACK);
	census->dirty += page_test(page, PG_DIRTY) && is_file(page);
	*way_out(page, census) += cache || anon;
}

/* ---- Locked pages ------------------------------------------------------------------------------------------------ */

/* Returns the page that the address space maps at addr, with a reference, or NULL. Context: mmap_lock held. */
static struct page *get_mapped(struct mm *mm, vaddr_t addr)
{
	struct pt_walk walk = pt_walk(mm, addr);
	spinlock_t *ptl;
	struct page *page;

	assert_mmap_locked(mm);
	if (walk.state != PT_TABLE)
		return NULL;
	ptl = pte_lockptr(walk.pmd);
	spin_lock(ptl);
	page = pte_counted_page(pte_read(pte_offset(walk.pmd, addr)));
	if (page)
		page_get(page);
	spin_unlock(ptl);
	return page;
}

struct place {
	const struct vma *vma;
	vaddr_t addr;
};

static bool census_find_locked(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg)
{
	(void)page, (void)pte;
	if (!(READ_ONCE(vma->flags) & VM_LOCKED))
		return true;
	*(struct place *)arg = (struct place){ vma, addr };
	return false;
}

/*
 * True if this VMA, which maps the page at addr, is the one that counts it. mmap_lock keeps the page's owner alive.
 *
 * Context: mmap_lock held.
 */
static bool counts_here(struct page *page, const struct vma *vma, vaddr_t addr)
{
	struct place first = {};

	assert_mmap_locked(vma->mm);
	if (READ_ONCE(page->mapcount) == 1)
		return true;
	rmap_walk(page, census_find_locked, &first);
	return first.vma == vma && first.addr == addr;
}

static void count_locked_vma(const struct vma *vma, struct census *census)
{
	for (vaddr_t addr = vma->start; addr < vma->end; addr += PAGE_SIZE) {
		struct page *page = get_mapped(vma->mm, addr);

		if (!page)
			continue;
		if (counts_here(page, vma, addr)) {
			census->mlocked++;
			--*way_out(page, census);
			census->unevictable++;
		}
		page_put(page);
		cond_resched();
	}
}

static void count_locked(struct mm *mm, struct census *census)
{
	struct vma *vma;

	if (!READ_ONCE(mm->locked_pages) || !mmget_not_zero(mm))
		return;
	mmap_read_lock(mm);
	vma_tree_for_each (vma, &mm->tree)
		if (vma->flags & VM_LOCKED)
			count_locked_vma(vma, census);
	mmap_read_unlock(mm);
	mmput(mm);
}

/* ------------------------------------------------------------------------------------------------------------------ */

struct census census_take(void)
{
	struct census census = {};
	struct mm *mm = NULL;
	pfn_t pfn;

	assert_no_lock_from(RANK_MMAP_LOCK);
	for_each_used_pfn (pfn) {
		count_page(pfn_to_page(pfn), &census);
		if (pfn % 4096 == 0)
			cond_resched();
	}
	while ((mm = mm_next(mm)) != NULL) {
		census.promised += READ_ONCE(mm->data_pages) + READ_ONCE(mm->stack_pages);
		count_locked(mm, &census);
	}
	census.promised += census.shmem;
	return census;
}
