/* SPDX-License-Identifier: MIT */
/*
 * Limits how much may be mapped, and chooses where. mmap_lock is held throughout; limits are read without a lock, so
 * prlimit takes effect after a short delay.
 */
#include "kernel/lib/errno.h"
#include "mm/page/page_alloc.h"
#include "mm/swap/swap.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma_change.h"

/* Where a bottom-up search starts (MAP_32BIT, or nothing is free below mmap_base): Linux's legacy base. */
#define BOTTOM_UP_BASE ((USER_END / 3 + PAGE_SIZE - 1) & PAGE_MASK)
#define BELOW_2GIB_FROM 0x40000000UL
#define BELOW_2GIB_TO 0x80000000UL

u64 sysctl_mmap_min_addr = 65536;
u8 sysctl_overcommit_memory;

/* A soft limit of 0 means the hard limit, as on Linux: Valgrind sets it. */
static u64 data_limit(const struct mm *mm)
{
	u64 limit = READ_ONCE(mm->rlimit_data);

	return limit ? limit : READ_ONCE(mm->rlimit_data_max);
}

static bool is_data(u64 flags)
{
	return (flags & (VM_WRITE | VM_SHARED | VM_STACK)) == VM_WRITE;
}

/* Whether the limits permit `total` pages and, if the new mapping is data, `data` pages of data. */
static bool mmap_within_limits(const struct mm *mm, u64 flags, u64 total, u64 data)
{
	return total <= READ_ONCE(mm->rlimit_as) >> PAGE_SHIFT &&
	       (!is_data(flags) || data <= data_limit(mm) >> PAGE_SHIFT);
}

bool mm_may_grow(const struct mm *mm, u64 flags, u64 nr_pages)
{
	assert_mmap_locked(mm);
	return mmap_within_limits(mm, flags, mm->total_pages + nr_pages, mm->data_pages + nr_pages);
}

bool mm_may_grow_without(const struct mm *mm, u64 flags, u64 nr_pages, vaddr_t start, vaddr_t end)
{
	u64 total = mm->total_pages + nr_pages, data = mm->data_pages + nr_pages;
	struct vma *vma;

	assert_mmap_locked(mm);
	vma_tree_for_each_range (vma, &mm->tree, start, end) {
		u64 nr_gone = (min(vma->end, end) - max(vma->start, start)) >> PAGE_SHIFT;

		total -= nr_gone;
		data -= is_data(vma->flags) ? nr_gone : 0;
	}
	return mmap_within_limits(mm, flags, total, data);
}

bool mm_may_lock_any(const struct mm *mm)
{
	return READ_ONCE(mm->rlimit_memlock) || thread_may_lock_memory();
}

bool mm_may_lock(const struct mm *mm, u64 nr_pages)
{
	return nr_pages <= READ_ONCE(mm->rlimit_memlock) >> PAGE_SHIFT || thread_may_lock_memory();
}

bool mm_may_lock_more(const struct mm *mm, u64 flags, u64 nr_pages)
{
	assert_mmap_locked(mm);
	return !(flags & VM_LOCKED) || mm_may_lock(mm, mm->locked_pages + nr_pages);
}

bool mm_may_commit(u64 nr_pages)
{
	return READ_ONCE(sysctl_overcommit_memory) == 1 || nr_pages <= nr_managed_pages() + swap_figures().total;
}

vaddr_t vma_start_gap(const struct vma *vma)
{
	if (!(vma->flags & VM_GROWSDOWN))
		return vma->start;
	return vma->start > STACK_GUARD_GAP ? vma->start - STACK_GUARD_GAP : 0;
}

/* Whether the range [addr, addr + len) is free and not in a stack's gap. */
static bool is_free(const struct mm *mm, vaddr_t addr, u64 len)
{
	const struct vma *next = vma_tree_find_from(&mm->tree, addr);

	return !next || addr + len <= vma_start_gap(next);
}

/* The tree does not know about stacks' gaps: where one is in the way, the search continues past it. */
static vaddr_t highest_free(const struct mm *mm, u64 len, vaddr_t low, vaddr_t high)
{
	vaddr_t addr;

	while ((addr = vma_tree_gap_top_down(&mm->tree, len, low, high)) && !is_free(mm, addr, len))
		high = vma_start_gap(vma_tree_find_from(&mm->tree, addr));
	return addr;
}

static vaddr_t lowest_free(const struct mm *mm, u64 len, vaddr_t low, vaddr_t high)
{
	vaddr_t addr;

	while ((addr = vma_tree_gap_bottom_up(&mm->tree, len, low, high)) && !is_free(mm, addr, len))
		low = vma_tree_find_from(&mm->tree, addr)->end;
	return addr;
}

static long bottom_up(const struct mm *mm, vaddr_t hint, u64 len, bool below_2gib)
{
	vaddr_t low = below_2gib ? BELOW_2GIB_FROM : BOTTOM_UP_BASE;
	vaddr_t high = below_2gib ? BELOW_2GIB_TO : USER_END, addr;

	if (len > high)
		return -ENOMEM;
	if (hint && hint <= high - len && is_free(mm, hint, len))
		return (long)hint;
	addr = lowest_free(mm, len, low, high);
	return addr ? (long)addr : -ENOMEM;
}

static long choose_area(const struct mm *mm, vaddr_t hint, u64 len, u64 flags)
{
	vaddr_t low = max(PAGE_SIZE, READ_ONCE(sysctl_mmap_min_addr)), addr;

	if (len > USER_END)
		return -ENOMEM;
	if (flags & MAP_FIXED) {
		if (hint > USER_END - len)
			return -ENOMEM;
		return hint & ~PAGE_MASK ? -EINVAL : (long)hint;
	}
	hint &= PAGE_MASK;
	if (flags & MAP_32BIT)
		return bottom_up(mm, hint, len, true);
	if (hint && hint <= USER_END - len && is_free(mm, hint, len))
		return (long)hint;
	if (flags & MAP_ABOVE4G)
		low = 1UL << 32;
	addr = highest_free(mm, len, low, mm->mmap_base);
	return addr ? (long)addr : bottom_up(mm, hint, len, false);
}

/* As Linux's security_mmap_addr(): checks the final address, however it was chosen. */
long mm_unmapped_area(struct mm *mm, vaddr_t hint, u64 len, u64 flags)
{
	long addr = choose_area(mm, hint, len, flags);

	assert_mmap_locked(mm);
	return addr >= 0 && (vaddr_t)addr < READ_ONCE(sysctl_mmap_min_addr) && !thread_may_map_low() ? -EPERM : addr;
}
