/* SPDX-License-Identifier: MIT */
/* Time: a monotonic clock off the TSC, the wall clock, and one one-shot event per CPU. */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include "kernel/lib/base.h"

/* Nanoseconds since boot; never goes back, the same on all CPUs. Any context. */
u64 ktime_ns(void);
/* What ktime_ns() said when cycles() was that. */
u64 cycles_to_ktime(u64 tsc);
/* Nanoseconds since 1970. */
u64 realtime_ns(void);
/* TSC ticks per second, as calibrated at boot. */
extern u64 tsc_hz;
/* cycles() when ktime_ns() was 0. */
extern u64 tsc_base;

/*
 * Asks for one timer interrupt on this CPU around the given ktime_ns() (a past time: at once; ~0: none; one far away, or
 * measured in the ticks of another clock, may come a little early: look at the time then). Replaces
 * what was asked before. => interrupts off. The interrupt calls clock_event(), kernel/time/timer.c's.
 */
void clock_arm(u64 deadline_ns);
void clock_event(bool from_user);

#endif
