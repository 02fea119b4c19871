/* SPDX-License-Identifier: MIT */
/* The growth of stacks. */
#ifndef MM_STACK_H
#define MM_STACK_H

#include "mm/vma/vma.h"

/*
 * Grows the stack VMA down to addr's page. Returns 0; -ENOMEM if the guard gap, RLIMIT_STACK or RLIMIT_AS forbids it;
 * -EINTR if killed while waiting for the VMA's readers. Sleeps. Brackets the VMA (V4). => mmap_lock held for writing
 * (V5).
 */
int vma_expand_stack(struct mm *mm, struct vma *vma, vaddr_t addr);

#endif
