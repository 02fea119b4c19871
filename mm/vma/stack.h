/* SPDX-License-Identifier: MIT */
/* The growth of stacks. */
#ifndef MM_STACK_H
#define MM_STACK_H

#include "mm/vma/vma.h"

/*
 * Grows the stack VMA down to addr's page. Brackets the VMA (V4).
 *
 * Context: mmap_lock held for writing (V5). Sleeps.
 * Returns: 0; -ENOMEM if the guard gap, RLIMIT_STACK or RLIMIT_AS forbids it, or without memory; -EINTR if killed while
 *          waiting for the VMA's readers.
 */
int vma_expand_stack(struct mm *mm, struct vma *vma, vaddr_t addr);

#endif
