/* SPDX-License-Identifier: MIT */
/*
 * The watermarks: how much memory stays free. kswapd begins to reclaim below `low`, and stops above `high`. Allocations
 * for programs, and those that can wait, leave `min` pages free: when no more are free, they reclaim first (direct
 * reclaim). Allocations that cannot wait, above all those of reclaim and of writes to swap, leave half of `min`; the
 * rest is for allocations that must not fail (ALLOC_RESERVE).
 *
 * Mirrors: Linux, mm/page_alloc.c: calculate_min_free_kbytes(), __setup_per_zone_wmarks(); one zone.
 */
#ifndef MM_WATERMARK_H
#define MM_WATERMARK_H

#include "kernel/lib/base.h"

struct watermarks {
	u64 min, low, high; /* pages */
};

/* No lock: a setting changes them one by one; an allocation in between only reclaims a little sooner or later. */
extern struct watermarks watermarks;

/* Computes them from the number of managed pages; also sets the initial min_free_kbytes. Context: boot. */
void watermarks_init(u64 nr_managed);

/* ---- The settings: /proc/sys/vm/min_free_kbytes, and watermark_scale_factor. Context: any. ----------------------- */
/* As written. Returns: KiB; ten-thousandths of memory. */
u64 min_free_kbytes(void);
u64 watermark_scale_factor(void);
/* In the same units. `min` is limited to a quarter of memory, whatever is written. */
void min_free_kbytes_set(u64 nr_kbytes);
void watermark_scale_factor_set(u64 factor);

#endif
