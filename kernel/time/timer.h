/* SPDX-License-Identifier: MIT */
/*
 * Timers: a function called from the timer interrupt of the CPU that armed it. Times are ktime_ns() (kernel/time/clock.h).
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include "mm/vma/interval_tree.h"

#define TIME_NEVER (~0UL)

struct timer {
	struct interval_node node;	   /* in the CPU's tree, by deadline; guarded by its lock */
	u64 deadline;			   /* ns; for which it was armed last */
	void (*func)(struct timer *timer); /* interrupts off, no lock held; may arm the timer again */
	u32 cpu;			   /* where it is, or was last, armed */
};

void timers_init(void); /* boot, before the first interrupt */
void timer_init(struct timer *timer, void (*func)(struct timer *timer));
/* Arms it, which is not armed, on this CPU. A deadline in the past fires at once, from the interrupt. */
void timer_arm(struct timer *timer, u64 deadline);
/* Takes it back and waits until its function runs nowhere. True if it had not fired. Not from its own function. */
bool timer_cancel(struct timer *timer);

/*
 * When a periodic timer that was due at `deadline` is due next, and how many periods that is on. Never so soon that the
 * CPU would do nothing but expire it.
 */
u64 timer_next_period(u64 deadline, u64 interval, u64 *periods);

/*
 * The scheduler's own wish for this CPU: sched_tick() at `deadline`, unless one is asked for already. => interrupts off.
 */
void timer_want_tick(u64 deadline);

/*
 * Sleeps until `deadline` (TIME_NEVER: without end) or a wake-up: thread_sleep() with a time-out, after
 * thread_prepare_sleep(). False when the time is over.
 */
bool sleep_until(u64 deadline);

#endif
