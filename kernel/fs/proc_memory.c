/* SPDX-License-Identifier: MIT */
/*
 * /proc's files about memory: meminfo, vmstat, slabinfo. Takes no lock but those of the object caches: figures that change
 * meanwhile are as good as those of a moment before.
 */
#include "kernel/fs/procfs.h"
#include "kernel/x86/kstack.h"
#include "mm/counters.h"
#include "mm/mmap.h"
#include "mm/page_alloc.h"
#include "mm/slab.h"
#include "mm/swap.h"

#define KIB(pages) ((pages) << (PAGE_SHIFT - 10))
#define VMALLOC_KIB 34359738367UL /* Linux's figure for a 4-level kernel */

static void add_slab_pages(const char *name, size_t size, u64 in_use, u64 pages, void *arg)
{
	(void)name, (void)size, (void)in_use;
	*(u64 *)arg += pages;
}

static u64 nr_slab_pages(void)
{
	u64 pages = 0;

	slab_for_each(add_slab_pages, &pages);
	return pages;
}

static u64 nr_table_pages(void)
{
	return counter_sum(COUNT_pgtable_allocs) - counter_sum(COUNT_pgtable_frees);
}

/* Pages by use: one pass over all page frames, without locks. */
struct census {
	u64 anon, cache, mapped, writeback;
};

static struct census take_census(void)
{
	struct census census = {};

	for (pfn_t pfn = 0; pfn < max_pfn; pfn++) {
		const struct page *page = pfn_to_page(pfn);

		census.anon += page_test(page, PG_ANON);
		census.cache += page_test(page, PG_CACHE);
		census.mapped += page_test(page, PG_CACHE) && READ_ONCE(page->mapcount) > 0;
		census.writeback += page_test(page, PG_WRITEBACK);
		if (pfn % 4096 == 0)
			cond_resched();
	}
	return census;
}

/*
 * Linux's rows in Linux's order. There is no list of pages in use yet, so all count as inactive; rows about what this kernel
 * does not count (dirty and locked pages, address space promised) are left out.
 */
static int show_meminfo(struct text *text, u64 id)
{
	struct census census = take_census();
	struct swap_figures swap = swap_figures();
	u64 free = nr_free_pages(), total = nr_managed_pages(), slab = nr_slab_pages();
	const struct {
		const char *name;
		u64 kib;
	} rows[] = {
		{ "MemTotal:", KIB(total) },
		{ "MemFree:", KIB(free) },
		{ "MemAvailable:", KIB(free) },
		{ "Buffers:", 0 },
		{ "Cached:", KIB(census.cache) },
		{ "SwapCached:", KIB(swap.cached) },
		{ "Active:", 0 },
		{ "Inactive:", KIB(census.anon + census.cache) },
		{ "Active(anon):", 0 },
		{ "Inactive(anon):", KIB(census.anon) },
		{ "Active(file):", 0 },
		{ "Inactive(file):", KIB(census.cache) },
		{ "SwapTotal:", KIB(swap.total) },
		{ "SwapFree:", KIB(swap.total - swap.used) },
		{ "Writeback:", KIB(census.writeback) },
		{ "AnonPages:", KIB(census.anon) },
		{ "Mapped:", KIB(census.mapped) },
		{ "KReclaimable:", 0 },
		{ "Slab:", KIB(slab) },
		{ "SReclaimable:", 0 },
		{ "SUnreclaim:", KIB(slab) },
		{ "KernelStack:", nr_tasks() * (KSTACK_SIZE / 1024) },
		{ "PageTables:", KIB(nr_table_pages()) },
		{ "CommitLimit:", KIB(total / 2) },
		{ "VmallocTotal:", VMALLOC_KIB },
		{ "AnonHugePages:", 0 },
		{ "ShmemHugePages:", 0 },
		{ "FileHugePages:", 0 },
	};

	(void)id;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		text_printf(text, "%-15s %8lu kB\n", rows[i].name, rows[i].kib);
	text_printf(text, "HugePages_Total: %7d\nHugePages_Free:  %7d\nHugePages_Rsvd:  %7d\nHugePages_Surp:  %7d\n", 0,
		    0, 0, 0);
	text_printf(text, "Hugepagesize:   %8d kB\nHugetlb:        %8d kB\n", 2048, 0);
	return 0;
}

static int show_vmstat(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "nr_free_pages %lu\n", nr_free_pages());
	text_printf(text, "nr_slab_unreclaimable %lu\n", nr_slab_pages());
	text_printf(text, "nr_page_table_pages %lu\n", nr_table_pages());
	for (unsigned i = 0; i < NR_COUNTERS; i++) {
		if (counter_name(i))
			text_printf(text, "%s %lu\n", counter_name(i), counter_sum(i));
	}
	return 0;
}

static void show_slab(const char *name, size_t size, u64 in_use, u64 pages, void *arg)
{
	u64 per_page = PAGE_SIZE / size, objects = max(pages * PAGE_SIZE / size, in_use);

	text_printf(arg, "%-17s %6lu %6lu %6zu %4lu %4d : tunables %4d %4d %4d : slabdata %6lu %6lu %6d\n", name,
		    in_use, objects, size, max(per_page, 1UL), 1, 0, 0, 0, pages, pages, 0);
}

static int show_slabinfo(struct text *text, u64 id)
{
	(void)id;
	text_printf(
		text,
		"slabinfo - version: 2.1\n"
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> "
		"<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	slab_for_each(show_slab, text);
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "meminfo", .mode = S_IFREG | 0444, .show = show_meminfo },
	{ .name = "slabinfo", .mode = S_IFREG | 0400, .show = show_slabinfo },
	{ .name = "vmstat", .mode = S_IFREG | 0444, .show = show_vmstat },
};

void proc_memory_create(struct dentry *proc)
{
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
