/* SPDX-License-Identifier: MIT */
/*
 * The page lock (PG_LOCKED, a bit in the page's flags, with hashed wait queues), and waiting for write-back to end. The
 * page lock must be held to fill a page of a mapping, dirty it, start its write-back or remove it from its slot.
 *
 * Rank: mmap_lock › VMA › page lock › i_mmap › … PTE lock. So a thread that holds it does not wait for
 * mmap_lock, a VMA or a second page lock.
 *
 * Unlike other locks, it can be handed over to I/O: a page is given, locked, to the read, and is unlocked by its
 * completion, which may run in an interrupt or another thread.
 *
 * Mirrors: Linux, mm/filemap.c: folio_lock(), folio_wait_bit(), folio_end_read(), folio_end_writeback().
 */
#ifndef MM_PAGE_LOCK_H
#define MM_PAGE_LOCK_H

#include "kernel/sync/spinlock.h"
#include "mm/page/page.h"

/* Initializes the wait queues. Context: boot. */
void page_lock_init(void);

/* Lock the page. Context: a reference. Sleep. Returns: the killable form: 0; -EINTR if the thread is killed first. */
void page_lock(struct page *page);
int __must_check page_lock_killable(struct page *page);
/* Locks the page if it is not locked. Context: a reference. Does not sleep. Returns: true if locked. */
bool page_trylock(struct page *page);
/*
 * Called by the thread that locked it. The page may be freed at once if the caller has no reference.
 *
 * Context: thread. Does not sleep.
 */
void page_unlock(struct page *page);

/* Locked by the current thread, and not handed over to I/O. */
#define assert_page_locked(page)                                                                                       \
	ASSERT(page_test((page), PG_LOCKED) && lock_is_held(page), "the page is locked by this thread")

/*
 * Wait until no thread has the page locked; it may be locked again by the time they return.
 *
 * Context: a reference. Sleep.
 * Returns: the killable form: 0; -EINTR if the thread is killed first.
 */
void page_wait_unlocked(struct page *page);
int __must_check page_wait_unlocked_killable(struct page *page);

/* ---- Filling ----------------------------------------------------------------------------------------------------- */
/* Passes the lock to the I/O: page_end_read() unlocks, not the caller. Context: the page locked. Does not sleep. */
void page_lock_hand_over(struct page *page);
/*
 * Ends the read. Unlocks the page.
 * @error: 0: sets PG_UPTODATE; -errno: sets PG_ERROR.
 *
 * Context: any.
 */
void page_end_read(struct page *page, int error);

/* ---- Write-back -------------------------------------------------------------------------------------------------- */
/*
 * Wait until the page is not on its way out.
 *
 * Context: a reference. Sleep.
 * Returns: the killable form: 0; -EINTR if the thread is killed first.
 */
void page_wait_writeback(struct page *page);
int __must_check page_wait_writeback_killable(struct page *page);
/*
 * Ends the write-back that write_page() started.
 * @error: 0; -errno: the page becomes dirty again, and the mapping records the error for fsync and msync.
 *
 * Context: any.
 */
void page_end_writeback(struct page *page, int error);

#endif
