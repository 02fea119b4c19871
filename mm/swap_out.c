/* SPDX-License-Identifier: MIT */
/*
 * Taking an anonymous page out of memory.
 *
 *	1. a slot	which holds the page from now on: who faults meanwhile finds it there
 *	2. unmap	each entry is cleared and flushed, and only then asked whether it was dirty (W4); then it names the slot
 *	3. write	if the device does not have its contents yet
 *	4. let go	when the write is over: now on a synchronous device, later on others
 *
 * A page of locked memory stays. So does one whose slot could not be written, as long as entries name that slot.
 *
 * Locks: the page's, tried only: page lock › anon_vma › PTE lock › slot.
 * Mirrors: Linux, shrink_folio_list(), try_to_unmap_one(), pageout().
 */
#include "mm/counters.h"
#include "mm/mm.h"
#include "mm/page_lock.h"
#include "mm/race.h"
#include "mm/rmap.h"
#include "mm/swap.h"
#include "mm/tlb.h"

/*
 * Rule 5: a CPU may write through a translation that it still has until it is told; so the entry is judged after the flush,
 * and nobody else looks at it before, since its lock is held.
 */
static bool unmap_entry(struct page *page, struct vma *vma, vaddr_t addr, pte_t *ptep, void *arg)
{
	swap_slot_t slot = { READ_ONCE(page->private) };
	bool *locked = arg;
	pte_t old;

	if (READ_ONCE(vma->flags) & VM_LOCKED) {
		*locked = true;
		return false;
	}
	race_point(reclaim_before_clear);
	old = pte_xchg(ptep, (pte_t){ 0 });
	race_point(reclaim_before_flush);
	if (pte_present(old))
		tlb_flush_page(vma->mm, addr);
	if (pte_dirty(old)) {
		page_set(page, PG_DIRTY);
		page_clear(page, PG_LAZYFREE); /* it was written to since, and will come back clean */
	}
	swap_dup(slot);
	pte_set(ptep, pte_make_swap(slot));
	rmap_remove(page);
	mm_rss_add(vma->mm, RSS_ANON, -1);
	mm_rss_add(vma->mm, RSS_SWAP, 1);
	page_put(page); /* the entry's reference; the slot and the caller have others */
	return true;
}

/* False: it is, or may be, mapped somewhere. */
static bool unmap(struct page *page)
{
	bool locked = false;

	if (READ_ONCE(page->mapcount))
		rmap_walk(page, unmap_entry, &locked);
	return !locked && !READ_ONCE(page->mapcount);
}

/* => locked. False: there is none, or it must stay in the one it has. */
static bool have_slot(struct page *page)
{
	if (page_test(page, PG_SWAPCACHE) && page_test(page, PG_ERROR))
		(void)swap_cache_delete_unused(page); /* the slot is retired; the page gets another */
	if (page_test(page, PG_SWAPCACHE))
		return !page_test(page, PG_ERROR);
	if (!swap_cache_alloc(page))
		return false;
	page_set(page, PG_UPTODATE);
	page_set(page, PG_DIRTY); /* nothing is in the slot yet */
	return true;
}

/* Nobody maps it, and nobody will: it is about to be freed, if only its slot, if it has one, lets it go. */
static bool is_unwanted(const struct page *page)
{
	return !READ_ONCE(page->mapcount) &&
	       (!page_test(page, PG_SWAPCACHE) || !swap_count((swap_slot_t){ READ_ONCE(page->private) }));
}

bool swap_out_locked(struct page *page)
{
	if (!page_test(page, PG_ANON) || page_test(page, PG_WRITEBACK))
		return false;
	if (is_unwanted(page))
		return swap_cache_delete_unused(page);
	if (!have_slot(page))
		return false;
	if (!unmap(page)) {
		(void)swap_cache_delete_unused(page);
		return false;
	}
	race_point(reclaim_unmapped);
	if (page_test(page, PG_DIRTY))
		swap_write_start(page);
	return swap_cache_delete_clean(page);
}
