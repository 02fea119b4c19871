/* SPDX-License-Identifier: MIT */
/* Times and clock numbers as user mode passes them. */
#ifndef KERNEL_TIME_H
#define KERNEL_TIME_H

#include "kernel/lib/base.h"

#define NSEC_PER_SEC 1000000000UL
#define USER_HZ 100

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID 3
#define CLOCK_MONOTONIC_RAW 4
#define CLOCK_REALTIME_COARSE 5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME 7
#define CLOCK_TAI 11
#define TIMER_ABSTIME 1

struct timespec {
	s64 sec, nsec;
};
struct timeval {
	s64 sec, usec;
};

/*
 * Convert to ns. A time that is too large becomes TIME_NEVER - 1, which no clock reaches. Return false if the time is
 * negative or not normalised.
 */
bool timespec_to_ns(const struct timespec *ts, u64 *ns);
bool timeval_to_ns(const struct timeval *tv, u64 *ns);
struct timespec ns_to_timespec(u64 ns);
struct timeval ns_to_timeval(u64 ns);
/* Likewise from and to user memory. Return 0, -EFAULT or -EINVAL. */
int get_timespec(u64 *ns, vaddr_t user);
int put_timespec(vaddr_t user, u64 ns);
/* Returns the ktime_ns() at which a clock that supports sleeping shows `ns`, or 0 if that was before boot. */
u64 clock_deadline(s32 clock, u64 ns);
/* Returns a + b, but at most TIME_NEVER - 1. */
u64 time_add(u64 a, u64 b);

#endif
