/* SPDX-License-Identifier: MIT */
/*
 * A sleeping lock with one owner, handed over to waiters in FIFO order. While there are waiters the mutex is never
 * free: the unlocking thread makes the first waiter the owner, under the queue's lock, so no other thread can acquire
 * it in between.
 */
#include "kernel/sync/mutex.h"

void mutex_init(struct mutex *mutex, enum lock_rank rank)
{
	WRITE_ONCE(mutex->owner, NULL);
	mutex->rank = rank;
	wait_queue_init(&mutex->queue);
}

static bool mutex_take_free(struct mutex *mutex)
{
	return atomic_cas(&mutex->owner, NULL, current_thread());
}

bool mutex_trylock(struct mutex *mutex)
{
	schedule_point();
	if (!mutex_take_free(mutex))
		return false;
	lock_acquire_check(mutex, mutex->rank, false);
	return true;
}

/* Enqueues the waiter and returns true; if the mutex has become free, acquires it instead and returns false. */
static bool mutex_enqueue(struct mutex *mutex, struct waiter *waiter)
{
	unsigned long flags = spin_lock_irqsave(&mutex->queue.lock);
	bool must_wait = !mutex_take_free(mutex);

	if (must_wait)
		list_add_tail(&mutex->queue.waiters, &waiter->link);
	spin_unlock_irqrestore(&mutex->queue.lock, flags);
	return must_wait;
}

/*
 * Returns whether the previous owner has handed the mutex over. Looks under the queue's lock, which that owner may
 * still hold.
 */
static bool mutex_granted(struct mutex *mutex)
{
	unsigned long flags = spin_lock_irqsave(&mutex->queue.lock);
	bool granted = mutex_is_locked_by_me(mutex);

	spin_unlock_irqrestore(&mutex->queue.lock, flags);
	return granted;
}

void mutex_lock(struct mutex *mutex)
{
	struct waiter waiter = WAITER_INIT(waiter, NULL);

	schedule_point();
	ASSERT(!mutex_is_locked_by_me(mutex), "a mutex is not taken twice by one thread");
	lock_order_check(mutex, mutex->rank);
	if (!mutex_take_free(mutex) && mutex_enqueue(mutex, &waiter)) {
		lock_wait_begin(mutex, mutex->rank, &mutex->owner);
		for (;;) {
			thread_prepare_sleep(SLEEP_UNINTERRUPTIBLE);
			if (mutex_granted(mutex))
				break;
			thread_sleep();
		}
		thread_cancel_sleep();
		lock_wait_end();
	}
	lock_acquire_check(mutex, mutex->rank, false);
}

void mutex_unlock(struct mutex *mutex)
{
	struct thread *heir = NULL;
	struct waiter *first;
	unsigned long flags;

	ASSERT(mutex_is_locked_by_me(mutex), "a mutex is released by its owner");
	lock_release_check(mutex, mutex->rank);
	flags = spin_lock_irqsave(&mutex->queue.lock);
	if (!list_empty(&mutex->queue.waiters)) {
		first = list_first(&mutex->queue.waiters, struct waiter, link);
		heir = first->thread;
		list_del(&first->link);
	}
	store_release(&mutex->owner, heir);
	if (heir)
		thread_wake(heir);
	spin_unlock_irqrestore(&mutex->queue.lock, flags);
}

bool mutex_is_locked_by_me(const struct mutex *mutex)
{
	return READ_ONCE(mutex->owner) == current_thread(); /* no other thread writes or clears our own pointer */
}
