/* SPDX-License-Identifier: MIT */
/*
 * Wait queues, without lost wake-ups.
 *
 * A waiter first announces its sleep, then enqueues itself, and only then tests its condition. A waker that comes too
 * early to see the waiter has already changed the condition; a later one ends the announced sleep. So no wake-up is
 * lost.
 *
 * Takes the queue's lock with interrupts off. A waiter leaves the queue only under that lock, so a waker may use it
 * until it unlocks.
 */
#include "kernel/sync/wait.h"

void wait_queue_init(struct wait_queue *queue)
{
	spin_init(&queue->lock, RANK_WAIT_QUEUE);
	list_init(&queue->waiters);
}

void wait_enqueue(struct wait_queue *queue, struct waiter *waiter)
{
	unsigned long flags = spin_lock_irqsave(&queue->lock);

	if (list_empty(&waiter->link))
		list_add_tail(&queue->waiters, &waiter->link);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void wait_dequeue(struct wait_queue *queue, struct waiter *waiter)
{
	unsigned long flags = spin_lock_irqsave(&queue->lock);

	list_del(&waiter->link);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void wait_prepare(struct wait_queue *queue, struct waiter *waiter, enum sleep_state state)
{
	thread_prepare_sleep(state);
	wait_enqueue(queue, waiter);
}

void wait_finish(struct wait_queue *queue, struct waiter *waiter)
{
	thread_cancel_sleep();
	wait_dequeue(queue, waiter);
}

static bool key_matches(const struct waiter *waiter, const void *key)
{
	return !key || !waiter->key || waiter->key == key;
}

/* Dequeues the waiters it wakes, so that a second call wakes different ones. */
int wake_up_nr(struct wait_queue *queue, const void *key, int nr)
{
	struct waiter *waiter, *next;
	unsigned long flags;
	int woken = 0;

	flags = spin_lock_irqsave(&queue->lock);
	list_for_each_safe (waiter, next, &queue->waiters, link) {
		if (woken == nr)
			break;
		if (!key_matches(waiter, key))
			continue;
		if (waiter->notify) {
			waiter->notify(waiter);
			continue;
		}
		list_del(&waiter->link);
		thread_wake(waiter->thread);
		woken++;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return woken;
}
