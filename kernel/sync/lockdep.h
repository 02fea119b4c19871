/* SPDX-License-Identifier: MIT */
/*
 * What is held, in debug builds, and what is waited for, in both. A spinlock belongs to the CPU: nobody sleeps under one, and the run queue's is released
 * by another thread than took it. A sleeping lock belongs to its thread, and moves from CPU to CPU with it. So there are
 * two lists, and each thread has room for the second.
 */
#ifndef KERNEL_LOCKDEP_H
#define KERNEL_LOCKDEP_H

#include "kernel/sync/lock_ranks.h"
#include "kernel/sync/spinlock.h"

#define MAX_HELD_LOCKS 48 /* reclaim has a batch of 32 pages locked at once */

struct held_lock {
	const void *lock;
	u8 rank;	   /* enum lock_rank */
	bool irqs_were_on; /* when it had been taken, so that an interrupt handler may find it held */
};

/* All zero is an empty list. Touched only by its CPU or its thread. */
struct held_locks {
	u32 depth;
	struct held_lock held[MAX_HELD_LOCKS];
};

/*
 * The sleeping lock that a thread waits for. Waiting is slow anyway, so noting it costs nobody anything; noting what is held
 * would cost every fault, and is left to debug builds.
 */
struct lock_wait {
	const void *lock;  /* or NULL; written last, read by others by READ_ONCE */
	const void *owner; /* where the lock itself notes which thread has it, or NULL: nowhere */
	u8 rank;	   /* enum lock_rank */
};
/* That of the current thread, or NULL where there is none yet. The scheduler and the simulated machine provide it. */
struct lock_wait *current_lock_wait(void);
/* The spinlock that a CPU spins for, or NULL. */
const spinlock_t *cpu_spins_for(unsigned cpu);

/*
 * The list of the current thread, or NULL where there is none yet (early boot) or none that counts. The scheduler
 * (kernel/sched/sched.c) and the simulated machine (tests/host/) each provide it, in debug builds.
 */
struct held_locks *current_held_locks(void);

/* The spinlocks of a CPU, for its last words and for who looks for a lock's owner. NULL in release builds. */
const struct held_locks *cpu_held_locks(unsigned cpu);

#if DEBUG
/* A panic calls this first: what it takes from then on is taken out of order, and rightly so. */
void lock_checks_off(void);
/* Panics if the current thread holds anything: at the return to user mode, and when a thread ends. */
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
