/* SPDX-License-Identifier: MIT */
/*
 * A sleeping reader-writer lock, fair between readers and writers: once a writer waits, new readers queue behind it.
 * mmap_lock is one. Each acquisition is an atomic operation on one shared cache line: the cost that the other
 * strategies avoid.
 */
#ifndef KERNEL_RWSEM_H
#define KERNEL_RWSEM_H

#include "kernel/sync/wait.h"

struct rwsem {
	s64 count;	      /* atomic: readers × RWSEM_READER, | RWSEM_WRITER, | RWSEM_WAITERS */
	struct thread *owner; /* the writer; unlocked reads are for asserts and debuggers only */
	u8 rank;	      /* constant */
	struct wait_queue queue;
};

#define RWSEM_WRITER 1L
#define RWSEM_WAITERS 2L
#define RWSEM_READER 256L

/* Initializes a free lock. Context: any. */
void rwsem_init(struct rwsem *sem, enum lock_rank rank);

/*
 * The slow paths of down_read() and the others: wait until the lock is acquired.
 *
 * Context: thread. Sleep.
 * Returns: the killable ones: 0; -EINTR if the thread is killed first.
 */
void rwsem_down_read_slow(struct rwsem *sem);
void rwsem_down_write_slow(struct rwsem *sem);
int __must_check rwsem_down_read_killable_slow(struct rwsem *sem);
int __must_check rwsem_down_write_killable_slow(struct rwsem *sem);
/* Wakes waiters, after a release that left RWSEM_WAITERS set. Context: any. */
void rwsem_wake(struct rwsem *sem);

/* ---- Trying, in any lock order. Context: thread. Does not sleep. Returns: true if acquired. ---------------------- */
static inline bool down_read_trylock(struct rwsem *sem)
{
	s64 count = READ_ONCE(sem->count);

	schedule_point();
	while (!(count & (RWSEM_WRITER | RWSEM_WAITERS))) {
		if (__atomic_compare_exchange_n(&sem->count, &count, count + RWSEM_READER, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED)) {
			lock_acquire_check(sem, sem->rank, false);
			return true;
		}
	}
	return false;
}

static inline bool down_write_trylock(struct rwsem *sem)
{
	schedule_point();
	if (!atomic_cas(&sem->count, 0, RWSEM_WRITER))
		return false;
	lock_acquire_check(sem, sem->rank, false);
	WRITE_ONCE(sem->owner, current_thread());
	return true;
}

/* ---- Acquiring. Context: thread. Sleeps. Returns: 0; -EINTR if the thread is killed first. ----------------------- */
static inline void down_read(struct rwsem *sem)
{
	lock_order_check(sem, sem->rank);
	if (unlikely(!down_read_trylock(sem)))
		rwsem_down_read_slow(sem);
}

static inline void down_write(struct rwsem *sem)
{
	lock_order_check(sem, sem->rank);
	if (unlikely(!down_write_trylock(sem)))
		rwsem_down_write_slow(sem);
}

static inline int __must_check down_read_killable(struct rwsem *sem)
{
	lock_order_check(sem, sem->rank);
	return likely(down_read_trylock(sem)) ? 0 : rwsem_down_read_killable_slow(sem);
}

static inline int __must_check down_write_killable(struct rwsem *sem)
{
	lock_order_check(sem, sem->rank);
	return likely(down_write_trylock(sem)) ? 0 : rwsem_down_write_killable_slow(sem);
}

/* ---- Releasing. Context: thread. Does not sleep. ----------------------------------------------------------------- */
static inline void up_read(struct rwsem *sem)
{
	lock_release_check(sem, sem->rank);
	s64 count = __atomic_sub_fetch(&sem->count, RWSEM_READER, __ATOMIC_RELEASE);
	if (unlikely(count == RWSEM_WAITERS))
		rwsem_wake(sem);
}

static inline void up_write(struct rwsem *sem)
{
	lock_release_check(sem, sem->rank);
	WRITE_ONCE(sem->owner, NULL);
	s64 count = __atomic_sub_fetch(&sem->count, RWSEM_WRITER, __ATOMIC_RELEASE);
	if (unlikely(count & RWSEM_WAITERS))
		rwsem_wake(sem);
}

/* ---- Asking. Context: any. --------------------------------------------------------------------------------------- */
static inline bool rwsem_is_write_locked_by_me(const struct rwsem *sem)
{
	return READ_ONCE(sem->owner) == current_thread();
}

#define assert_rwsem_held(sem) ASSERT(lock_is_held(sem), "the lock is held, in some mode")
#define assert_rwsem_write_held(sem) ASSERT(rwsem_is_write_locked_by_me(sem), "the lock is held for writing")

/* Asks whether the lock is held by any thread, for reading or writing. Unlocked: a hint. Context: any. */
static inline bool rwsem_is_locked(const struct rwsem *sem)
{
	return (READ_ONCE(sem->count) & ~RWSEM_WAITERS) != 0;
}

#endif
