/* SPDX-License-Identifier: MIT */
/*
 * Runs threads that change one address space at the same time: each maps, fills, protects, moves, drops and unmaps
 * memory of its own and checks it throughout, beside faults in one shared mapping and a forking thread.
 * Arguments: threads (4), rounds (200).
 */
#include "user/lib/check.h"
#include "user/lib/random.h"

#include <pthread.h>

#define RW (PROT_READ | PROT_WRITE)
#define OWN_PAGES 32
#define SHARED_PAGES 512

static int nr_threads = 4, rounds = 200;
static char *common;
static pthread_barrier_t barrier;

/* Returns the number of pages of the region that do not carry the tag. */
static int check_tag(char *p, int nr, char tag)
{
	int bad = 0;

	for (int i = 0; i < nr; i++)
		bad += peek(p + i * PAGE) != tag || peek(p + i * PAGE + PAGE - 1) != tag;
	return bad;
}

static int one_round(uint64_t *state, char tag)
{
	char *p = map_pages(OWN_PAGES, RW), *q;
	int at = 1 + (int)draw(state, OWN_PAGES - 9), bad = 0; /* a hole at the edge may be mapped by others */

	memset(p, tag, OWN_PAGES * PAGE);
	bad += mprotect(p + at * PAGE, 4 * PAGE, PROT_READ) != 0;
	bad += check_tag(p, OWN_PAGES, tag);
	bad += mprotect(p + at * PAGE, 4 * PAGE, RW) != 0;
	bad += madvise(p + at * PAGE, 2 * PAGE, MADV_DONTNEED) != 0;
	for (int i = 0; i < 2; i++)
		bad += peek(p + (at + i) * PAGE) != 0;
	memset(p + at * PAGE, tag, 2 * PAGE);
	q = mremap(p, OWN_PAGES * PAGE, 2 * OWN_PAGES * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED)
		return bad + 1;
	bad += check_tag(q, OWN_PAGES, tag);
	bad += peek(q + OWN_PAGES * PAGE) != 0;
	bad += munmap(q + at * PAGE, 8 * PAGE) != 0;
	bad += munmap(q, 2 * OWN_PAGES * PAGE) != 0;
	return bad;
}

/* Thread id owns every page whose number is id modulo the number of threads. */
static int touch_common(int id, int round)
{
	int bad = 0;

	for (int i = id; i < SHARED_PAGES; i += nr_threads) {
		unsigned int *word = (unsigned int *)(common + i * PAGE);

		if (*word != 0 && *word != (unsigned int)(id << 16 | (round - 1)))
			bad++;
		*word = id << 16 | round;
	}
	return bad;
}

static void *storm(void *arg)
{
	intptr_t id = (intptr_t)arg, bad = 0;
	uint64_t state = 12345 + id;

	pthread_barrier_wait(&barrier);
	for (int round = 1; round <= rounds; round++) {
		bad += one_round(&state, 'a' + id % 26);
		if (round % 10 == 0)
			bad += touch_common(id, round / 10);
		if (round % 40 == 0)
			bad += madvise(common + id * PAGE, PAGE, MADV_DONTNEED) != 0;
	}
	return (void *)bad;
}

static int child(void *arg)
{
	for (int i = 0; i < SHARED_PAGES; i += 7)
		poke(common + i * PAGE + 8, 1);
	(void)arg;
	return 3;
}

static void fork_beside(void)
{
	int bad = 0;

	for (int i = 0; i < 10; i++)
		bad += !exited_with(run_child(child, NULL), 3);
	CHECK_THAT("ten children ran and ended beside the storm", bad == 0);
}

static void run(bool fork_too)
{
	pthread_t threads[64];
	long bad = 0;
	void *value;

	common = map_pages(SHARED_PAGES, RW);
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (intptr_t i = 0; i < nr_threads; i++)
		MUST(pthread_create(&threads[i], NULL, storm, (void *)i) == 0);
	if (fork_too)
		fork_beside();
	for (int i = 0; i < nr_threads; i++) {
		MUST(pthread_join(threads[i], &value) == 0);
		bad += (intptr_t)value;
	}
	CHECK_EQ(bad, 0);
	munmap(common, SHARED_PAGES * PAGE);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		nr_threads = atoi(argv[1]);
	if (argc > 2)
		rounds = atoi(argv[2]);
	if (nr_threads < 1 || nr_threads > 64 || rounds < 1) {
		fprintf(stderr, "usage: thread_storm [threads 1..64] [rounds]\n");
		return 2;
	}
	section("mmap, mprotect, mremap, madvise, munmap in every thread");
	run(false);
	section("the same with a forking thread");
	run(true);
	return check_done();
}
