/* SPDX-License-Identifier: MIT */
/*
 * Stack growth. It happens only under mmap_lock for writing (V5), in the VMA's bracket (V4). Mirrors Linux's
 * expand_downwards().
 */
#include "kernel/lib/errno.h"
#include "mm/debug/race.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/rmap.h"
#include "mm/vma/stack.h"
#include "mm/vma/vma_change.h"

/* An accessible mapping below must not be closer than the gap; another growing VMA or PROT_NONE may be. */
static bool gap_is_free(const struct vma *vma, vaddr_t addr)
{
	const struct vma *prev = vma_tree_find_before(&vma->mm->tree, vma->start);

	if (!prev)
		return true;
	if (addr < prev->end)
		return false;
	return prev->flags & VM_GROWSDOWN || !(prev->flags & VM_ACCESS) || addr - prev->end >= STACK_GUARD_GAP;
}

static bool stack_within_limits(const struct vma *vma, vaddr_t addr)
{
	u64 nr_pages = (vma->start - addr) >> PAGE_SHIFT;

	return mm_may_grow(vma->mm, vma->flags, nr_pages) && mm_may_lock_more(vma->mm, vma->flags, nr_pages) &&
	       vma->end - addr <= READ_ONCE(vma->mm->rlimit_stack) && mm_may_commit(nr_pages) && nr_pages <= vma->pgoff;
}

int vma_expand_stack(struct mm *mm, struct vma *vma, vaddr_t addr)
{
	u64 nr_pages;
	int error;

	assert_may_sleep();
	assert_mmap_write_locked(mm);
	addr &= PAGE_MASK;
	if (addr >= vma->start)
		return 0;
	if (!(vma->flags & VM_GROWSDOWN) || addr < READ_ONCE(sysctl_mmap_min_addr) || !gap_is_free(vma, addr) ||
	    !stack_within_limits(vma, addr) || anon_vma_prepare(vma) || vma_tree_reserve(&mm->tree, 1))
		return -ENOMEM;
	error = vma_start_write_killable(vma);
	if (error)
		return error;
	race_point(stack_before_grow);
	nr_pages = (vma->start - addr) >> PAGE_SHIFT;
	vma_account(mm, vma->flags, nr_pages);
	vma_tree_set_bounds(&mm->tree, vma, vma->start, addr, vma->end);
	rmap_set_range(vma, addr, vma->end, vma->pgoff - nr_pages);
	return 0;
}
