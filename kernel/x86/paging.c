/* SPDX-License-Identifier: MIT */
/*
 * The kernel's half of the address space:
 *
 *	0xffff888000000000	direct map of all memory, read-write, never executable, large pages; text and rodata are
 *				read-only here, too
 *	0xffffc90000000000	kernel stacks with guard pages (kstack.c)
 *	0xffffea0000000000	mem_map: one struct page per page frame
 *	0xffffffff80000000	kernel image: text read-execute, rodata read-only, data read-write
 *	0xffffffffc0000000	device registers, uncached
 *
 * paging_init() builds it at boot. Afterwards its half of the top-level table never changes, so every address space can
 * hold a copy of that half. Entries are global, except those of the stacks, which are mapped and unmapped at any time.
 */
#include "kernel/boot_info.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/x86/features.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/setup.h"
#include "mm/page/page.h"

#define DEVICE_BASE 0xffffffffc0000000UL
#define SIZE_2M (1UL << 21)
#define SIZE_1G (1UL << 30)
#define ENTRIES 512

paddr_t kernel_pgd;
pfn_t max_pfn;

static unsigned nr_device_pages;

extern char text_start[], text_end[], rodata_start[], rodata_end[], data_start[], data_end[]; /* linker.ld */

static unsigned index_at(u64 addr, unsigned level)
{
	return (addr >> (PAGE_SHIFT + 9 * (level - 1))) & (ENTRIES - 1);
}

static u64 *next_table(u64 *entry)
{
	if (!*entry)
		*entry = boot_alloc(PAGE_SIZE, PAGE_SIZE) | PT_PRESENT | PT_WRITE;
	return phys_to_virt(*entry & PT_FRAME);
}

/* Returns the entry of `addr` at `level` (1: a 4 KiB page). Allocates the tables above it if they are missing. */
static u64 *entry_at(u64 addr, unsigned level)
{
	u64 *table = phys_to_virt(kernel_pgd);

	for (unsigned l = 4; l > level; l--)
		table = next_table(&table[index_at(addr, l)]);
	return &table[index_at(addr, level)];
}

static bool fits(u64 addr, paddr_t paddr, u64 size, u64 page)
{
	return !((addr | paddr) & (page - 1)) && size >= page;
}

static void map_range(u64 addr, paddr_t paddr, u64 size, u64 flags)
{
	while (size) {
		u64 step = PAGE_SIZE;

		if (cpu_has(FEATURE_pdpe1gb) && fits(addr, paddr, size, SIZE_1G)) {
			step = SIZE_1G;
			*entry_at(addr, 3) = paddr | flags | PT_LARGE;
		} else if (fits(addr, paddr, size, SIZE_2M)) {
			step = SIZE_2M;
			*entry_at(addr, 2) = paddr | flags | PT_LARGE;
		} else {
			*entry_at(addr, 1) = paddr | flags;
		}
		addr += step;
		paddr += step;
		size -= step;
	}
}

/* Text and rodata are read-only here too, so that they cannot be written through the direct map. */
static void map_direct_range(paddr_t start, paddr_t end)
{
	paddr_t ro_start = min(max(virt_to_phys(text_start), start), end);
	paddr_t ro_end = min(max(virt_to_phys(rodata_end), start), end);

	map_range((u64)phys_to_virt(start), start, ro_start - start, PT_KERNEL_DATA);
	map_range((u64)phys_to_virt(ro_start), ro_start, ro_end - ro_start, PT_KERNEL_DATA & ~PT_WRITE);
	map_range((u64)phys_to_virt(ro_end), ro_end, end - ro_end, PT_KERNEL_DATA);
}

/*
 * Maps whole 2 MiB pages around all memory. Neighbouring ranges may share a page, so what is mapped already is skipped.
 */
static void map_direct(void)
{
	paddr_t done = 0;

	for (unsigned i = 0; i < boot_info.nr_memory; i++) {
		const struct memory_range *range = &boot_info.memory[i];
		paddr_t start = max(done, align_down(range->start, SIZE_2M));
		paddr_t end = align_up(range->end, SIZE_2M);

		if (range->type == MEMORY_RESERVED || start >= end)
			continue;
		map_direct_range(start, end);
		done = end;
	}
}

static void map_image_part(char *start, char *end, u64 flags)
{
	map_range((u64)start, virt_to_phys(start), (u64)(end - start), flags);
}

static void map_mem_map(void)
{
	u64 size;

	for (unsigned i = 0; i < boot_info.nr_memory; i++)
		if (boot_info.memory[i].type == MEMORY_USABLE)
			max_pfn = max(max_pfn, boot_info.memory[i].end >> PAGE_SHIFT);
	size = align_up(max_pfn * sizeof(struct page), PAGE_SIZE);
	map_range(MEM_MAP_BASE, boot_alloc(size, size < SIZE_2M ? PAGE_SIZE : SIZE_2M), size, PT_KERNEL_DATA);
}

/* ---- Debug builds: nothing is both writable and executable, and no address writes to text or rodata -------------- */

static void check_entry(u64 entry, u64 size)
{
	paddr_t start = entry & PT_FRAME;

	BUG_ON((entry & PT_WRITE) && !(entry & PT_NX), "the kernel's entry %llx is writable and executable",
	       (unsigned long long)entry);
	BUG_ON((entry & PT_WRITE) && start < virt_to_phys(rodata_end) && start + size > virt_to_phys(text_start),
	       "the kernel's entry %llx makes text or rodata writable", (unsigned long long)entry);
}

static void check_table(const u64 *table, unsigned level)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!(table[i] & PT_PRESENT))
			continue;
		if (level == 1 || (table[i] & PT_LARGE))
			check_entry(table[i], 1UL << (PAGE_SHIFT + 9 * (level - 1)));
		else
			check_table(phys_to_virt(table[i] & PT_FRAME), level - 1);
	}
}

/* ---- Set-up ------------------------------------------------------------------------------------------------------ */

void paging_init(void)
{
	kernel_pgd = boot_alloc(PAGE_SIZE, PAGE_SIZE);
	map_direct();
	map_image_part(text_start, text_end, PT_PRESENT | PT_GLOBAL);
	map_image_part(rodata_start, rodata_end, PT_PRESENT | PT_GLOBAL | PT_NX);
	map_image_part(data_start, data_end, PT_KERNEL_DATA);
	map_mem_map();
	entry_at(KSTACK_AREA_BASE, 2);
	entry_at(DEVICE_BASE, 1);
	if (DEBUG)
		check_table(phys_to_virt(kernel_pgd), 4);
	write_cr3(kernel_pgd);
}

void *map_device_page(paddr_t paddr)
{
	u64 addr = DEVICE_BASE + nr_device_pages++ * PAGE_SIZE;

	*entry_at(addr, 1) = paddr | PT_KERNEL_DATA | PT_UNCACHED;
	return (void *)addr;
}

u64 *kernel_pt_entry(u64 addr, unsigned level)
{
	u64 *table = phys_to_virt(kernel_pgd);

	for (unsigned l = 4; l > level; l--) {
		u64 entry = table[index_at(addr, l)];

		if (!(entry & PT_PRESENT))
			return NULL;
		table = phys_to_virt(entry & PT_FRAME);
	}
	return &table[index_at(addr, level)];
}

void machine_init_pgd(u64 *pgd)
{
	memcpy(pgd + ENTRIES / 2, (u64 *)phys_to_virt(kernel_pgd) + ENTRIES / 2, PAGE_SIZE / 2);
}

void machine_load_pgd(paddr_t pgd)
{
	write_cr3(pgd ? pgd : kernel_pgd);
}
