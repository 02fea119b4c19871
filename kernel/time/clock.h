/* SPDX-License-Identifier: MIT */
/*
 * Declares the clocks (a monotonic one, based on the TSC, and the wall clock) and the one-shot timer event of each CPU.
 */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include "kernel/lib/base.h"

/* Nanoseconds since boot; never goes back, the same on all CPUs. Any context. */
u64 ktime_ns(void);
/* Converts a value of cycles() to the value that ktime_ns() had then. */
u64 cycles_to_ktime(u64 tsc);
/* Nanoseconds since 1970. */
u64 realtime_ns(void);
/* TSC ticks per second, as calibrated at boot. */
extern u64 tsc_hz;
/* cycles() when ktime_ns() was 0. */
extern u64 tsc_base;

/*
 * Requests one timer interrupt on this CPU around the given ktime_ns() (a past time: at once; ~0: none). It may come a
 * little early if the time is distant, or was measured in the ticks of another clock: check the time then. Replaces the
 * previous request. => interrupts off. The interrupt calls clock_event() of kernel/time/timer.c.
 */
void clock_arm(u64 deadline_ns);
void clock_event(bool from_user);

#endif
