/* SPDX-License-Identifier: MIT */
/*
 * SplitMix64 over a counter that all CPUs advance atomically, from a seed taken once. Good enough to make programs differ
 * from run to run; nothing here keeps a secret. No locks.
 */
#include "kernel/random.h"
#include "kernel/boot_info.h"
#include "kernel/clock.h"
#include "kernel/string.h"
#include "kernel/x86/cpu.h"

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15UL
#define RDRAND_TRIES 10

static u64 counter; /* atomic */
static u32 seeded;  /* 0: not yet, 1: counter has its seed */

static bool rdrand(u64 *value)
{
	bool ok = false;

	if (!(cpuid(1, 0).ecx & 1u << 30))
		return false;
	for (int i = 0; i < RDRAND_TRIES && !ok; i++)
		__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
	return ok;
}

static bool must_repeat(void)
{
	return boot_option("deterministic", NULL, 0) || boot_option("schedule", NULL, 0);
}

static void seed(void)
{
	u64 value = 0;

	if (!must_repeat() && !rdrand(&value))
		value = cycles() ^ realtime_ns();
	if (!atomic_xchg(&seeded, 1))
		atomic_fetch_add(&counter, value);
}

static u64 next(void)
{
	u64 z = atomic_add_return(&counter, GOLDEN_GAMMA);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

void random_bytes(void *buf, size_t size)
{
	if (unlikely(!READ_ONCE(seeded)))
		seed();
	for (size_t done = 0; done < size; done += 8) {
		u64 value = next();

		memcpy((u8 *)buf + done, &value, min(size - done, sizeof(value)));
	}
}
