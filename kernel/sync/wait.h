/* SPDX-License-Identifier: MIT */
/* Wait queues: threads that sleep until a condition may have become true. Callable from interrupts to wake. */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include "kernel/lib/list.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"

struct wait_queue {
	spinlock_t lock;	  /* RANK_WAIT_QUEUE, taken with interrupts off */
	struct list_head waiters; /* guarded by lock; first in, first out */
};

struct waiter {
	struct list_head link; /* guarded by the queue's lock */
	struct thread *thread; /* constant */
	const void *key;       /* constant; identifies the event, if several hash to one queue. NULL matches any */
	/*
	 * Constant; NULL for a sleeping thread. Otherwise called under the queue's lock at each wake-up; the waiter
	 * stays enqueued.
	 */
	void (*notify)(struct waiter *waiter);
};

#define WAIT_QUEUE_INIT(name)                                                                                          \
	{                                                                                                              \
		.lock = SPINLOCK_INIT(WAIT_QUEUE), .waiters = LIST_HEAD_INIT((name).waiters)                           \
	}

/* Initializes an empty queue. Context: any. */
void wait_queue_init(struct wait_queue *queue);
/* Enqueues the current thread (if not yet enqueued) and announces the sleep. Context: thread. Does not sleep. */
void wait_prepare(struct wait_queue *queue, struct waiter *waiter, enum sleep_state state);
/* Dequeues it and cancels the announced sleep. Context: thread. Does not sleep. */
void wait_finish(struct wait_queue *queue, struct waiter *waiter);
/*
 * The same for a waiter with notify(), which announces no sleep. notify() is not called any more once it is dequeued.
 *
 * Context: any.
 */
void wait_enqueue(struct wait_queue *queue, struct waiter *waiter);
void wait_dequeue(struct wait_queue *queue, struct waiter *waiter);
#define WAITER_INIT(name, k)                                                                                           \
	{                                                                                                              \
		.link = LIST_HEAD_INIT((name).link), .thread = current_thread(), .key = (k)                            \
	}

/*
 * Wakes the first waiters whose key matches.
 * @key: NULL: all keys.
 * @nr: the most to wake.
 *
 * Context: any.
 * Returns: how many were woken.
 */
int wake_up_nr(struct wait_queue *queue, const void *key, int nr);
/* Wakes all waiters. Context: any. */
static inline void wake_up_all(struct wait_queue *queue)
{
	wake_up_nr(queue, NULL, 1 << 30);
}

/*
 * Sleeps until cond holds. Returns 0, or -EINTR when the sleep was ended by a signal that the state lets through.
 * `interrupted` is an expression that is true if there is such a signal; it is evaluated before cond, so that the wait
 * succeeds if both are true, as in Linux: a child that opens a FIFO, writes and exits sends SIGCHLD to the parent whose
 * open it completes.
 */
#define wait_event_state(queue, cond, state, k, interrupted)                                                           \
	({                                                                                                             \
		struct waiter _waiter = WAITER_INIT(_waiter, (k));                                                     \
		int _ret = 0;                                                                                          \
		for (;;) {                                                                                             \
			bool _interrupted;                                                                             \
			wait_prepare((queue), &_waiter, (state));                                                      \
			_interrupted = (interrupted);                                                                  \
			if (cond)                                                                                      \
				break;                                                                                 \
			if (_interrupted) {                                                                            \
				_ret = -4; /* -EINTR */                                                                \
				break;                                                                                 \
			}                                                                                              \
			thread_sleep();                                                                                \
		}                                                                                                      \
		wait_finish((queue), &_waiter);                                                                        \
		_ret;                                                                                                  \
	})
#define wait_event(queue, cond) ((void)wait_event_state(queue, cond, SLEEP_UNINTERRUPTIBLE, NULL, false))
#define wait_event_killable(queue, cond) wait_event_state(queue, cond, SLEEP_KILLABLE, NULL, thread_killed())

#endif
