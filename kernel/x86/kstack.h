/* SPDX-License-Identifier: MIT */
/* Kernel stacks of KSTACK_SIZE bytes, each below a guard page, in an address range of their own. */
#ifndef KERNEL_X86_KSTACK_H
#define KERNEL_X86_KSTACK_H

#include "kernel/lib/base.h"

#define KSTACK_SIZE (16 * 1024UL)

/* Returns the lowest address of a stack, or NULL when memory is short. Freed stacks are cached. May make room, and so sleep. */
void *kstack_alloc(void);
/* Gives a stack back; nobody may run on it any more. Any context that may take a spinlock. */
void kstack_free(void *stack);
/*
 * Gives the pages of the cached stacks, and page tables without a stack, back to the page allocator: for leak checks, or
 * when memory is short. => interrupts on.
 */
void kstack_drain(void);
/* The address lies in a guard page: a kernel stack has overflowed. */
bool kstack_is_guard(u64 addr);

#endif
