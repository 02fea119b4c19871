/* SPDX-License-Identifier: MIT */
/*
 * The page lock and its wait queues; see page_lock.h for its use.
 *
 * A waiter first sets PG_WAITERS in the page, and only then tests the bit that it waits for. The thread that clears
 * that bit clears PG_WAITERS with it, in one atomic step, and wakes all waiters if it was set; those that must keep
 * waiting set it again. So unlocking a page without waiters costs one atomic operation.
 *
 * Many pages share a queue: the page's address is the key. Takes the queue's lock, with interrupts off.
 */
#include "mm/page/page_lock.h"
#include "kernel/lib/errno.h"
#include "kernel/sync/wait.h"
#include "mm/cache/mapping.h"

#define NR_QUEUES 64
#define BIT(flag) (1u << (flag))

static struct wait_queue queues[NR_QUEUES];

void page_lock_init(void)
{
	for (unsigned i = 0; i < NR_QUEUES; i++)
		wait_queue_init(&queues[i]);
}

static struct wait_queue *queue_of(const struct page *page)
{
	return &queues[page_to_pfn(page) % NR_QUEUES];
}

/* Sets PG_WAITERS, then tests the bit. True: it is clear. */
static bool announce_and_test(struct page *page, enum page_flag flag)
{
	u32 flags = atomic_or(&page->flags, BIT(PG_WAITERS));

	return !(flags & BIT(flag));
}

static int wait_in_state(struct page *page, enum page_flag flag, enum sleep_state state)
{
	u64 began;
	int error;

	lock_wait_begin(page, RANK_PAGE, NULL);
	began = thread_io_wait_begin();
	error = wait_event_state(queue_of(page), announce_and_test(page, flag), state, page,
				 state == SLEEP_KILLABLE && thread_killed());
	thread_io_wait_end(began);
	lock_wait_end();
	return error;
}

static void page_wait_for(struct page *page, enum page_flag flag)
{
	(void)wait_in_state(page, flag, SLEEP_UNINTERRUPTIBLE);
}

static int wait_for_killable(struct page *page, enum page_flag flag)
{
	return wait_in_state(page, flag, SLEEP_KILLABLE);
}

/* Clears the bits `gone` and sets `come`, in one atomic step; afterwards the page may be freed and reused. */
static void change_and_wake(struct page *page, u32 gone, u32 come)
{
	struct wait_queue *queue = queue_of(page);
	u32 flags = READ_ONCE(page->flags);

	while (!__atomic_compare_exchange_n(&page->flags, &flags, (flags & ~(gone | BIT(PG_WAITERS))) | come, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
	if (flags & BIT(PG_WAITERS))
		(void)wake_up_nr(queue, page, 1 << 30);
}

/* ---- Locking ----------------------------------------------------------------------------------------------------- */

static bool page_take(struct page *page)
{
	schedule_point();
	return !(atomic_or(&page->flags, BIT(PG_LOCKED)) & BIT(PG_LOCKED));
}

bool page_trylock(struct page *page)
{
	assert_referenced(page);
	if (page_test(page, PG_LOCKED) || !page_take(page))
		return false;
	lock_acquire_check(page, RANK_PAGE, false);
	return true;
}

void page_lock(struct page *page)
{
	assert_may_sleep();
	assert_referenced(page);
	lock_order_check(page, RANK_PAGE);
	while (!page_trylock(page))
		page_wait_for(page, PG_LOCKED);
}

int page_lock_killable(struct page *page)
{
	assert_may_sleep();
	assert_referenced(page);
	lock_order_check(page, RANK_PAGE);
	while (!page_trylock(page))
		if (wait_for_killable(page, PG_LOCKED))
			return -EINTR;
	return 0;
}

void page_unlock(struct page *page)
{
	lock_release_check(page, RANK_PAGE);
	change_and_wake(page, BIT(PG_LOCKED), 0);
}

void page_wait_unlocked(struct page *page)
{
	assert_may_sleep();
	assert_referenced(page);
	lock_order_check(page, RANK_PAGE);
	if (page_test(page, PG_LOCKED))
		page_wait_for(page, PG_LOCKED);
}

int page_wait_unlocked_killable(struct page *page)
{
	assert_may_sleep();
	assert_referenced(page);
	lock_order_check(page, RANK_PAGE);
	return page_test(page, PG_LOCKED) ? wait_for_killable(page, PG_LOCKED) : 0;
}

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

void page_lock_hand_over(struct page *page)
{
	assert_page_locked(page);
	lock_release_check(page, RANK_PAGE);
}

void page_end_read(struct page *page, int error)
{
	ASSERT(page_test(page, PG_LOCKED), "a page that is read in is locked until it is there");
	change_and_wake(page, BIT(PG_LOCKED) | (error ? 0 : BIT(PG_ERROR)), BIT(error ? PG_ERROR : PG_UPTODATE));
}

/* ---- Write-back -------------------------------------------------------------------------------------------------- */

void page_wait_writeback(struct page *page)
{
	assert_may_sleep();
	assert_referenced(page);
	if (page_test(page, PG_WRITEBACK))
		page_wait_for(page, PG_WRITEBACK);
}

int page_wait_writeback_killable(struct page *page)
{
	assert_may_sleep();
	assert_referenced(page);
	return page_test(page, PG_WRITEBACK) ? wait_for_killable(page, PG_WRITEBACK) : 0;
}

void page_end_writeback(struct page *page, int error)
{
	ASSERT(page_test(page, PG_WRITEBACK), "write-back that ends was begun");
	if (error)
		mapping_note_write_error(page->mapping, page);
	change_and_wake(page, BIT(PG_WRITEBACK), 0);
}
