/* SPDX-License-Identifier: MIT */
/*
 * Memory before the page allocator exists: a short list of free ranges.
 *
 * The list starts with what the memory map calls usable, without what is in use (the first MiB, the kernel image, the
 * initramfs). Allocations are taken from the largest range below 4 GiB, which the boot page tables show. In the end the
 * page allocator gets the rest. Runs on the boot CPU only; no locks.
 */
#include "kernel/boot_info.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/x86/setup.h"
#include "mm/page/page_alloc.h"

#define LOW_MEMORY_END (1UL << 20) /* BIOS data, the AP trampoline; too small to be worth managing */
#define BOOT_MAP_END (4UL << 30)

extern char image_start[], image_end[]; /* linker.ld: physical addresses */

static struct memory_range free_ranges[MAX_MEMORY_RANGES + 8];
static unsigned nr_free_ranges;

static void add_free(paddr_t start, paddr_t end)
{
	start = align_up(start, PAGE_SIZE);
	end = align_down(end, PAGE_SIZE);
	if (start >= end)
		return;
	if (nr_free_ranges == ARRAY_SIZE(free_ranges)) {
		klog("memory map too long: %llu KiB are not used", (unsigned long long)(end - start) >> 10);
		return;
	}
	free_ranges[nr_free_ranges++] = (struct memory_range){ start, end, MEMORY_USABLE };
}

/* Removes [start, end) from the free list. */
static void reserve(paddr_t start, paddr_t end)
{
	unsigned nr = nr_free_ranges;

	if (start >= end)
		return;
	for (unsigned i = 0; i < nr; i++) {
		struct memory_range *range = &free_ranges[i];
		paddr_t range_end = range->end;

		if (range->end <= start || range->start >= end)
			continue;
		range->end = max(range->start, align_down(start, PAGE_SIZE));
		add_free(end, range_end);
	}
}

static struct memory_range *largest_free(void)
{
	struct memory_range *best = NULL;
	u64 best_size = 0;

	for (unsigned i = 0; i < nr_free_ranges; i++) {
		struct memory_range *range = &free_ranges[i];
		paddr_t end = min(range->end, BOOT_MAP_END);

		if (end > range->start && end - range->start > best_size) {
			best = range;
			best_size = end - range->start;
		}
	}
	return best;
}

void boot_memory_init(void)
{
	for (unsigned i = 0; i < boot_info.nr_memory; i++)
		if (boot_info.memory[i].type == MEMORY_USABLE)
			add_free(boot_info.memory[i].start, boot_info.memory[i].end);
	for (unsigned i = 0; i < boot_info.nr_memory; i++) /* where ranges overlap, the unusable one wins */
		if (boot_info.memory[i].type != MEMORY_USABLE)
			reserve(boot_info.memory[i].start, boot_info.memory[i].end);
	reserve(0, LOW_MEMORY_END);
	reserve((paddr_t)image_start, (paddr_t)image_end);
	reserve(boot_info.initramfs_start, boot_info.initramfs_end);
}

paddr_t boot_alloc(u64 size, u64 align)
{
	struct memory_range *range = largest_free();
	paddr_t start = range ? align_up(range->start, align) : 0;
	paddr_t end = range ? min(range->end, BOOT_MAP_END) : 0;
	paddr_t skipped;

	if (start > end || size > end - start)
		panic("Too little memory to boot: %llu KiB wanted", (unsigned long long)size >> 10);
	skipped = range->start;
	range->start = align_up(start + size, PAGE_SIZE);
	add_free(skipped, start);
	memset(phys_to_virt(start), 0, size);
	return start;
}

void boot_memory_finish(void)
{
	for (unsigned i = 0; i < nr_free_ranges; i++)
		if (free_ranges[i].start < free_ranges[i].end)
			page_alloc_add_range(free_ranges[i].start, free_ranges[i].end);
}
