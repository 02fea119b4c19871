/* SPDX-License-Identifier: MIT */
/*
 * Faults on files of a file system that does I/O: a page is read before it is mapped, and the file system is notified
 * of the first write to a clean page.
 *
 *	fault_make_uptodate	starts the read, has the strategy drop its lock and wait: no I/O under that lock
 *	fault_page_mkwrite	locks the page, asks the file system, marks the page dirty, commits the entry, all
 *				under one page lock: write-back, which cleans the page under it, runs before or after
 *
 * Nothing is allocated under the page lock: an allocation may have to wait for write-back, which may be waiting for
 * that lock (F1). So the page table that the commit may need is allocated before.
 *
 * Mirrors: Linux, filemap_fault(), __folio_lock_or_retry(), do_page_mkwrite(), fault_dirty_shared_page().
 */
#include "kernel/lib/errno.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/page/page_lock.h"

/*
 * Starts the read of f->page, if it is needed. We hold the page lock before the call, but not after it. Once this fault
 * has waited, it answers with a read error: the page was read on its behalf, or a moment ago on another fault's. So it
 * reads at most once. The next access tries again.
 */
static enum fault_end read_locked_page(struct fault *f)
{
	if (page_test(f->page, PG_CACHE) && !page_is_uptodate(f->page) &&
	    !(page_test(f->page, PG_ERROR) && f->page_waited)) {
		f->page_waited = true;
		mapping_start_read(f->vma.mapping, f->page);
		return END_CONTINUE;
	}
	page_unlock(f->page);
	if (!page_test(f->page, PG_CACHE))
		return fault_answered(f, FAULT_DONE); /* truncated: the access faults again, and finds what is there */
	return page_is_uptodate(f->page) ? END_CONTINUE : fault_answered(f, FAULT_IO_ERROR);
}

enum fault_end fault_make_uptodate(struct fault *f)
{
	enum fault_end end = END_CONTINUE;

	while (!end && !page_is_uptodate(f->page)) {
		if (page_trylock(f->page))
			end = read_locked_page(f);
		if (end || page_is_uptodate(f->page))
			break;
		f->page_waited = true;
		end = f->strategy->wait(f, WAIT_PAGE);
	}
	return end;
}

/* ---- The page lock ----------------------------------------------------------------------------------------------- */

enum fault_end fault_lock_page(struct fault *f)
{
	assert_referenced(f->page);
	while (!page_trylock(f->page)) {
		enum fault_end end = f->strategy->wait(f, WAIT_PAGE);

		if (end)
			return end;
	}
	f->page_locked = true;
	return END_CONTINUE;
}

/* ---- The first write --------------------------------------------------------------------------------------------- */

/*
 * An error of the file system is the accessing thread's SIGBUS. *throttle: the writer must be slowed down.
 *
 * Context: the page locked.
 */
static enum fault_end mkwrite_locked_page(struct fault *f, enum fault_end (*commit)(struct fault *f), bool *throttle)
{
	int asked;

	assert_page_locked(f->page);
	if (!page_test(f->page, PG_CACHE))
		return fault_answered(f, FAULT_DONE); /* truncated */
	f->sleep = FAULT_SLEEP_file_system;
	asked = f->vma.mapping->ops->page_mkwrite(f->vma.mapping, f->page);
	f->sleep = FAULT_SLEEP_none;
	if (asked < 0)
		return fault_answered(f, asked == -ENOMEM ? FAULT_OUT_OF_MEMORY : FAULT_IO_ERROR);
	*throttle = asked == MKWRITE_THROTTLE;
	mapping_dirty_page(f->page);
	race_point(mkwrite_dirtied);
	return commit(f);
}

/* Throttling drops the lock and waits. */
static bool may_throttle(const struct fault *f)
{
	return !(f->flags & (FAULT_NO_RETRY | FAULT_NO_WAIT));
}

enum fault_end fault_page_mkwrite(struct fault *f, enum fault_end (*commit)(struct fault *f))
{
	struct page *page = f->page;
	enum fault_end end = fault_prealloc_table(f);
	bool throttle = false;

	if (end)
		return end;
	race_point(mkwrite_before_lock);
	end = fault_lock_page(f);
	if (!end) {
		page_get(page); /* the commit may pass f->page's reference to the entry */
		end = mkwrite_locked_page(f, commit, &throttle);
		fault_unlock_page(f, page);
		page_put(page);
	}
	fault_free_prealloc(f); /* however it ended: a table that was not linked is ours alone (F3) */
	if (throttle && end == END_ANSWERED && f->answer == FAULT_DONE && may_throttle(f))
		return f->strategy->throttle(f);
	return end;
}
