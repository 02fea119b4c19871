/* SPDX-License-Identifier: MIT */
/*
 * madvise: changes VMA flags, drops or reclaims pages, or populates a range, as the program advises.
 *
 * Advice that changes a VMA's flags takes mmap_lock for writing and brackets the VMA; advice that only touches pages
 * (DONTNEED and the like) takes it for reading, so that faults elsewhere go on; POPULATE goes through fault_in().
 *
 * If the range has holes, the advice is applied to what is mapped, then the call returns -ENOMEM.
 *
 * Mirrors: Linux, do_madvise(), madvise_walk_vmas().
 */
#include "kernel/lib/errno.h"
#include "mm/cache/mapping.h"
#include "mm/calls/mmap.h"
#include "mm/fault.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/reclaim/reclaim.h"
#include "mm/services.h"
#include "mm/table/tlb.h"
#include "mm/table/zap.h"
#include "mm/vma/access.h"
#include "mm/vma/mman.h"
#include "mm/vma/vma_change.h"

enum advice_kind {
	ADVICE_UNKNOWN,
	ADVICE_FLAGS, /* changes VM_* flags */
	ADVICE_PAGES, /* touches pages, or nothing */
	ADVICE_POPULATE,
};

static enum advice_kind kind_of(int advice)
{
	switch (advice) {
	case MADV_NORMAL ... MADV_SEQUENTIAL:
	case MADV_DONTFORK ... MADV_KEEPONFORK:
		return ADVICE_FLAGS;
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_COLLAPSE:
		return ADVICE_PAGES;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return ADVICE_POPULATE;
	default:
		return ADVICE_UNKNOWN;
	}
}

/* ---- Flags ------------------------------------------------------------------------------------------------------- */

struct flag_change {
	u64 clear, set;
};

static const struct flag_change flag_changes[] = {
	[MADV_NORMAL] = { VM_RAND_READ | VM_SEQ_READ, 0 },
	[MADV_RANDOM] = { VM_SEQ_READ, VM_RAND_READ },
	[MADV_SEQUENTIAL] = { VM_RAND_READ, VM_SEQ_READ },
	[MADV_DONTFORK] = { 0, VM_DONTCOPY },
	[MADV_DOFORK] = { VM_DONTCOPY, 0 },
	[MADV_MERGEABLE] = { 0, VM_MERGEABLE },
	[MADV_UNMERGEABLE] = { VM_MERGEABLE, 0 },
	[MADV_HUGEPAGE] = { VM_NOHUGEPAGE, VM_HUGEPAGE },
	[MADV_NOHUGEPAGE] = { VM_HUGEPAGE, VM_NOHUGEPAGE },
	[MADV_DONTDUMP] = { 0, VM_DONTDUMP },
	[MADV_DODUMP] = { VM_DONTDUMP, 0 },
	[MADV_WIPEONFORK] = { 0, VM_WIPEONFORK },
	[MADV_KEEPONFORK] = { VM_WIPEONFORK, 0 },
};

static long advise_flags(struct vma *vma, vaddr_t start, vaddr_t end, int advice)
{
	u64 flags = (vma->flags & ~flag_changes[advice].clear) | flag_changes[advice].set;

	if (advice == MADV_WIPEONFORK && (vma->mapping || vma->file || vma->flags & VM_SHARED))
		return -EINVAL;
	if ((advice == MADV_KEEPONFORK || advice == MADV_DODUMP) && vma->flags & VM_DROPPABLE)
		return -EINVAL;
	if (advice == MADV_MERGEABLE && vma->flags & (VM_SHARED | VM_MAYSHARE))
		return 0; /* shared memory is never merged page by page: accepted, without effect */
	if (flags == vma->flags)
		return 0;
	vma = vma_modify_flags(vma, start, end, flags);
	return is_err(vma) ? ptr_err(vma) : 0;
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

static void drop_pages(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct tlb_gather tlb;

	tlb_gather_begin(&tlb, mm);
	zap_range(&tlb, mm, start, end);
	tlb_gather_finish(&tlb);
}

/*
 * Collects up to a batch of pages from *start on, with references, and advances *start past them. As on Linux, skips
 * pages that other address spaces map too: those did not give the advice.
 */
static unsigned collect_own_pages(struct mm *mm, vaddr_t *start, vaddr_t end, struct page **pages)
{
	struct pt_iter it;
	unsigned nr = 0;

	pt_for_each_table (&it, mm, *start, end) {
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++) {
			struct page *page = pte_counted_page(pte_read(it.pte));

			if (!page || READ_ONCE(page->mapcount) != 1)
				continue;
			page_get(page);
			pages[nr++] = page;
			if (nr == RECLAIM_BATCH) {
				*start = it.addr + PAGE_SIZE;
				pt_iter_end(&it);
				return nr;
			}
		}
	}
	*start = end;
	return nr;
}

/* Context: mmap_lock held. */
static void page_out(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct page *pages[RECLAIM_BATCH];

	assert_mmap_locked(mm);
	while (start < end && !thread_killed()) {
		unsigned nr = collect_own_pages(mm, &start, end, pages);

		reclaim_batch(pages, nr);
		cond_resched();
	}
}

/*
 * For a file, calls the file system, as fallocate() does: that excludes writers, and frees the blocks.
 *
 * Context: no lock from RANK_INODE on held.
 */
static long madvise_punch_hole(struct file *file, struct mapping *mapping, u64 first, u64 nr_pages)
{
	assert_no_lock_from(RANK_INODE);
	if (file)
		return vma_file_punch_hole(file, first << PAGE_SHIFT, nr_pages << PAGE_SHIFT);
	mapping_remove_range(mapping, first, first + nr_pages - 1);
	return 0;
}

/*
 * Punches a hole into the mapped object itself. Drops mmap_lock for the time, because the hole is unmapped from all
 * address spaces that map the object.
 */
static long madvise_remove_pages(struct vma *vma, vaddr_t start, vaddr_t end)
{
	const u64 writable_object = VM_SHARED | VM_MAYWRITE;
	u64 first = vma->pgoff + ((start - vma->start) >> PAGE_SHIFT);
	struct mapping *mapping = vma->mapping;
	struct file *file = vma->file;
	struct mm *mm = vma->mm;
	long error;

	if (vma->flags & VM_LOCKED || !(mapping || file))
		return -EINVAL;
	if ((vma->flags & writable_object) != writable_object)
		return -EACCES;
	mapping_get(mapping);
	if (file)
		vma_file_get(file);
	mmap_read_unlock(mm);
	error = madvise_punch_hole(file, mapping, first, (end - start) >> PAGE_SHIFT);
	if (file)
		vma_file_put(file);
	mapping_put(mapping);
	mmap_read_lock(mm);
	return error;
}

static long advise_pages(struct vma *vma, vaddr_t start, vaddr_t end, int advice)
{
	bool locked = vma->flags & VM_LOCKED;

	switch (advice) {
	case MADV_DONTNEED:
		if (locked)
			return -EINVAL;
		/* fall through */
	case MADV_DONTNEED_LOCKED:
		drop_pages(vma->mm, start, end);
		return 0;
	case MADV_REMOVE:
		return madvise_remove_pages(vma, start, end);
	case MADV_FREE:
		if (locked || !vma_is_anonymous(vma))
			return -EINVAL;
		mm_free_lazily(vma->mm, start, end);
		return 0;
	case MADV_COLD:
	case MADV_PAGEOUT:
		if (locked)
			return -EINVAL;
		if (advice == MADV_PAGEOUT)
			page_out(vma->mm, start, end);
		mm_make_old(vma->mm, start, end); /* the pages that are still there */
		return 0;
	case MADV_COLLAPSE: /* there are no huge pages */
		return -EINVAL;
	default:
		return 0;
	}
}

/* ---- Population -------------------------------------------------------------------------------------------------- */

/*
 * Returns the end of the VMA at start, up to which a range may be populated. Returns 0 if there is no VMA (*error =
 * -ENOMEM), or if it lacks the right (*error = -EINVAL). The VMA may change after this check; then a fault reports it.
 */
static vaddr_t populatable_until(struct mm *mm, vaddr_t start, bool write, long *error)
{
	const struct vma *vma;
	vaddr_t until = 0;

	*error = -ENOMEM;
	mmap_read_lock(mm);
	vma = vma_tree_find(&mm->tree, start);
	if (vma && vma->flags & (write ? VM_WRITE : VM_READ) &&
	    arch_vma_access_permitted(vma->flags, write ? ACCESS_WRITE : ACCESS_READ))
		until = vma->end;
	else if (vma)
		*error = -EINVAL;
	mmap_read_unlock(mm);
	return until;
}

/* Unlike a fault, requires exactly the right that is named, and does not grow a stack. */
static long madvise_populate(struct mm *mm, vaddr_t start, vaddr_t end, bool write)
{
	vaddr_t until;
	long error;

	for (; start < end; start = until) {
		until = populatable_until(mm, start, write, &error);
		if (!until)
			return error;
		until = min(until, end);
		error = mm_populate(mm, start, until, write);
		if (error)
			return error;
	}
	return 0;
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

static long madvise_walk(struct mm *mm, vaddr_t start, vaddr_t end, int advice, enum advice_kind kind)
{
	long unmapped = 0, error;

	while (start < end) {
		struct vma *vma = vma_tree_find_from(&mm->tree, start);
		vaddr_t stop;

		if (!vma || vma->start >= end)
			return -ENOMEM;
		if (vma->start > start) {
			unmapped = -ENOMEM;
			start = vma->start;
		}
		stop = min(vma->end, end);
		error = kind == ADVICE_FLAGS ? advise_flags(vma, start, stop, advice)
					     : advise_pages(vma, start, stop, advice);
		if (error)
			return error == -ENOMEM ? -EAGAIN : error; /* as Linux, if a VMA can't be allocated */
		start = stop;
	}
	return unmapped;
}

/* Context: no lock from RANK_MMAP_LOCK on held. Sleeps. */
static long advise_locked(struct mm *mm, vaddr_t start, vaddr_t end, int advice, enum advice_kind kind)
{
	long error;

	if (kind == ADVICE_PAGES) {
		mmap_read_lock(mm);
		error = madvise_walk(mm, start, end, advice, kind);
		mmap_read_unlock(mm);
		return error;
	}
	error = mmap_write_lock_killable(mm);
	if (error)
		return error;
	error = madvise_walk(mm, start, end, advice, kind);
	mmap_write_unlock(mm);
	return error;
}

long mm_madvise(struct mm *mm, vaddr_t addr, u64 len, int advice)
{
	enum advice_kind kind = kind_of(advice);
	u64 size = align_up(len, PAGE_SIZE);
	vaddr_t end = addr + size;

	if (kind == ADVICE_UNKNOWN || addr & ~PAGE_MASK || (len && !size) || end < addr)
		return -EINVAL;
	if (end == addr)
		return 0;
	if (kind == ADVICE_POPULATE)
		return madvise_populate(mm, addr, end, advice == MADV_POPULATE_WRITE);
	return advise_locked(mm, addr, end, advice, kind);
}
