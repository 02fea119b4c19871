/* SPDX-License-Identifier: MIT */
/*
 * POSIX timers (timer_create and the other timer_* calls) on the real-time and monotonic clocks. Each contains the
 * record of its signal, since an interrupt cannot allocate one.
 *
 * Locks: posix_timers_lock (a mutex: creation, deletion, setting); process->lock protects deadline, interval and
 * overruns against the interrupt.
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

#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD 2 /* the C library makes the thread: here the same as SIGEV_SIGNAL */
#define SIGEV_THREAD_ID 4
#define MAX_OVERRUN 0x7fffffffL

struct posix_timer {
	struct interval_node by_id; /* process->posix_timers: posix_timers_lock */
	struct process *process;    /* constant */
	struct task *task;	    /* constant: the target of SIGEV_THREAD_ID, with a reference, or NULL */
	s32 id, clock;		    /* constant */
	bool silent;		    /* constant: SIGEV_NONE */
	struct timer timer;
	struct sigqueue signal;
	u64 deadline, interval; /* process->lock; deadline TIME_NEVER: off */
	s64 overrun;		/* process->lock: expirations since the signal was queued */
};

struct sigevent {
	u64 value;
	s32 signo, notify, thread;
	s32 pad[11];
};
_Static_assert(sizeof(struct sigevent) == 64, "Linux's struct sigevent");

struct itimerspec {
	struct timespec interval, value;
};

static struct mutex posix_timers_lock = MUTEX_INIT(posix_timers_lock, PROCESS_TREE);

static void expired(struct timer *kernel_timer)
{
	struct posix_timer *timer = container_of(kernel_timer, struct posix_timer, timer);
	struct process *process = timer->process;
	u64 periods = 1, next = TIME_NEVER;

	spin_lock(&process->lock);
	if (timer->interval)
		next = timer_next_period(timer->deadline, timer->interval, &periods);
	timer->deadline = next;
	spin_unlock(&process->lock);
	if (!timer->silent) {
		bool queued = signal_timer(process, timer->task, &timer->signal);

		spin_lock(&process->lock);
		timer->overrun = (queued ? 0 : timer->overrun + 1) + (s64)periods - 1;
		timer->signal.info.overrun = (s32)min(timer->overrun, (s64)MAX_OVERRUN);
		spin_unlock(&process->lock);
	}
	if (next != TIME_NEVER)
		timer_arm(kernel_timer, next);
}

/* Disarms the timer and dequeues its signal. => posix_timers_lock held. */
static void disarm(struct posix_timer *timer)
{
	unsigned long flags = spin_lock_irqsave(&timer->process->lock);

	assert_mutex_held(&posix_timers_lock);
	timer->interval = 0; /* it must not rearm itself */
	spin_unlock_irqrestore(&timer->process->lock, flags);
	timer_cancel(&timer->timer);
	signal_timer_revoke(timer->process, timer->task, &timer->signal);
	timer->deadline = TIME_NEVER;
}

static void destroy(struct posix_timer *timer)
{
	disarm(timer);
	if (interval_node_is_linked(&timer->by_id))
		interval_tree_remove(&timer->process->posix_timers, &timer->by_id);
	timer->process->nr_timers--;
	if (timer->task)
		task_put(timer->task);
	kfree(timer);
}

void posix_timers_exit(struct process *process)
{
	mutex_lock(&posix_timers_lock);
	while (!interval_tree_is_empty(&process->posix_timers))
		destroy(container_of(process->posix_timers.root, struct posix_timer, by_id));
	mutex_unlock(&posix_timers_lock);
}

/* => posix_timers_lock held. */
static struct posix_timer *posix_timer_find(s32 id)
{
	struct interval_node *node = interval_tree_first(&current->process->posix_timers, (u32)id, (u32)id);

	assert_mutex_held(&posix_timers_lock);
	return node ? container_of(node, struct posix_timer, by_id) : NULL;
}

static int set_event(struct posix_timer *timer, const struct sigevent *event)
{
	struct siginfo *info = &timer->signal.info;

	timer->silent = event->notify == SIGEV_NONE;
	if (!timer->silent && (event->signo <= 0 || event->signo > NSIG))
		return -EINVAL;
	if (event->notify == SIGEV_THREAD_ID) {
		timer->task = task_find(event->thread);
		if (!timer->task)
			return -EINVAL;
		if (timer->task->process != timer->process)
			return -EINVAL;
	} else if (event->notify != SIGEV_SIGNAL && event->notify != SIGEV_NONE && event->notify != SIGEV_THREAD) {
		return -EINVAL;
	}
	*info = (struct siginfo){ .signo = event->signo, .code = SI_TIMER };
	info->timer_id = timer->id;
	info->timer_value = event->value;
	timer->signal.preallocated = true;
	list_init(&timer->signal.link);
	return 0;
}

SYSCALL(timer_create)
{
	struct process *process = current->process;
	struct sigevent event = { .signo = SIGALRM };
	struct posix_timer *timer;
	s32 clock = (s32)a0;
	int error;

	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && clock != CLOCK_TAI)
		return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID ? -EOPNOTSUPP : -EINVAL;
	if (a1 && copy_from_user(&event, a1, sizeof(event)))
		return -EFAULT;
	timer = kmalloc(sizeof(*timer), ALLOC_ZERO | ALLOC_WAIT);
	if (!timer)
		return -EAGAIN;
	mutex_lock(&posix_timers_lock);
	if (process->nr_timers >= rlimit_current(RLIMIT_SIGPENDING)) { /* each timer contains a signal's record */
		mutex_unlock(&posix_timers_lock);
		kfree(timer);
		return -EAGAIN;
	}
	process->nr_timers++;
	timer->process = process;
	timer->clock = clock;
	timer->id = process->next_timer_id++;
	if (!a1)
		event.value = (u32)timer->id;
	timer->deadline = TIME_NEVER;
	timer_init(&timer->timer, expired);
	list_init(&timer->signal.link);
	error = set_event(timer, &event);
	mutex_unlock(&posix_timers_lock);
	if (!error && put_user(timer->id, a2))
		error = -EFAULT;
	mutex_lock(&posix_timers_lock);
	if (error)
		destroy(timer);
	else /* from here on other threads may find it, and delete it */
		interval_tree_insert(&process->posix_timers, &timer->by_id, (u32)timer->id, (u32)timer->id);
	mutex_unlock(&posix_timers_lock);
	return error;
}

static struct itimerspec read_setting(struct posix_timer *timer)
{
	unsigned long flags = spin_lock_irqsave(&timer->process->lock);
	u64 now = ktime_ns(), left = 0;
	struct itimerspec setting;

	if (timer->deadline != TIME_NEVER)
		left = timer->deadline > now ? timer->deadline - now : 1;
	setting.value = ns_to_timespec(left);
	setting.interval = ns_to_timespec(timer->interval);
	spin_unlock_irqrestore(&timer->process->lock, flags);
	return setting;
}

static void write_setting(struct posix_timer *timer, u64 value, u64 interval, bool absolute)
{
	u64 deadline = absolute ? clock_deadline(timer->clock, value) : time_add(ktime_ns(), value);
	unsigned long flags;

	disarm(timer);
	if (!value)
		return;
	flags = spin_lock_irqsave(&timer->process->lock);
	timer->deadline = deadline;
	timer->interval = interval;
	timer->overrun = 0;
	spin_unlock_irqrestore(&timer->process->lock, flags);
	timer_arm(&timer->timer, deadline);
}

SYSCALL(timer_settime)
{
	struct itimerspec setting, old = { 0 };
	struct posix_timer *timer;
	u64 value, interval;

	if (!a2)
		return -EINVAL;
	if (copy_from_user(&setting, a2, sizeof(setting)))
		return -EFAULT;
	if (!timespec_to_ns(&setting.value, &value) || !timespec_to_ns(&setting.interval, &interval))
		return -EINVAL;
	mutex_lock(&posix_timers_lock);
	timer = posix_timer_find((s32)a0);
	if (timer) {
		old = read_setting(timer);
		write_setting(timer, value, interval, a1 & TIMER_ABSTIME);
	}
	mutex_unlock(&posix_timers_lock);
	if (!timer)
		return -EINVAL;
	return a3 && copy_to_user(a3, &old, sizeof(old)) ? -EFAULT : 0;
}

SYSCALL(timer_gettime)
{
	struct itimerspec setting = { 0 };
	struct posix_timer *timer;

	mutex_lock(&posix_timers_lock);
	timer = posix_timer_find((s32)a0);
	if (timer)
		setting = read_setting(timer);
	mutex_unlock(&posix_timers_lock);
	if (!timer)
		return -EINVAL;
	return copy_to_user(a1, &setting, sizeof(setting)) ? -EFAULT : 0;
}

SYSCALL(timer_getoverrun)
{
	struct posix_timer *timer;
	long overrun = -EINVAL;

	mutex_lock(&posix_timers_lock);
	timer = posix_timer_find((s32)a0);
	if (timer)
		overrun = timer->signal.info.overrun;
	mutex_unlock(&posix_timers_lock);
	return overrun;
}

SYSCALL(timer_delete)
{
	struct posix_timer *timer;

	mutex_lock(&posix_timers_lock);
	timer = posix_timer_find((s32)a0);
	if (timer)
		destroy(timer);
	mutex_unlock(&posix_timers_lock);
	return timer ? 0 : -EINVAL;
}
