/* SPDX-License-Identifier: MIT */
/*
 * Steps that the mmap and the vma strategy share. Both hold a lock under which no page table of the address can go
 * away, so both may build a missing table, and wait for the PTE lock.
 */
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/page/page_lock.h"
#include "mm/services.h"
#include "mm/swap/swap.h"

static void take_table(struct fault *f, const struct pt_walk *walk)
{
	f->pmdp = walk->pmdp;
	f->orig_pmd = walk->pmd;
	f->ptep = pte_offset(walk->pmd, f->address);
}

enum fault_end fault_walk_locked(struct fault *f)
{
	struct pt_walk walk = pt_walk(f->mm, f->address);

	f->ptep = NULL;
	f->orig_pte = (pte_t){ 0 };
	if (walk.state == PT_TABLE) {
		take_table(f, &walk);
		f->orig_pte = pte_read(f->ptep);
	} else if (unlikely(walk.state == PT_HUGE || walk.state == PT_BAD)) {
		pt_dump_walk(f->mm->pgd, f->address);
		panic("the page tables are corrupt at %lx", (unsigned long)f->address);
	}
	return END_CONTINUE;
}

/* ---- The page table ---------------------------------------------------------------------------------------------- */

enum fault_end fault_prealloc_table(struct fault *f)
{
	if (likely(f->ptep))
		return END_CONTINUE;
	assert_may_reclaim();
	f->prealloc_table = pt_prealloc(f->mm, f->address);
	return f->prealloc_table ? END_CONTINUE : f->strategy->no_memory(f);
}

void fault_free_prealloc(struct fault *f)
{
	if (unlikely(f->prealloc_table))
		pt_prealloc_free(f->mm, f->prealloc_table);
	f->prealloc_table = NULL;
}

/* Builds the table now that there is a page to map; under a page lock, without allocating: prealloc_table (F1). */
static enum fault_end locked_build_table(struct fault *f)
{
	struct pt_walk walk;

	if (f->page_locked) {
		walk = pt_install(f->mm, f->address, &f->prealloc_table);
	} else {
		assert_may_reclaim();
		walk = pt_build(f->mm, f->address);
	}
	if (likely(walk.state == PT_TABLE)) {
		take_table(f, &walk);
		return END_CONTINUE;
	}
	if (pt_walk_unstable(&walk))
		return fault_answered(f, FAULT_DONE);
	/*
	 * Under a page lock: the walk found a table, so none was preallocated, and that table has gone since (F2). The
	 * access faults again, and preallocates one.
	 */
	return f->page_locked ? fault_answered(f, FAULT_DONE) : f->strategy->no_memory(f);
}

/* The table may have been removed since it was found; it cannot be removed under its lock (F2). */
static bool lock_table(struct fault *f)
{
	f->ptl = pte_lockptr(f->orig_pmd);
	spin_lock(f->ptl);
	if (likely(pmd_same(pmd_read(f->pmdp), f->orig_pmd)))
		return true;
	spin_unlock(f->ptl);
	f->ptep = NULL;
	return false;
}

/* The loop repeats once for each time that another thread frees the table in between, which takes a munmap each. */
enum fault_end fault_lock_table_locked(struct fault *f)
{
	do {
		if (unlikely(!f->ptep)) {
			enum fault_end end = locked_build_table(f);

			if (end)
				return end;
		}
	} while (unlikely(!lock_table(f)));
	return END_CONTINUE;
}

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

enum fault_end fault_no_memory_locked(struct fault *f)
{
	return fault_answered(f, FAULT_OUT_OF_MEMORY);
}

enum fault_end fault_may_read_swap_locked(struct fault *f)
{
	(void)f; /* the read does not sleep, or sleeps with the lock dropped */
	return END_CONTINUE;
}

static int sleep_until_over(struct fault *f, enum fault_wait what)
{
	switch (what) {
	case WAIT_PAGE:
		return page_wait_unlocked_killable(f->page);
	case WAIT_WRITEBACK:
		return page_wait_writeback_killable(f->page);
	default:
		return swap_request_wait_killable();
	}
}

/* Returns 0, or -EINTR: killed. */
static int locked_wait_for(struct fault *f, enum fault_wait what)
{
	u64 began = event_clock();
	int error;

	f->sleep = what == WAIT_SWAP_REQUEST ? FAULT_SLEEP_swap_request : FAULT_SLEEP_page;
	error = sleep_until_over(f, what);
	f->sleep = FAULT_SLEEP_none;
	event_ended(EVENT_page_wait, began, f->address, what == WAIT_SWAP_REQUEST ? 0 : page_to_pfn(f->page));
	return error;
}

enum fault_end fault_wait_locked(struct fault *f, enum fault_wait what, enum fault_reason retry)
{
	bool hold_on = f->flags & (FAULT_TRIED | FAULT_NO_RETRY);

	if (f->flags & FAULT_NO_WAIT) {
		f->answer = FAULT_WOULD_BLOCK;
		return END_WOULD_BLOCK;
	}
	if (!hold_on)
		f->strategy->leave(f);
	race_point(page_wait);
	if (locked_wait_for(f, what))
		return fault_answered(f, FAULT_KILLED);
	return hold_on ? END_CONTINUE : fault_retry(f, retry);
}

/* The answer is to make the access again. Where no lock may be dropped, that is the answer without the wait. */
enum fault_end fault_wait_removal_locked(struct fault *f)
{
	struct mapping *mapping = f->vma.mapping;
	u64 index = fault_pgoff(f);
	int error;

	if (f->flags & (FAULT_NO_RETRY | FAULT_NO_WAIT))
		return fault_answered(f, FAULT_DONE);
	mapping_get(mapping);
	f->strategy->leave(f);
	f->sleep = FAULT_SLEEP_removal;
	error = mapping_wait_leaving(mapping, index);
	f->sleep = FAULT_SLEEP_none;
	mapping_put(mapping);
	f->answer = error ? FAULT_KILLED : FAULT_DONE;
	return END_COMPLETED;
}

/* The file keeps the mapping's host alive: once the lock is dropped, another thread may unmap it. */
enum fault_end fault_throttle_locked(struct fault *f)
{
	struct mapping *mapping = f->vma.mapping;
	struct file *file = f->locked_vma->file;

	if (file)
		vma_file_get(file);
	f->strategy->leave(f);
	race_point(fault_throttled);
	f->sleep = FAULT_SLEEP_throttle;
	mapping->ops->throttle(mapping);
	if (file)
		vma_file_put(file);
	f->sleep = FAULT_SLEEP_none;
	f->answer = FAULT_DONE;
	return END_COMPLETED;
}
