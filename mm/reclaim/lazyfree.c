/* SPDX-License-Identifier: MIT */
/*
 * MADV_FREE (pages a program can do without), MADV_COLD (pages that it will not use soon), and pages after munlock.
 *
 * A lazily freed page has PG_LAZYFREE and a clean entry. A write to it makes the entry dirty, and that keeps the page;
 * the kernel need not be told. When memory is short, mm_drop_lazy() frees the pages whose entries are still clean.
 * Entries change by compare and exchange, since the CPU may set their bits at any moment (K8), and the dirty bit is
 * cleared and flushed before madvise returns: a later write sets it again (W4).
 *
 * Locks: mmap_lock for reading, and one PTE lock at a time; drop_mutex around each address space in mm_drop_all_lazy().
 * Mirrors: Linux, madvise_free_pte_range(), madvise_cold_or_pageout_pte_range(), try_to_unmap_one() for pages without
 * swap backing.
 */
#include "mm/reclaim/lazyfree.h"
#include "kernel/sync/mutex.h"
#include "mm/debug/race.h"
#include "mm/reclaim/lru.h"
#include "mm/table/tlb.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma.h"

static struct page *usable_page(pte_t pte)
{
	return pte_present(pte) ? pte_counted_page(pte) : NULL;
}

/* A page that is mapped elsewhere too must not be freed, or made old, on behalf of one address space. */
static bool is_ours_alone(const struct page *page)
{
	return READ_ONCE(page->mapcount) == 1;
}

/* Context: the entry's lock held. Returns: true if a bit was cleared; a TLB may still have it set. */
static bool clear_bits(pte_t *ptep, u64 bits)
{
	assert_entry_locked(ptep);
	return pte_clear_bits(ptep, bits).val & bits;
}

static void free_lazily(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr)
{
	struct page *page = usable_page(pte_read(ptep));

	/* Skips a page with a swap slot: were it clean, reclaim would take the slot's data for the page's contents. */
	if (!page || !page_test(page, PG_ANON) || page_test(page, PG_SWAPCACHE) || !is_ours_alone(page))
		return;
	page_set(page, PG_LAZYFREE);
	if (clear_bits(ptep, PTE_DIRTY | PTE_ACCESSED))
		tlb_remove_tlb_entry(tlb, addr);
}

static void make_old(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr)
{
	struct page *page = usable_page(pte_read(ptep));

	if (!page || !is_ours_alone(page))
		return;
	lru_deactivate(page);
	if (clear_bits(ptep, PTE_ACCESSED))
		tlb_remove_tlb_entry(tlb, addr);
}

typedef void visit_entry_t(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr);

static void visit_range(struct mm *mm, vaddr_t start, vaddr_t end, visit_entry_t *visit)
{
	struct tlb_gather tlb;
	struct pt_iter it;

	tlb_gather_begin(&tlb, mm);
	pt_for_each_table (&it, mm, start, end)
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++)
			visit(&tlb, it.pte, it.addr);
	tlb_gather_finish(&tlb);
}

/* has_lazy is set after pages are marked, and cleared before they are searched for: each is found eventually. */
void mm_free_lazily(struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_mmap_locked(mm);
	race_point(lazyfree_before_mark);
	visit_range(mm, start, end, free_lazily);
	WRITE_ONCE(mm->has_lazy, true);
}

void mm_make_old(struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_mmap_locked(mm);
	visit_range(mm, start, end, make_old);
}

static void rescue(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr)
{
	struct page *page = usable_page(pte_read(ptep));

	(void)tlb, (void)addr;
	if (page)
		lru_rescue(page);
}

void mm_rescue(struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_mmap_write_locked(mm);
	if (lru_size(LRU_UNEVICTABLE))
		visit_range(mm, start, end, rescue);
}

bool page_is_lazily_free(pte_t pte, const struct page *page)
{
	return page_test(page, PG_LAZYFREE) && !pte_dirty(pte);
}

/* ---- When memory is short ---------------------------------------------------------------------------------------- */

/*
 * Unmaps the page unless it was written to. A process forked since it was marked may still map it: its entry is judged
 * separately.
 *
 * Context: the entry's lock held.
 * Returns: true when the gather is full.
 */
static bool lazyfree_drop_entry(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr, u64 *nr_dropped)
{
	struct page *page;
	pte_t old;

	assert_entry_locked(ptep);
	do {
		old = pte_read(ptep);
		page = usable_page(old);
		if (!page || !page_is_lazily_free(old, page))
			return false;
		race_point(lazyfree_entry_read);
	} while (!pte_cas(ptep, old, (pte_t){ 0 })); /* failed: the CPU has just set a bit, perhaps the dirty bit */
	tlb_remove_tlb_entry(tlb, addr);
	mm_rss_add(tlb->mm, RSS_ANON, -1);
	rmap_remove(page);
	++*nr_dropped;
	return tlb_add_page(tlb, page);
}

/* Runs until the range ends or the gather is full; returns where it stopped. */
static vaddr_t drop_batch(struct tlb_gather *tlb, vaddr_t start, vaddr_t end, u64 *nr_dropped)
{
	struct pt_iter it;

	pt_for_each_table (&it, tlb->mm, start, end)
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++)
			if (lazyfree_drop_entry(tlb, it.pte, it.addr, nr_dropped)) {
				pt_iter_end(&it);
				return it.addr + PAGE_SIZE;
			}
	return end;
}

static void drop_range(struct tlb_gather *tlb, vaddr_t start, vaddr_t end, u64 *nr_dropped)
{
	while (start < end) {
		start = drop_batch(tlb, start, end, nr_dropped);
		if (tlb->nr_pages == TLB_GATHER_PAGES)
			tlb_gather_flush(tlb);
		cond_resched();
	}
}

u64 mm_drop_lazy(struct mm *mm)
{
	struct tlb_gather tlb;
	struct vma *vma;
	u64 nr_dropped = 0;

	assert_mm_referenced(mm);
	assert_may_sleep();
	if (!READ_ONCE(mm->has_lazy) || !mmap_read_trylock_unless_ending(mm))
		return 0;
	WRITE_ONCE(mm->has_lazy, false);
	update_hiwater_rss(mm);
	tlb_gather_begin(&tlb, mm);
	vma_tree_for_each (vma, &mm->tree)
		if (vma_is_anonymous(vma) && !(vma->flags & VM_LOCKED))
			drop_range(&tlb, vma->start, vma->end, &nr_dropped);
	tlb_gather_finish(&tlb);
	mmap_read_unlock(mm);
	return nr_dropped;
}

static struct mutex drop_mutex = MUTEX_INIT(drop_mutex, LAZYFREE);

static u64 drop_in_turn(struct mm *mm)
{
	u64 nr_dropped;

	mutex_lock(&drop_mutex);
	nr_dropped = mm_drop_lazy(mm);
	mutex_unlock(&drop_mutex);
	return nr_dropped;
}

u64 mm_drop_all_lazy(void)
{
	struct mm *mm = NULL;
	u64 nr_dropped = 0;

	assert_no_lock_from(RANK_LAZYFREE);
	while ((mm = mm_next(mm)) != NULL) {
		/* Unlocked: pages marked after this check are left to a later call. */
		if (READ_ONCE(mm->has_lazy))
			nr_dropped += drop_in_turn(mm);
	}
	mutex_lock(&drop_mutex); /* waits: what another thread was dropping is free now */
	mutex_unlock(&drop_mutex);
	return nr_dropped;
}
