/* SPDX-License-Identifier: MIT */
/*
 * Changes to the set of VMAs (new ones, other flags, holes): the building blocks of mmap, munmap, mprotect, mremap,
 * madvise and brk.
 *
 * Every function is called with mmap_lock held for writing, sleeps until VMA readers have drained, and write-locks the
 * VMAs that it changes. It allocates all memory before the first change, so it does all or nothing, and returns -ENOMEM
 * in the latter case (or -EINTR to a dying thread). An operation of several such steps prepares each of them, commits
 * none until all are prepared, and cannot fail from then on.
 */
#ifndef MM_VMA_CHANGE_H
#define MM_VMA_CHANGE_H

#include "mm/vma/vma.h"

/* How many VMAs an address space may have: /proc/sys/vm/max_map_count. Read once by each call. */
extern u64 sysctl_max_map_count;

/* The VMA's size. Context: any. Returns: pages. */
static inline long vma_pages(const struct vma *vma)
{
	return (vma->end - vma->start) >> PAGE_SHIFT;
}

/* The properties of a new mapping, before it has a VMA. */
struct vma_shape {
	vaddr_t start, end; /* free: nothing is mapped there */
	u64 flags;
	u64 pgoff;
	struct mapping *mapping; /* references are taken if a new VMA is made */
	struct file *file;
	const struct vma_ops *ops;
	const struct vma *kin; /* its pages will be this VMA's and belong to its anon_vmas; NULL: no pages yet */
	struct vma *fresh;     /* from vma_map_prepare(), consumed by vma_map(). NULL: vma_map() allocates */
};

/*
 * Allocates what vma_map() may need, so that it cannot fail; the range may still be mapped otherwise. A shape that is
 * not mapped in the end must be cancelled. Call vma_unmap_prepare() before, to reserve one more change of the tree.
 *
 * Context: mmap_lock held for writing. Sleeps only for memory.
 * Returns: 0; -ENOMEM.
 */
int __must_check vma_map_prepare(struct mm *mm, struct vma_shape *shape);
/* Frees what vma_map_prepare() allocated. Context: thread. Does not sleep. */
static inline void vma_map_cancel(struct vma_shape *shape)
{
	if (shape->fresh)
		vma_free(shape->fresh);
}
/*
 * Maps the shape, by enlarging a compatible neighbour or by a new VMA.
 *
 * Context: mmap_lock held for writing. Sleeps only until readers of the neighbours have drained, and for memory.
 * Returns: the VMA, or err_ptr(-ENOMEM, -EINTR).
 */
struct vma *vma_map(struct mm *mm, const struct vma_shape *shape);
/*
 * If mapping `shape` will merge `vma`, which has no page yet, with the neighbour on its far side, which has: gives vma
 * the neighbour's anon_vma now.
 *
 * Context: the VMA write-locked. Sleeps only for memory.
 * Returns: 0; -ENOMEM.
 */
int __must_check vma_adopt_across(struct vma *vma, const struct vma_shape *shape);

/*
 * Changes the flags of [start, end), a part of vma: splits and merges as needed. The caller updates the page-table
 * entries.
 *
 * Context: mmap_lock held for writing. Sleeps.
 * Returns: the VMA that then contains the part, or err_ptr(-ENOMEM, -EINTR).
 */
struct vma *vma_modify_flags(struct vma *vma, vaddr_t start, vaddr_t end, u64 flags);

/*
 * The same for the whole of vma, without merging: for flags that do not affect access rights. Cannot fail.
 *
 * Context: thread. Does not sleep. The VMA is write-locked.
 */
void vma_set_flags(struct vma *vma, u64 flags);

/*
 * Unmapping a range, in two steps: prepare, which may fail, and commit, which cannot. Between them the VMAs of the
 * range are write-locked. A successful prepare must be followed by commit or cancel.
 */
struct vma_unmap {
	struct mm *mm;
	vaddr_t start, end;
	bool any;	   /* something is mapped there at all */
	bool keeps_tables; /* a new mapping reuses the range and its page tables at once. Set between the steps */
	struct vma *upper; /* for a hole in the middle of a VMA: the VMA for the part above the hole */
};
/*
 * Prepares for a hole in `vma`, which is in the range and may grow before the commit.
 *
 * Context: thread. Sleeps only for memory. After vma_unmap_prepare().
 * Returns: 0; -ENOMEM.
 */
int __must_check vma_unmap_expect_hole(struct vma_unmap *unmap, struct vma *vma);
/*
 * The first step.
 * @nr_more: additional tree changes to reserve.
 *
 * Context: mmap_lock held for writing. Sleeps only until readers of the VMAs have drained, and for memory.
 * Returns: 0; -ENOMEM; -EINTR.
 */
int __must_check vma_unmap_prepare(struct vma_unmap *unmap, struct mm *mm, vaddr_t start, vaddr_t end,
				   unsigned nr_more);
/*
 * The second step; or nothing is unmapped.
 *
 * Context: thread. Sleep only to write-lock a new VMA, and in cond_resched(). mmap_lock is held for writing since the
 *          first step.
 */
void vma_unmap_commit(struct vma_unmap *unmap);
void vma_unmap_cancel(struct vma_unmap *unmap);
/* Both steps. Context: mmap_lock held for writing. Sleeps only as the first step. Returns: 0; -ENOMEM; -EINTR. */
int __must_check vma_unmap_range(struct mm *mm, vaddr_t start, vaddr_t end);

/*
 * Sets what a new VMA maps, and takes references (vma.c).
 * @mapping, @file: or NULL.
 *
 * Context: thread, the VMA's creator. Does not sleep.
 */
void vma_set_object(struct vma *vma, struct mapping *mapping, struct file *file, const struct vma_ops *ops);
/*
 * Attaches the VMA without the tree and the page counts. Write-locks it.
 *
 * Context: mmap_lock held for writing. Sleeps.
 */
void vma_link(struct vma *vma);
/* Detaches it likewise. Context: the VMA write-locked. Does not sleep. */
void vma_unlink(struct vma *vma);
/*
 * Adds nr_pages (which may be negative) to the page counts that apply to VM_* flags.
 *
 * Context: thread. Does not sleep. mmap_lock is held for writing, or no other thread uses mm.
 */
void vma_account(struct mm *mm, u64 flags, long nr_pages);

#endif
