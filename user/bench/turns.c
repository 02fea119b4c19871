/* SPDX-License-Identifier: MIT */
/*
 * Tests how soon woken threads run beside busy ones, and that the busy ones get their turns. Times are of the program's
 * clock. The test is meant for --deterministic, where times are instructions, and for one CPU; on several CPUs, whose
 * turns QEMU assigns, only a pipe can be judged (`turns pipe`). Runs on Linux too, which bounds a busy thread's wait
 * only by the number of threads.
 */
#include "user/lib/check.h"
#include "user/lib/faultline.h"
#include "user/lib/futex.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define MS 1000000L /* ns */
#define US 1000L
#define TURN (4 * MS)
#define SLACK MS /* for switches, late ticks and calls in progress */
#define ROUNDS 500
#define MAX_BUSY 64
#define NR_SLEEPERS 10

static int nr_cpus;
static volatile bool stop;

struct busy {
	pthread_t thread;
	int cpu;
	long longest; /* time without running, in ns */
	long ran;     /* CPU time, in ns */
};
static struct busy busy[MAX_BUSY];

static long now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static void sleep_ns(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

static void burn(long ns)
{
	for (long end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns; now_ns(CLOCK_THREAD_CPUTIME_ID) < end;)
		;
}

/* ---- Busy threads ------------------------------------------------------------------------------------------------ */

static void *be_busy(void *arg)
{
	struct busy *b = arg;
	long last, now;

	MUST(run_on_cpu(b->cpu));
	for (last = now_ns(CLOCK_MONOTONIC); !stop; last = now) {
		now = now_ns(CLOCK_MONOTONIC);
		b->longest = now - last > b->longest ? now - last : b->longest;
	}
	b->ran = now_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

/* Starts `each` busy threads on each of the CPUs. */
static void start_busy(int cpus, int each)
{
	stop = false;
	for (int i = 0; i < cpus * each; i++) {
		busy[i] = (struct busy){ .cpu = i % cpus };
		MUST(pthread_create(&busy[i].thread, NULL, be_busy, &busy[i]) == 0);
	}
	sleep_ns(20 * MS); /* until they have used up a turn */
}

/* Returns the longest time for which one of them did not run. */
static long stop_busy(int nr)
{
	long longest = 0;

	stop = true;
	for (int i = 0; i < nr; i++) {
		pthread_join(busy[i].thread, NULL);
		longest = busy[i].longest > longest ? busy[i].longest : longest;
	}
	return longest;
}

/* ---- Ways to wake up --------------------------------------------------------------------------------------------- */

static int pipes[2][2];
static uint32_t turn; /* futex: the thread whose turn it is */

static void pipe_send(int to)
{
	MUST(write(pipes[to][1], "x", 1) == 1);
}

static void pipe_await(int me)
{
	char byte;

	MUST(read(pipes[me][0], &byte, 1) == 1);
}

static void futex_send(int to)
{
	__atomic_store_n(&turn, (uint32_t)to, __ATOMIC_SEQ_CST);
	futex_wake(&turn, 1);
}

static void futex_await(int me)
{
	while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != (uint32_t)me)
		futex_wait(&turn, !me);
}

static pid_t tids[2];

static void signal_send(int to)
{
	syscall(SYS_tgkill, getpid(), tids[to], SIGUSR1);
}

static void signal_await(int me)
{
	sigset_t set;

	(void)me;
	sigemptyset(&set), sigaddset(&set, SIGUSR1);
	MUST(sigwaitinfo(&set, NULL) == SIGUSR1);
}

struct way {
	const char *name;
	void (*send)(int to);
	void (*await)(int me);
};
static const struct way ways[] = {
	{ "pipe", pipe_send, pipe_await },
	{ "futex", futex_send, futex_await },
	{ "signal", signal_send, signal_await },
};

static void *answer(void *arg)
{
	const struct way *way = arg;

	tids[1] = (pid_t)syscall(SYS_gettid);
	pipe_send(0);
	for (int i = 0; i < ROUNDS; i++) {
		way->await(1);
		way->send(0);
	}
	return NULL;
}

/* Returns the average time of a round trip, in ns. */
static long round_trip(const struct way *way)
{
	pthread_t other;
	long start;

	turn = 0;
	tids[0] = (pid_t)syscall(SYS_gettid);
	MUST(pthread_create(&other, NULL, answer, (void *)way) == 0);
	pipe_await(0);
	start = now_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < ROUNDS; i++) {
		way->send(1);
		way->await(0);
	}
	start = now_ns(CLOCK_MONOTONIC) - start;
	pthread_join(other, NULL);
	return start / ROUNDS;
}

/* Returns how late a timer ends a sleep on average, in ns. */
static long lateness(void)
{
	long start = now_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < ROUNDS; i++)
		sleep_ns(200 * US);
	return (now_ns(CLOCK_MONOTONIC) - start) / ROUNDS - 200 * US;
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

static void check_below(const char *what, long ns, long limit)
{
	char words[128];

	printf("     %s: %ld us\n", what, ns / US);
	snprintf(words, sizeof(words), "%s: below %ld us", what, limit / US);
	CHECK_THAT(words, ns < limit);
}

/*
 * Tests the way of that name, or all ways. Other times are judged on one CPU only: the clock also counts what other
 * CPUs execute, and versions of QEMU give them turns of different lengths.
 */
static void woken_runs_at_once(const char *name)
{
	long longest;

	section("a busy thread on each CPU");
	start_busy(nr_cpus, 1);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!name || strcmp(name, ways[i].name) == 0)
			check_below(ways[i].name, round_trip(&ways[i]), MS);
	if (nr_cpus == 1)
		check_below("timer, late", lateness(), MS);
	longest = stop_busy(nr_cpus);
	if (nr_cpus == 1)
		check_below("a busy thread's wait", longest, 2 * TURN + SLACK);
}

static void *sleep_often(void *arg)
{
	MUST(run_on_cpu(0));
	while (!stop) {
		burn(300 * US);
		sleep_ns(100 * US);
	}
	return arg;
}

/* The sleepers could use up the whole CPU: the busy thread must wait no longer for many of them than for one. */
static void sleepers_do_not_starve(void)
{
	pthread_t sleepers[NR_SLEEPERS];
	long start, longest;

	section("ten threads that wake up all the time, on one busy thread's CPU");
	start_busy(1, 1);
	start = now_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < NR_SLEEPERS; i++)
		MUST(pthread_create(&sleepers[i], NULL, sleep_often, NULL) == 0);
	sleep_ns(200 * MS);
	start = now_ns(CLOCK_MONOTONIC) - start;
	longest = stop_busy(1);
	for (int i = 0; i < NR_SLEEPERS; i++)
		pthread_join(sleepers[i], NULL);
	check_below("the busy thread's wait", longest, 2 * TURN + SLACK);
	printf("     it had %ld %% of the CPU\n", busy[0].ran * 100 / start);
	CHECK_THAT("the busy thread has a third of the CPU", busy[0].ran > start / 3);
}

/* Runs a thread that sleeps for a moment before each of its turns is over. */
static void *sleep_in_time(void *arg)
{
	MUST(run_on_cpu(0));
	while (!stop) {
		burn(3 * MS);
		sleep_ns(50 * US);
	}
	*(long *)arg = now_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

static void sleeping_gains_nothing(void)
{
	pthread_t thread;
	long start, ran;

	section("a thread that never uses up its turn, beside three that do");
	start_busy(1, 3);
	start = now_ns(CLOCK_MONOTONIC);
	MUST(pthread_create(&thread, NULL, sleep_in_time, &ran) == 0);
	sleep_ns(200 * MS);
	start = now_ns(CLOCK_MONOTONIC) - start;
	stop_busy(3);
	pthread_join(thread, NULL);
	printf("     it had %ld %% of the CPU\n", ran * 100 / start);
	CHECK_THAT("it has no more than a third of the CPU", ran < start / 3);
}

int main(int argc, char **argv)
{
	sigset_t set;

	sigemptyset(&set), sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	nr_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	MUST(nr_cpus <= MAX_BUSY && pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0);
	woken_runs_at_once(argc > 1 ? argv[1] : NULL);
	if (nr_cpus == 1) {
		sleepers_do_not_starve();
		sleeping_gains_nothing();
	}
	return check_done();
}
