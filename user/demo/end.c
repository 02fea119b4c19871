/* SPDX-License-Identifier: MIT */
/*
 * Ends in the way that its arguments name, to test the exit status that the tool reports: N, or 128 + the signal.
 *
 * The arguments are "exit N", "signal N", "abort", "null" (writes through a null pointer), "thread N" (exit_group from
 * a second thread), or "last N" (main leaves by pthread_exit, and another thread ends the process).
 */
#include "user/lib/check.h"

#include <pthread.h>

static void *exit_from_thread(void *arg)
{
	exit((int)(intptr_t)arg);
}

static int usage(void)
{
	fprintf(stderr, "usage: end exit N | signal N | abort | null | thread N | last N\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0;
	pthread_t thread;

	printf("ending by %s %d\n", how, n);
	fflush(stdout);
	if (strcmp(how, "exit") == 0)
		return n;
	if (strcmp(how, "signal") == 0)
		raise(n);
	else if (strcmp(how, "abort") == 0)
		abort();
	else if (strcmp(how, "null") == 0)
		poke(NULL, 1);
	else if (strcmp(how, "thread") == 0 || strcmp(how, "last") == 0)
		pthread_create(&thread, NULL, exit_from_thread, (void *)(intptr_t)n);
	else
		return usage();
	if (strcmp(how, "last") == 0)
		pthread_exit(NULL);
	for (;;)
		pause();
}
