/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of the reader-writer lock. Waiters queue in FIFO order, and a release hands the lock to the first
 * waiter, or to all readers at the front: RWSEM_WAITERS forces every other thread onto this slow path, so neither
 * readers nor writers starve.
 *
 * While RWSEM_WAITERS is set, a holder may release without the queue's lock, but no thread acquires without it. The bit
 * is set exactly while a waiter is queued, and then either the lock is held, or a thread that has just released it is
 * on its way to rwsem_wake().
 */
#include "kernel/sync/rwsem.h"

#include "kernel/lib/errno.h"
#include "mm/debug/events.h"

struct rwsem_waiter {
	struct list_head link;
	struct thread *thread; /* constant */
	bool writer;	       /* constant */
	bool granted;	       /* protected by the queue's lock */
};

void rwsem_init(struct rwsem *sem, enum lock_rank rank)
{
	WRITE_ONCE(sem->count, 0);
	WRITE_ONCE(sem->owner, NULL);
	sem->rank = rank;
	wait_queue_init(&sem->queue);
}

/* Grants the lock to this waiter if the current holders allow it. The queue is locked, and RWSEM_WAITERS set. */
static bool rwsem_grant(struct rwsem *sem, struct rwsem_waiter *waiter)
{
	s64 excludes = waiter->writer ? ~RWSEM_WAITERS : RWSEM_WRITER;

	if (load_acquire(&sem->count) & excludes)
		return false; /* the holder's release will try again */
	(void)atomic_add_return(&sem->count, waiter->writer ? RWSEM_WRITER : RWSEM_READER);
	list_del(&waiter->link);
	waiter->granted = true;
	thread_wake(waiter->thread);
	return true;
}

/* Context: sem->queue.lock held. */
static void rwsem_grant_waiters(struct rwsem *sem)
{
	struct rwsem_waiter *waiter, *next;

	assert_spin_held(&sem->queue.lock);
	list_for_each_safe (waiter, next, &sem->queue.waiters, link) {
		if (!rwsem_grant(sem, waiter))
			break;
	}
	if (list_empty(&sem->queue.waiters))
		(void)atomic_and(&sem->count, ~RWSEM_WAITERS);
}

void rwsem_wake(struct rwsem *sem)
{
	unsigned long flags = spin_lock_irqsave(&sem->queue.lock);

	rwsem_grant_waiters(sem);
	spin_unlock_irqrestore(&sem->queue.lock, flags);
}

/* Enqueues the waiter; it may be granted the lock at once. */
static void rwsem_enqueue(struct rwsem *sem, struct rwsem_waiter *waiter)
{
	unsigned long flags = spin_lock_irqsave(&sem->queue.lock);

	(void)atomic_or(&sem->count, RWSEM_WAITERS);
	list_add_tail(&sem->queue.waiters, &waiter->link);
	rwsem_grant_waiters(sem);
	spin_unlock_irqrestore(&sem->queue.lock, flags);
}

/*
 * Returns true when the wait is over: the lock was granted, or the waiter was dequeued because `give_up`. Taking the
 * queue's lock ensures that the granting thread no longer uses the waiter.
 */
static bool rwsem_wait_over(struct rwsem *sem, struct rwsem_waiter *waiter, bool give_up)
{
	unsigned long flags = spin_lock_irqsave(&sem->queue.lock);
	bool over = waiter->granted || give_up;

	if (over && !waiter->granted) {
		list_del(&waiter->link);
		rwsem_grant_waiters(sem); /* the waiters behind it may have been blocked only by it */
	}
	spin_unlock_irqrestore(&sem->queue.lock, flags);
	return over;
}

static int rwsem_wait(struct rwsem *sem, bool writer, enum sleep_state state)
{
	struct rwsem_waiter waiter = { .thread = current_thread(), .writer = writer };
	u64 began = event_clock();

	list_init(&waiter.link);
	ASSERT(!writer || !rwsem_is_write_locked_by_me(sem), "a lock is not taken twice by one thread");
	lock_order_check(sem, sem->rank);
	lock_wait_begin(sem, sem->rank, &sem->owner);
	rwsem_enqueue(sem, &waiter);
	for (;;) {
		thread_prepare_sleep(state);
		if (rwsem_wait_over(sem, &waiter, state == SLEEP_KILLABLE && thread_killed()))
			break;
		thread_sleep();
	}
	thread_cancel_sleep();
	lock_wait_end();
	event_ended(EVENT_lock_wait, began, (u64)sem, sem->rank + (writer ? EVENT_FOR_WRITING : 0));
	if (!waiter.granted)
		return -EINTR;
	lock_acquire_check(sem, sem->rank, false);
	if (writer)
		WRITE_ONCE(sem->owner, current_thread());
	return 0;
}

void rwsem_down_read_slow(struct rwsem *sem)
{
	assert_may_sleep();
	(void)rwsem_wait(sem, false, SLEEP_UNINTERRUPTIBLE);
}

void rwsem_down_write_slow(struct rwsem *sem)
{
	assert_may_sleep();
	(void)rwsem_wait(sem, true, SLEEP_UNINTERRUPTIBLE);
}

int rwsem_down_read_killable_slow(struct rwsem *sem)
{
	assert_may_sleep();
	return rwsem_wait(sem, false, SLEEP_KILLABLE);
}

int rwsem_down_write_killable_slow(struct rwsem *sem)
{
	assert_may_sleep();
	return rwsem_wait(sem, true, SLEEP_KILLABLE);
}
