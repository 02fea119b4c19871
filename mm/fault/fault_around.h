/* SPDX-License-Identifier: MIT */
/* The setting of fault-around. */
#ifndef MM_FAULT_AROUND_H
#define MM_FAULT_AROUND_H

#include "kernel/lib/base.h"

/* The bytes around a faulting address in which cached pages are mapped too: a power of two. */
#define DEFAULT_FAULT_AROUND_BYTES 65536
extern u64 sysctl_fault_around_bytes;
/*
 * Sets it, rounded as on Linux: down to a power of two, and up to a page.
 *
 * Context: any.
 * Returns: 0; -EINVAL: more than a page table maps.
 */
int fault_around_set(u64 bytes);

#endif
