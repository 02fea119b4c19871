/* SPDX-License-Identifier: MIT */
/*
 * Unmaps pages from an address space: entries are cleared under their table's lock, translations are flushed in
 * batches, and only then are the pages freed.
 */
#include "mm/cache/mapping.h"
#include "mm/debug/counters.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"
#include "mm/table/zap.h"
#include "mm/vma/mm.h"
#include "mm/vma/rmap.h"

static void zap_slot(struct tlb_gather *tlb, pte_t old)
{
	mm_rss_add(tlb->mm, RSS_SWAP, -1);
	swap_put(pte_swap_slot(old));
}

/*
 * Passes the entry's dirty bit to the mapping's page, which counts one mapping less from here on. No writable
 * translation may remain when this entry's lock is released: the page may then be written back and marked clean, or
 * sent to swap, or leave its slot, which is filled by another page; and a later write would be lost (W4). A private
 * page needs no such flush: it is freed after the batch is flushed, or other entries map it, and those are read-only.
 */
static void note_written(struct tlb_gather *tlb, struct page *page, pte_t old)
{
	tlb->in_lock |= pte_write(old) || pte_dirty(old);
	if (pte_dirty(old) && !page->mapping->ops) /* with ops it is dirty for as long as an entry is writable */
		page_set(page, PG_DIRTY);
}

/* Clears one entry. True when the gather is full. Context: the entry's lock held. */
static bool zap_entry(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr)
{
	pte_t old = pte_read(ptep);
	struct page *page;

	assert_entry_locked(ptep);
	if (pte_none(old))
		return false;
	old = pte_xchg(ptep, (pte_t){ 0 });
	if (pte_present(old)) /* the CPU does not cache entries that it cannot use */
		tlb_remove_tlb_entry(tlb, addr);
	page = pte_counted_page(old);
	if (!page) {
		if (unlikely(pte_kind(old) == PTE_KIND_SWAP))
			zap_slot(tlb, old);
		return false;
	}
	if (!page_test(page, PG_ANON))
		note_written(tlb, page, old);
	mm_rss_add(tlb->mm, page_rss_kind(page), -1);
	rmap_remove(page);
	return tlb_add_page(tlb, page);
}

enum zap_what { ZAP_ALL, ZAP_ALL_BUT_PRIVATE };

static inline bool is_private(pte_t pte)
{
	struct page *page = pte_counted_page(pte);

	return page ? page_test(page, PG_ANON) : pte_kind(pte) == PTE_KIND_SWAP;
}

static inline void before_unlock(struct tlb_gather *tlb)
{
	if (unlikely(tlb->in_lock))
		tlb_flush_in_lock(tlb);
}

/* Zaps until the range ends or the gather is full; returns where it stopped. `what` is a constant at each call. */
static __always_inline vaddr_t zap_batch(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end,
					 enum zap_what what)
{
	struct pt_iter it;

	pt_for_each_table (&it, mm, start, end) {
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++) {
			if (what == ZAP_ALL_BUT_PRIVATE && is_private(pte_read(it.pte)))
				continue;
			if (zap_entry(tlb, it.pte, it.addr)) {
				before_unlock(tlb);
				pt_iter_end(&it);
				return it.addr + PAGE_SIZE;
			}
		}
		before_unlock(tlb);
	}
	return end;
}

void zap_range(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_mmap_locked(mm);
	update_hiwater_rss(mm);
	while (start < end) {
		start = zap_batch(tlb, mm, start, end, ZAP_ALL);
		if (tlb->nr_pages == TLB_GATHER_PAGES) {
			tlb_gather_flush(tlb);
			cond_resched();
		}
	}
}

void zap_range_shared(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_mmap_locked(mm);
	while (start < end) {
		start = zap_batch(tlb, mm, start, end, ZAP_ALL_BUT_PRIVATE);
		if (tlb->nr_pages == TLB_GATHER_PAGES) {
			tlb_gather_flush(tlb);
			cond_resched();
		}
	}
}
