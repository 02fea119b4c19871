/* SPDX-License-Identifier: MIT */
/*
 * The commit: the one place where a fault changes a page-table entry, whatever its kind and strategy.
 *
 *	lock		the page table of the entry, as the strategy can
 *	compare		the entry with what the fault read: it may have changed since
 *	write		the new entry, after flushing what CPUs may still hold of the old one (rule 5)
 *	unlock, account	RSS and counters
 *
 * Everything that can fail or sleep has happened before.
 */
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"

enum fault_end fault_lock_pte(struct fault *f)
{
	enum fault_end end = f->strategy->lock_table(f);

	if (end)
		return end;
	if (unlikely(!pte_same(pte_read(f->ptep), f->orig_pte))) {
		fault_unlock_pte(f);
		return fault_answered(f, FAULT_DONE); /* another thread was first: that is success (K4) */
	}
	if (unlikely(READ_ONCE(f->mm->unstable)) && pte_none(f->orig_pte)) {
		fault_unlock_pte(f);
		return fault_answered(f, FAULT_KILLED); /* the OOM reaper has been here; nothing may come back */
	}
	return END_CONTINUE;
}

/* ---- An empty entry ---------------------------------------------------------------------------------------------- */

/* The zero page is never counted: no reference, no mapcount, no RSS. */
enum fault_end fault_map_zero_page(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end)
		return end;
	race_point(commit_before_set);
	pte_fill(f->mm, f->address, f->ptep,
		 pte_make(zero_page, (f->vma.page_prot & ~PTE_WRITE) | PTE_SPECIAL | PTE_ACCESSED));
	fault_unlock_pte(f);
	count(zero_page_maps);
	return fault_answered(f, FAULT_DONE);
}

enum fault_end fault_map_own_page(struct fault *f, struct page *page)
{
	enum fault_end end = fault_lock_pte(f);

	if (end) {
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

enum fault_end fault_map_page(struct fault *f, u64 prot)
{
	enum fault_end end = fault_lock_pte(f);
	enum rss_kind kind;

	if (end)
		return end;
	if (!fault_count_unless_truncated(f->page)) {
		fault_unlock_pte(f);
		return fault_answered(f, FAULT_DONE); /* the access faults again, and finds what is there now */
	}
	kind = page_rss_kind(f->page); /* now: once the entry is unlocked, the page may be unmapped and freed */
	race_point(commit_before_set);
	pte_fill(f->mm, f->address, f->ptep, pte_make(f->page, prot | PTE_ACCESSED));
	fault_unlock_pte(f);
	mm_rss_add(f->mm, kind, 1);
	f->page = NULL;
	return fault_answered(f, FAULT_DONE);
}

/* ---- An entry of swap -------------------------------------------------------------------------------------------- */

/*
 * A page in the cache is locked by us, so no other thread can obtain this page or this slot.
 *
 * Context: a PTE lock held.
 */
static bool is_only_owner(const struct page *page, swap_slot_t slot)
{
	assert_in_atomic();
	return !READ_ONCE(page->mapcount) && swap_count(slot) == 1;
}

/*
 * A page that other entries may map too belongs to the anon_vma from which all of them can be reached: the oldest, the
 * root. As Linux.
 */
static void add_swapped_to_rmap(struct fault *f, struct page *page, bool only_owner)
{
	struct anon_vma *anon_vma = f->vma.anon_vma;

	page_get(page); /* the entry's reference */
	if (READ_ONCE(page->mapcount))
		rmap_dup(page);
	else
		rmap_add_swapped(page, only_owner ? anon_vma : anon_vma->root, fault_pgoff(f));
}

enum fault_end fault_map_swapped_page(struct fault *f, struct page *page, swap_slot_t slot)
{
	enum fault_end end = fault_lock_pte(f);
	bool only_owner;
	pte_t pte;

	if (end)
		return end;
	only_owner = is_only_owner(page, slot);
	add_swapped_to_rmap(f, page, only_owner);
	pte = pte_make(page, f->vma.page_prot | PTE_ACCESSED);
	if (f->access == ACCESS_WRITE && only_owner)
		pte = pte_mkwrite(pte);
	race_point(commit_before_set);
	pte_fill_settled(f->ptep, pte);
	swap_put(slot);
	f->orig_pte = pte;
	fault_unlock_pte(f);
	mm_rss_add(f->mm, RSS_SWAP, -1);
	mm_rss_add(f->mm, RSS_ANON, 1);
	return fault_answered(f, FAULT_DONE);
}

/* ---- A read-only entry ------------------------------------------------------------------------------------------- */

enum fault_end fault_make_writable(struct fault *f)
{
	assert_entry_locked(f->ptep);
	pte_set_bits(f->ptep, PTE_WRITE | PTE_DIRTY | PTE_ACCESSED);
	fault_unlock_pte(f);
	return fault_answered(f, FAULT_DONE);
}

/*
 * No CPU may read the old page once another can see the new one, so the old entry is removed and flushed everywhere
 * before the new one is written (K5). The lock stays held across the shootdown (rule 6).
 */
enum fault_end fault_replace_page(struct fault *f, struct page *old, struct page *copy)
{
	enum fault_end end = fault_lock_pte(f);

	if (end) {
		fault_page_put(f, copy);
		return end;
	}
	pte_xchg(f->ptep, (pte_t){ 0 });
	race_point(cow_before_flush);
	tlb_flush_page(f->mm, f->address);
	rmap_add_new_anon(copy, f->vma.anon_vma, fault_pgoff(f));
	race_point(commit_before_set);
	pte_fill_settled(f->ptep, pte_mkwrite(pte_make(copy, f->vma.page_prot)));
	if (old)
		rmap_remove(old);
	fault_unlock_pte(f);
	if (old) {
		mm_rss_add(f->mm, page_rss_kind(old), -1);
		page_put(old); /* the entry's reference; the caller has another */
	}
	mm_rss_add(f->mm, RSS_ANON, 1);
	count(cow_copies);
	return fault_answered(f, FAULT_DONE);
}
