/* SPDX-License-Identifier: MIT */
/* Taking the pages of a range out of its page tables. */
#ifndef MM_ZAP_H
#define MM_ZAP_H

#include "mm/table/tlb.h"

/*
 * Unmaps every page of [start, end) and releases it.
 *
 * Context: mmap_lock held. Sleeps only in cond_resched(). The VMAs are write-locked or read-locked.
 */
void zap_range(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end);
/*
 * The same, but leaves private copies mapped.
 *
 * Context: mmap_lock held. Sleeps only in cond_resched(). The VMAs are locked likewise.
 */
void zap_range_shared(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end);

#endif
