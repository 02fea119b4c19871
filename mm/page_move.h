/* SPDX-License-Identifier: MIT */
/* Moving page-table entries from one range of an address space to another, for mremap. */
#ifndef MM_PAGE_MOVE_H
#define MM_PAGE_MOVE_H

#include "mm/vma.h"

/* Builds the tables that [to, to + len) needs to take over what [from, from + len) has mapped. 0 or -ENOMEM. => mmap_lock for
 * writing; nothing is mapped at the destination. */
int __must_check page_move_prepare(struct mm *mm, vaddr_t from, vaddr_t to, u64 len);
/* Frees what a preparation has built. => as above. */
void page_move_cancel(struct mm *mm, vaddr_t to, u64 len);
/*
 * Moves every entry of [from, from + len), a part of `vma`, and flushes the old translations. Cannot fail. => prepared; the
 * VMAs of both ranges write-locked, both on the same reverse map.
 */
void page_move(struct vma *vma, vaddr_t from, vaddr_t to, u64 len);

#endif
