/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown: which CPUs must flush which translations, and when the pages and tables behind them may be freed.
 *
 * mm->cpus has a CPU's bit from before it loads the mm's tables until after it has loaded others. An entry is changed
 * first (by an atomic exchange), the mask is read afterwards: a CPU whose bit is not seen loads the tables later, and
 * so sees the new entry (K7).
 */
#include "mm/table/tlb.h"

#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/swap/swap.h"
#include "mm/vma/mm.h"

static u64 this_cpu_bit(void)
{
	return 1UL << cpu_id();
}

static unsigned count_cpus(u64 mask)
{
	unsigned nr = 0;

	for (; mask; mask &= mask - 1)
		nr++;
	return nr;
}

void tlb_flush_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	u64 cpus = __atomic_load_n(&mm->cpus, __ATOMIC_SEQ_CST);
	u64 others = cpus & ~this_cpu_bit(), asked;

	if (end - start > TLB_FLUSH_ALL_PAGES * PAGE_SIZE) {
		start = 0;
		end = ~0UL;
	}
	if (cpus & this_cpu_bit())
		machine_tlb_flush_local(start, end);
	if (!others)
		return;
	count(tlb_shootdowns);
	count_nr(COUNT_tlb_shootdown_targets, count_cpus(others));
	asked = event_clock();
	machine_tlb_shootdown(others, start, end);
	event_ended(EVENT_shootdown, asked, start, others);
}

void tlb_flush_page(struct mm *mm, vaddr_t addr)
{
	tlb_flush_range(mm, addr, addr + PAGE_SIZE);
}

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

struct tlb_batch_mm *tlb_batch_part(struct tlb_batch *batch, struct mm *mm)
{
	struct tlb_batch_mm *part = batch->mms, *end = batch->mms + batch->nr_mms;

	while (part < end && part->mm != mm)
		part++;
	if (part < end)
		return part;
	if (batch->nr_mms == TLB_BATCH_MMS)
		return NULL;
	batch->nr_mms++;
	mmgrab(mm);
	atomic_add_return(&mm->tlb_pending, 1);
	*part = (struct tlb_batch_mm){ .mm = mm, .start = ~0UL };
	return part;
}

void tlb_batch_flush(struct tlb_batch *batch)
{
	assert_no_spinlock_held();
	assert_irqs_on();
	if (!batch->nr_mms)
		return;
	race_point(reclaim_before_flush);
	for (unsigned i = 0; i < batch->nr_mms; i++) {
		const struct tlb_batch_mm *part = &batch->mms[i];

		tlb_flush_range(part->mm, part->start, part->end);
		atomic_dec_return(&part->mm->tlb_pending);
		mmdrop(part->mm);
	}
	batch->nr_mms = 0;
}

/* ---- Gathers ----------------------------------------------------------------------------------------------------- */

static void gather_reset(struct tlb_gather *tlb)
{
	tlb->start = ~0UL;
	tlb->end = 0;
	tlb->full = false;
	tlb->in_lock = false;
	tlb->nr_pages = 0;
	tlb->tables = NULL;
}

void tlb_flush_in_lock(struct tlb_gather *tlb)
{
	assert_in_atomic();
	assert_irqs_on();
	if (tlb->start < tlb->end) /* entries that the CPU could not use were not noted */
		tlb_flush_range(tlb->mm, tlb->start, tlb->end);
	tlb->start = ~0UL;
	tlb->end = 0;
	tlb->in_lock = false;
}

void tlb_gather_begin(struct tlb_gather *tlb, struct mm *mm)
{
	assert_mmap_locked(mm);
	tlb->mm = mm;
	gather_reset(tlb);
	atomic_add_return(&mm->tlb_pending, 1);
}

/* Also frees the page's swap slot if no entry names it any more: the page would stay there for nothing. */
static void tlb_put_page(struct page *page)
{
	if (unlikely(page_test(page, PG_SWAPCACHE)) && page_trylock(page)) {
		(void)swap_cache_delete_unused(page);
		page_unlock(page);
	}
	page_put(page);
}

void tlb_gather_flush(struct tlb_gather *tlb)
{
	assert_mmap_locked(tlb->mm);
	assert_no_spinlock_held();
	assert_irqs_on();
	race_point(zap_before_flush);
	if (tlb->tables)
		race_point(tables_before_free);
	if (tlb->full)
		tlb_flush_range(tlb->mm, 0, ~0UL);
	else if (tlb->start < tlb->end)
		tlb_flush_range(tlb->mm, tlb->start, tlb->end);
	for (unsigned i = 0; i < tlb->nr_pages; i++)
		tlb_put_page(tlb->pages[i]);
	if (tlb->tables) {
		race_point(tables_after_flush);
		tables_free_rcu(tlb->tables);
	}
	gather_reset(tlb);
}

void tlb_gather_finish(struct tlb_gather *tlb)
{
	struct mm *mm = tlb->mm;

	assert_irqs_on();
	/*
	 * Another gather may have cleared entries in our range that we then found empty, and not have flushed them yet:
	 * its count was raised before it cleared them, so we see it here, and flush for it (K9). Likewise a batch of
	 * reclaim, whose swap entries we have found (W6).
	 */
	if (__atomic_load_n(&mm->tlb_pending, __ATOMIC_SEQ_CST) > 1)
		tlb->full = true;
	tlb_gather_flush(tlb);
	atomic_dec_return(&mm->tlb_pending);
}

void mm_switch_cpu(struct mm *prev, struct mm *next)
{
	assert_irqs_off();
	if (next) {
		atomic_or(&next->cpus, this_cpu_bit());
		race_point(switch_mask_set);
	}
	machine_load_pgd(next ? virt_to_phys(next->pgd) : 0);
	if (prev && prev != next)
		atomic_and(&prev->cpus, ~this_cpu_bit());
}
