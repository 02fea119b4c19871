/* SPDX-License-Identifier: MIT */
/* The test runner: runs the named tests, or all of them, each in a process of its own. See test.h. */
#include "test.h"

#include "sim_internal.h"

#include "kernel/lib/string.h"
#include "mm/check/check.h"
#include "mm/page/slab.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct test *tests;
static u64 seed = 1;
static u64 limit = 50; /* processor seconds that a test may use: --limit */
#define ASLEEP 3       /* a test that sleeps may take this many times as long */
static bool stop;      /* after the first failure */

void test_register(struct test *test)
{
	struct test **place = &tests;

	while (*place && strcmp((*place)->name, test->name) < 0)
		place = &(*place)->next;
	test->next = *place;
	*place = test;
}

static struct test *find(const char *name)
{
	for (struct test *test = tests; test; test = test->next)
		if (!strcmp(test->name, name))
			return test;
	return NULL;
}

bool test_exists(const char *name)
{
	return find(name) != NULL;
}

/* ---- Checks at the end of every test ----------------------------------------------------------------------------- */

void check_quiet(void)
{
	rcu_barrier();
	if (!check_counters() || !check_rmap() || !check_mapcounts() || !check_mappings() || !check_address_spaces() ||
	    !check_mapping_counts())
		sim_fail("a consistency check failed during the test");
}

/*
 * The objects of each cache that were in use before the test. A test must free all that it allocates, not only what
 * mm_quiet_check() checks.
 */
#define MOST_CACHES 64
static u64 objects_before[MOST_CACHES];

static void note_objects(const char *name, size_t size, u64 in_use, u64 pages, void *nr)
{
	unsigned *cache = nr;

	(void)name, (void)size, (void)pages;
	CHECK(*cache < MOST_CACHES);
	objects_before[(*cache)++] = in_use;
}

static void compare_objects(const char *name, size_t size, u64 in_use, u64 pages, void *nr)
{
	unsigned *cache = nr;
	u64 before = objects_before[(*cache)++];

	(void)size, (void)pages;
	if (in_use != before && strcmp(name, "magazine")) /* magazines stay with their CPUs */
		sim_fail("%lu objects of the cache %s are in use, %lu were before", (unsigned long)in_use, name,
			 (unsigned long)before);
}

static void check_end(void)
{
	unsigned nr = 0;

	if (!mm_quiet_check())
		sim_fail("a consistency check failed at the end of the test");
	rcu_barrier(); /* for callbacks that callbacks have queued */
	slab_for_each(compare_objects, &nr);
	if (sim_file_refs())
		sim_fail("%ld file references were not given back", sim_file_refs());
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static u64 milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

/* Returns the seconds that the first thread has waited, runnable, for a processor of the host. */
static u64 seconds_hindered(void)
{
	unsigned long long ran, waited;
	FILE *file = fopen("/proc/self/schedstat", "r");

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	fclose(file);
	return waited / 1000000000;
}

/*
 * Ends a test that takes too long. One that sleeps for ever uses hardly any processor time, so real time is limited as
 * well.
 */
static void *watchdog(void *arg)
{
	u64 began = milliseconds();

	(void)arg;
	while (seconds_given() < limit && milliseconds() - began < 1000 * (ASLEEP * limit + seconds_hindered()))
		sleep(1);
	printf("failed: not finished after %lu seconds\n", (unsigned long)limit);
	sim_dump();
	_exit(1);
}

static void __noreturn run_here(const struct test *test)
{
	pthread_t thread;

	sim_boot(test->nr_cpus, seed);
	pthread_create(&thread, NULL, watchdog, NULL);
	mm_check_baseline();
	slab_for_each(note_objects, &(unsigned){ 0 });
	test->func();
	schedule_fuzz_seed(0);
	race_disarm_all();
	sim_join_all();
	sim_assert_at_rest("a test ended");
	check_end();
	fflush(stdout);
	_exit(0);
}

/* Reads to the end of the file. The caller frees the result, which ends with a NUL. */
static char *read_all(int fd)
{
	size_t used = 0, size = 1 << 16;
	char *output = malloc(size);
	ssize_t got;

	while ((got = read(fd, output + used, size - 1 - used)) > 0) {
		used += (size_t)got;
		if (used == size - 1)
			output = realloc(output, size *= 2);
	}
	output[used] = 0;
	return output;
}

/* Runs the test with its output in a pipe. Returns true if it fails and the output contains the expected words. */
static bool dies_as_told(const struct test *test)
{
	int ends[2], status;
	char *output;
	bool dies;
	pid_t pid;

	if (pipe(ends) || (pid = fork()) < 0)
		abort();
	if (!pid) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		run_here(test);
	}
	close(ends[1]);
	output = read_all(ends[0]);
	close(ends[0]);
	waitpid(pid, &status, 0);
	dies = status && strstr(output, test->last_words);
	if (!dies)
		printf("%s\nexpected in the output: %s\n", output, test->last_words);
	free(output);
	return dies;
}

static bool survives(const struct test *test)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (!pid)
		run_here(test);
	waitpid(pid, &status, 0);
	return !status;
}

static bool run(const struct test *test)
{
	u64 start = milliseconds();
	bool ok;

	fflush(stdout);
	ok = test->last_words ? dies_as_told(test) : survives(test);
	printf("%-6s %s (%lu ms)\n", ok ? "ok" : "FAILED", test->name, (unsigned long)(milliseconds() - start));
	if (!ok)
		printf("       again: --seed %lu %s\n", (unsigned long)seed, test->name);
	return ok;
}

/* Ends the test at the first race report, and does not wait a second for more of them at exit. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:atexit_sleep_ms=0";
}

static int usage(const char *program)
{
	printf("usage: %s [--list] [--verbose] [--seed N] [--limit SECONDS] [--stop] [NAME…]\n", program);
	return 2;
}

/* Parses the options before the names. Returns the index of the first name, or 0 if an option is unknown. */
static int take_options(int argc, char **argv, bool *list)
{
	int at = 1;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "--list"))
			*list = true;
		else if (!strcmp(argv[at], "--verbose"))
			sim_verbose = true;
		else if (!strcmp(argv[at], "--stop"))
			stop = true;
		else if (!strcmp(argv[at], "--seed") && at + 1 < argc)
			seed = strtoul(argv[++at], NULL, 0);
		else if (!strcmp(argv[at], "--limit") && at + 1 < argc)
			limit = strtoul(argv[++at], NULL, 0);
		else
			return 0;
	}
	return at;
}

static int passed, failed;

/* Returns false if this test was the last. */
static bool list_or_run(const struct test *test, bool list)
{
	if (list)
		printf("%s %u\n", test->name, test->nr_cpus);
	else if (run(test))
		passed++;
	else
		failed++;
	return !(failed && stop);
}

/* Runs the named tests in the order of the names. Returns how many names are unknown. */
static int run_named(char **names, int nr_names, bool list)
{
	int unknown = 0;

	for (int i = 0; i < nr_names; i++) {
		const struct test *test = find(names[i]);

		if (!test)
			unknown++;
		else if (!list_or_run(test, list))
			break;
	}
	return unknown;
}

int main(int argc, char **argv)
{
	int unknown = 0, first;
	bool list = false;

	dup2(1, 2); /* the sanitizers' output belongs to the test that it is about */
	first = take_options(argc, argv, &list);
	if (!first)
		return usage(argv[0]);
	if (first < argc)
		unknown = run_named(argv + first, argc - first, list);
	else
		for (struct test *test = tests; test && list_or_run(test, list); test = test->next)
			;
	if (list)
		return 0;
	if (unknown)
		printf("%d unknown test names\n", unknown);
	printf("%d passed, %d failed\n", passed, failed);
	return failed || passed == 0 || unknown;
}
