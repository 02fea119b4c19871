/* SPDX-License-Identifier: MIT */
/*
 * Tracks which locks are held, in debug builds, and which lock each thread or CPU waits for, in all builds.
 *
 * Held locks are kept in two kinds of list. A spinlock belongs to the CPU: no thread sleeps while holding one, and the
 * run queue's is released by a different thread than acquired it. A sleeping lock belongs to its thread and migrates
 * with it, so each thread has a list of its own.
 */
#ifndef KERNEL_LOCKDEP_H
#define KERNEL_LOCKDEP_H

#include "kernel/sync/lock_ranks.h"
#include "kernel/sync/spinlock.h"

#define MAX_HELD_LOCKS 48 /* reclaim has a batch of 32 pages locked at once */

struct held_lock {
	const void *lock;
	u8 rank;	   /* enum lock_rank */
	bool irqs_were_on; /* interrupts were on at acquisition, so an interrupt handler may find it held */
};

/* An all-zero structure is an empty list. Modified only by its CPU or its thread. */
struct held_locks {
	u32 depth;
	struct held_lock held[MAX_HELD_LOCKS];
};

/*
 * The sleeping lock that a thread waits for. Waiting is slow anyway, so recording it costs nothing noticeable;
 * recording held locks would slow down every fault, and is left to debug builds.
 */
struct lock_wait {
	const void *lock;  /* or NULL; written last, read by other threads with READ_ONCE */
	const void *owner; /* the lock's own owner field, or NULL if the lock records no owner */
	u8 rank;	   /* enum lock_rank */
};
/*
 * Implemented by the scheduler and the simulated machine.
 *
 * Context: any.
 * Returns: the current thread's lock_wait; NULL if there is none yet.
 */
struct lock_wait *current_lock_wait(void);
/*
 * For the report of waiting threads.
 *
 * Context: any. The answer may be out of date at once.
 * Returns: the spinlock that the CPU spins on, or NULL.
 */
const spinlock_t *cpu_spins_for(unsigned cpu);

/*
 * Implemented, in debug builds, by the scheduler (kernel/sched/sched.c) and the simulated machine (tests/host/).
 *
 * Context: any.
 * Returns: the current thread's list of held locks; NULL if there is none yet (early boot) or none that counts.
 */
struct held_locks *current_held_locks(void);

/*
 * For panic reports and for finding a lock's owner.
 *
 * Context: any. The list of another CPU changes while it is read.
 * Returns: the spinlocks that a CPU holds; NULL in release builds.
 */
const struct held_locks *cpu_held_locks(unsigned cpu);

#if DEBUG
/* Turns the lock checks off. A panic calls this first, because it must acquire locks out of order. Context: any. */
void lock_checks_off(void);
/*
 * Panics if the current thread holds any lock. Called on return to user mode and when a thread ends.
 * @where: for the message.
 *
 * Context: thread. Does not sleep.
 */
void assert_no_locks_held(const char *where);
#else
static inline void lock_checks_off(void)
{
}
static inline void assert_no_locks_held(const char *where)
{
	(void)where;
}
#endif

#endif
