/* SPDX-License-Identifier: MIT */
/* The boot loader's information, by either protocol (multiboot2 or PVH). Constant after boot. */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include "kernel/lib/base.h"

enum memory_type { MEMORY_USABLE = 1, MEMORY_RESERVED, MEMORY_ACPI, MEMORY_NVS };

struct memory_range {
	paddr_t start, end; /* bytes; end is exclusive */
	u32 type;	    /* enum memory_type */
};

#define MAX_MEMORY_RANGES 128

struct boot_info {
	const char *protocol; /* "multiboot2" or "pvh" */
	char command_line[1024];
	struct memory_range memory[MAX_MEMORY_RANGES]; /* sorted by start, not overlapping */
	unsigned nr_memory;
	paddr_t initramfs_start, initramfs_end; /* equal: no initramfs. Stays reserved for ever */
	paddr_t rsdp;				/* 0: unknown */
};

extern struct boot_info boot_info;

/* Returns the initramfs in the direct map; size 0 if there is none. */
const void *boot_initramfs(size_t *size);

#endif
