/* SPDX-License-Identifier: MIT */
/*
 * The system calls that change an address space, on kernel values: the syscall layer has already fetched arguments and
 * files. All return 0, an address or a negative errno exactly as Linux does, and lose nothing when they fail.
 */
#ifndef MM_MMAP_H
#define MM_MMAP_H

#include "mm/vma/vma.h"

struct mmap_request {
	vaddr_t addr;
	u64 len;
	u64 prot;		   /* PROT_* */
	u64 flags;		   /* MAP_* */
	u64 pgoff;		   /* in pages */
	struct mapping *mapping;   /* NULL: anonymous. The callee takes its own references */
	struct file *file;	   /* shown in /proc/<pid>/maps; also for anonymous memory mapped through /dev/zero */
	const struct vma_ops *ops; /* for mapping */
	bool noexec;		   /* the mapping may never become executable */
	bool file_writable;	   /* the descriptor was opened for writing */
	bool of_file;		   /* a descriptor was given; mapping may still be NULL: /dev/zero */
	bool unbounded;		   /* neither a regular file nor a block device: offsets may exceed MAX_FILE_BYTES */
	/* 0, or the negative errno of the permission check: returned only once address and size have been checked. */
	int refusal;
};

/* ---- The calls. Context: no lock from RANK_MMAP_LOCK on held. Sleep. --------------------------------------------- */
/*
 * Maps what the request says; faults it in for MAP_POPULATE and MAP_LOCKED.
 *
 * Returns: the address; -EINVAL (length 0, a bad address or flags); -ENOMEM (no place, a limit, or no memory);
 *          -EOVERFLOW; -EPERM; -EAGAIN (RLIMIT_MEMLOCK); -EEXIST (MAP_FIXED_NOREPLACE); -EACCES; -EOPNOTSUPP; -EINTR;
 *          or request->refusal.
 */
long mm_mmap(struct mm *mm, const struct mmap_request *request);
/* Unmaps the range: the end is rounded up to a page. Returns: 0; -EINVAL; -ENOMEM (to split a VMA); -EINTR. */
long mm_munmap(struct mm *mm, vaddr_t addr, u64 len);
/*
 * Sets the rights of the range.
 * @prot: PROT_*.
 * @key: the protection key for the range, or -1 for none in particular.
 *
 * Returns: 0; -EINVAL; -ENOMEM (a hole, a limit, or no memory); -EACCES; -EINTR. At an error the VMAs before it have
 *          changed.
 */
long mm_mprotect(struct mm *mm, vaddr_t addr, u64 len, u64 prot, int key);
/*
 * Moves or resizes the mapping at addr.
 * @flags: MREMAP_*.
 *
 * Returns: the new address; -EINVAL; -EFAULT (the range is not in one VMA); -EAGAIN (RLIMIT_MEMLOCK); -ENOMEM; -EINTR.
 */
long mm_mremap(struct mm *mm, vaddr_t addr, u64 old_len, u64 new_len, u64 flags, vaddr_t new_addr);
/* Moves the end of the heap. Returns: the new break; the old one if that cannot be; -EINTR. */
long mm_brk(struct mm *mm, vaddr_t brk);
/*
 * @advice: MADV_*.
 *
 * Returns: 0; -EINVAL; -ENOMEM (a hole: the rest is done, but for populate); -EACCES; -EAGAIN; -EFAULT; -EINTR;
 *          MADV_REMOVE: the file's error.
 */
long mm_madvise(struct mm *mm, vaddr_t addr, u64 len, int advice);
/*
 * Writes one byte per page into vec.
 * @addr: page aligned.
 *
 * Returns: 0; -ENOMEM (a hole).
 */
long mm_mincore(struct mm *mm, vaddr_t addr, u64 nr_pages, u8 *vec);
/*
 * mlock faults the pages in, unless on_fault.
 *
 * Returns: 0; -EINVAL (the range wraps); -ENOMEM (a hole, or no access); -EAGAIN (no memory for pages); -EPERM; -EINTR.
 */
long mm_mlock(struct mm *mm, vaddr_t addr, u64 len, bool on_fault);
long mm_munlock(struct mm *mm, vaddr_t addr, u64 len);
/* Faults in the locked pages of the range where the VMAs permit it; ignores errors. */
void mm_populate_locked(struct mm *mm, vaddr_t start, vaddr_t end);
/* @flags: MCL_*. Returns: 0; -EINVAL; -EPERM (RLIMIT_MEMLOCK is 0); -ENOMEM; -EINTR. */
long mm_mlockall(struct mm *mm, int flags);
/* Unlocks all, and ends MCL_FUTURE. Returns: 0; -EINTR. */
long mm_munlockall(struct mm *mm);
/*
 * @flags: MS_*.
 *
 * Returns: 0; -EINVAL; -ENOMEM (a hole: the rest is done); -EBUSY (MS_INVALIDATE of locked memory); -EIO.
 */
long mm_msync(struct mm *mm, vaddr_t addr, u64 len, int flags);

/*
 * exec: maps the stack VMA (grows down) at [top - size, top). The ELF loader sets brk and the layout.
 *
 * Returns: 0 or -errno.
 */
long mm_setup_stack(struct mm *mm, vaddr_t top, u64 size, bool executable);

/* ---- Parts of them, and fork. Context: no lock from RANK_MMAP_LOCK on held. Sleep. ------------------------------- */
/*
 * Faults in every page of [start, end) through fault_in(), for reading or writing.
 *
 * Returns: 0; -EINVAL (no right); -EFAULT (the object has no such page); -ENOMEM; -EINTR.
 */
long mm_populate(struct mm *mm, vaddr_t start, vaddr_t end, bool write);
/*
 * Populates a range for MAP_POPULATE and VM_LOCKED: as mm_populate(), as far as the VMA's flags permit (VM_LOCKONFAULT:
 * not at all); ignores errors.
 *
 * Context: thread. Sleeps only as mm_populate().
 */
void mm_populate_flags(struct mm *mm, vaddr_t start, vaddr_t end, u64 vm_flags);

/* Copies parent's address space for fork. On error the child is ready for mmput(). Returns: 0; -ENOMEM; -EINTR. */
int mm_fork(struct mm *child, struct mm *parent);

#endif
