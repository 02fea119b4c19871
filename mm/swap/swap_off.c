/* SPDX-License-Identifier: MIT */
/*
 * swapoff: brings the pages of an area back into every address space that refers to its slots, until no slot is in use.
 *
 * Each page is faulted in through the page-fault entry point, as by any access. No slot is allocated while this runs.
 * A concurrent fork may still copy an entry into an address space that comes later in the list; a missed entry is
 * found in the next round.
 *
 * Locks: mmap_lock of each address space for reading, while its entries are read; none while a page is brought back.
 * Mirrors: Linux, try_to_unuse(); the page-fault entry point instead of unuse_pte(), so that there is one way in from
 * swap.
 */
#include "kernel/lib/errno.h"
#include "mm/debug/race.h"
#include "mm/fault.h"
#include "mm/swap/shmem_swap.h"
#include "mm/swap/swap_internal.h"
#include "mm/vma/mm.h"

#define UNUSE_BATCH 32
#define ROUNDS_WITH_ERRORS 3 /* a read that failed by chance may succeed the next time */

static bool names_area(pte_t pte, unsigned area)
{
	return pte_kind(pte) == PTE_KIND_SWAP && swap_slot_area(pte_swap_slot(pte)) == area;
}

/* Collects the next addresses from *start on whose entries refer to the area; sets *start to the address after them. */
static unsigned swapoff_collect(struct mm *mm, unsigned area, vaddr_t *start, vaddr_t *addrs)
{
	struct pt_iter it;
	unsigned nr = 0;

	mmap_read_lock(mm);
	pt_for_each_table (&it, mm, *start, USER_END) {
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++) {
			if (!names_area(pte_read(it.pte), area))
				continue;
			addrs[nr++] = it.addr;
			if (nr == UNUSE_BATCH) {
				*start = it.addr + PAGE_SIZE;
				pt_iter_end(&it);
				mmap_read_unlock(mm);
				return nr;
			}
		}
	}
	mmap_read_unlock(mm);
	*start = USER_END;
	return nr;
}

static int swapoff_bring_back(struct mm *mm, vaddr_t addr)
{
	if (thread_killed())
		return -EINTR;
	race_point(swapoff_before_fault);
	switch (fault_swap_in(mm, addr)) {
	case FAULT_OUT_OF_MEMORY:
		return -ENOMEM;
	case FAULT_IO_ERROR:
		return -EIO;
	case FAULT_KILLED:
		return -EINTR;
	default: /* the page is mapped, or its VMA is gone */
		return 0;
	}
}

/* Returns: 0 or the last error. -ENOMEM and -EINTR end it at once. */
static int unuse_mm(struct mm *mm, unsigned area)
{
	vaddr_t addrs[UNUSE_BATCH], start = 0;
	int error = 0;

	while (start < USER_END) {
		unsigned nr = swapoff_collect(mm, area, &start, addrs);

		for (unsigned i = 0; i < nr; i++) {
			int result = swapoff_bring_back(mm, addrs[i]);

			if (result == -ENOMEM || result == -EINTR)
				return result;
			error = result ? result : error;
		}
		cond_resched();
	}
	return error;
}

static int unuse_all(unsigned area)
{
	int result, error = 0;
	struct mm *mm = NULL;

	while ((mm = mm_next(mm)) != NULL) {
		if (!mmget_not_zero(mm))
			continue;
		result = unuse_mm(mm, area);
		mmput(mm);
		if (result == -ENOMEM || result == -EINTR) {
			mmdrop(mm);
			return result;
		}
		error = result ? result : error;
	}
	return error;
}

/* Repeats until no slot is in use. An address space that is ending frees its slots itself: we poll until it has. */
static int unuse_area(unsigned area)
{
	unsigned rounds = 0;
	int error;

	for (;;) {
		error = shmem_unuse(area);
		if (!error || error == -EIO)
			error = unuse_all(area) ?: error;
		if (error == -ENOMEM || error == -EINTR || (error && ++rounds == ROUNDS_WITH_ERRORS))
			return error;
		swap_cache_trim();
		if (!swap_area_in_use(area))
			return 0;
		if (thread_killed())
			return -EINTR;
		cond_resched();
	}
}

int swap_area_remove(unsigned area)
{
	int error;

	assert_no_lock_from(RANK_MMAP_LOCK);
	swap_area_set_usable(area, false);
	error = unuse_area(area);
	if (error) {
		swap_area_set_usable(area, true);
		return error;
	}
	swap_area_close(area);
	return 0;
}
