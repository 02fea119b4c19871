/* SPDX-License-Identifier: MIT */
/*
 * Counts pages by use, by examining every page frame at the time of the request. So no fault and no write pays for
 * /proc/meminfo, and no count can drift from what it counts.
 */
#ifndef MM_CENSUS_H
#define MM_CENSUS_H

#include "mm/page/page.h"

/* In pages. Exact while the machine is quiet, otherwise approximate. In brackets: the rows of Linux's /proc/meminfo. */
struct census {
	u64 anon_mapped;		/* anonymous pages that some address space maps (AnonPages) */
	u64 cache;			/* pages of all mappings (Cached) */
	u64 shmem;			/* ... of those: tmpfs, memfds, shared anonymous memory */
	u64 cache_mapped;		/* ... and those that some address space maps (Mapped) */
	u64 dirty;			/* pages of files that are to be written back */
	u64 writeback;			/* pages being written to a file or to swap */
	u64 mlocked;			/* pages that a VM_LOCKED VMA maps */
	u64 inactive_anon, active_anon; /* what could go to swap: anonymous pages and shmem */
	u64 inactive_file, active_file; /* what can be read in again */
	u64 unevictable;		/* mlocked, or of a file that exists only in memory */
	u64 promised;			/* the most that private writable mappings can use, and shmem (Committed_AS) */
};

/*
 * Makes one pass over all page frames and all mlocked memory.
 *
 * Context: no lock from RANK_MMAP_LOCK on held. Sleeps.
 * Returns: the counts.
 */
struct census census_take(void);

#endif
