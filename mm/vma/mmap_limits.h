/* SPDX-License-Identifier: MIT */
/* How much may be mapped, and where: resource limits, overcommit, and the choice of an address. */
#ifndef MM_MMAP_LIMITS_H
#define MM_MMAP_LIMITS_H

#include "mm/vma/vma.h"

/* Whether RLIMIT_AS and RLIMIT_DATA permit nr_pages more pages with these flags. */
bool mm_may_grow(const struct mm *mm, u64 flags, u64 nr_pages);
/* The same, once [start, end) is unmapped. */
bool mm_may_grow_without(const struct mm *mm, u64 flags, u64 nr_pages, vaddr_t start, vaddr_t end);
/*
 * RLIMIT_MEMLOCK, which does not bind a thread with CAP_IPC_LOCK: whether the running thread may lock any memory;
 * nr_pages pages in total; nr_pages more in a VMA with these flags.
 */
bool mm_may_lock_any(const struct mm *mm);
bool mm_may_lock(const struct mm *mm, u64 nr_pages);
bool mm_may_lock_more(const struct mm *mm, u64 flags, u64 nr_pages);
/* Linux's heuristic (overcommit_memory = 0): refuses what could never fit; 1: refuses nothing. */
bool mm_may_commit(u64 nr_pages);
/* Flags of memory that is charged when it is mapped: private and writable, unless MAP_NORESERVE. */
static inline bool vma_flags_accountable(u64 flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}
/* As Linux's vm_start_gap(): a growing stack keeps a gap below it. */
vaddr_t vma_start_gap(const struct vma *vma);

/*
 * Chooses the address of a mapping of len bytes: addr (a hint) if it is free, or the highest place below mmap_base.
 * Returns the address, or -ENOMEM, -EINVAL; -EPERM below mmap_min_addr, unless the running thread may map there. Every
 * mapping that a program can place itself is checked here (a stack has a check of its own, which binds root too).
 * `flags`: MAP_*.
 */
long mm_unmapped_area(struct mm *mm, vaddr_t addr, u64 len, u64 flags);

/* Settings in /proc/sys/vm. Any CPU may write them while calls read them; each call reads once. */
extern u64 sysctl_mmap_min_addr; /* in bytes: mapping below it needs CAP_SYS_RAWIO; a hint below it is raised to it */
extern u8 sysctl_overcommit_memory; /* 0: refuse what can never fit; 1: refuse nothing */

#endif
