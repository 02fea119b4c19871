/* SPDX-License-Identifier: MIT */
/* The watermarks of free memory, and their settings; see watermark.h. Takes no locks. */
#include "mm/page/watermark.h"
#include "mm/page/page_alloc.h"

#define KIB_PER_PAGE (PAGE_SIZE / 1024)
#define LEAST_KBYTES 128UL
#define MOST_KBYTES 262144UL

struct watermarks watermarks;

static struct {
	u64 min_free_kbytes;
	u64 scale_factor; /* distance between the marks, in ten-thousandths of all memory */
} settings = { .scale_factor = 10 };

static u64 square_root(u64 value)
{
	u64 root = 0;

	for (u64 bit = 1UL << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= value)
			root |= bit;
	return root;
}

static void set_marks(u64 nr_managed)
{
	u64 lowest = min(settings.min_free_kbytes / KIB_PER_PAGE, nr_managed / 4);
	u64 step = max(lowest / 4, nr_managed * settings.scale_factor / 10000);

	WRITE_ONCE(watermarks.min, lowest);
	WRITE_ONCE(watermarks.low, lowest + step);
	WRITE_ONCE(watermarks.high, lowest + 2 * step);
}

void watermarks_init(u64 nr_managed)
{
	settings.min_free_kbytes = min(max(square_root(nr_managed * KIB_PER_PAGE * 16), LEAST_KBYTES), MOST_KBYTES);
	set_marks(nr_managed);
}

u64 min_free_kbytes(void)
{
	return READ_ONCE(settings.min_free_kbytes);
}

u64 watermark_scale_factor(void)
{
	return READ_ONCE(settings.scale_factor);
}

void min_free_kbytes_set(u64 nr_kbytes)
{
	WRITE_ONCE(settings.min_free_kbytes, nr_kbytes);
	set_marks(nr_managed_pages());
}

void watermark_scale_factor_set(u64 factor)
{
	WRITE_ONCE(settings.scale_factor, factor);
	set_marks(nr_managed_pages());
}
