/* SPDX-License-Identifier: MIT */
/*
 * Faults on a swapped-out page: do_swap_page(), written once for all strategies.
 *
 *	1. the area is held	so that swapoff cannot remove the device (W3). If it is gone, the entry has changed
 *	2. the page		is looked up in the swap cache. If it is not there, it is read:
 *				past the cache, if the device is synchronous and no other entry names the slot, which
 *				stays claimed until the entry is set (W1);
 *				otherwise into the cache, where other faults find it, with its neighbours
 *	3. the page lock	is taken, or waited for as the strategy can: with its lock dropped, and then retried
 *	4. the page, again	is checked: is it still what the entry named (W2)? Was it read?
 *	5. the entry, again	is compared under its lock, by the commit (fault_commit.c)
 *
 * A strategy says what it does not support through its operations may_read_swap and wait.
 *
 *	seed 000, under speculation		seed 001, under the per-VMA lock
 *	----------------------------------	----------------------------------------------
 *	not a swap slot: RETRY			device-private: falls back (no such entry here)
 *		fault_kind.c				fault_kind.c
 *	page == NULL: RETRY			SWP_SYNCHRONOUS_IO: read under the lock, no sleep
 *		spec_may_read_swap()			read_past_cache()
 *	trylock_page() or RETRY			folio_lock_or_retry() drops the VMA lock
 *		spec_wait()				vma_wait()
 *	pte_map_lock() or RETRY			vma->... not touched after the drop
 *		fault_lock_pte()			the caller's snapshot only
 *
 * In both series RETRY falls back to mmap_lock; here each RETRY of seed 000 is a reason of its own, and that of seed
 * 001 retries with the same strategy.
 */
#include "kernel/lib/errno.h"
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/page/page_lock.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"

/*
 * What the entry named is gone: another fault resolved it first, or a read begun by another fault has failed. The
 * access faults again, and finds what is there now.
 */
static enum fault_end look_again(struct fault *f)
{
	return fault_answered(f, FAULT_DONE);
}

/* SIGBUS, if the entry still names the slot that could not be read. */
static enum fault_end read_failed(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end)
		return end;
	fault_unlock_pte(f);
	return fault_answered(f, FAULT_IO_ERROR);
}

/* ---- Past the swap cache ----------------------------------------------------------------------------------------- */

/*
 * Reads the slot and maps the page. *error is -EAGAIN if the device would take time: then the page must go through the
 * cache.
 *
 * Context: the slot claimed.
 */
static enum fault_end read_claimed(struct fault *f, swap_slot_t slot, struct page *page, int *error)
{
	assert_slot_claimed(slot);
	race_point(swap_claimed);
	*error = swap_read_now(slot, page);
	f->page_waited |= *error != -EAGAIN;
	if (*error)
		return END_CONTINUE;
	page_set(page, PG_ANON);
	race_point(swap_before_commit);
	return fault_map_swapped_page(f, page, slot);
}

/* END_CONTINUE: the page was not mapped; the caller reads it through the cache. */
static enum fault_end read_past_cache(struct fault *f, swap_slot_t slot)
{
	struct page *page = fault_page_get(f, false);
	enum fault_end end;
	int error;

	if (!page)
		return f->strategy->no_memory(f);
	if (!swap_claim(slot)) {
		fault_page_put(f, page);
		swap_wait_unclaimed(slot); /* the loser waits for the winner, and then finds the entry changed */
		return END_CONTINUE;
	}
	end = read_claimed(f, slot, page, &error);
	swap_unclaim(slot);
	fault_page_put(f, page);
	if (end || error == -EAGAIN)
		return end;
	return read_failed(f);
}

/* ---- Through the swap cache -------------------------------------------------------------------------------------- */

/* Frees the slot, if unused, after a write fault, in a VM_LOCKED VMA, or when slots are short. As Linux. */
static void swap_free_unused_slot(struct fault *f, struct page *page)
{
	if (f->access == ACCESS_WRITE || f->vma.flags & VM_LOCKED || swap_is_half_full())
		(void)swap_cache_delete_unused(page);
}

/*
 * Drops a page that could not be read; the next access tries again. The error is this fault's only if it began or
 * waited for the read: another fault may have read ahead long ago.
 */
static enum fault_end drop_unread_page(struct fault *f)
{
	enum fault_end end = f->strategy->may_read_swap(f);

	if (end)
		return end;
	swap_cache_delete(f->page);
	return f->page_waited ? read_failed(f) : look_again(f);
}

/* Context: the page locked. */
static enum fault_end map_locked_page(struct fault *f, swap_slot_t slot)
{
	enum fault_end end;

	assert_page_locked(f->page);
	race_point(swap_page_locked);
	if (!swap_cache_holds(f->page, slot))
		return look_again(f);
	if (unlikely(!page_is_uptodate(f->page)))
		return drop_unread_page(f);
	race_point(swap_before_commit);
	end = fault_map_swapped_page(f, f->page, slot);
	if (end == END_ANSWERED)
		swap_free_unused_slot(f, f->page);
	return end;
}

/* Step 3. */
static enum fault_end map_cached_page(struct fault *f, swap_slot_t slot)
{
	enum fault_end end;

	race_point(swap_page_found);
	end = fault_lock_page(f);
	if (end)
		return end;
	end = map_locked_page(f, slot);
	fault_unlock_page(f, f->page);
	return end;
}

/* The loop ends: it repeats only while the lock is kept, once each time that another thread took the request first. */
enum fault_end fault_read_swap(struct fault *f, swap_slot_t slot)
{
	assert_area_held(slot);
	for (;;) {
		struct page *page = swap_read_ahead(slot);
		enum fault_end end;

		if (!is_err(page)) {
			f->page = page;
			f->page_waited |= page != NULL;
			return END_CONTINUE;
		}
		if (ptr_err(page) != -EAGAIN)
			return f->strategy->no_memory(f);
		end = f->strategy->wait(f, WAIT_SWAP_REQUEST);
		if (end)
			return end;
	}
}

/* Step 2. END_CONTINUE: f->page, with a reference; or NULL: another thread has brought the page back. */
static enum fault_end swap_find_or_read(struct fault *f, swap_slot_t slot)
{
	enum fault_end end;

	f->page = swap_cache_find(slot);
	if (f->page)
		return END_CONTINUE;
	end = f->strategy->may_read_swap(f);
	if (end)
		return end;
	if (swap_is_synchronous(slot) && swap_count(slot) == 1) {
		end = read_past_cache(f, slot);
		if (end)
			return end;
	}
	return fault_read_swap(f, slot);
}

/* Context: the area held. */
static enum fault_end swap_in(struct fault *f, swap_slot_t slot)
{
	enum fault_end end = swap_find_or_read(f, slot);

	assert_area_held(slot);
	if (end)
		return end;
	if (!f->page)
		return look_again(f);
	end = map_cached_page(f, slot);
	page_put(f->page);
	f->page = NULL;
	return end;
}

/* The commit mapped the page read-only, since other entries may name it: the write continues as to any shared page. */
static bool still_to_be_written(const struct fault *f)
{
	return f->access == ACCESS_WRITE && pte_present(f->orig_pte) && !pte_write(f->orig_pte);
}

enum fault_end fault_swap(struct fault *f)
{
	swap_slot_t slot = pte_swap_slot(f->orig_pte);
	enum fault_end end = f->strategy->need_anon_vma(f);

	if (end)
		return end;
	if (!swap_area_get(slot))
		return look_again(f);
	race_point(swap_area_held);
	end = swap_in(f, slot);
	swap_area_put(slot);
	if (end == END_ANSWERED && f->answer == FAULT_DONE)
		f->means = MEANS_SWAP; /* unless the write that follows makes it give up */
	return still_to_be_written(f) ? fault_write_protect(f) : end;
}
