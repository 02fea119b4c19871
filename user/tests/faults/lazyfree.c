/* SPDX-License-Identifier: MIT */
/*
 * Tests MADV_FREE under memory pressure: the pages are freed when another process needs memory, and no process is
 * killed.
 *
 * Pages that were written after MADV_FREE stay. A second thread writes all the while. For a machine with little memory.
 */
#include "user/lib/check.h"

#include <pthread.h>
#include <sys/sysinfo.h>

#define RW (PROT_READ | PROT_WRITE)
#define KEPT 8		 /* every eighth page is written again */
#define COUNTS (1 << 18) /* between two calls of madvise: long, since a page that goes during a call is not missed */

static char *lazy;
static size_t nr_lazy;
static volatile bool stop;

static size_t free_pages(void)
{
	struct sysinfo info;

	MUST(sysinfo(&info) == 0);
	return info.freeram * info.mem_unit / PAGE;
}

/* Counts up in one page. A count that goes back shows a lost write. */
static void *count_in_page(void *arg)
{
	volatile uint64_t *word = arg;
	uint64_t n = 0;

	while (!stop) {
		if (*word != n)
			return (void *)1;
		*word = ++n;
		if (n % COUNTS == 1) /* n is odd here */
			madvise(arg, PAGE, MADV_FREE);
		*word = ++n;
	}
	return NULL;
}

static int take_memory(void *arg)
{
	size_t nr = *(size_t *)arg;
	char *p = map_pages(nr, RW);

	for (size_t i = 0; i < nr; i++)
		p[i * PAGE] = 1;
	return 0;
}

static void check_contents(void)
{
	size_t kept = 0, taken = 0, wrong = 0;

	for (size_t i = 0; i < nr_lazy; i++) {
		char value = peek(lazy + i * PAGE);

		kept += value == 2;
		taken += value == 0;
		wrong += i % KEPT == 0 ? value != 2 : value != 1 && value != 0;
	}
	CHECK_EQ(wrong, 0);
	CHECK_EQ(kept, (nr_lazy + KEPT - 1) / KEPT);
	CHECK_THAT("pages were taken", taken > nr_lazy / 8);
}

int main(void)
{
	size_t nr_wanted = free_pages() * 3 / 4;
	char *counted = map_pages(1, RW);
	pthread_t thread;
	void *lost;

	nr_lazy = free_pages() / 2;
	lazy = map_pages(nr_lazy, RW);
	memset(lazy, 1, nr_lazy * PAGE);
	CHECK_EQ(madvise(lazy, nr_lazy * PAGE, MADV_FREE), 0);
	for (size_t i = 0; i < nr_lazy; i += KEPT)
		lazy[i * PAGE] = 2;
	MUST(pthread_create(&thread, NULL, count_in_page, counted) == 0);
	CHECK_EQ(run_child(take_memory, &nr_wanted), 0);
	stop = true;
	pthread_join(thread, &lost);
	CHECK_THAT("what was written after MADV_FREE was read again", !lost);
	check_contents();
	return check_done();
}
