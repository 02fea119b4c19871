/* SPDX-License-Identifier: MIT */
/*
 * Interval timers. ITIMER_REAL is a kernel timer; the tick counts down the two that measure CPU time.
 *
 * Locks: itimers->mutex serialises the threads that set them; process->lock protects the values against the interrupts.
 */
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/sync/mutex.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define ITIMER_REAL 0
#define ITIMER_VIRTUAL 1
#define ITIMER_PROF 2

struct countdown {
	u64 left, interval; /* ns; left 0: off */
};

struct itimers {
	struct process *process;
	struct mutex mutex;
	struct timer real;
	u64 real_deadline; /* ns, or TIME_NEVER */
	u64 real_interval;
	struct countdown cpu[2]; /* ITIMER_VIRTUAL - 1, ITIMER_PROF - 1 */
};

struct itimerval {
	struct timeval interval, value;
};

static void real_expired(struct timer *timer)
{
	struct itimers *itimers = container_of(timer, struct itimers, real);
	struct process *process = itimers->process;
	u64 interval, periods, next;

	spin_lock(&process->lock);
	interval = itimers->real_interval;
	next = TIME_NEVER;
	if (interval)
		next = timer_next_period(timer->deadline, interval, &periods);
	itimers->real_deadline = next;
	spin_unlock(&process->lock);
	signal_process_kernel(process, SIGALRM);
	if (next != TIME_NEVER)
		timer_arm(timer, next);
}

static bool count_down(struct countdown *cpu)
{
	if (!cpu->left)
		return false;
	if (cpu->left > TICK_NS) {
		cpu->left -= TICK_NS;
		return false;
	}
	cpu->left = cpu->interval;
	return true;
}

void itimers_tick(struct task *task, bool user)
{
	struct process *process = task->process;
	struct itimers *itimers = READ_ONCE(process->itimers);
	bool virtual = false, prof;

	assert_irqs_off();
	if (!itimers || task->exiting) /* a dying task must not use its process's timers, which may be freed */
		return;
	spin_lock(&process->lock);
	if (user)
		virtual = count_down(&itimers->cpu[0]);
	prof = count_down(&itimers->cpu[1]);
	spin_unlock(&process->lock);
	if (virtual)
		signal_process_kernel(process, SIGVTALRM);
	if (prof)
		signal_process_kernel(process, SIGPROF);
}

/* Returns the process's timers; the first call allocates them. */
static struct itimers *get_itimers(struct process *process)
{
	struct itimers *itimers = load_acquire(&process->itimers), *old = NULL;

	if (itimers)
		return itimers;
	itimers = kmalloc(sizeof(*itimers), ALLOC_ZERO | ALLOC_WAIT);
	if (!itimers)
		return NULL;
	itimers->process = process;
	itimers->real_deadline = TIME_NEVER;
	mutex_init(&itimers->mutex, RANK_PROCESS_TREE);
	timer_init(&itimers->real, real_expired);
	if (__atomic_compare_exchange_n(&process->itimers, &old, itimers, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return itimers;
	kfree(itimers);
	return old;
}

void itimers_exit(struct process *process)
{
	struct itimers *itimers = process->itimers;
	unsigned long flags;

	assert_may_sleep();
	if (!itimers)
		return;
	flags = spin_lock_irqsave(&process->lock);
	itimers->real_interval = 0;
	WRITE_ONCE(process->itimers, NULL);
	spin_unlock_irqrestore(&process->lock, flags);
	timer_cancel(&itimers->real);
	kfree(itimers);
}

static void get_real(struct itimers *itimers, u64 *left, u64 *interval)
{
	u64 now = ktime_ns();

	*interval = itimers->real_interval;
	*left = 0;
	if (itimers->real_deadline != TIME_NEVER)
		*left = itimers->real_deadline > now ? itimers->real_deadline - now : 1000;
}

static void read_timer(struct itimers *itimers, int which, u64 *left, u64 *interval)
{
	unsigned long flags = spin_lock_irqsave(&itimers->process->lock);

	if (which == ITIMER_REAL) {
		get_real(itimers, left, interval);
	} else {
		*left = itimers->cpu[which - 1].left;
		*interval = itimers->cpu[which - 1].interval;
	}
	spin_unlock_irqrestore(&itimers->process->lock, flags);
}

/* => itimers->mutex held. */
static void write_timer(struct itimers *itimers, int which, u64 left, u64 interval)
{
	struct process *process = itimers->process;
	u64 deadline = left ? time_add(ktime_ns(), left) : TIME_NEVER;
	unsigned long flags;

	assert_mutex_held(&itimers->mutex);
	if (which == ITIMER_REAL) {
		flags = spin_lock_irqsave(&process->lock);
		itimers->real_interval = 0; /* it must not rearm itself while it is cancelled */
		spin_unlock_irqrestore(&process->lock, flags);
		timer_cancel(&itimers->real);
	}
	flags = spin_lock_irqsave(&process->lock);
	if (which == ITIMER_REAL) {
		itimers->real_deadline = deadline;
		itimers->real_interval = interval;
	} else {
		itimers->cpu[which - 1] = (struct countdown){ left, interval };
	}
	spin_unlock_irqrestore(&process->lock, flags);
	if (which == ITIMER_REAL && left)
		timer_arm(&itimers->real, deadline);
}

static int exchange_timer(int which, u64 left, u64 interval, u64 *old_left, u64 *old_interval)
{
	struct itimers *itimers = get_itimers(current->process);

	if (!itimers)
		return -ENOMEM;
	mutex_lock(&itimers->mutex);
	read_timer(itimers, which, old_left, old_interval);
	write_timer(itimers, which, left, interval);
	mutex_unlock(&itimers->mutex);
	return 0;
}

static int put_itimerval(vaddr_t addr, u64 left, u64 interval)
{
	struct itimerval value = { ns_to_timeval(interval), ns_to_timeval(left) };

	return copy_to_user(addr, &value, sizeof(value)) ? -EFAULT : 0;
}

SYSCALL(getitimer)
{
	struct itimers *itimers = load_acquire(&current->process->itimers);
	u64 left = 0, interval = 0;

	if ((u32)a0 > ITIMER_PROF)
		return -EINVAL;
	if (itimers)
		read_timer(itimers, (int)a0, &left, &interval);
	return put_itimerval(a1, left, interval);
}

SYSCALL(setitimer)
{
	struct itimerval value = { 0 };
	u64 left, interval, old_left, old_interval;
	int error;

	if (a1 && copy_from_user(&value, a1, sizeof(value)))
		return -EFAULT;
	if (!timeval_to_ns(&value.value, &left) || !timeval_to_ns(&value.interval, &interval) || (u32)a0 > ITIMER_PROF)
		return -EINVAL;
	error = exchange_timer((int)a0, left, interval, &old_left, &old_interval);
	if (error)
		return error;
	return a2 ? put_itimerval(a2, old_left, old_interval) : 0;
}

SYSCALL(alarm)
{
	u64 left, interval;

	if (exchange_timer(ITIMER_REAL, (u32)a0 * NSEC_PER_SEC, 0, &left, &interval))
		return 0;
	/* The remaining seconds, rounded, but at least 1. */
	return left ? (long)max((left + NSEC_PER_SEC / 2) / NSEC_PER_SEC, 1UL) : 0;
}
