/* SPDX-License-Identifier: MIT */
/*
 * RCU for a kernel that is not preemptible: a reader is any stretch of kernel code between two quiescent states. These
 * are context switch, return to or tick in user mode, idle and cond_resched; so a reader costs nothing and never
 * sleeps.
 *
 * A grace period has passed when every online CPU has gone through a quiescent state since it began.
 */
#ifndef KERNEL_RCU_H
#define KERNEL_RCU_H

#include "kernel/lib/base.h"
#include "kernel/sync/spinlock.h"

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

#if DEBUG
/*
 * Begin and end a reader, and ask whether one has begun. Nesting is tracked per CPU, so that a sleep inside a reader is
 * caught.
 *
 * Context: any, unless the CPU is idle.
 * Returns: true inside a reader; in release builds always.
 */
void rcu_read_lock(void);
void rcu_read_unlock(void);
bool rcu_read_lock_held(void);
#else
static inline bool rcu_read_lock_held(void)
{
	return true;
}
/* Compiler barriers only: a reader's loads stay inside its section. */
static inline void rcu_read_lock(void)
{
	__asm__ volatile("" ::: "memory");
}
static inline void rcu_read_unlock(void)
{
	__asm__ volatile("" ::: "memory");
}
#endif

#define assert_in_rcu() ASSERT(rcu_read_lock_held(), "inside an RCU section")

/* Calls func(head) on some CPU after a grace period, under no spinlock, with interrupts on. Context: any. */
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
/* Waits for one grace period. Context: thread. Sleeps. */
void synchronize_rcu(void);
/*
 * Waits until every call-back queued before this call has run, on all CPUs. For leak checks and shut-down.
 *
 * Context: thread. Sleeps.
 */
void rcu_barrier(void);

/*
 * For the scheduler, the tick and the idle loop of either machine: this CPU is in a quiescent state. Cheap.
 *
 * Context: any. The CPU is in no RCU section.
 */
void rcu_quiescent(void);
/*
 * Runs this CPU's call-backs that are due. Called from the idle loop, on exit to user mode and from cond_resched().
 *
 * Context: no spinlock held; interrupts on. Does not sleep.
 */
void rcu_run_callbacks(void);
/*
 * Asks whether this CPU has call-backs that wait for a grace period or are due.
 *
 * Context: any.
 * Returns: true if it has.
 */
bool rcu_pending(void);
/*
 * An idle (or offline) CPU counts as quiescent until it comes back: an interrupt handler that runs in between must not
 * read under RCU, which rcu_read_lock() asserts.
 *
 * Context: any. The CPU is in no RCU section.
 */
void rcu_idle_enter(void);
void rcu_idle_exit(void);

#endif
