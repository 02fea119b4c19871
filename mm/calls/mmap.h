/* SPDX-License-Identifier: MIT */
/*
 * The system calls that change an address space, on kernel values: the syscall layer has already fetched arguments and
 * files. All sleep, return 0, an address or a negative errno exactly as Linux does, and lose nothing when they fail.
 * None may be called with mmap_lock held, unless its comment says so.
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

long mm_mmap(struct mm *mm, const struct mmap_request *request);
long mm_munmap(struct mm *mm, vaddr_t addr, u64 len);
/* `key`: the protection key for the range, or -1 for none in particular. */
long mm_mprotect(struct mm *mm, vaddr_t addr, u64 len, u64 prot, int key);
long mm_mremap(struct mm *mm, vaddr_t addr, u64 old_len, u64 new_len, u64 flags, vaddr_t new_addr);
long mm_brk(struct mm *mm, vaddr_t brk); /* the new break, or the old one on failure */
long mm_madvise(struct mm *mm, vaddr_t addr, u64 len, int advice);
/* Writes one byte per page into vec, for nr_pages from addr (aligned). Returns 0 or -ENOMEM. */
long mm_mincore(struct mm *mm, vaddr_t addr, u64 nr_pages, u8 *vec);
/*
 * mlock: faults the pages in, unless on_fault. Returns 0, -EINVAL (the range wraps), -ENOMEM (a hole, or no access) or
 * -EAGAIN (no memory for pages). mlockall's flags are MCL_*. All sleep.
 */
long mm_mlock(struct mm *mm, vaddr_t addr, u64 len, bool on_fault);
long mm_munlock(struct mm *mm, vaddr_t addr, u64 len);
/* Faults in the locked pages of the range where the VMAs permit it; ignores errors. */
void mm_populate_locked(struct mm *mm, vaddr_t start, vaddr_t end);
long mm_mlockall(struct mm *mm, int flags);
long mm_munlockall(struct mm *mm);
long mm_msync(struct mm *mm, vaddr_t addr, u64 len, int flags);

/* exec: maps the stack VMA (grows down) at [top - size, top). The ELF loader sets brk and the layout. 0 or -errno. */
long mm_setup_stack(struct mm *mm, vaddr_t top, u64 size, bool executable);

/*
 * Faults in every page of [start, end) through fault_in(), for reading or writing. Returns 0 or -errno. => no lock from
 * RANK_MMAP_LOCK on held.
 */
long mm_populate(struct mm *mm, vaddr_t start, vaddr_t end, bool write);
/*
 * Populates a range for MAP_POPULATE and VM_LOCKED: as mm_populate(), as far as the VMA's flags permit (VM_LOCKONFAULT:
 * not at all); ignores errors.
 */
void mm_populate_flags(struct mm *mm, vaddr_t start, vaddr_t end, u64 vm_flags);

/* Copies parent's address space for fork. 0, -ENOMEM or -EINTR; on error the child is ready for mmput(). Sleeps. */
int mm_fork(struct mm *child, struct mm *parent);

#endif
