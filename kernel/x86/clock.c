/* SPDX-License-Identifier: MIT */
/*
 * The machine's clocks, which are calibrated against the PIT at boot.
 *
 * The TSC is the monotonic clock: on the machines that Faultline supports, it has one rate and one value for all CPUs.
 * The LAPIC timer raises the one-shot interrupt. No locks: all variables are constant after boot.
 */
#include "drivers/pit.h"
#include "drivers/rtc.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/lib/print.h"
#include "kernel/x86/setup.h"

#define NS_PER_SECOND 1000000000UL
#define CALIBRATION_TICKS (PIT_HZ / 500) /* 2 ms */
#define CALIBRATION_ROUNDS 3

u64 tsc_hz;
u64 tsc_base;

static u64 ns_per_tick32;	 /* nanoseconds per TSC tick, × 2^32 */
static u64 lapic_ticks_per_ns32; /* LAPIC timer ticks per nanosecond, × 2^32 */
static u64 realtime_base;	 /* nanoseconds since 1970 when ktime_ns() was 0 */

static u64 mul_shift32(u64 a, u64 b)
{
	return (u64)((unsigned __int128)a * b >> 32);
}

struct rates {
	u64 tsc, lapic; /* ticks counted during CALIBRATION_TICKS of the PIT */
};

static struct rates measure_once(void)
{
	u64 tsc;

	lapic_timer_arm(~0u);
	pit_start((u16)CALIBRATION_TICKS);
	tsc = cycles();
	u32 lapic = lapic_timer_read();
	while (!pit_expired())
		cpu_relax();
	return (struct rates){ cycles() - tsc, lapic - lapic_timer_read() };
}

/*
 * The host may preempt the virtual CPU during a round, which can only make the round longer, so the shortest one
 * counts.
 */
static struct rates measure(void)
{
	struct rates best = { ~0UL, ~0UL };

	for (int i = 0; i < CALIBRATION_ROUNDS; i++) {
		struct rates rates = measure_once();

		best.tsc = min(best.tsc, rates.tsc);
		best.lapic = min(best.lapic, rates.lapic);
	}
	lapic_timer_arm(0);
	return best;
}

void clock_init(void)
{
	struct rates rates = measure();
	u64 lapic_hz = rates.lapic * PIT_HZ / CALIBRATION_TICKS;

	tsc_hz = rates.tsc * PIT_HZ / CALIBRATION_TICKS;
	BUG_ON(!tsc_hz || !lapic_hz, "A timer does not count");
	ns_per_tick32 = (NS_PER_SECOND << 32) / tsc_hz;
	lapic_ticks_per_ns32 = (lapic_hz << 32) / NS_PER_SECOND;
	tsc_base = cycles();
	realtime_base = rtc_read() * NS_PER_SECOND;
	klog("TSC %llu kHz, LAPIC timer %llu kHz", (unsigned long long)tsc_hz / 1000,
	     (unsigned long long)lapic_hz / 1000);
}

u64 cycles_to_ktime(u64 tsc)
{
	return mul_shift32(tsc - tsc_base, ns_per_tick32);
}

u64 ktime_ns(void)
{
	return cycles_to_ktime(cycles());
}

u64 realtime_ns(void)
{
	return realtime_base + ktime_ns();
}

void clock_arm(u64 deadline_ns)
{
	u64 now, ticks;

	assert_irqs_off();
	if (deadline_ns == ~0UL) {
		lapic_timer_arm(0);
		return;
	}
	now = ktime_ns();
	ticks = deadline_ns > now ? mul_shift32(min(deadline_ns - now, 60 * NS_PER_SECOND), lapic_ticks_per_ns32) : 0;
	lapic_timer_arm((u32)min(ticks + 1, 0xffffffffUL));
}

void delay_us(u64 us)
{
	u64 end = ktime_ns() + us * 1000;

	while (ktime_ns() < end)
		cpu_relax();
}
