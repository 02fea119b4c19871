/* SPDX-License-Identifier: MIT */
/*
 * Changes of a set of VMAs: new ones, other flags, holes. What mmap, munmap, mprotect, mremap, madvise and brk are made
 * of.
 *
 * Every function holds mmap_lock for writing, sleeps for readers to drain, and brackets what it changes. Gets all
 * memory that it needs before the first change, so it does all or nothing, and answers -ENOMEM then (or -EINTR to a
 * dying thread). What consists of several such steps prepares each of them, commits to nothing until all are prepared,
 * and cannot fail from then on.
 */
#ifndef MM_VMA_CHANGE_H
#define MM_VMA_CHANGE_H

#include "mm/vma/vma.h"

static inline long vma_pages(const struct vma *vma)
{
	return (vma->end - vma->start) >> PAGE_SHIFT;
}

/* What a new mapping is to be, before there is a VMA for it. */
struct vma_shape {
	vaddr_t start, end; /* free: nothing is mapped there */
	u64 flags;
	u64 pgoff;
	struct mapping *mapping; /* references are taken if a VMA comes of it */
	struct file *file;
	const struct vma_ops *ops;
	const struct vma *kin; /* its pages will be this VMA's, and belong to its anon_vmas; NULL: it has none yet */
	struct vma *fresh;     /* from vma_map_prepare(); taken over. NULL: allocated */
};

/*
 * Gets what vma_map() may need, while something else may still be mapped there: then it cannot fail. 0 or -ENOMEM. A
 * shape that is not mapped in the end is cancelled. vma_unmap_prepare() has reserved one more change of the tree. =>
 * mmap_lock held for writing.
 */
int __must_check vma_map_prepare(struct mm *mm, struct vma_shape *shape);
/* Gives it back. */
static inline void vma_map_cancel(struct vma_shape *shape)
{
	if (shape->fresh)
		vma_free(shape->fresh);
}
/* Maps it: by enlarging a neighbour that follows the same rules, or by a new VMA. The VMA or an error pointer. */
struct vma *vma_map(struct mm *mm, const struct vma_shape *shape);
/*
 * If mapping `shape` will join `vma`, which has no page yet, with its neighbour beyond, which has: lets vma belong to
 * the neighbour's anon_vma now. 0 or -ENOMEM. => the VMA write-locked.
 */
int __must_check vma_adopt_across(struct vma *vma, const struct vma_shape *shape);

/*
 * Gives [start, end), a part of vma, other flags: splits and merges as needed. The VMA that then contains the part, or
 * an error pointer. Page-table entries are the caller's.
 */
struct vma *vma_modify_flags(struct vma *vma, vaddr_t start, vaddr_t end, u64 flags);

/*
 * The same for the whole of a write-locked vma, which joins nobody now: for flags that say nothing of rights. Cannot
 * fail.
 */
void vma_set_flags(struct vma *vma, u64 flags);

/*
 * Unmapping a range, in two steps: what may fail, and what may not. Between them the VMAs of the range are
 * write-locked. A preparation that succeeded must be followed by commit or cancel.
 */
struct vma_unmap {
	struct mm *mm;
	vaddr_t start, end;
	bool any;	   /* something is mapped there at all */
	bool keeps_tables; /* its place is taken over at once, page tables and all. Set between the steps */
	struct vma *upper; /* for a hole in the middle of a VMA: what will be its second part */
};
/* Be ready for a hole in `vma`, which is in the range and may grow before the commit. 0 or -ENOMEM. It is prepared. */
int __must_check vma_unmap_expect_hole(struct vma_unmap *unmap, struct vma *vma);
/* `nr_more`: tree changes to reserve besides. */
int __must_check vma_unmap_prepare(struct vma_unmap *unmap, struct mm *mm, vaddr_t start, vaddr_t end,
				   unsigned nr_more);
void vma_unmap_commit(struct vma_unmap *unmap);
void vma_unmap_cancel(struct vma_unmap *unmap);
/* Both steps. 0, -ENOMEM or -EINTR. */
int __must_check vma_unmap_range(struct mm *mm, vaddr_t start, vaddr_t end);

/* In vma.c. */
void vma_set_object(struct vma *vma, struct mapping *mapping, struct file *file, const struct vma_ops *ops);
/* Attach and detach without the tree and the page counts. vma_link write-locks. */
void vma_link(struct vma *vma);
void vma_unlink(struct vma *vma);
/* Counts pages that come or (nr_pages < 0) go under VM_* flags. */
void vma_account(struct mm *mm, u64 flags, long nr_pages);

/*
 * What MAP_POPULATE and VM_LOCKED ask for: as mm_populate(), for what the VMA's flags permit (VM_LOCKONFAULT: nothing);
 * nobody learns of errors.
 */
void mm_populate_flags(struct mm *mm, vaddr_t start, vaddr_t end, u64 vm_flags);

/* ---- Limits: mmap_limits.c --------------------------------------------------------------------------------------- */

/* RLIMIT_AS and RLIMIT_DATA permit so many more pages with these flags. */
bool mm_may_grow(const struct mm *mm, u64 flags, u64 nr_pages);
/* ... once what is mapped in [start, end) is gone. */
bool mm_may_grow_without(const struct mm *mm, u64 flags, u64 nr_pages, vaddr_t start, vaddr_t end);
/*
 * RLIMIT_MEMLOCK, which does not bind who has CAP_IPC_LOCK: may the running thread lock anything at all; so many pages
 * in all; so many more in a VMA with these flags?
 */
bool mm_may_lock_any(const struct mm *mm);
bool mm_may_lock(const struct mm *mm, u64 nr_pages);
bool mm_may_lock_more(const struct mm *mm, u64 flags, u64 nr_pages);
/* Linux's guess (overcommit_memory = 0): what could never fit is refused; 1: nothing is. */
bool mm_may_commit(u64 nr_pages);
/* Flags of memory that is charged when it is mapped: private and writable, unless MAP_NORESERVE. */
static inline bool vma_flags_accountable(u64 flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}
/* As Linux's vm_start_gap(): a growing stack keeps a gap below it. */
vaddr_t vma_start_gap(const struct vma *vma);

/*
 * Where a mapping of len bytes goes: at addr if it is free (a hint), or the highest place below mmap_base. The address,
 * or -ENOMEM, -EINVAL; -EPERM below mmap_min_addr, unless the running thread may map there. Every mapping that a program can
 * place itself asks here (a stack has a check of its own, which binds root too). `flags`: MAP_*.
 */
long mm_unmapped_area(struct mm *mm, vaddr_t addr, u64 len, u64 flags);

#endif
