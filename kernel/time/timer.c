/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU trees of timers, sorted by deadline, driven by the one-shot event of each CPU (kernel/time/clock.h). (Linux:
 * hrtimers.) Timers with equal deadlines fire in the order in which they were armed.
 *
 * Lock: one per CPU, RANK_TIMER, interrupts off; not held while a timer's function runs.
 */
#include "kernel/time/timer.h"

#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "mm/machine.h"

struct timer_base {
	spinlock_t lock;
	struct interval_tree timers;
	struct timer *running; /* its function is running on this CPU */
	u64 tick;	       /* when the scheduler wants to be called, or TIME_NEVER */
	u64 programmed;	       /* when the clock event will come */
};
STATIC_PER_CPU(struct timer_base, timer_bases);

struct sleep_timer {
	struct timer timer;
	struct task *task;
};

void timers_init(void)
{
	for (u32 cpu = 0; cpu < MAX_CPUS; cpu++) {
		struct timer_base *base = &per_cpu(timer_bases, cpu);

		spin_init(&base->lock, RANK_TIMER);
		interval_tree_init(&base->timers);
		base->tick = base->programmed = TIME_NEVER;
	}
}

void timer_init(struct timer *timer, void (*func)(struct timer *timer))
{
	timer->node = (struct interval_node){ 0 };
	timer->func = func;
	timer->cpu = 0;
}

/* => base->lock held. Returns the timer that is due first, or NULL. */
static struct timer *first_timer(const struct timer_base *base)
{
	struct interval_node *node = interval_tree_first(&base->timers, 0, TIME_NEVER);

	assert_spin_held(&base->lock);
	return node ? container_of(node, struct timer, node) : NULL;
}

/*
 * => base->lock held. Makes the clock event come no later than the first deadline. An event that comes too early does
 * no harm.
 */
static void program(struct timer_base *base)
{
	const struct timer *timer = first_timer(base);
	u64 first = timer ? min(base->tick, timer->deadline) : base->tick;

	assert_spin_held(&base->lock);
	if (first < base->programmed) {
		base->programmed = first;
		clock_arm(first);
	}
}

void timer_arm(struct timer *timer, u64 deadline)
{
	unsigned long flags = irq_save();
	struct timer_base *base = &this_cpu(timer_bases);

	spin_lock(&base->lock);
	timer->deadline = deadline;
	WRITE_ONCE(timer->cpu, cpu_id());
	interval_tree_insert(&base->timers, &timer->node, deadline, deadline);
	program(base);
	spin_unlock_irqrestore(&base->lock, flags);
}

bool timer_cancel(struct timer *timer)
{
	for (;;) {
		struct timer_base *base = &per_cpu(timer_bases, READ_ONCE(timer->cpu));
		unsigned long flags = spin_lock_irqsave(&base->lock);
		bool moved = base != &per_cpu(timer_bases, READ_ONCE(timer->cpu));
		bool armed = interval_node_is_linked(&timer->node);
		bool running = base->running == timer;

		if (!moved && armed)
			interval_tree_remove(&base->timers, &timer->node);
		spin_unlock_irqrestore(&base->lock, flags);
		if (!moved && !running)
			return armed;
		cpu_relax();
	}
}

#define MIN_PERIOD_NS 50000UL

u64 timer_next_period(u64 deadline, u64 interval, u64 *periods)
{
	u64 earliest = ktime_ns() + (interval < MIN_PERIOD_NS ? MIN_PERIOD_NS : 0);
	u64 next;

	*periods = (earliest - deadline) / interval + 1;
	if (__builtin_mul_overflow(*periods, interval, &next) || __builtin_add_overflow(next, deadline, &next))
		return TIME_NEVER - 1;
	return next;
}

void timer_want_tick(u64 deadline)
{
	struct timer_base *base = &this_cpu(timer_bases);

	assert_irqs_off();
	if (base->tick != TIME_NEVER) /* only this CPU writes it, with interrupts off */
		return;
	spin_lock(&base->lock);
	base->tick = deadline;
	program(base);
	spin_unlock(&base->lock);
}

/* => base->lock held. Drops the lock and takes it again around each function. */
static void run_expired(struct timer_base *base, u64 now)
{
	struct timer *timer;

	assert_spin_held(&base->lock);
	while ((timer = first_timer(base)) != NULL && timer->deadline <= now) {
		interval_tree_remove(&base->timers, &timer->node);
		base->running = timer;
		spin_unlock(&base->lock);
		timer->func(timer);
		spin_lock(&base->lock);
		base->running = NULL;
	}
}

void clock_event(bool from_user)
{
	struct timer_base *base = &this_cpu(timer_bases);
	u64 now = ktime_ns();
	bool tick = base->tick <= now;

	assert_irqs_off();
	spin_lock(&base->lock);
	base->programmed = 0; /* keeps timer_arm() in the functions from programming the clock: done once, below */
	run_expired(base, now);
	if (tick)
		base->tick = TIME_NEVER;
	base->programmed = TIME_NEVER;
	program(base);
	spin_unlock(&base->lock);
	if (tick)
		sched_tick(from_user);
}

static void sleep_timer_expired(struct timer *timer)
{
	struct sleep_timer *sleep = container_of(timer, struct sleep_timer, timer);

	sched_wake(sleep->task, ANY_SLEEP);
}

bool sleep_until(u64 deadline)
{
	struct sleep_timer sleep = { .task = current };

	assert_may_sleep();
	if (deadline == TIME_NEVER) {
		thread_sleep();
		return true;
	}
	if (deadline <= ktime_ns()) {
		thread_cancel_sleep();
		return false;
	}
	timer_init(&sleep.timer, sleep_timer_expired);
	timer_arm(&sleep.timer, deadline);
	thread_sleep();
	timer_cancel(&sleep.timer);
	return ktime_ns() < deadline;
}
