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

/* tid: of the current process; 0: the caller. */
static int read_thread_clock(s32 tid, u64 *ns)
{
	struct task *task = task_find(tid ? tid : current->tid);
	int error = -EINVAL;

	if (!task)
		return error;
	if (task->process == current->process) {
		*ns = task_run_time(task);
		error = 0;
	}
	task_put(task);
	return error;
}

/* pid: also of a process that has ended but was not waited for; 0 or the caller's tid: the current process. */
static int read_process_clock(s32 pid, u64 *ns)
{
	struct process *process = process_find(!pid || pid == current->tid ? current->process->pid : pid);

	if (!process)
		return -EINVAL;
	*ns = process_cpu_ns(process);
	process_put(process);
	return 0;
}

/* Negative numbers name the CPU clock of a thread or process: ~id << 3 | per_thread << 2 | kind. */
static s32 cpu_clock_id(s32 clock)
{
	return ~(clock >> 3);
}

static bool is_thread_clock(s32 clock)
{
	return clock & 4;
}

static int read_cpu_clock(s32 clock, u64 *ns)
{
	if ((clock & 3) == 3)
		return -EINVAL;
	return is_thread_clock(clock) ? read_thread_clock(cpu_clock_id(clock), ns)
				      : read_process_clock(cpu_clock_id(clock), ns);
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

/* Ends a call whose sleep a signal interrupted. arg[0]: user address for the remaining time, or 0. */
static long sleep_interrupted(const struct restart *restart, u64 now)
{
	if (restart->arg[0] && put_timespec(restart->arg[0], restart->deadline > now ? restart->deadline - now : 0))
		return -EFAULT;
	return -ERESTART_BLOCK;
}

static long nanosleep_restart(struct restart *restart)
{
	return sleep_to_deadline(restart->deadline) ? 0 : sleep_interrupted(restart, ktime_ns());
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

/*
 * A sleep on a CPU-time clock: waits for the shortest real time that the rest can take, then reads the clock again.
 * deadline: on that clock; arg[1]: the clock.
 */
static long cpu_sleep_restart(struct restart *restart)
{
	s32 clock = (s32)restart->arg[1];
	bool interrupted = false;
	u64 now, left;

	for (;;) {
		int error = read_clock(clock, &now);

		if (error || now >= restart->deadline)
			return error;
		if (interrupted)
			return sleep_interrupted(restart, now);
		left = max(restart->deadline - now, TICK_NS) / nr_cpus();
		interrupted = !sleep_to_deadline(time_add(ktime_ns(), max(left, TICK_NS)));
	}
}

/* remaining: user address, or 0. */
static long sleep_on_cpu_clock(s32 clock, bool absolute, u64 ns, vaddr_t remaining)
{
	struct restart *restart = &current->restart;
	u64 now;
	long answer;
	int error;

	if (is_thread_clock(clock) && (!cpu_clock_id(clock) || cpu_clock_id(clock) == current->tid))
		return -EINVAL; /* it stands still while its thread sleeps */
	error = read_clock(clock, &now);
	if (error)
		return error;
	restart->func = cpu_sleep_restart;
	restart->deadline = absolute ? ns : time_add(now, ns);
	restart->arg[0] = absolute ? 0 : remaining;
	restart->arg[1] = (u64)clock;
	answer = cpu_sleep_restart(restart);
	return absolute && answer == -ERESTART_BLOCK ? -ERESTARTNOHAND : answer;
}

SYSCALL(clock_nanosleep)
{
	s32 clock = (s32)a0;
	bool absolute = a1 & TIMER_ABSTIME;
	u64 ns;
	int error;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
		break;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_THREAD_CPUTIME_ID:
		return -EOPNOTSUPP;
	default:
		if (clock >= 0)
			return -EINVAL;
	}
	error = get_timespec(&ns, a2);
	if (error)
		return error;
	if (clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID)
		return sleep_on_cpu_clock(clock, absolute, ns, a3);
	if (!absolute)
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
