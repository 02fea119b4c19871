/* SPDX-License-Identifier: MIT */
/*
 * How much memory stays free. Below `low` kswapd begins to make room, and rests above `high`. What is allocated for programs,
 * and what can wait, leaves `min`: who finds no more makes room first (direct reclaim). What cannot wait, reclaim and the
 * writes to swap before all, leaves half of `min`; the rest is for what must not fail (ALLOC_RESERVE).
 *
 * Mirrors: Linux, mm/page_alloc.c: calculate_min_free_kbytes(), __setup_per_zone_wmarks(); one zone.
 */
#ifndef MM_WATERMARK_H
#define MM_WATERMARK_H

#include "kernel/lib/base.h"

struct watermarks {
	u64 min, low, high; /* pages */
};

/* No lock: a setting changes one after the other, and who reads them meanwhile makes room a little sooner or later. */
extern struct watermarks watermarks;

/* Boot: from so much memory; also sets what min_free_kbytes begins with. */
void watermarks_init(u64 nr_managed);

/* Settings, as they were written: /proc/sys/vm/min_free_kbytes, and watermark_scale_factor in ten-thousandths. */
u64 min_free_kbytes(void);
u64 watermark_scale_factor(void);
/* `min` becomes a quarter of all memory at most, whatever is written. nr_kbytes and factor are what the files take. */
void min_free_kbytes_set(u64 nr_kbytes);
void watermark_scale_factor_set(u64 factor);

#endif
