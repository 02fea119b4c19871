/* SPDX-License-Identifier: MIT */
/* What boot does with mm/, and what mm/ asks of the kernel around it. */
#include "sim_internal.h"

#include "mm/events.h"
#include "mm/mmap.h"
#include "mm/page_alloc.h"

static s64 file_refs;

void sim_kernel_init(void)
{
	page_alloc_init();
	page_alloc_add_range(1UL << 20, SIM_MEMORY_BYTES);
	mm_init();
	BUG_ON(!events_init(EVENT_RING_DEFAULT), "no memory for events");
}

void vma_file_get(struct file *file)
{
	if (file)
		atomic_add_return(&file_refs, 1);
}

void vma_file_put(struct file *file)
{
	if (file)
		atomic_dec_return(&file_refs);
}

/* Who tests write-back here calls mapping_writeback() itself. */
long vma_file_sync(struct file *file, u64 first, u64 last)
{
	(void)file, (void)first, (void)last;
	return 0;
}

/* VMAs of tests have no file that could be asked. */
long vma_file_punch_hole(struct file *file, u64 offset, u64 len)
{
	(void)file, (void)offset, (void)len;
	return 0;
}

long sim_file_refs(void)
{
	return READ_ONCE(file_refs);
}
