/* SPDX-License-Identifier: MIT */
/*
 * mlock, munlock, mlockall and munlockall: fault pages in, and mark their VMAs so that the pages stay in memory.
 *
 * MADV_DONTNEED refuses a locked VMA, reclaim takes none of its pages, and new parts of a locked mapping are populated.
 *
 * The VMAs change under mmap_lock for writing; the pages are faulted in afterwards, without it, through fault_in().
 *
 * Mirrors: Linux, do_mlock(), apply_vma_lock_flags(), apply_mlockall_flags(), with their order of error checks.
 */
#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/fault.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/vma/access.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma_change.h"

static long set_lock_flags(struct vma *vma, vaddr_t start, vaddr_t end, u64 lock)
{
	u64 flags = (vma->flags & ~VM_LOCK_FLAGS) | lock;

	if (flags == vma->flags || vma->flags & VM_DROPPABLE)
		return 0;
	vma = vma_modify_flags(vma, start, end, flags);
	if (is_err(vma))
		return ptr_err(vma);
	if (!lock)
		mm_rescue(vma->mm, start, end);
	return 0;
}

/* Number of pages in the range that are already locked. Context: mmap_lock held. */
static u64 pages_locked(const struct mm *mm, vaddr_t start, vaddr_t end)
{
	u64 nr_pages = 0;
	struct vma *vma;

	assert_mmap_locked(mm);
	vma_tree_for_each_range (vma, &mm->tree, start, end)
		if (vma->flags & VM_LOCKED)
			nr_pages += (min(vma->end, end) - max(vma->start, start)) >> PAGE_SHIFT;
	return nr_pages;
}

/* True if RLIMIT_MEMLOCK permits locking the range; pages already locked count once. Context: mmap_lock held. */
static bool within_limit(const struct mm *mm, vaddr_t start, u64 size)
{
	u64 nr_pages = mm->locked_pages + (size >> PAGE_SHIFT);

	assert_mmap_locked(mm);
	return mm_may_lock(mm, nr_pages) ||
	       mm_may_lock(mm, nr_pages - pages_locked(mm, start, start + size < start ? ~0UL : start + size));
}

/* Sets the lock flags of the VMAs up to the first hole, which is an error. Context: mmap_lock held for writing. */
static long lock_vmas(struct mm *mm, vaddr_t start, vaddr_t end, u64 lock)
{
	assert_mmap_write_locked(mm);
	while (start < end) {
		struct vma *vma = vma_tree_find(&mm->tree, start);
		vaddr_t stop;
		long error;

		if (!vma)
			return -ENOMEM;
		stop = min(vma->end, end);
		error = set_lock_flags(vma, start, stop, lock);
		if (error)
			return error;
		start = stop;
	}
	return 0;
}

/*
 * Finds the part of [*start, end) that the first VMA at or behind *start covers. The VMA may change after this check.
 *
 * Context: no lock from RANK_MMAP_LOCK on held. Sleeps.
 * Returns: false if there is none.
 */
static bool next_part(struct mm *mm, vaddr_t *start, vaddr_t end, vaddr_t *stop, u64 *flags)
{
	const struct vma *vma;
	bool found;

	mmap_read_lock(mm);
	vma = vma_tree_find_from(&mm->tree, *start);
	found = *start < end && vma && vma->start < end;
	if (found) {
		*start = max(vma->start, *start);
		*stop = min(vma->end, end);
		*flags = vma->flags;
	}
	mmap_read_unlock(mm);
	return found;
}

/* Faults the range in, and returns mlock's errors: memory that can't be accessed is -ENOMEM, like a hole. */
static long mlock_populate(struct mm *mm, vaddr_t start, vaddr_t end)
{
	vaddr_t stop;
	u64 flags;

	for (; next_part(mm, &start, end, &stop, &flags); start = stop) {
		bool write = (flags & (VM_WRITE | VM_SHARED)) == VM_WRITE;
		long error;

		if (flags & VM_LOCKONFAULT)
			continue;
		if (fault_check_access(flags, write ? ACCESS_WRITE : ACCESS_READ) != FAULT_DONE)
			return -ENOMEM;
		error = mm_populate(mm, start, stop, write);
		if (error)
			return error == -ENOMEM ? -EAGAIN : error == -EINTR ? error : -ENOMEM;
	}
	return 0;
}

void mm_populate_locked(struct mm *mm, vaddr_t start, vaddr_t end)
{
	vaddr_t stop;
	u64 flags;

	for (; next_part(mm, &start, end, &stop, &flags); start = stop)
		if ((flags & VM_LOCK_FLAGS) == VM_LOCKED)
			mm_populate_flags(mm, start, stop, flags);
}

/* Context: mmap_lock held for writing. */
static long change_range(struct mm *mm, vaddr_t start, u64 size, u64 lock)
{
	assert_mmap_write_locked(mm);
	if (start + size < start)
		return -EINVAL;
	return lock_vmas(mm, start, start + size, lock);
}

long mm_mlock(struct mm *mm, vaddr_t addr, u64 len, bool on_fault)
{
	u64 size = align_up(len + (addr & ~PAGE_MASK), PAGE_SIZE), lock = on_fault ? VM_LOCK_FLAGS : VM_LOCKED;
	vaddr_t start = addr & PAGE_MASK;
	long error;

	if (!mm_may_lock_any(mm))
		return -EPERM;
	error = mmap_write_lock_killable(mm);
	if (error)
		return error;
	error = within_limit(mm, start, size) ? change_range(mm, start, size, lock) : -ENOMEM;
	mmap_write_unlock(mm);
	return error ? error : mlock_populate(mm, start, start + size);
}

long mm_munlock(struct mm *mm, vaddr_t addr, u64 len)
{
	u64 size = align_up(len + (addr & ~PAGE_MASK), PAGE_SIZE);
	long error = mmap_write_lock_killable(mm);

	if (error)
		return error;
	error = change_range(mm, addr & PAGE_MASK, size, 0);
	mmap_write_unlock(mm);
	return error;
}

/* Sets the lock flags of every VMA; one that can't be changed stays as it is. Context: mmap_lock held for writing. */
static void lock_all(struct mm *mm, u64 lock)
{
	struct vma *vma;

	assert_mmap_write_locked(mm);
	vma_tree_for_each (vma, &mm->tree)
		(void)set_lock_flags(vma, vma->start, vma->end, lock);
}

/* Context: mmap_lock held for writing. */
static long change_all(struct mm *mm, int flags)
{
	u64 lock = flags & MCL_ONFAULT ? VM_LOCK_FLAGS : VM_LOCKED;

	assert_mmap_write_locked(mm);
	if (flags & MCL_CURRENT && !mm_may_lock(mm, mm->total_pages))
		return -ENOMEM;
	mm->def_flags = flags & MCL_FUTURE ? lock : 0;
	if (flags & MCL_CURRENT)
		lock_all(mm, lock);
	return 0;
}

long mm_mlockall(struct mm *mm, int flags)
{
	long error;

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!mm_may_lock_any(mm))
		return -EPERM;
	error = mmap_write_lock_killable(mm);
	if (error)
		return error;
	error = change_all(mm, flags);
	mmap_write_unlock(mm);
	if (!error && flags & MCL_CURRENT)
		mm_populate_locked(mm, 0, USER_END); /* the caller named no pages, so errors are ignored */
	return error;
}

long mm_munlockall(struct mm *mm)
{
	long error = mmap_write_lock_killable(mm);

	if (error)
		return error;
	mm->def_flags = 0;
	lock_all(mm, 0);
	mmap_write_unlock(mm);
	return 0;
}
