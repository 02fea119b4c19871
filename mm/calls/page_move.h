/* SPDX-License-Identifier: MIT */
/* Moving page-table entries from one range of an address space to another, for mremap. */
#ifndef MM_PAGE_MOVE_H
#define MM_PAGE_MOVE_H

#include "mm/vma/vma.h"

/*
 * Builds the page tables that [to, to + len) needs to receive the entries of [from, from + len). Leaves the
 * destination's mappings and pages in place: they are unmapped before the move, but their page tables are kept.
 *
 * Context: mmap_lock held for writing. Sleeps only for memory.
 * Returns: 0; -ENOMEM, with the new tables freed again.
 */
int __must_check page_move_prepare(struct mm *mm, vaddr_t from, vaddr_t to, u64 len);
/*
 * Moves every entry of [from, from + len), a part of `vma`, and flushes the old translations. Cannot fail.
 *
 * Context: the VMA write-locked. Sleeps only in cond_resched(). page_move_prepare() has succeeded, and both ranges are
 *          on the same reverse map.
 */
void page_move(struct vma *vma, vaddr_t from, vaddr_t to, u64 len);

#endif
