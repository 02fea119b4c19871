/* SPDX-License-Identifier: MIT */
/*
 * /proc/meminfo and /proc/slabinfo, which show how memory is used; vmstat and zoneinfo are in proc_vmstat.c. Takes no
 * locks except those of the object caches: a figure that changes during a read is shown with its old or its new value.
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/x86/kstack.h"
#include "mm/check/census.h"
#include "mm/page/page_alloc.h"
#include "mm/page/slab.h"
#include "mm/page/watermark.h"
#include "mm/swap/swap.h"

#define KIB(pages) ((pages) << (PAGE_SHIFT - 10))
#define VMALLOC_KIB 34359738367UL /* Linux's figure for a kernel with 4-level page tables */

/*
 * Returns how many pages can be allocated without swapping: the free ones, and those file pages that reclaim would
 * free. As Linux's si_mem_available(); what Linux calls totalreserve_pages, memory that programs never get, is the
 * high watermark.
 */
static u64 nr_available_pages(u64 free, const struct census *census)
{
	u64 file = census->active_file + census->inactive_file, high = READ_ONCE(watermarks.high);
	u64 available = free + file - min(file / 2, READ_ONCE(watermarks.low));

	return available - min(available, high);
}

/* The rows and their order are Linux's. */
static int show_meminfo(struct text *text, u64 id)
{
	struct census census = census_take();
	struct swap_figures swap = swap_figures();
	u64 free = nr_free_pages(), total = nr_managed_pages(), slab = slab_nr_pages();
	const struct {
		const char *name;
		u64 kib;
	} rows[] = {
		{ "MemTotal:", KIB(total) },
		{ "MemFree:", KIB(free) },
		{ "MemAvailable:", KIB(nr_available_pages(free, &census)) },
		{ "Buffers:", 0 },
		{ "Cached:", KIB(census.cache) },
		{ "SwapCached:", KIB(swap.cached) },
		{ "Active:", KIB(census.active_anon + census.active_file) },
		{ "Inactive:", KIB(census.inactive_anon + census.inactive_file) },
		{ "Active(anon):", KIB(census.active_anon) },
		{ "Inactive(anon):", KIB(census.inactive_anon) },
		{ "Active(file):", KIB(census.active_file) },
		{ "Inactive(file):", KIB(census.inactive_file) },
		{ "Unevictable:", KIB(census.unevictable) },
		{ "Mlocked:", KIB(census.mlocked) },
		{ "SwapTotal:", KIB(swap.total) },
		{ "SwapFree:", KIB(swap.total - swap.used) },
		{ "Dirty:", KIB(census.dirty) },
		{ "Writeback:", KIB(census.writeback) },
		{ "AnonPages:", KIB(census.anon_mapped) },
		{ "Mapped:", KIB(census.cache_mapped) },
		{ "Shmem:", KIB(census.shmem) },
		{ "KReclaimable:", 0 },
		{ "Slab:", KIB(slab) },
		{ "SReclaimable:", 0 },
		{ "SUnreclaim:", KIB(slab) },
		{ "KernelStack:", nr_tasks() * (KSTACK_SIZE / 1024) },
		{ "PageTables:", KIB(pgtable_nr_pages()) },
		{ "SecPageTables:", 0 },
		{ "NFS_Unstable:", 0 },
		{ "Bounce:", 0 },
		{ "WritebackTmp:", 0 },
		{ "CommitLimit:", KIB(total / 2 + swap.total) },
		{ "Committed_AS:", KIB(census.promised) },
		{ "VmallocTotal:", VMALLOC_KIB },
		{ "VmallocUsed:", 0 },
		{ "VmallocChunk:", 0 },
		{ "Percpu:", 0 },
		{ "AnonHugePages:", 0 },
		{ "ShmemHugePages:", 0 },
		{ "ShmemPmdMapped:", 0 },
		{ "FileHugePages:", 0 },
		{ "FilePmdMapped:", 0 },
	};

	(void)id;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		text_printf(text, "%-15s %8lu kB\n", rows[i].name, rows[i].kib);
	text_printf(text, "HugePages_Total: %7d\nHugePages_Free:  %7d\nHugePages_Rsvd:  %7d\nHugePages_Surp:  %7d\n", 0,
		    0, 0, 0);
	text_printf(text, "Hugepagesize:   %8d kB\nHugetlb:        %8d kB\n", 2048, 0);
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
};

void proc_memory_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
