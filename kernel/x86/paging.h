/* SPDX-License-Identifier: MIT */
/* The format of the kernel's own page-table entries. User page tables belong to mm/: see mm/table/pgtable.h. */
#ifndef KERNEL_X86_PAGING_H
#define KERNEL_X86_PAGING_H

#include "kernel/lib/base.h"

#define PT_PRESENT (1UL << 0)
#define PT_WRITE (1UL << 1)
#define PT_UNCACHED (1UL << 3 | 1UL << 4) /* PWT, PCD */
#define PT_LARGE (1UL << 7)
#define PT_GLOBAL (1UL << 8)
#define PT_NX (1UL << 63)
#define PT_FRAME 0x000ffffffffff000UL
#define PT_KERNEL_DATA (PT_PRESENT | PT_WRITE | PT_GLOBAL | PT_NX)

/* Returns the entry of a kernel address at a level (1: 4 KiB pages), or NULL if a table above it is missing. */
u64 *kernel_pt_entry(u64 addr, unsigned level);

#endif
