/* SPDX-License-Identifier: MIT */
/*
 * Fault-around: a read of one page of a mapping maps the cached pages around it as well, in one go, so that they need
 * no faults of their own.
 *
 * The window is sysctl_fault_around_bytes, aligned, and clamped to the VMA and to the page table; map_pages() clamps it
 * to the object. The VMA's map_pages() does all the work. It never sleeps: it skips the pages that it would have to
 * wait for. So it runs before the strategy is asked whether it may call the fault operation, and for speculation it is
 * the only way to map a page of a mapping.
 *
 * Where prefaulting does not pay, only the page itself is looked up: the mapping counts faults that found their page
 * missing, and pages that are found lower the count again.
 *
 * Mirrors: seed 004, do_fault_around(), filemap_map_pages() and its mmap_miss; the window as Linux 6.12 computes it.
 * Entries around are marked accessed like the one that faulted, as on x86 Linux (arch_wants_old_prefaulted_pte() is
 * arm64's).
 */
#include "kernel/lib/errno.h"
#include "mm/cache/mapping_tree.h"
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/fault/fault_around.h"
#include "mm/table/tlb.h"

#define BATCH 16
#define LOTS_OF_MISSES 100 /* Linux: MMAP_LOTSAMISS, */
#define MOST_MISSES 1000   /* ... and where it stops counting */

u64 sysctl_fault_around_bytes = DEFAULT_FAULT_AROUND_BYTES;

int fault_around_set(u64 bytes)
{
	u64 rounded = PAGE_SIZE;

	if (bytes >> PAGE_SHIFT > PTRS_PER_TABLE)
		return -EINVAL;
	while (rounded * 2 <= bytes)
		rounded *= 2;
	WRITE_ONCE(sysctl_fault_around_bytes, rounded);
	return 0;
}

/* ---- Does it pay? ------------------------------------------------------------------------------------------------ */

void mapping_note_miss(struct mapping *mapping)
{
	u32 misses = READ_ONCE(mapping->misses);

	if (misses < MOST_MISSES)
		WRITE_ONCE(mapping->misses, misses + 1);
}

static bool pays(const struct mapping *mapping)
{
	if (likely(READ_ONCE(mapping->misses) <= LOTS_OF_MISSES))
		return true;
	count(fault_around_stopped);
	return false;
}

/* ---- The window -------------------------------------------------------------------------------------------------- */

enum fault_end fault_map_around(struct fault *f)
{
	u64 nr = READ_ONCE(sysctl_fault_around_bytes) >> PAGE_SHIFT;
	u64 place = table_index(f->address, 1), in_vma = (f->address - f->vma.start) >> PAGE_SHIFT;
	u64 vma_pages = (f->vma.end - f->vma.start) >> PAGE_SHIFT, pgoff = fault_pgoff(f);
	u64 first, last; /* as places in the page table */

	if (!f->vma.ops->map_pages)
		return END_CONTINUE;
	if (nr > 1 && !pays(f->vma.mapping))
		nr = 1;
	first = max(align_down(place, nr), place - min(place, in_vma));
	last = min(min(first + nr, (u64)PTRS_PER_TABLE), place + vma_pages - in_vma) - 1;
	return f->vma.ops->map_pages(f, pgoff + first - place, pgoff + last - place);
}

/* ---- map_pages() of every mapping -------------------------------------------------------------------------------- */

/* Pages of neighbouring slots, each with a reference. */
struct batch {
	u64 next; /* the index after the last slot that was looked at */
	unsigned nr;
	struct page *pages[BATCH];
};

/* A locked page is being filled or removed. One that fallocate has set aside may never be used. */
static bool may_be_mapped(const struct page *page)
{
	const u32 wanted = 1u << PG_UPTODATE | 1u << PG_CACHE;
	const u32 looked_at = wanted | 1u << PG_LOCKED | 1u << PG_ERROR | 1u << PG_SET_ASIDE;

	return (load_acquire(&page->flags) & looked_at) == wanted;
}

/* The slot's page, with a reference, or NULL if it may not be mapped. */
static struct page *get_mappable(const struct mapping_slot *slot)
{
	struct page *page = slot_get_page(slot);

	if (!page || likely(may_be_mapped(page)))
		return page;
	page_put(page);
	count(fault_around_skipped);
	return NULL;
}

/* Collects the next pages of [batch->next, last] that may be mapped. False: there are none. */
static bool around_collect(struct batch *batch, const struct mapping *mapping, u64 last)
{
	batch->nr = 0;
	rcu_read_lock();
	while (batch->next <= last && batch->nr < BATCH) {
		u64 nr, stop;
		const struct mapping_slot *slot = mapping_tree_slots(mapping, batch->next, &nr);

		stop = min(batch->next + nr - 1, last);
		for (; slot && batch->next <= stop && batch->nr < BATCH; slot++, batch->next++) {
			batch->pages[batch->nr] = get_mappable(slot);
			batch->nr += batch->pages[batch->nr] != NULL;
		}
		if (!slot)
			batch->next = stop + 1;
	}
	rcu_read_unlock();
	return batch->nr != 0;
}

static void around_put_batch(struct batch *batch)
{
	for (unsigned i = 0; i < batch->nr; i++)
		page_put(batch->pages[i]);
}

/*
 * Maps the page, if its entry is empty and the page still in its slot; the reference passes to the entry.
 *
 * Context: the entry's lock held.
 */
static bool map_one(struct fault *f, struct page *page, u64 pgoff, u64 prot)
{
	pte_t *ptep = f->ptep + (s64)(READ_ONCE(page->index) - pgoff);

	assert_entry_locked(ptep);
	if (!pte_none(pte_read(ptep)) || !fault_count_unless_truncated(page))
		return false;
	pte_fill_settled(ptep, pte_make(page, prot));
	return true;
}

/* Returns how many were mapped. Context: the entry's lock held. */
static unsigned map_batch(struct fault *f, struct batch *batch)
{
	u64 pgoff = fault_pgoff(f), prot = fault_read_prot(f) | PTE_ACCESSED;
	unsigned nr_mapped = 0;

	assert_entry_locked(f->ptep);
	for (unsigned i = 0; i < batch->nr; i++) {
		if (map_one(f, batch->pages[i], pgoff, prot))
			nr_mapped++;
		else
			page_put(batch->pages[i]);
	}
	return nr_mapped;
}

/* The references keep the pages from being freed, so the table may be built outside the RCU section. */
enum fault_end mapping_map_pages(struct fault *f, u64 first, u64 last)
{
	struct mapping *mapping = f->vma.mapping;
	u64 nr_pages = (READ_ONCE(mapping->size) + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct batch batch = { .next = first };
	unsigned nr_mapped = 0;
	enum fault_end end;
	bool solved;

	last = min(last, nr_pages - 1);
	if (!nr_pages || !around_collect(&batch, mapping, last))
		return END_CONTINUE; /* and no page table was built for nothing */
	race_point(around_pages_found);
	end = fault_lock_pte(f);
	if (end) {
		around_put_batch(&batch);
		return end;
	}
	tlb_settle(f->mm, f->address + (first - fault_pgoff(f)) * PAGE_SIZE,
		   f->address + (last + 1 - fault_pgoff(f)) * PAGE_SIZE);
	do
		nr_mapped += map_batch(f, &batch);
	while (around_collect(&batch, mapping, last));
	solved = !pte_none(pte_read(f->ptep));
	fault_unlock_pte(f);
	mm_rss_add(f->mm, mapping->shmem ? RSS_SHMEM : RSS_FILE, nr_mapped);
	count_nr(COUNT_fault_around_pages, nr_mapped - solved);
	mapping_note_hits(mapping, nr_mapped);
	if (!solved)
		return END_CONTINUE;
	f->means = MEANS_CACHED;
	return fault_answered(f, FAULT_DONE);
}
