/* SPDX-License-Identifier: MIT */
/* A sleeping lock with one owner. */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include "kernel/sync/wait.h"

struct mutex {
	struct thread *owner; /* atomic: NULL when free */
	u8 rank;	      /* constant */
	struct wait_queue queue;
};

#define MUTEX_INIT(name, r)                                                                                            \
	{                                                                                                              \
		.rank = RANK_##r, .queue = WAIT_QUEUE_INIT((name).queue)                                               \
	}

/* Initializes a free mutex. Context: any. */
void mutex_init(struct mutex *mutex, enum lock_rank rank);
/* Acquires the mutex. Context: thread. Sleeps. */
void mutex_lock(struct mutex *mutex);
/*
 * Acquires the mutex if it is free; may be out of the lock order.
 *
 * Context: thread. Does not sleep.
 * Returns: true if acquired.
 */
bool mutex_trylock(struct mutex *mutex);
/* Releases the mutex, or passes it to the first waiter. Context: thread, the owner. Does not sleep. */
void mutex_unlock(struct mutex *mutex);
/* For asserts. Context: any. Returns: true if the current thread owns the mutex. */
bool mutex_is_locked_by_me(const struct mutex *mutex);
#define assert_mutex_held(mutex) ASSERT(mutex_is_locked_by_me(mutex), "the mutex is held")

#endif
