/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks, and the debug checks that all kinds of locks share.
 *
 * A spinlock function does not change the interrupt flag, except in its `_irqsave` form. A lock that an interrupt
 * handler also takes must be taken with that form everywhere, all other locks with interrupts as they are. The spin
 * loop calls cpu_relax(); a shootdown request is served while spinning, by interrupt if interrupts are on (on the host,
 * by polling).
 */
#ifndef KERNEL_SPINLOCK_H
#define KERNEL_SPINLOCK_H

#include "kernel/lib/base.h"
#include "kernel/lib/print.h"
#include "kernel/sync/lock_ranks.h"
#include <machine_arch.h> /* cpu_id, cpu_relax, irq_save, irq_restore, irqs_enabled */

typedef struct spinlock {
	u32 owner; /* 0: free; otherwise the owner's CPU number + 1 */
	u8 rank;   /* enum lock_rank; constant after initialisation */
} spinlock_t;

#define SPINLOCK_INIT(r)                                                                                               \
	{                                                                                                              \
		.owner = 0, .rank = RANK_##r                                                                           \
	}

/* Initializes a free spinlock. Context: any. */
static inline void spin_init(spinlock_t *lock, enum lock_rank rank)
{
	WRITE_ONCE(lock->owner, 0);
	lock->rank = rank;
}

/* The name of a rank: "MMAP_LOCK", …. Context: any. Returns: the name; "?" if there is no such rank. */
const char *lock_rank_name(unsigned rank);

/* The slow path of spin_lock(): kernel/sync/spinlock.c. Context: any. */
void spin_lock_slow(spinlock_t *lock);
#if DEBUG
/*
 * Panics if the lock may not be waited for here. Called before the wait, with the caller's interrupt state. Held locks
 * are recorded in the lists of kernel/sync/lockdep.h.
 *
 * Context: any.
 */
void spin_order_check(const spinlock_t *lock);
/* Called after spinlock `lock` was acquired, and before it is released. Context: any. */
void spin_note_acquired(const spinlock_t *lock);
void spin_note_released(const spinlock_t *lock);
/*
 * The same for locks that are held across sleeps and therefore belong to the thread: rwsem, mutex, VMA lock.
 * lock_order_check() only checks, and records nothing as held.
 * @waits: false for a trylock, which may be out of order.
 *
 * Context: thread. Does not sleep.
 */
void lock_order_check(const void *lock, enum lock_rank rank);
void lock_acquire_check(const void *lock, enum lock_rank rank, bool waits);
void lock_release_check(const void *lock, enum lock_rank rank);
/* For asserts. Context: any. Returns: true if this context holds a spinlock, so that it must not sleep. */
bool in_atomic(void);
/*
 * For asserts.
 *
 * Context: any.
 * Returns: true if the current thread holds no spinlock and is in no RCU section, so that it may sleep; also in a
 *          panic.
 */
bool may_sleep(void);
/*
 * For asserts.
 *
 * Context: any.
 * Returns: true if the current thread holds this sleeping lock; also where that is unknown: in early boot, and in a
 *          panic.
 */
bool lock_is_held(const void *lock);
#else
static inline bool in_atomic(void)
{
	return false;
}
static inline bool may_sleep(void)
{
	return true;
}
static inline bool lock_is_held(const void *lock)
{
	(void)lock;
	return true;
}
static inline void spin_order_check(const spinlock_t *lock)
{
	(void)lock;
}
static inline void spin_note_acquired(const spinlock_t *lock)
{
	(void)lock;
}
static inline void spin_note_released(const spinlock_t *lock)
{
	(void)lock;
}
static inline void lock_order_check(const void *lock, enum lock_rank rank)
{
	(void)lock, (void)rank;
}
static inline void lock_acquire_check(const void *lock, enum lock_rank rank, bool waits)
{
	(void)lock, (void)rank, (void)waits;
}
static inline void lock_release_check(const void *lock, enum lock_rank rank)
{
	(void)lock, (void)rank;
}
#endif
/*
 * Called before and after the current thread sleeps for the lock: recorded for the report of waiting threads
 * (kernel/debug/hang.c).
 * @owner: the lock's owner field, or NULL if the lock records no owner.
 *
 * Context: thread. Does not sleep.
 */
void lock_wait_begin(const void *lock, enum lock_rank rank, const void *owner);
void lock_wait_end(void);

/*
 * A point where a schedule under test may switch to another CPU: lock operations and sequence checks. Costs one
 * predictable branch when no schedule is set. Defined in mm/debug/race.c.
 */
extern bool schedule_fuzz_on;
/*
 * A point where a schedule under test may switch to another CPU: lock operations and sequence checks. Costs one
 * predictable branch when no schedule is set. Defined in mm/debug/race.c.
 *
 * Context: any.
 */
void schedule_fuzz(void);
/* The point itself. Context: any. */
static inline void schedule_point(void)
{
	if (unlikely(READ_ONCE(schedule_fuzz_on)))
		schedule_fuzz();
}

/* ---- Locking. Context: any, but a lock that an interrupt handler takes only by the _irqsave form. ---------------- */
static inline bool spin_is_locked_by_me(const spinlock_t *lock)
{
	return READ_ONCE(lock->owner) == cpu_id() + 1; /* no other CPU writes our own number */
}

#define assert_spin_held(lock) ASSERT(spin_is_locked_by_me(lock), "the spinlock is held")
/* For code that cannot name the lock: some spinlock is held. */
#define assert_in_atomic() ASSERT(in_atomic(), "a spinlock is held")
#define assert_no_spinlock_held() ASSERT(!in_atomic(), "no spinlock is held")
#define assert_irqs_on() ASSERT(irqs_enabled(), "interrupts are on")
#define assert_irqs_off() ASSERT(!irqs_enabled(), "interrupts are off")
#define assert_may_sleep() ASSERT(may_sleep(), "the caller may sleep")
/* A lock of this rank may be waited for: no spinlock is held, and no lock of this rank or of one listed after it. */
#define assert_no_lock_from(rank) lock_order_check(NULL, rank)
#define assert_no_lock_held() assert_no_lock_from((enum lock_rank)0)

/* Acquires the lock if it is free; may be out of the lock order. Context: any. Returns: true if acquired. */
static inline bool spin_trylock(spinlock_t *lock)
{
	u32 free = 0;

	schedule_point();
	if (!__atomic_compare_exchange_n(&lock->owner, &free, cpu_id() + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	spin_note_acquired(lock);
	return true;
}

/* Takes the lock without the order check, for spin_lock() and spin_lock_irqsave(). */
static inline void spin_lock_unchecked(spinlock_t *lock)
{
	u32 free = 0;

	if (unlikely(!__atomic_compare_exchange_n(&lock->owner, &free, cpu_id() + 1, false, __ATOMIC_ACQUIRE,
						  __ATOMIC_RELAXED)))
		spin_lock_slow(lock);
	spin_note_acquired(lock);
}

static inline void spin_lock(spinlock_t *lock)
{
	schedule_point();
	spin_order_check(lock);
	spin_lock_unchecked(lock);
}

static inline void spin_unlock(spinlock_t *lock)
{
	ASSERT(spin_is_locked_by_me(lock), "a spinlock is released by the CPU that took it");
	spin_note_released(lock);
	store_release(&lock->owner, 0);
}

/*
 * Disables interrupts and acquires the lock.
 *
 * Context: any.
 * Returns: the interrupt state, for spin_unlock_irqrestore().
 */
static inline unsigned long spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	schedule_point();
	spin_order_check(lock); /* before irq_save(): the check tells threads from handlers by the interrupt flag */
	flags = irq_save();
	spin_lock_unchecked(lock);
	return flags;
}

static inline void spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock(lock);
	irq_restore(flags);
}

#endif
