/* SPDX-License-Identifier: MIT */
/* The system calls that read clocks and that sleep. No locks: ktime_ns() needs none. */
#include "kernel/time/time.h"

#include "kernel/lib/errno.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/uaccess.h"

#define COARSE_NS TICK_NS

/* ---- Conversions ------------------------------------------------------------------------------------------------- */

u64 time_add(u64 a, u64 b)
{
	u64 sum;

	return __builtin_add_overflow(a, b, &sum) || sum >= TIME_NEVER ? TIME_NEVER - 1 : sum;
}

static u64 seconds_to_ns(s64 sec, u64 ns)
{
	return (u64)sec >= (TIME_NEVER - 1) / NSEC_PER_SEC ? TIME_NEVER - 1 : (u64)sec * NSEC_PER_SEC + ns;
}

bool timespec_to_ns(const struct timespec *ts, u64 *ns)
{
	if (ts->sec < 0 || (u64)ts->nsec >= NSEC_PER_SEC)
		return false;
	*ns = seconds_to_ns(ts->sec, (u64)ts->nsec);
	return true;
}

bool timeval_to_ns(const struct timeval *tv, u64 *ns)
{
	if (tv->sec < 0 || (u64)tv->usec >= 1000000)
		return false;
	*ns = seconds_to_ns(tv->sec, (u64)tv->usec * 1000);
	return true;
}

struct timespec ns_to_timespec(u64 ns)
{
	return (struct timespec){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC) };
}

struct timeval ns_to_timeval(u64 ns)
{
	return (struct timeval){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC / 1000) };
}

int get_timespec(u64 *ns, vaddr_t user)
{
	struct timespec ts;

	if (copy_from_user(&ts, user, sizeof(ts)))
		return -EFAULT;
	return timespec_to_ns(&ts, ns) ? 0 : -EINVAL;
}

int put_timespec(vaddr_t user, u64 ns)
{
	struct timespec ts = ns_to_timespec(ns);

	return copy_to_user(user, &ts, sizeof(ts)) ? -EFAULT : 0;
}

u64 clock_deadline(s32 clock, u64 ns)
{
	u64 offset = clock == CLOCK_REALTIME || clock == CLOCK_TAI ? realtime_ns() - ktime_ns() : 0;

	return ns > offset ? ns - offset : 0;
}

/* ---- Reading clocks ---------------------------------------------------------------------------------------------- */

static u64 process_cpu_ns(struct process *process)
{
	struct usage usage;

	process_usage(process, &usage);
	return usage.user_time + usage.kernel_time;
}

/* Negative numbers name the CPU clock of a thread or process: ~id << 3 | per_thread << 2 | kind. */
static int read_cpu_clock(s32 clock, u64 *ns)
{
	s32 id = ~(clock >> 3);
	struct task *task = id ? task_find(id) : NULL;
	bool per_thread = clock & 4;

	if ((clock & 3) == 3)
		return -EINVAL;
	if (id && !task)
		return -EINVAL;
	if (per_thread)
		*ns = task_run_time(task ? task : current);
	else
		*ns = process_cpu_ns(task ? task->process : current->process);
	if (task)
		task_put(task);
	return 0;
}

static int read_clock(s32 clock, u64 *ns)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI:
		*ns = realtime_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = ktime_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = process_cpu_ns(current->process);
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = task_run_time(current);
		return 0;
	}
	return clock < 0 ? read_cpu_clock(clock, ns) : -EINVAL;
}

SYSCALL(clock_gettime)
{
	u64 ns;
	int error = read_clock((s32)a0, &ns);

	return error ? error : put_timespec(a1, ns);
}

SYSCALL(clock_getres)
{
	s32 clock = (s32)a0;
	u64 ns;
	int error = read_clock(clock, &ns);

	if (error || !a1)
		return error;
	return put_timespec(a1, clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE ? COARSE_NS : 1);
}

/* The wall clock is read from the hardware at boot and never set. */
SYSCALL(clock_settime)
{
	u64 ns;
	int error = get_timespec(&ns, a1);

	if (error)
		return error;
	return (s32)a0 == CLOCK_REALTIME ? -EPERM : -EINVAL;
}

SYSCALL(gettimeofday)
{
	struct timeval tv = ns_to_timeval(realtime_ns());
	u64 timezone = 0;

	if (a0 && copy_to_user(a0, &tv, sizeof(tv)))
		return -EFAULT;
	if (a1 && copy_to_user(a1, &timezone, sizeof(timezone)))
		return -EFAULT;
	return 0;
}

SYSCALL(settimeofday)
{
	return -EPERM;
}

SYSCALL(time)
{
	s64 now = (s64)(realtime_ns() / NSEC_PER_SEC);

	return a0 && put_user(now, a0) ? -EFAULT : now;
}

/* ---- Sleeping ---------------------------------------------------------------------------------------------------- */

/* Returns true once the deadline has passed, false if a signal came first. */
static bool sleep_to_deadline(u64 deadline)
{
	for (;;) {
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		if (signal_pending()) {
			thread_cancel_sleep();
			return ktime_ns() >= deadline;
		}
		if (!sleep_until(deadline))
			return true;
	}
}

/* arg[0]: user address for the remaining time, or 0. */
static long nanosleep_restart(struct restart *restart)
{
	u64 now;

	if (sleep_to_deadline(restart->deadline))
		return 0;
	now = ktime_ns();
	if (restart->arg[0] && put_timespec(restart->arg[0], restart->deadline > now ? restart->deadline - now : 0))
		return -EFAULT;
	return -ERESTART_BLOCK;
}

static long sleep_for(u64 ns, vaddr_t remaining)
{
	struct restart *restart = &current->restart;

	restart->func = nanosleep_restart;
	restart->deadline = time_add(ktime_ns(), ns);
	restart->arg[0] = remaining;
	return nanosleep_restart(restart);
}

SYSCALL(nanosleep)
{
	u64 ns;
	int error = get_timespec(&ns, a0);

	return error ? error : sleep_for(ns, a1);
}

/* A sleep on a CPU-time clock: waits for the shortest real time that the rest can take, then reads the clock again. */
static long sleep_on_cpu_clock(s32 clock, u64 flags, u64 ns)
{
	u64 now, end;
	int error = read_clock(clock, &now);

	if (error)
		return error;
	end = flags & TIMER_ABSTIME ? ns : time_add(now, ns);
	while (now < end) {
		u64 cpu_ns = max(end - now, TICK_NS) / nr_cpus();

		if (!sleep_to_deadline(time_add(ktime_ns(), max(cpu_ns, TICK_NS))))
			return -ERESTARTNOHAND;
		error = read_clock(clock, &now);
		if (error)
			return error;
	}
	return 0;
}

SYSCALL(clock_nanosleep)
{
	s32 clock = (s32)a0;
	u64 ns;
	int error;

	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	error = get_timespec(&ns, a2);
	if (error)
		return error;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		break;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0 ? sleep_on_cpu_clock(clock, a1, ns) : -EINVAL;
	}
	if (!(a1 & TIMER_ABSTIME))
		return sleep_for(ns, a3);
	return sleep_to_deadline(clock_deadline(clock, ns)) ? 0 : -ERESTARTNOHAND;
}

SYSCALL(restart_syscall)
{
	struct restart *restart = &current->restart;

	return restart->func ? restart->func(restart) : -EINTR;
}

SYSCALL(pause)
{
	sleep_to_deadline(TIME_NEVER);
	return -ERESTARTNOHAND;
}
