/* SPDX-License-Identifier: MIT */
/*
 * Batched TLB shootdown: entries are cleared first, then every CPU that uses the mm flushes, and only then are the
 * pages and tables freed. A gather covers one such batch.
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "mm/vma/mm.h"

#define TLB_GATHER_PAGES 64
/* Beyond this many pages a CPU flushes everything instead of one translation after the other. */
#define TLB_FLUSH_ALL_PAGES 33

struct tlb_gather {
	struct mm *mm;
	vaddr_t start, end; /* what has to be flushed; start >= end: nothing */
	bool full;	    /* everything of the mm, tables included */
	bool in_lock;	    /* what is noted so far must be flushed before the PTE lock is released */
	unsigned nr_pages;
	struct page *pages[TLB_GATHER_PAGES]; /* one reference each, dropped after the flush */
	struct page *tables;		      /* unlinked, freed through RCU after the flush; linked by rcu.next */
};

/*
 * Announces a pending flush to overlapping gathers (K9).
 *
 * Context: mmap_lock held, from begin to finish. Does not sleep.
 */
void tlb_gather_begin(struct tlb_gather *tlb, struct mm *mm);
/* Flushes, frees, and ends the gather. Context: mmap_lock held; no spinlock held; interrupts on. Does not sleep. */
void tlb_gather_finish(struct tlb_gather *tlb);
/* Notes that the translation of one page at addr is gone or lost rights. Context: a PTE lock held. */
static inline void tlb_remove_tlb_entry(struct tlb_gather *tlb, vaddr_t addr)
{
	assert_in_atomic();
	if (addr < tlb->start)
		tlb->start = addr;
	if (addr + PAGE_SIZE > tlb->end)
		tlb->end = addr + PAGE_SIZE;
}
/* Flushes what was noted, without freeing anything: for in_lock. Context: a PTE lock held; interrupts on (rule 6). */
void tlb_flush_in_lock(struct tlb_gather *tlb);
/*
 * Passes on a reference.
 *
 * Context: any. The gather is the caller's own.
 * Returns: true when the gather is full: the caller drops the PTE lock, then calls tlb_gather_flush().
 */
static inline bool tlb_add_page(struct tlb_gather *tlb, struct page *page)
{
	tlb->pages[tlb->nr_pages++] = page;
	return tlb->nr_pages == TLB_GATHER_PAGES;
}
/* Adds an empty table, already unlinked from its parent. Context: any. The gather is the caller's own. */
void tlb_add_table(struct tlb_gather *tlb, struct page *table);
/*
 * Flushes and frees what has been gathered so far; the gather goes on.
 *
 * Context: mmap_lock held; no spinlock held; interrupts on. Does not sleep.
 */
void tlb_gather_flush(struct tlb_gather *tlb);

/*
 * Deferred shootdown, for reclaim: entries of many pages in several address spaces are replaced first, then each
 * address space is flushed once. Until then the pages stay locked and keep their contents, and none is written, freed,
 * or taken out of its mapping. A batch is counted like a gather, so no function that changes entries returns before
 * they are flushed (W6).
 *
 * The entry of an anonymous page is replaced by a swap slot, which no fault maps before the page is unlocked; for
 * a page given up by MADV_FREE it becomes empty, and the fault that fills it flushes first (K5). The entry of a
 * mapping's page becomes empty: a fault may map the same page again, which changes nothing for a CPU that still has the
 * old translation, but a fault that fills the entry with anything else flushes first (K5).
 *
 * Mirrors: Linux, TTU_BATCH_FLUSH, try_to_unmap_flush(), flush_tlb_batched_pending().
 */
#define TLB_BATCH_MMS 8

struct tlb_batch { /* on the stack, all zeros at first */
	unsigned nr_mms;
	struct tlb_batch_mm {
		struct mm *mm; /* a reference: the mm may end before the flush */
		vaddr_t start, end;
	} mms[TLB_BATCH_MMS];
};

/*
 * The batch's part for mm; a new one is counted in mm->tlb_pending from then on.
 *
 * Context: any. The batch is the caller's own.
 * Returns: the part; NULL: there is no room.
 */
struct tlb_batch_mm *tlb_batch_part(struct tlb_batch *batch, struct mm *mm);
/*
 * Makes the batch responsible for flushing addr's translations. Called before the entry is removed: a thread that finds
 * it removed must see the count.
 *
 * Context: a PTE lock held.
 * Returns: false: the batch is full, and the caller must flush.
 */
static inline bool __must_check tlb_batch_add(struct tlb_batch *batch, struct mm *mm, vaddr_t addr)
{
	struct tlb_batch_mm *part = batch->mms;

	assert_in_atomic();
	if (unlikely(!batch->nr_mms || part->mm != mm))
		part = tlb_batch_part(batch, mm);
	if (!part)
		return false;
	if (addr < part->start)
		part->start = addr;
	if (addr + PAGE_SIZE > part->end)
		part->end = addr + PAGE_SIZE;
	return true;
}
/*
 * Flushes all that was added, and waits; then the batch is empty.
 *
 * Context: no spinlock held; interrupts on. Does not sleep.
 */
void tlb_batch_flush(struct tlb_batch *batch);

/*
 * Some gather or batch may have changed entries and not flushed them yet. A caller that has seen a changed entry also
 * sees the count that was raised before the change.
 *
 * Context: any.
 */
static inline bool mm_tlb_flush_pending(struct mm *mm)
{
	return __atomic_load_n(&mm->tlb_pending, __ATOMIC_SEQ_CST) != 0;
}
/*
 * May some CPU have a translation from an entry of this value? Not from one that it cannot use, unless that was usable
 * until a moment ago, and is not flushed yet (W7). As Linux's pte_accessible().
 *
 * Context: a PTE lock held.
 * Returns: true if one may.
 */
static inline bool tlb_may_hold(struct mm *mm, pte_t pte)
{
	assert_in_atomic();
	return pte_present(pte) || mm_tlb_flush_pending(mm);
}

/*
 * Drop translations on every CPU that uses the mm, and wait. May be called under a PTE lock (rule 6).
 *
 * Context: interrupts on. Do not sleep.
 */
void tlb_flush_page(struct mm *mm, vaddr_t addr);
void tlb_flush_range(struct mm *mm, vaddr_t start, vaddr_t end);

/*
 * Empties the entry. Its translations are flushed by the batch, or here if the batch is full.
 *
 * Context: a PTE lock held; interrupts on.
 * Returns: the entry's old value.
 */
static inline pte_t tlb_batch_take(struct tlb_batch *batch, struct mm *mm, vaddr_t addr, pte_t *ptep)
{
	bool flush = tlb_may_hold(mm, pte_read(ptep)) && !tlb_batch_add(batch, mm, addr);
	pte_t old = pte_xchg(ptep, (pte_t){ 0 });

	assert_in_atomic();
	assert_irqs_on();
	if (unlikely(flush))
		tlb_flush_page(mm, addr);
	return old;
}

/*
 * Filling an empty entry. No other function of mm/ does so (the runner's tests of documents check it), because an empty
 * entry does not mean that no CPU has a translation of what was there: a gather (MADV_DONTNEED, MADV_FREE's pages in
 * mm_drop_lazy(), a hole) or a batch of reclaim empties entries first and flushes later, and both count themselves
 * before they empty. No CPU may see the new page while another still reads or writes the old one (K5). So the count is
 * read, and the address flushed here if it is not 0. An entry that was emptied without being counted was flushed under
 * its lock (copy-on-write, mremap's source, write-back). The count is on a cache line that gathers and switches of
 * address spaces write, but faults do not.
 *
 * Context: a PTE lock held, which may be across the shootdown (rule 6).
 */
static inline void tlb_settle(struct mm *mm, vaddr_t start, vaddr_t end)
{
	assert_in_atomic();
	if (unlikely(mm_tlb_flush_pending(mm)))
		tlb_flush_range(mm, start, end);
}

/*
 * Fills an entry without reading the count, where no flush is needed:
 *	fault-around		after tlb_settle() of its window, under the same lock: no entry can be emptied
 *	copy-on-write		the entry was emptied and flushed under the same lock
 *	swap-in			the entry holds the page's slot. Translations that reclaim has not flushed yet
 *				are of this very page, which reclaim keeps locked until then; a slot that is read past
 *				the swap cache holds no page: the page was flushed before it left the cache
 *	reclaim			writes the slot: no CPU can use that entry
 *	mremap			the target was unmapped and flushed under the mmap_lock, held for writing
 *	fork			no CPU uses the child's tables
 *
 * Context: any. The entry's lock is held, or no CPU uses the table.
 */
static inline void pte_fill_settled(pte_t *ptep, pte_t pte)
{
	ASSERT(!pte_maps_page(pte_read(ptep)), "an entry that is filled maps no page");
	pte_set(ptep, pte);
}

/* Fills an empty entry, after tlb_settle(). Context: the entry's lock held. */
static inline void pte_fill(struct mm *mm, vaddr_t addr, pte_t *ptep, pte_t pte)
{
	assert_entry_locked(ptep);
	tlb_settle(mm, addr, addr + PAGE_SIZE);
	pte_fill_settled(ptep, pte);
}

/*
 * This CPU leaves prev's address space and enters next's (either may be NULL: kernel only). The bit in next->cpus is
 * set before the tables are loaded, the one in prev->cpus cleared after (K7).
 *
 * Context: interrupts off.
 */
void mm_switch_cpu(struct mm *prev, struct mm *next);

#endif
