/* SPDX-License-Identifier: MIT */
/*
 * Manages memory from SIGSEGV handlers, as garbage collectors and checkpointers do: pages become accessible when they
 * are first touched, and write protection reveals the writes, with several threads at once. Overflows of thread stacks
 * are caught on alternate stacks.
 */
#include "user/lib/check.h"

#include <pthread.h>

#define RW (PROT_READ | PROT_WRITE)
#define NR_THREADS 4
#define NR_PAGES 256

static char *heap;
static int faults, dirty[NR_PAGES];

/* Makes the page accessible. If several threads fault on the same page, each does it, which is harmless. */
static void bring_to_life(int signo, siginfo_t *info, void *context)
{
	char *page = (char *)((uintptr_t)info->si_addr & -PAGE);
	size_t number = (page - heap) / PAGE;

	(void)signo, (void)context;
	if (number >= NR_PAGES || info->si_code != SEGV_ACCERR || mprotect(page, PAGE, RW))
		_exit(98);
	__atomic_store_n(&dirty[number], 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&faults, 1, __ATOMIC_SEQ_CST);
}

static void *touch_all(void *arg)
{
	intptr_t id = (intptr_t)arg;

	for (int i = 0; i < NR_PAGES; i++) {
		int page = (i * 37 + id * 64) % NR_PAGES;

		__atomic_fetch_add((int *)(heap + page * PAGE) + id, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void in_threads(void *(*fn)(void *))
{
	pthread_t threads[NR_THREADS];

	for (intptr_t i = 0; i < NR_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Returns true if every thread has incremented its counter in every page `rounds` times. */
static bool counted(int rounds)
{
	for (int page = 0; page < NR_PAGES; page++)
		for (int id = 0; id < NR_THREADS; id++)
			if (((int *)(heap + page * PAGE))[id] != rounds)
				return false;
	return true;
}

static int nr_dirty(void)
{
	int n = 0;

	for (int i = 0; i < NR_PAGES; i++)
		n += dirty[i];
	return n;
}

static void lazy(void)
{
	struct sigaction sa = { .sa_sigaction = bring_to_life, .sa_flags = SA_SIGINFO };

	section("pages that a signal handler maps on their first access");
	MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
	heap = map_island(NR_PAGES, PROT_NONE);
	in_threads(touch_all);
	CHECK(counted(1) && nr_dirty() == NR_PAGES && faults >= NR_PAGES);
}

static void checkpoints(void)
{
	section("checkpoints: which pages were written since?");
	for (int round = 2; round < 8; round++) {
		memset(dirty, 0, sizeof(dirty));
		MUST(mprotect(heap, NR_PAGES * PAGE, PROT_READ) == 0);
		in_threads(touch_all);
		CHECK(counted(round) && nr_dirty() == NR_PAGES);
	}
	memset(dirty, 0, sizeof(dirty));
	MUST(mprotect(heap, NR_PAGES * PAGE, PROT_READ) == 0);
	for (int page = 3; page < NR_PAGES; page += 10)
		heap[page * PAGE + 100] = 1;
	CHECK_EQ(nr_dirty(), 26);
	CHECK(dirty[3] && dirty[13] && !dirty[4]);
}

static volatile bool forever = true;

__attribute__((noinline)) static long endless(long depth)
{
	volatile char frame[PAGE];

	frame[0] = (char)depth;
	return forever ? endless(depth + 1) + frame[0] : 0;
}

static void *overflow(void *arg)
{
	stack_t ss = { .ss_sp = map_pages(8, RW), .ss_size = 8 * PAGE };
	volatile intptr_t good = 0;

	(void)arg;
	MUST(sigaltstack(&ss, NULL) == 0);
	for (int i = 0; i < 5; i++)
		good = good + (CATCH(endless(0)) == SIGSEGV && caught.code == SEGV_ACCERR);
	return (void *)good;
}

static void overflows(void)
{
	pthread_t threads[NR_THREADS];
	long good = 0;
	void *value;

	section("thread stacks overflow into their guard pages");
	catch_faults(SA_ONSTACK);
	for (int i = 0; i < NR_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, overflow, NULL) == 0);
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &value);
		good += (intptr_t)value;
	}
	CHECK_EQ(good, 5 * NR_THREADS);
}

int main(void)
{
	lazy();
	checkpoints();
	overflows();
	return check_done();
}
