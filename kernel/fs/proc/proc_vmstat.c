/* SPDX-License-Identifier: MIT */
/*
 * /proc/vmstat and /proc/zoneinfo, which show how many pages have which use, the watermarks, and the event counters.
 * There is one node, with one zone that has all memory. Takes no locks except those of the object caches: a figure that
 * changes during a read is shown with its old or its new value.
 *
 * Mirrors: Linux, mm/vmstat.c: vmstat_start(), zoneinfo_show_print().
 */
#include "kernel/boot_info.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/x86/kstack.h"
#include "mm/check/census.h"
#include "mm/debug/counters.h"
#include "mm/page/page_alloc.h"
#include "mm/page/slab.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/kswapd.h"
#include "mm/swap/swap.h"
#include "mm/table/pgtable.h"

struct row {
	const char *name;
	u64 nr;
};

static void vmstat_show_rows(struct text *text, const char *format, const struct row *rows, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		text_printf(text, format, rows[i].name, rows[i].nr);
}

/* The rows of a zone and of a node, in Linux's order. `format` makes a line of a name and a figure. */
static void show_zone_rows(struct text *text, const char *format, const struct census *census, u64 free)
{
	const struct row rows[] = {
		{ "nr_free_pages", free },
		{ "nr_zone_inactive_anon", census->inactive_anon },
		{ "nr_zone_active_anon", census->active_anon },
		{ "nr_zone_inactive_file", census->inactive_file },
		{ "nr_zone_active_file", census->active_file },
		{ "nr_zone_unevictable", census->unevictable },
		{ "nr_zone_write_pending", census->dirty + census->writeback },
		{ "nr_mlock", census->mlocked },
	};

	vmstat_show_rows(text, format, rows, ARRAY_SIZE(rows));
}

static void show_node_rows(struct text *text, const char *format, const struct census *census)
{
	u64 swap_cached = swap_figures().cached;
	const struct row rows[] = {
		{ "nr_inactive_anon", census->inactive_anon },
		{ "nr_active_anon", census->active_anon },
		{ "nr_inactive_file", census->inactive_file },
		{ "nr_active_file", census->active_file },
		{ "nr_unevictable", census->unevictable },
		{ "nr_slab_reclaimable", 0 },
		{ "nr_slab_unreclaimable", slab_nr_pages() },
		{ "nr_anon_pages", census->anon_mapped },
		{ "nr_mapped", census->cache_mapped },
		{ "nr_file_pages", census->cache + swap_cached },
		{ "nr_dirty", census->dirty },
		{ "nr_writeback", census->writeback },
		{ "nr_shmem", census->shmem },
		{ "nr_kernel_stack", nr_tasks() * (KSTACK_SIZE / 1024) },
		{ "nr_page_table_pages", pgtable_nr_pages() },
		{ "nr_swapcached", swap_cached },
	};

	vmstat_show_rows(text, format, rows, ARRAY_SIZE(rows));
}

static int show_vmstat(struct text *text, u64 id)
{
	struct census census = census_take();

	(void)id;
	show_zone_rows(text, "%s %lu\n", &census, nr_free_pages());
	show_node_rows(text, "%s %lu\n", &census);
	for (unsigned i = 0; i < NR_COUNTERS; i++) {
		if (counter_name(i))
			text_printf(text, "%s %lu\n", counter_name(i), counter_sum(i));
	}
	return 0;
}

/* Returns how many pages the firmware reports as memory, including those that the kernel itself occupies. */
static u64 nr_present_pages(void)
{
	u64 nr = 0;

	for (unsigned i = 0; i < boot_info.nr_memory; i++) {
		const struct memory_range *range = &boot_info.memory[i];

		if (range->type == MEMORY_USABLE)
			nr += min(range->end >> PAGE_SHIFT, (u64)max_pfn) -
			      min((range->start + PAGE_SIZE - 1) >> PAGE_SHIFT, (u64)max_pfn);
	}
	return nr;
}

static void show_marks(struct text *text, u64 free)
{
	u64 low = READ_ONCE(watermarks.low), high = READ_ONCE(watermarks.high);
	const struct row rows[] = {
		{ "boost", 0 },
		{ "min", READ_ONCE(watermarks.min) },
		{ "low", low },
		{ "high", high },
		{ "promo", high + (high - low) },
		{ "spanned", max_pfn },
		{ "present", nr_present_pages() },
		{ "managed", nr_managed_pages() },
		{ "cma", 0 },
	};

	text_printf(text, "\n  pages free     %lu", free);
	vmstat_show_rows(text, "\n        %-8s %lu", rows, ARRAY_SIZE(rows));
	text_printf(text, "\n        protection: (0)");
}

static void show_stashes(struct text *text)
{
	text_printf(text, "\n  pagesets");
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		struct page_stash_figures stash = page_stash_figures(cpu);

		text_printf(text,
			    "\n    cpu: %u\n              count:    %u\n              high:     %u"
			    "\n              batch:    %u",
			    cpu, stash.nr, stash.limit, stash.limit / 2);
	}
}

/*
 * There is only one zone, so none of its pages are protected from allocations for other zones. As on Linux, pages in
 * the CPUs' stashes do not count as free.
 */
static int show_zoneinfo(struct text *text, u64 id)
{
	struct census census = census_take();
	u64 free = nr_pages_in_zone();

	(void)id;
	text_printf(text, "Node 0, zone   Normal\n  per-node stats");
	show_node_rows(text, "\n      %-12s %lu", &census);
	show_marks(text, free);
	show_zone_rows(text, "\n      %-12s %lu", &census, free);
	show_stashes(text);
	text_printf(text, "\n  node_unreclaimable:  %u\n  start_pfn:           %u\n", kswapd_has_given_up(), 0);
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "vmstat", .mode = S_IFREG | 0444, .show = show_vmstat },
	{ .name = "zoneinfo", .mode = S_IFREG | 0444, .show = show_zoneinfo },
};

void proc_vmstat_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
