/* SPDX-License-Identifier: MIT */
/*
 * Swapping out anonymous pages.
 *
 *	1. a slot	holds the page from now on: a fault before step 5 finds it there
 *	2. unmap	each entry is removed, together with its dirty bit, and replaced by the slot
 *	3. flush	of a batch of pages at once. They stay locked until then; steps 4 and 5 come after it (W4)
 *	4. write	if the device does not have its contents yet
 *	5. free		when the write has ended: at once on a synchronous device, later on others
 *
 * The dirty bit that is removed with the entry is final, although a CPU may still have a translation cached. If the
 * cached translation is clean, the CPU sets the bit in the entry at its first write, and in the same atomic step checks
 * that the entry is present; it is not, so the write faults. If the cached translation is dirty, the entry was dirty,
 * too. So no dirty bit is lost; but until the flush the contents may change, so a page is neither written nor freed
 * before.
 *
 * A page that its program gave up (MADV_FREE) and did not write to since gets no slot: its entries are cleared, and the
 * page is freed after the flush. Each entry is cleared only if it is still clean, in one atomic step, since the CPU may
 * set the dirty bit until then (K8). If an entry is dirty, this stops: the page has contents again, and is swapped out
 * as usual.
 *
 * A page of locked memory stays. So does one whose slot could not be written, as long as entries name that slot.
 *
 * Locks: the page lock, by trylock only: page lock › anon_vma › PTE lock › slot.
 * Mirrors: Linux, shrink_folio_list(), try_to_unmap_one() with TTU_BATCH_FLUSH, pageout().
 */
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"
#include "mm/vma/mm.h"
#include "mm/vma/rmap.h"

/* Rule 5: the entry is removed before the flush, but the page is not written, freed or mapped again until after it. */
static bool swap_out_unmap_entry(struct page *page, struct vma *vma, vaddr_t addr, pte_t *ptep, void *arg)
{
	swap_slot_t slot = { READ_ONCE(page->private) };

	if (READ_ONCE(vma->flags) & VM_LOCKED)
		return false; /* it stays mapped there, and so in memory */
	race_point(reclaim_before_clear);
	if (pte_dirty(tlb_batch_take(arg, vma->mm, addr, ptep))) {
		page_set(page, PG_DIRTY);
		page_clear(page, PG_LAZYFREE); /* it was written to since, and will be swapped in clean */
	}
	swap_dup(slot);
	pte_fill_settled(ptep, pte_make_swap(slot));
	rmap_remove(page);
	mm_rss_add(vma->mm, RSS_ANON, -1);
	mm_rss_add(vma->mm, RSS_SWAP, 1);
	page_put(page); /* the entry's reference; the slot and the caller hold others */
	return true;
}

/* ---- Given up (MADV_FREE) ---------------------------------------------------------------------------------------- */

/* lazyfree.c gives up no page in a swap slot, but may race with the allocation of the slot: then the slot counts. */
static bool is_given_up(const struct page *page)
{
	return page_test(page, PG_LAZYFREE) && !page_test(page, PG_SWAPCACHE);
}

/* True: the entry is empty now. False: the CPU has just used it. Context: the entry's lock held; interrupts on. */
static bool empty_if_unchanged(struct tlb_batch *batch, struct mm *mm, vaddr_t addr, pte_t *ptep, pte_t old)
{
	bool flush = tlb_may_hold(mm, old) && !tlb_batch_add(batch, mm, addr);

	assert_entry_locked(ptep);
	assert_irqs_on();
	if (!pte_cas(ptep, old, (pte_t){ 0 }))
		return false;
	if (unlikely(flush))
		tlb_flush_page(mm, addr);
	return true;
}

static bool swap_out_drop_entry(struct page *page, struct vma *vma, vaddr_t addr, pte_t *ptep, void *arg)
{
	pte_t old = pte_read(ptep);

	if (READ_ONCE(vma->flags) & VM_LOCKED)
		return false;
	if (pte_dirty(old)) {
		page_clear(page, PG_LAZYFREE); /* it was written to since MADV_FREE */
		return false;
	}
	race_point(reclaim_before_clear);
	if (!empty_if_unchanged(arg, vma->mm, addr, ptep, old))
		return false;
	rmap_remove(page);
	mm_rss_add(vma->mm, RSS_ANON, -1);
	page_put(page); /* the entry's reference; the caller holds another */
	return true;
}

/* The page is given up. True: it still is; freed now or later. False: it was written to. Context: the page locked. */
static bool drop_given_up(struct page *page, struct tlb_batch *batch)
{
	assert_page_locked(page);
	rmap_walk(page, swap_out_drop_entry, batch);
	return is_given_up(page);
}

/* ---- Swapped out ------------------------------------------------------------------------------------------------- */

/* False: no slot is free, or the page must stay in its slot, which could not be written. Context: the page locked. */
static bool have_slot(struct page *page)
{
	assert_page_locked(page);
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

/* Not mapped, and no entry names its slot, if it has one: it is freed once it has left the slot. */
static bool is_unwanted(const struct page *page)
{
	return !READ_ONCE(page->mapcount) &&
	       (!page_test(page, PG_SWAPCACHE) || !swap_count((swap_slot_t){ READ_ONCE(page->private) }));
}

enum swap_out swap_out_begin(struct page *page, struct tlb_batch *batch)
{
	assert_referenced(page);
	assert_page_locked(page);
	if (!page_test(page, PG_ANON) || page_test(page, PG_WRITEBACK))
		return SWAP_OUT_STAYS;
	if (is_unwanted(page))
		return swap_cache_delete_unused(page) ? SWAP_OUT_GONE : SWAP_OUT_STAYS;
	if (is_given_up(page) && drop_given_up(page, batch))
		return SWAP_OUT_BEGUN;
	if (!have_slot(page))
		return SWAP_OUT_STAYS;
	if (READ_ONCE(page->mapcount))
		rmap_walk(page, swap_out_unmap_entry, batch);
	return SWAP_OUT_BEGUN;
}

bool swap_out_finish(struct page *page)
{
	assert_may_sleep();
	assert_page_locked(page);
	if (READ_ONCE(page->mapcount)) { /* in locked memory */
		(void)swap_cache_delete_unused(page);
		return false;
	}
	race_point(reclaim_unmapped);
	if (is_given_up(page))
		return true;
	if (page_test(page, PG_DIRTY))
		swap_write_start(page);
	return swap_cache_delete_clean(page);
}
