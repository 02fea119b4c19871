/* SPDX-License-Identifier: MIT */
/*
 * The page lock: a bit in the page's flags, PG_LOCKED, with hashed wait queues. Whoever fills a page of a mapping, dirties
 * it, sends it to be written or takes it out of its slot holds it. And waiting for write-back to end.
 *
 * Rank: mmap_lock › VMA › page lock › i_mmap › … PTE lock. So nobody waits for mmap_lock or a VMA under it, and two page
 * locks are never waited for at once.
 *
 * I/O is what makes it special: a page is handed over, locked, to whoever reads it in, and is unlocked by the completion,
 * which may be an interrupt or another thread.
 *
 * Mirrors: Linux, mm/filemap.c: folio_lock(), folio_wait_bit(), folio_end_read(), folio_end_writeback().
 */
#ifndef MM_PAGE_LOCK_H
#define MM_PAGE_LOCK_H

#include "kernel/sync/spinlock.h"
#include "mm/page/page.h"

void page_lock_init(void); /* boot */

/* The killable form: 0 or -EINTR. Sleep. => a reference. */
void page_lock(struct page *page);
int __must_check page_lock_killable(struct page *page);
/* => a reference. */
bool page_trylock(struct page *page);
/* By the thread that locked it. Does not sleep. The page may be freed at once if the caller has no reference. */
void page_unlock(struct page *page);

/* By the current thread; not after it was handed over. */
#define assert_page_locked(page)                                                                                       \
	ASSERT(page_test((page), PG_LOCKED) && lock_is_held(page), "the page is locked by this thread")

/* Sleep until nobody has it locked; it may be locked again by the time they return. Killable: 0 or -EINTR. */
void page_wait_unlocked(struct page *page);
int __must_check page_wait_unlocked_killable(struct page *page);

/* ---- Filling ----------------------------------------------------------------------------------------------------- */
/* The lock is the I/O's from here on: page_end_read() unlocks, not the caller. => the page locked. */
void page_lock_hand_over(struct page *page);
/* The page is filled (error 0: PG_UPTODATE), or could not be (-errno: PG_ERROR). Unlocks. Any context. */
void page_end_read(struct page *page, int error);

/* ---- Write-back -------------------------------------------------------------------------------------------------- */
/* Sleep until the page is not on its way out. => a reference. Killable: 0 or -EINTR. */
void page_wait_writeback(struct page *page);
int __must_check page_wait_writeback_killable(struct page *page);
/*
 * What write_page() began has ended. With an error (-errno) the page is dirty again, and the mapping remembers the error
 * for fsync and msync. Any context.
 */
void page_end_writeback(struct page *page, int error);

#endif
