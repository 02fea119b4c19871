/* SPDX-License-Identifier: MIT */
/*
 * Faults on a page of shared memory that is in swap: puts the page back into its mapping, waiting as the strategy can.
 * The access then faults again, and finds the page there.
 *
 * Mirrors: Linux, shmem_swapin_folio().
 */
#include "mm/fault/core.h"
#include "mm/page/page_lock.h"
#include "mm/swap/shmem_swap.h"

/*
 * Locks f->page and waits for its write-back to end. The page may just have been swapped out, and be in flight to a
 * slow disk: the fault waits for that as for any page, with no lock held. The loop ends: it repeats only while the
 * fault's lock is kept, and a page that is mapped nowhere is written again only if a write() has changed it.
 */
static enum fault_end lock_settled_page(struct fault *f)
{
	for (;;) {
		enum fault_wait what = WAIT_PAGE;
		enum fault_end end;

		if (page_trylock(f->page)) {
			f->page_locked = !page_test(f->page, PG_WRITEBACK);
			if (f->page_locked)
				return END_CONTINUE;
			page_unlock(f->page);
			what = WAIT_WRITEBACK;
		}
		end = f->strategy->wait(f, what);
		if (end)
			return end;
	}
}

/* Context: the area held. */
static enum fault_end put_slot_back(struct fault *f, swap_slot_t slot)
{
	enum fault_end end;
	int error;

	assert_area_held(slot);
	f->page = swap_cache_find(slot);
	if (!f->page) {
		end = fault_read_swap(f, slot);
		if (end)
			return end;
	}
	if (!f->page)
		return fault_answered(f, FAULT_DONE);
	end = lock_settled_page(f);
	if (end)
		return end;
	error = shmem_put_back(f->vma.mapping, fault_pgoff(f), f->page, slot, f->page_waited);
	fault_unlock_page(f, f->page);
	return fault_answered(f, error ? FAULT_IO_ERROR : FAULT_DONE);
}

enum fault_end fault_swapped_shmem(struct fault *f)
{
	swap_slot_t slot;
	enum fault_end end;

	if (!shmem_in_swap(f->vma.mapping, fault_pgoff(f), &slot) || !swap_area_get(slot))
		return fault_answered(f, FAULT_DONE);
	end = put_slot_back(f, slot);
	swap_area_put(slot);
	return end;
}
