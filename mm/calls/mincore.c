/* SPDX-License-Identifier: MIT */
/* mincore reports which pages are in memory; msync writes back the mapped part of a file that has backing storage. */
#include "kernel/lib/errno.h"
#include "mm/cache/mapping.h"
#include "mm/calls/mmap.h"
#include "mm/services.h"
#include "mm/swap/shmem_swap.h"
#include "mm/swap/swap.h"
#include "mm/vma/mman.h"

/* Returns the page with a reference, or NULL. Swapped-out shared memory counts as in memory while in the swap cache. */
static struct page *find_in_memory(struct mapping *mapping, u64 index)
{
	struct page *page = mapping_find(mapping, index);
	swap_slot_t slot;

	if (page || !shmem_in_swap(mapping, index, &slot) || !swap_area_get(slot))
		return page;
	page = swap_cache_find(slot);
	swap_area_put(slot);
	return page;
}

/* 1 if the mapping holds the page, though this address space has not mapped it, and it was used, not only set aside. */
static u8 in_mapping(const struct vma *vma, vaddr_t addr)
{
	struct page *page;
	bool there;

	if (!vma->mapping)
		return 0;
	page = find_in_memory(vma->mapping, vma->pgoff + ((addr - vma->start) >> PAGE_SHIFT));
	if (!page)
		return 0;
	there = page_is_in_use(page);
	page_put(page);
	return there;
}

/* A swapped-out page counts as in memory while the swap cache has it, up to date. Context: a PTE lock held. */
static u8 in_swap_cache(pte_t pte)
{
	struct page *page = swap_cache_find(pte_swap_slot(pte));
	u8 ready = page && page_is_uptodate(page);

	assert_in_atomic();
	if (page)
		page_put(page);
	return ready;
}

static void see_entry(pte_t pte, u8 *seen)
{
	if (pte_maps_page(pte))
		*seen = 1;
	else if (pte_kind(pte) == PTE_KIND_SWAP)
		*seen = in_swap_cache(pte);
}

/* Sets the bytes of pages that have a page-table entry; leaves the other bytes as they are. */
static void see_entries(struct mm *mm, vaddr_t start, vaddr_t end, u8 *vec)
{
	struct pt_iter it;

	pt_for_each_table (&it, mm, start, end)
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++)
			see_entry(pte_read(it.pte), &vec[(it.addr - start) >> PAGE_SHIFT]);
}

long mm_mincore(struct mm *mm, vaddr_t addr, u64 nr_pages, u8 *vec)
{
	vaddr_t end = addr + (nr_pages << PAGE_SHIFT), stop;

	mmap_read_lock(mm);
	for (vaddr_t start = addr; start < end; start = stop) {
		const struct vma *vma = vma_tree_find(&mm->tree, start);

		if (!vma) {
			mmap_read_unlock(mm);
			return -ENOMEM;
		}
		stop = min(vma->end, end);
		for (vaddr_t page = start; page < stop; page += PAGE_SIZE)
			vec[(page - addr) >> PAGE_SHIFT] = in_mapping(vma, page);
		see_entries(mm, start, stop, vec + ((start - addr) >> PAGE_SHIFT));
	}
	mmap_read_unlock(mm);
	return 0;
}

/*
 * MS_SYNC: writes back the part of its file that the VMA maps in [start, end). Drops mmap_lock while it waits for I/O,
 * and returns with it held again.
 *
 * Context: mmap_lock held.
 */
static long sync_vma(struct mm *mm, const struct vma *vma, vaddr_t start, vaddr_t end)
{
	u64 first = vma->pgoff + ((start - vma->start) >> PAGE_SHIFT);
	u64 last = first + ((end - start) >> PAGE_SHIFT) - 1;
	struct file *file = vma->file;
	long error;

	assert_mmap_locked(mm);
	vma_file_get(file);
	mmap_read_unlock(mm);
	error = vma_file_sync(file, first, last);
	vma_file_put(file);
	mmap_read_lock(mm);
	return error;
}

/* Walks the range as Linux's msync(): a hole fails MS_ASYNC at once; otherwise it is reported at the end. */
static long sync_range(struct mm *mm, vaddr_t start, vaddr_t end, int flags)
{
	long error = 0;

	while (start < end) {
		const struct vma *vma = vma_tree_find_from(&mm->tree, start);
		vaddr_t stop;

		if (!vma)
			return -ENOMEM;
		if (start < vma->start) {
			if (flags == MS_ASYNC || vma->start >= end)
				return -ENOMEM;
			error = -ENOMEM;
			start = vma->start;
		}
		if (flags & MS_INVALIDATE && vma->flags & VM_LOCKED)
			return -EBUSY;
		stop = min(vma->end, end);
		if (flags & MS_SYNC && vma->file && vma->flags & VM_SHARED) {
			long failed = sync_vma(mm, vma, start, stop);

			if (failed)
				return failed;
		}
		start = stop;
	}
	return error;
}

long mm_msync(struct mm *mm, vaddr_t addr, u64 len, int flags)
{
	vaddr_t end = addr + align_up(len, PAGE_SIZE);
	long error;

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || addr & ~PAGE_MASK || (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	if (end < addr)
		return -ENOMEM;
	mmap_read_lock(mm);
	error = sync_range(mm, addr, end, flags);
	mmap_read_unlock(mm);
	return error;
}
