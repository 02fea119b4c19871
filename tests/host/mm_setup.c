/* SPDX-License-Identifier: MIT */
/* Initialises mm/ as boot does, and implements the functions that mm/ expects from the rest of the kernel. */
#include "sim_internal.h"

#include "kernel/sync/lockdep.h"
#include "mm/calls/mmap.h"
#include "mm/debug/events.h"
#include "mm/page/page_alloc.h"

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

struct sim_file_call sim_file_call;

static long note_call(struct file *file, u64 first, u64 last)
{
	assert_no_locks_held("a file operation is called");
	sim_file_call.nr++;
	sim_file_call.file = file;
	sim_file_call.first = first;
	sim_file_call.last = last;
	sim_file_call.refs = sim_file_refs();
	return sim_file_call.answer;
}

/* Only records the call: tests of write-back call mapping_writeback() themselves. */
long vma_file_sync(struct file *file, u64 first, u64 last)
{
	return note_call(file, first, last);
}

long vma_file_punch_hole(struct file *file, u64 offset, u64 len)
{
	return note_call(file, offset, len);
}

long sim_file_refs(void)
{
	return READ_ONCE(file_refs);
}
