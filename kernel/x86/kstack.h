/* SPDX-License-Identifier: MIT */
/* Kernel stacks of KSTACK_SIZE bytes, each above an unmapped guard area, in an address range of their own. */
#ifndef KERNEL_X86_KSTACK_H
#define KERNEL_X86_KSTACK_H

#include "kernel/lib/base.h"

#define KSTACK_SIZE (16 * 1024UL)

/*
 * Returns the lowest address of a stack, or NULL if out of memory. Reuses freed stacks. May reclaim memory, and so
 * sleep.
 */
void *kstack_alloc(void);
/* Frees a stack, on which no task may run any more. Any context that may take a spinlock. */
void kstack_free(void *stack);
/*
 * Frees the pages of the cached stacks, and the page tables that map no stack: for leak checks, or when memory is
 * short. => interrupts on.
 */
void kstack_drain(void);
/* Returns whether the address lies in a guard area. A fault there means that a kernel stack has overflowed. */
bool kstack_is_guard(u64 addr);

#endif
