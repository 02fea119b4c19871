/* SPDX-License-Identifier: MIT */
/*
 * What memory is used for: pages counted by looking at them, when somebody asks. So no fault and no write pays for
 * /proc/meminfo, and no count can drift from what it counts.
 */
#ifndef MM_CENSUS_H
#define MM_CENSUS_H

#include "mm/page/page.h"

/* In pages. Exact at a quiet moment, otherwise near. The names are those of Linux's rows. */
struct census {
	u64 anon_mapped;    /* anonymous pages that some address space maps (AnonPages) */
	u64 cache;	    /* pages of all mappings (Cached) */
	u64 shmem;	    /* ... of those: tmpfs, memfds, shared anonymous memory */
	u64 cache_mapped;   /* ... and those that some address space maps (Mapped) */
	u64 dirty;	    /* pages of files that are to be written back */
	u64 writeback;	    /* pages on their way out, to a file or to swap */
	u64 mlocked;	    /* pages that a VM_LOCKED VMA maps */
	u64 inactive_anon, active_anon; /* what could go to swap: anonymous pages and shmem */
	u64 inactive_file, active_file; /* what can be read in again */
	u64 unevictable;    /* locked, or of a file that lives in memory and nowhere else */
	u64 promised;	    /* what private writable mappings may come to, and shmem (Committed_AS) */
};

/* One pass over all page frames, and over what is locked. Sleeps. => no lock from RANK_MMAP_LOCK on held. */
struct census census_take(void);

#endif
