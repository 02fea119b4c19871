/* SPDX-License-Identifier: MIT */
/* How much may be mapped, and where: resource limits, overcommit, and the choice of an address. */
#ifndef MM_MMAP_LIMITS_H
#define MM_MMAP_LIMITS_H

#include "mm/vma/vma.h"

/*
 * Do RLIMIT_AS and RLIMIT_DATA permit nr_pages more pages with these flags (VM_*)?
 *
 * Context: mmap_lock held. Does not sleep.
 * Returns: true if they do.
 */
bool mm_may_grow(const struct mm *mm, u64 flags, u64 nr_pages);
/* The same, once [start, end) is unmapped. Context: mmap_lock held. Does not sleep. Returns: true if they do. */
bool mm_may_grow_without(const struct mm *mm, u64 flags, u64 nr_pages, vaddr_t start, vaddr_t end);
/*
 * RLIMIT_MEMLOCK, which does not bind a thread with CAP_IPC_LOCK: may the running thread lock any memory; or nr_pages
 * pages in total?
 *
 * Context: any.
 * Returns: true if it may.
 */
bool mm_may_lock_any(const struct mm *mm);
bool mm_may_lock(const struct mm *mm, u64 nr_pages);
/*
 * ... or nr_pages more in a VMA with these flags (VM_*)?
 *
 * Context: mmap_lock held. Does not sleep.
 * Returns: true if it may, or the flags do not lock.
 */
bool mm_may_lock_more(const struct mm *mm, u64 flags, u64 nr_pages);
/*
 * Linux's heuristic (overcommit_memory = 0): refuses what could never fit; 1: refuses nothing.
 *
 * Context: thread. Does not sleep.
 * Returns: true if nr_pages pages may be mapped.
 */
bool mm_may_commit(u64 nr_pages);
/* Flags of memory that is charged when it is mapped: private and writable, unless MAP_NORESERVE. Context: any. */
static inline bool vma_flags_accountable(u64 flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}
/*
 * As Linux's vm_start_gap(): a growing stack keeps a gap below it.
 *
 * Context: any. The caller keeps the VMA from changing.
 * Returns: where the VMA begins, or the gap below it.
 */
vaddr_t vma_start_gap(const struct vma *vma);

/*
 * Chooses the address of a mapping. Every mapping that a program can place itself is checked here (a stack has a check
 * of its own, which binds root too).
 * @addr: a hint, taken if it is free. Otherwise the highest place below mmap_base is chosen.
 * @len: bytes.
 * @flags: MAP_*.
 *
 * Context: mmap_lock held. Does not sleep.
 * Returns: the address; -ENOMEM; -EINVAL; -EPERM below mmap_min_addr, unless the running thread may map there.
 */
long mm_unmapped_area(struct mm *mm, vaddr_t addr, u64 len, u64 flags);

/* Settings in /proc/sys/vm. Any CPU may write them while calls read them; each call reads once. */
extern u64 sysctl_mmap_min_addr; /* in bytes: mapping below it needs CAP_SYS_RAWIO; a hint below it is raised to it */
extern u8 sysctl_overcommit_memory; /* 0: refuse what can never fit; 1: refuse nothing */

#endif
