/* SPDX-License-Identifier: MIT */
/*
 * Faults on private memory never touched before: a read maps the shared zero page, a write maps a new page.
 *
 * The page is prepared before the entry is locked, and freed if another fault has filled the entry first.
 * Mirrors: Linux, do_anonymous_page(); under speculation, seed 003's version of it.
 */
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/fault.h"
#include "mm/table/tlb.h"

/* The zero page is never counted: no reference, no mapcount, no RSS. */
static enum fault_end map_zero_page(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end != END_GO_ON)
		return end;
	race_point(commit_before_set);
	pte_fill(f->mm, f->address, f->ptep, pte_make(zero_page, (f->vma.page_prot & ~PTE_WRITE) | PTE_SPECIAL | PTE_ACCESSED));
	fault_unlock_pte(f);
	count(zero_page_maps);
	return fault_answered(f, FAULT_DONE);
}

/* The commit of every fault that ends with a new private page: the reference passes to the entry, or is dropped. */
enum fault_end fault_map_own_page(struct fault *f, struct page *page)
{
	enum fault_end end = fault_lock_pte(f);

	if (end != END_GO_ON) {
		fault_page_put(f, page);
		return end;
	}
	if (unlikely(f->page && !page_test(f->page, PG_CACHE))) {
		/* The copied page has been truncated: the access faults again, and finds what is there now (M1). */
		fault_unlock_pte(f);
		fault_page_put(f, page);
		return fault_answered(f, FAULT_DONE);
	}
	rmap_add_new_anon(page, f->vma.anon_vma, fault_pgoff(f));
	race_point(commit_before_set);
	pte_fill(f->mm, f->address, f->ptep, pte_mkwrite(pte_make(page, f->vma.page_prot)));
	fault_unlock_pte(f);
	mm_rss_add(f->mm, RSS_ANON, 1);
	return fault_answered(f, FAULT_DONE);
}

enum fault_end fault_anon(struct fault *f)
{
	struct page *page;
	enum fault_end end;

	if (f->access != ACCESS_WRITE)
		return map_zero_page(f);
	end = f->strategy->need_anon_vma(f);
	if (end != END_GO_ON)
		return end;
	page = fault_page_get(f, true);
	if (!page)
		return f->strategy->no_memory(f);
	race_point(anon_page_ready);
	return fault_map_own_page(f, page);
}
