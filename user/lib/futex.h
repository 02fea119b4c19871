/* SPDX-License-Identifier: MIT */
/* The raw futex system call, with the numbers from Linux's include/uapi/linux/futex.h, which musl lacks. */
#ifndef USER_FUTEX_H
#define USER_FUTEX_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE 128
#define FUTEX_CLOCK_REALTIME 256

/* `timeout` is a struct timespec * for waits and a count for requeues. */
static inline long futex(uint32_t *word, int op, uint32_t value, const void *timeout, uint32_t *word2, uint32_t value3)
{
	return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static inline long futex_wait(uint32_t *word, uint32_t value)
{
	return futex(word, FUTEX_WAIT | FUTEX_PRIVATE, value, NULL, NULL, 0);
}

static inline long futex_wake(uint32_t *word, int nr)
{
	return futex(word, FUTEX_WAKE | FUTEX_PRIVATE, nr, NULL, NULL, 0);
}

#endif
