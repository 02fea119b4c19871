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
/* Nesting is tracked per CPU, so that a sleep inside a reader is caught. */
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

/* Calls func(head) on some CPU after a grace period, under no spinlock, with interrupts on. Never sleeps itself. */
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
/* Sleeps for one grace period. */
void synchronize_rcu(void);
/* Sleeps until every call-back queued before this call has run, on all CPUs. For leak checks and shut-down. */
void rcu_barrier(void);

/* For the scheduler, the tick and the idle loop of either machine: this CPU is in a quiescent state. Cheap. */
void rcu_quiescent(void);
/*
 * Runs this CPU's call-backs that are due. => no spinlock held; interrupts on. Called from the idle loop, on exit to
 * user mode and from cond_resched().
 */
void rcu_run_callbacks(void);
/* Returns whether this CPU has call-backs that wait for a grace period or are due. */
bool rcu_pending(void);
/*
 * An idle (or offline) CPU counts as quiescent until it comes back: an interrupt handler that runs in between must not
 * read under RCU, which rcu_read_lock() asserts.
 */
void rcu_idle_enter(void);
void rcu_idle_exit(void);

#endif
