/* SPDX-License-Identifier: MIT */
/*
 * brk: grows and shrinks the heap behind a program's data. Mirrors Linux's brk() and do_brk_flags(). mmap_lock is held
 * for writing throughout.
 */
#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma_change.h"

#define HEAP_FLAGS (VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT)

static long brk_shrink(struct mm *mm, vaddr_t from, vaddr_t to)
{
	const struct vma *heap = vma_tree_find_from(&mm->tree, to);

	if (!heap || heap->start >= from)
		return -EINVAL;
	return vma_unmap_range(mm, to, from);
}

static long brk_grow(struct mm *mm, vaddr_t from, vaddr_t to)
{
	const struct vma *next = vma_tree_find_from(&mm->tree, from);
	const struct vma_shape shape = {
		.start = from, .end = to, .flags = HEAP_FLAGS | mm->def_flags, .pgoff = from >> PAGE_SHIFT
	};
	u64 nr_pages = (to - from) >> PAGE_SHIFT;
	long place = mm_unmapped_area(mm, from, to - from, MAP_FIXED);
	struct vma *vma;

	if (place < 0)
		return place;
	/* Keeps one page free behind the heap, and the gap below a stack. */
	if (next && to + PAGE_SIZE > vma_start_gap(next))
		return -ENOMEM;
	if (!mm_may_lock_more(mm, mm->def_flags, nr_pages) || !mm_may_grow(mm, HEAP_FLAGS, nr_pages) ||
	    !mm_may_commit(nr_pages) || mm->nr_vmas > READ_ONCE(sysctl_max_map_count))
		return -ENOMEM;
	vma = vma_map(mm, &shape);
	return is_err(vma) ? ptr_err(vma) : 0;
}

static bool within_data_limit(const struct mm *mm, vaddr_t brk)
{
	u64 limit = READ_ONCE(mm->rlimit_data);

	return limit == ~0UL || brk - mm->start_brk + mm->end_data - mm->start_data <= limit;
}

static long set_brk(struct mm *mm, vaddr_t brk)
{
	vaddr_t old_end = align_up(mm->brk, PAGE_SIZE), new_end = align_up(brk, PAGE_SIZE);
	long error = 0;

	assert_mmap_write_locked(mm);
	if (brk < mm->start_brk || new_end < brk || !within_data_limit(mm, brk))
		return -ENOMEM;
	if (new_end < old_end)
		error = brk_shrink(mm, old_end, new_end);
	else if (new_end > old_end)
		error = brk_grow(mm, old_end, new_end);
	if (!error)
		mm->brk = brk;
	return error;
}

long mm_brk(struct mm *mm, vaddr_t brk)
{
	vaddr_t old_end;
	bool populate;
	long result;

	result = mmap_write_lock_killable(mm);
	if (result)
		return result;
	old_end = align_up(mm->brk, PAGE_SIZE);
	(void)set_brk(mm, brk); /* as Linux, reports failure by returning the old break */
	result = (long)mm->brk;
	populate = (mm->def_flags & VM_LOCK_FLAGS) == VM_LOCKED;
	mmap_write_unlock(mm);
	if (populate)
		mm_populate_flags(mm, old_end, align_up((vaddr_t)result, PAGE_SIZE), HEAP_FLAGS);
	return result;
}
