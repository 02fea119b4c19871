/* SPDX-License-Identifier: MIT */
/*
 * Timers: a function called from the timer interrupt of the CPU that armed it. Times are ktime_ns()
 * (kernel/time/clock.h).
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include "mm/vma/interval_tree.h"

#define TIME_NEVER (~0UL)

struct timer {
	struct interval_node node;	   /* in the CPU's tree, by deadline; guarded by its lock */
	u64 deadline;			   /* ns; as passed to the last timer_arm() */
	void (*func)(struct timer *timer); /* called with interrupts off, no lock held; may arm the timer again */
	u32 cpu;			   /* the CPU on which it is, or was last, armed */
};

void timers_init(void); /* boot, before the first interrupt */
void timer_init(struct timer *timer, void (*func)(struct timer *timer));
/* Arms the timer, which must not be armed, on this CPU. A deadline in the past fires at once, from the interrupt. */
void timer_arm(struct timer *timer, u64 deadline);
/*
 * Cancels the timer and waits until no CPU runs its function. Returns true if it had not fired. Must not be called from
 * its function.
 */
bool timer_cancel(struct timer *timer);

/*
 * Returns when a periodic timer that was due at `deadline` is due next, and sets *periods to how many periods later
 * that is. The time is never so close that the CPU would do nothing but expire the timer.
 */
u64 timer_next_period(u64 deadline, u64 interval, u64 *periods);

/* Requests sched_tick() on this CPU at `deadline`, unless one is requested already. => interrupts off. */
void timer_want_tick(u64 deadline);

/*
 * Sleeps until `deadline` (TIME_NEVER: without end) or a wake-up: thread_sleep() with a time-out, after
 * thread_prepare_sleep(). Returns false if the deadline has passed.
 */
bool sleep_until(u64 deadline);

#endif
