/* SPDX-License-Identifier: MIT */
/*
 * The checks of a quiet machine. Only the walkers take locks: there is no other thread to exclude.
 *
 * Pages are compared by purpose, not by the number of free ones alone: object caches may keep a slab or more, and files
 * that a program left behind keep their pages, while a leaked anonymous page, page table or kernel page shows at once.
 */
#include "kernel/lib/string.h"
#include "mm/cache/mapping_tree.h"
#include "mm/check/check.h"
#include "mm/debug/counters.h"
#include "mm/page/slab.h"
#include "mm/swap/shmem_swap.h"
#include "mm/swap/swap_internal.h"
#include "mm/vma/rmap.h"

enum page_purpose {
	PURPOSE_FREE,
	PURPOSE_RESERVED,
	PURPOSE_TABLE,
	PURPOSE_SLAB,
	PURPOSE_ANON,
	PURPOSE_CACHE,
	PURPOSE_KERNEL, /* none of the others: stacks, buffers */
	NR_PURPOSES
};

static const char *const purpose_names[NR_PURPOSES] = {
	"free", "reserved", "page tables", "object caches", "anonymous memory", "mappings", "the kernel",
};

/*
 * Caches of objects that live as long as the address spaces that they describe. Files that remain keep their objects,
 * and are not listed.
 */
static const char *const mm_caches[] = { "mm", "vma", "vma_node", "anon_vma", "anon_vma_chain" };

struct usage {
	u64 pages[NR_PURPOSES];
	u64 objects[ARRAY_SIZE(mm_caches)];
};

static struct usage baseline; /* written before the first program runs */

static void take_census(u64 pages[NR_PURPOSES]);
static void count_objects(u64 objects[ARRAY_SIZE(mm_caches)]);

void mm_check_baseline(void)
{
	assert_may_sleep();
	rcu_barrier();
	memset(&baseline, 0, sizeof(baseline));
	take_census(baseline.pages);
	count_objects(baseline.objects);
}

bool mm_quiet_check(void)
{
	bool ok = true;

	assert_may_sleep();
	rcu_barrier();
	swap_cache_trim();
	ok &= check_counters();
	ok &= check_rmap();
	ok &= check_mapcounts();
	ok &= check_mappings();
	ok &= check_address_spaces();
	ok &= check_mapping_counts();
	ok &= check_swap();
	ok &= check_objects();
	ok &= check_pages();
	return ok;
}

bool check_counters(void)
{
	bool ok = counters_agree();

	for (unsigned strategy = 0; strategy < NR_STRATEGIES; strategy++)
		ok &= counters_identity_holds((enum fault_strategy_id)strategy);
	return ok;
}

bool check_rmap(void)
{
	struct mm *mm = NULL;
	struct vma *vma;
	bool ok = true;

	while ((mm = mm_next(mm)) != NULL) {
		mmap_read_lock(mm);
		vma_tree_for_each (vma, &mm->tree)
			ok &= rmap_check_vma(vma);
		mmap_read_unlock(mm);
	}
	return ok && rmap_check() == 0;
}

/* ---- Entries against map counts ---------------------------------------------------------------------------------- */

static u64 counted_entries(const struct page *table)
{
	const pte_t *pte = page_to_virt(table);
	u64 nr = 0;

	for (unsigned i = 0; i < PTRS_PER_TABLE; i++)
		nr += pte_counted_page(pte_read(&pte[i])) != NULL;
	return nr;
}

bool check_mapcounts(void)
{
	u64 entries = 0, counts = 0;
	pfn_t pfn;

	for_each_used_pfn (pfn) {
		struct page *page = pfn_to_page(pfn);

		if (page_test(page, PG_TABLE))
			entries += page->private == 1 ? counted_entries(page) : 0; /* level 1 */
		else
			counts += (u64)READ_ONCE(page->mapcount);
	}
	if (entries == counts)
		return true;
	klog("check: page tables hold %lu entries that map a page, but the pages count %lu", (unsigned long)entries,
	     (unsigned long)counts);
	return false;
}

/* ---- Swap -------------------------------------------------------------------------------------------------------- */

static u64 swap_entries(const struct page *table)
{
	const pte_t *pte = page_to_virt(table);
	u64 nr = 0;

	for (unsigned i = 0; i < PTRS_PER_TABLE; i++)
		nr += pte_kind(pte_read(&pte[i])) == PTE_KIND_SWAP;
	return nr;
}

bool check_swap(void)
{
	bool ok = true;
	u64 entries = 0, counted = swap_entries_counted(&ok);
	struct mapping *mapping = NULL;
	pfn_t pfn;

	while ((mapping = shmem_next(mapping)) != NULL)
		entries += READ_ONCE(mapping->nr_swapped);

	for_each_used_pfn (pfn) {
		const struct page *page = pfn_to_page(pfn);

		if (page_test(page, PG_TABLE) && page->private == 1) /* level 1 */
			entries += swap_entries(page);
	}
	if (entries == counted)
		return ok;
	klog("check: page tables and mappings hold %lu entries that name a swap slot, but the slots count %lu",
	     (unsigned long)entries, (unsigned long)counted);
	return false;
}

/* ---- Mappings ---------------------------------------------------------------------------------------------------- */

static bool cache_page_ok(struct page *page)
{
	struct mapping *mapping = page->mapping;
	struct page *slot;

	spin_lock(&mapping->lock);
	slot = mapping_tree_find(mapping, page->index);
	spin_unlock(&mapping->lock);
	if (slot == page && page->refcount == 1 + page->mapcount)
		return true;
	klog("check: page frame %#lx of a mapping (index %#lx) is %s its slot, with %d references and %d entries",
	     (unsigned long)page_to_pfn(page), (unsigned long)page->index, slot == page ? "in" : "not in",
	     page->refcount, page->mapcount);
	return false;
}

bool check_mappings(void)
{
	bool ok = true;
	pfn_t pfn;

	for_each_used_pfn (pfn)
		if (page_test(pfn_to_page(pfn), PG_CACHE))
			ok &= cache_page_ok(pfn_to_page(pfn));
	return ok;
}

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

static void note_cache(const char *name, size_t size, u64 in_use, u64 pages, void *arg)
{
	u64 *objects = arg;

	(void)size, (void)pages;
	for (unsigned i = 0; i < ARRAY_SIZE(mm_caches); i++)
		if (!strcmp(name, mm_caches[i]))
			objects[i] = in_use;
}

static void count_objects(u64 objects[ARRAY_SIZE(mm_caches)])
{
	slab_for_each(note_cache, objects);
}

bool check_objects(void)
{
	u64 objects[ARRAY_SIZE(mm_caches)] = { 0 };
	bool ok = true;

	count_objects(objects);
	for (unsigned i = 0; i < ARRAY_SIZE(mm_caches); i++) {
		if (objects[i] == baseline.objects[i])
			continue;
		klog("check: %lu objects of the cache %s are in use, %lu were before", (unsigned long)objects[i],
		     mm_caches[i], (unsigned long)baseline.objects[i]);
		ok = false;
	}
	return ok;
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

static enum page_purpose purpose_of(const struct page *page)
{
	if (page_test(page, PG_BUDDY) || !page->refcount)
		return PURPOSE_FREE;
	if (page_test(page, PG_TABLE))
		return PURPOSE_TABLE;
	if (page_test(page, PG_SLAB))
		return PURPOSE_SLAB;
	/* An unmapped page in the swap cache belongs to its slot, which may be that of a file that stays. */
	if (page_test(page, PG_ANON))
		return page_test(page, PG_SWAPCACHE) && !page->mapcount ? PURPOSE_CACHE : PURPOSE_ANON;
	if (page_test(page, PG_CACHE))
		return PURPOSE_CACHE;
	return PURPOSE_KERNEL;
}

/* Counts a block of pages by its first page; its other pages have no references. */
static void take_census(u64 pages[NR_PURPOSES])
{
	pfn_t pfn = 0;

	while (pfn < max_pfn) {
		const struct page *page = pfn_to_page(pfn);
		u64 nr = page_test(page, PG_RESERVED) ? 1 : 1UL << page->order;

		pages[page_test(page, PG_RESERVED) ? PURPOSE_RESERVED : purpose_of(page)] += nr;
		pfn += nr;
	}
}

static bool purpose_ok(enum page_purpose purpose, u64 now)
{
	/*
	 * Not compared: free pages are what the other purposes leave; slabs are kept for reuse; files may stay. These
	 * have checks of their own.
	 */
	if (purpose == PURPOSE_FREE || purpose == PURPOSE_SLAB || purpose == PURPOSE_CACHE)
		return true;
	if (now == baseline.pages[purpose])
		return true;
	klog("check: %lu pages are in use for %s, %lu were before", (unsigned long)now, purpose_names[purpose],
	     (unsigned long)baseline.pages[purpose]);
	return false;
}

/* Compares with the figure that /proc/meminfo shows. */
static bool count_ok(enum page_purpose purpose, const u64 pages[NR_PURPOSES], u64 counted)
{
	if (pages[purpose] == counted)
		return true;
	klog("check: %lu page frames look as if they were for %s, but %lu are counted", (unsigned long)pages[purpose],
	     purpose_names[purpose], (unsigned long)counted);
	return false;
}

bool check_pages(void)
{
	u64 pages[NR_PURPOSES] = { 0 };
	bool ok = true;

	take_census(pages);
	for (unsigned purpose = 0; purpose < NR_PURPOSES; purpose++)
		ok &= purpose_ok((enum page_purpose)purpose, pages[purpose]);
	ok &= count_ok(PURPOSE_FREE, pages, nr_free_pages());
	ok &= count_ok(PURPOSE_TABLE, pages, pgtable_nr_pages());
	ok &= count_ok(PURPOSE_SLAB, pages, slab_nr_pages());
	return ok;
}
