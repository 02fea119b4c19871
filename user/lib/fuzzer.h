/* SPDX-License-Identifier: MIT */
/*
 * The frame of the system call fuzzers: children with several threads each, which make random calls.
 *
 * The children may kill themselves, lose their memory or hang, and are replaced. The parent only counts, so its own
 * memory is never at risk.
 *
 * Arguments: seed, number of children, calls for each thread. A child's calls depend only on the seed and its number.
 * The output names the seed, so that a failure can be replayed.
 */
#ifndef USER_FUZZER_H
#define USER_FUZZER_H

#include "user/lib/check.h"
#include "user/lib/random.h"

#include <pthread.h>

#define NR_THREADS 3

struct fuzzer {
	const char *name;
	int (*child)(long number);
	int seconds; /* the time after which a child is killed */
	long nr_children;
};

static uint64_t seed = 1;
static long nr_calls;

static uint64_t draw_absurd(uint64_t *r)
{
	static const uint64_t absurd[] = {
		0,
		1,
		7,
		4095,
		4096,
		4097,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x7ffffffff000,
		0x7fffffffefff,
		0x800000000000,
		0xffff800000000000,
		0xffff888000000000,
		0xffffffff80000000,
		0xfffffffffffff000,
		~0UL,
		1UL << 63,
		~0UL >> 1,
		1UL << 47,
		1UL << 46,
		1UL << 40,
		1UL << 39,
		1UL << 30,
	};

	return absurd[draw(r, sizeof(absurd) / sizeof(absurd[0]))];
}

/* Runs the threads of a child. Each gets its own random state as its argument. */
static int fuzz_in_threads(long number, void *(*fuzz)(void *state))
{
	pthread_t threads[NR_THREADS];

	for (long i = 0; i < NR_THREADS; i++) {
		uint64_t r = seed * 1000003 + number * 101 + i;

		if (pthread_create(&threads[i], NULL, fuzz, (void *)splitmix64(&r)))
			return 1;
	}
	for (long i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Runs one child until it exits, and kills it if it does not. */
static void fuzz_child(const struct fuzzer *fuzzer, long number)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		alarm(fuzzer->seconds);
		_exit(fuzzer->child(number));
	}
	for (int i = 0; i < (fuzzer->seconds + 1) * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0) == pid);
}

static int fuzzer_main(struct fuzzer fuzzer, int argc, char **argv)
{
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : seed;
	fuzzer.nr_children = argc > 2 ? atol(argv[2]) : fuzzer.nr_children;
	nr_calls = argc > 3 ? atol(argv[3]) : nr_calls;
	printf("%s: seed %llu, %ld children of %d threads, %ld calls each\n", fuzzer.name, (unsigned long long)seed,
	       fuzzer.nr_children, NR_THREADS, nr_calls);
	for (long i = 0; i < fuzzer.nr_children; i++)
		fuzz_child(&fuzzer, i);
	printf("%s: done\n", fuzzer.name);
	return 0;
}

#endif
