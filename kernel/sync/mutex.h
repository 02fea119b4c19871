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

void mutex_init(struct mutex *mutex, enum lock_rank rank);
void mutex_lock(struct mutex *mutex); /* sleeps */
bool mutex_trylock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
bool mutex_is_locked_by_me(const struct mutex *mutex);
#define assert_mutex_held(mutex) ASSERT(mutex_is_locked_by_me(mutex), "the mutex is held")

#endif
