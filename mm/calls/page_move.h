/* SPDX-License-Identifier: MIT */
/* Moving page-table entries from one range of an address space to another, for mremap. */
#ifndef MM_PAGE_MOVE_H
#define MM_PAGE_MOVE_H

#include "mm/vma/vma.h"

/*
 * Builds the tables that [to, to + len) needs to take over what [from, from + len) has mapped. 0, or -ENOMEM and what
 * was built is gone. What is mapped at the destination stays, and its pages: it is unmapped before the move, but its
 * tables are kept. => mmap_lock held for writing.
 */
int __must_check page_move_prepare(struct mm *mm, vaddr_t from, vaddr_t to, u64 len);
/*
 * Moves every entry of [from, from + len), a part of `vma`, and flushes the old translations. Cannot fail. It is
 * prepared, and both ranges are on the same reverse map. => the VMA write-locked.
 */
void page_move(struct vma *vma, vaddr_t from, vaddr_t to, u64 len);

#endif
