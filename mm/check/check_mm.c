/* SPDX-License-Identifier: MIT */
/*
 * Checks that the counts kept by address spaces and mappings equal what they hold. Nothing else compares the two while
 * the objects live. As in check.c, the machine is quiet, so only the walkers take locks.
 */
#include "mm/cache/mapping_tree.h"
#include "mm/check/check.h"
#include "mm/swap/shmem_swap.h"
#include "mm/vma/rmap.h"

static bool equal(const char *who, const char *what, u64 held, u64 counted)
{
	if (held == counted)
		return true;
	klog("check: %s holds %lu %s, but counts %lu", who, (unsigned long)held, what, (unsigned long)counted);
	return false;
}

/* ---- Address spaces ---------------------------------------------------------------------------------------------- */

/* In pages, as Linux's vm_stat_account() divides them. */
struct sizes {
	u64 nr_vmas, total, stack, data, exec, shared, locked;
};

static void check_add_vma(struct sizes *sizes, const struct vma *vma)
{
	u64 nr_pages = (vma->end - vma->start) >> PAGE_SHIFT;
	bool stack = vma->flags & VM_STACK, written = vma->flags & VM_WRITE, shared = vma->flags & VM_SHARED;

	sizes->nr_vmas++;
	sizes->total += nr_pages;
	sizes->stack += stack ? nr_pages : 0;
	sizes->data += !stack && written && !shared ? nr_pages : 0;
	sizes->exec += !stack && !written && vma->flags & VM_EXEC ? nr_pages : 0;
	sizes->shared += shared ? nr_pages : 0;
	sizes->locked += vma->flags & VM_LOCKED ? nr_pages : 0;
}

static bool sizes_ok(const struct mm *mm)
{
	static const char who[] = "an address space";
	struct sizes held = { 0 };
	struct vma *vma;

	vma_tree_for_each (vma, &mm->tree)
		check_add_vma(&held, vma);
	return equal(who, "VMAs", held.nr_vmas, mm->nr_vmas) && equal(who, "pages", held.total, mm->total_pages) &&
	       equal(who, "pages of stack", held.stack, mm->stack_pages) &&
	       equal(who, "pages of data", held.data, mm->data_pages) &&
	       equal(who, "pages of programs", held.exec, mm->exec_pages) &&
	       equal(who, "shared pages", held.shared, mm->shared_pages) &&
	       equal(who, "locked pages", held.locked, mm->locked_pages);
}

static void add_entries(u64 rss[NR_RSS_KINDS], const struct page *table)
{
	const pte_t *ptes = page_to_virt(table);

	for (unsigned i = 0; i < PTRS_PER_TABLE; i++) {
		pte_t pte = pte_read(&ptes[i]);
		const struct page *page = pte_counted_page(pte);

		if (page)
			rss[page_rss_kind(page)]++;
		else if (pte_kind(pte) == PTE_KIND_SWAP)
			rss[RSS_SWAP]++;
	}
}

static bool tables_ok(const struct mm *mm)
{
	static const char *const kinds[NR_RSS_KINDS] = { "anonymous pages", "pages of files", "pages of shared memory",
							 "pages in swap" };
	u64 nr_tables = 0, rss[NR_RSS_KINDS] = { 0 };
	bool ok = true;
	pfn_t pfn;

	for_each_used_pfn (pfn) {
		const struct page *page = pfn_to_page(pfn);

		if (!page_test(page, PG_TABLE) || page->mm != mm)
			continue;
		nr_tables++;
		if (page->private == 1) /* the level */
			add_entries(rss, page);
	}
	for (unsigned kind = 0; kind < NR_RSS_KINDS; kind++)
		ok &= equal("an address space", kinds[kind], rss[kind], mm_rss(mm, (enum rss_kind)kind));
	ok &= equal("an address space", "page tables", nr_tables, mm->nr_tables);
	return ok;
}

bool check_address_spaces(void)
{
	struct mm *mm = NULL;
	bool ok = true;

	while ((mm = mm_next(mm)) != NULL) {
		mmap_read_lock(mm);
		ok &= sizes_ok(mm);
		mmap_read_unlock(mm);
		ok &= tables_ok(mm);
	}
	return ok;
}

/* ---- Mappings ---------------------------------------------------------------------------------------------------- */

static bool counts_ok(struct mapping *mapping)
{
	static const char who[] = "a mapping";
	u64 nr_pages = 0, nr_swapped = 0, nr_dirty = 0;
	bool ok;

	spin_lock(&mapping->lock);
	for (u64 index = 0; mapping_tree_next(mapping, index, ~0UL, &index); index++) {
		const struct page *page = mapping_tree_find(mapping, index);

		nr_pages++;
		nr_swapped += !page;
		nr_dirty += page && page_test(page, PG_DIRTY);
	}
	spin_unlock(&mapping->lock);
	ok = equal(who, "pages", nr_pages, mapping->nr_pages) &&
	     equal(who, "pages in swap", nr_swapped, mapping->nr_swapped);
	return ok && (!mapping->ops || equal(who, "dirty pages", nr_dirty, mapping->nr_dirty));
}

static bool is_first_of_mapping(const struct page *page)
{
	u64 first;
	bool found;

	spin_lock(&page->mapping->lock);
	found = mapping_tree_next(page->mapping, 0, ~0UL, &first);
	spin_unlock(&page->mapping->lock);
	return found && first == page->index;
}

static bool note_writable(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg)
{
	bool *writable = arg;

	(void)page, (void)vma, (void)addr;
	*writable |= pte_write(pte_read(pte));
	return true;
}

/* The first write to a clean page must fault: otherwise the written data is lost with the page. */
static bool writers_ok(struct page *page)
{
	bool writable = false;

	if (!page->mapping->ops || !page->mapcount || page_test(page, PG_DIRTY))
		return true;
	rmap_walk(page, note_writable, &writable);
	if (writable)
		klog("check: page frame %#lx of a file is clean, and an entry lets it be written to",
		     (unsigned long)page_to_pfn(page));
	return !writable;
}

bool check_mapping_counts(void)
{
	struct mapping *mapping = NULL;
	u64 nr_shmem = 0;
	bool ok = true;
	pfn_t pfn;

	while ((mapping = shmem_next(mapping)) != NULL)
		ok &= counts_ok(mapping);
	for_each_used_pfn (pfn) {
		struct page *page = pfn_to_page(pfn);

		if (!page_test(page, PG_CACHE))
			continue;
		ok &= writers_ok(page);
		nr_shmem += page->mapping->shmem;
		if (is_first_of_mapping(page))
			ok &= counts_ok(page->mapping);
	}
	return equal("shared memory", "pages", nr_shmem, nr_shmem_pages()) && ok;
}
