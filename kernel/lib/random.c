/* SPDX-License-Identifier: MIT */
/*
 * The random generator is ChaCha20 (RFC 8439) run on a counter. Each request ends by replacing the key with further
 * output, so that an attacker who learns the state later cannot compute earlier output. random_lock (RANK_LEAF,
 * interrupts off) protects the state.
 */
#include "kernel/lib/random.h"

#include "kernel/boot_words.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "kernel/x86/features.h"

#define BLOCK 64
#define RDRAND_TRIES 10
#define GRND_NONBLOCK 1u
#define GRND_RANDOM 2u
#define GRND_INSECURE 4u

static spinlock_t random_lock = SPINLOCK_INIT(LEAF);
static u32 state[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }; /* "expand 32-byte k", key, counter, nonce */

static inline u32 rotate(u32 x, int n)
{
	return x << n | x >> (32 - n);
}

static void quarter_round(u32 *x, int a, int b, int c, int d)
{
	x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 16);
	x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 12);
	x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 8);
	x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 7);
}

static void next_block(u8 out[BLOCK])
{
	u32 x[16];

	memcpy(x, state, sizeof(x));
	for (int i = 0; i < 10; i++) {
		for (int column = 0; column < 4; column++)
			quarter_round(x, column, 4 + column, 8 + column, 12 + column);
		quarter_round(x, 0, 5, 10, 15);
		quarter_round(x, 1, 6, 11, 12);
		quarter_round(x, 2, 7, 8, 13);
		quarter_round(x, 3, 4, 9, 14);
	}
	for (int i = 0; i < 16; i++)
		x[i] += state[i];
	memcpy(out, x, BLOCK);
	state[12]++;
}

/* RDRAND clears CF, and the value, if the hardware has no random number at the moment: Intel advises ten tries. */
static u64 hardware_random(void)
{
	bool is_there = !cpu_has(FEATURE_rdrand);
	u64 value = 0;

	for (int i = 0; i < RDRAND_TRIES && !is_there; i++)
		__asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(is_there));
	return value ^ cycles();
}

void random_init(void)
{
	if (boot_option("deterministic", NULL, 0))
		return; /* the key stays zero: every run produces the same bytes */
	for (int i = 4; i < 12; i++)
		state[i] = (u32)hardware_random();
}

void random_bytes(void *buf, size_t size)
{
	u8 block[BLOCK], *out = buf;

	for (size_t done = 0; done < size; done += BLOCK) {
		unsigned long flags = spin_lock_irqsave(&random_lock);

		next_block(block);
		spin_unlock_irqrestore(&random_lock, flags);
		memcpy(out + done, block, min(size - done, (size_t)BLOCK));
	}
	unsigned long flags = spin_lock_irqsave(&random_lock);

	next_block(block);
	memcpy(&state[4], block, 32);
	spin_unlock_irqrestore(&random_lock, flags);
}

SYSCALL(getrandom)
{
	u8 buf[256];
	u64 len = min(a1, 0x7fffffffUL);

	if ((u32)a2 & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	if (((u32)a2 & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	for (u64 done = 0; done < len;) {
		u64 n = min(len - done, (u64)sizeof(buf)), left;

		random_bytes(buf, n);
		left = copy_to_user(a0 + done, buf, n);
		done += n - left;
		if (left)
			return done ? (long)done : -EFAULT;
		if (signal_pending() && done < len)
			return (long)done;
		cond_resched();
	}
	return (long)len;
}
