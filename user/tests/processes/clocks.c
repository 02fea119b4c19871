/* SPDX-License-Identifier: MIT */
/*
 * Tests clocks and sleeps: clocks are monotonic, sleeps last as long as requested, signals interrupt them, and errors.
 */
#include "user/lib/check.h"

#include <pthread.h>
#include <sys/time.h>
#include <time.h>

#define MS 1000000L
#define OWN_THREAD_CLOCK -2 /* what pthread_getcpuclockid() makes of a tid of 0 */

static long now_ns(clockid_t clock)
{
	struct timespec ts;

	MUST(clock_gettime(clock, &ts) == 0);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static void readings(void)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME };
	struct timespec ts;
	struct timeval tv;
	long before, after, now;

	section("readings");
	for (size_t i = 0; i < 3; i++) {
		bool monotonic = true;

		before = now_ns(clocks[i]);
		for (int n = 0; n < 1000; n++) {
			after = now_ns(clocks[i]);
			monotonic &= after >= before;
			before = after;
		}
		CHECK(monotonic);
	}
	CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
	before = now_ns(CLOCK_REALTIME);
	CHECK(gettimeofday(&tv, NULL) == 0 && tv.tv_usec >= 0 && tv.tv_usec < 1000000);
	now = tv.tv_sec * 1000000000L + tv.tv_usec * 1000L;
	CHECK(now >= before - 1000 && now <= now_ns(CLOCK_REALTIME)); /* gettimeofday truncates to microseconds */
	CHECK(clock_getres(CLOCK_MONOTONIC, &ts) == 0 && ts.tv_sec == 0 && ts.tv_nsec == 1);
	CHECK(clock_gettime(CLOCK_MONOTONIC_COARSE, &ts) == 0);
	CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &ts) == 0);
	CHECK_ERRNO(clock_gettime(77, &ts), EINVAL);
}

static void cpu_time(void)
{
	long thread = now_ns(CLOCK_THREAD_CPUTIME_ID), process = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	long begin = now_ns(CLOCK_MONOTONIC);

	section("CPU time");
	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < thread + 20 * MS ||
	       now_ns(CLOCK_PROCESS_CPUTIME_ID) < process + 20 * MS)
		continue;
	CHECK_THAT("both move, and no faster than the clock", now_ns(CLOCK_MONOTONIC) - begin >= 10 * MS);
}

static int leave(void *arg)
{
	(void)arg;
	return 0;
}

static void cpu_time_of_another(void)
{
	pid_t pid = start_child(leave, NULL);
	struct timespec ts;
	siginfo_t info;
	clockid_t clock;

	section("CPU time of another process");
	MUST(clock_getcpuclockid(pid, &clock) == 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	CHECK_EQ(clock_gettime(clock, &ts), 0);
	CHECK_ERRNO(clock_gettime(clock | 4, &ts), EINVAL); /* its thread */
	MUST(waitpid(pid, NULL, 0) == pid);
	CHECK_ERRNO(clock_gettime(clock, &ts), EINVAL);
}

static void sleeps(void)
{
	struct timespec ts = { 0, 20 * MS };
	long before = now_ns(CLOCK_MONOTONIC);

	section("sleeps");
	CHECK_EQ(nanosleep(&ts, NULL), 0);
	CHECK(now_ns(CLOCK_MONOTONIC) - before >= 20 * MS);
	before = now_ns(CLOCK_MONOTONIC);
	ts.tv_sec = (before + 20 * MS) / 1000000000;
	ts.tv_nsec = (before + 20 * MS) % 1000000000;
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(now_ns(CLOCK_MONOTONIC) - before >= 20 * MS);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){ 0, MS }, NULL), 0);
	CHECK_EQ(nanosleep(&(struct timespec){ 0, 0 }, NULL), 0);
	CHECK_ERRNO(nanosleep(&(struct timespec){ 0, 1000000000 }, NULL), EINVAL);
	CHECK_ERRNO(nanosleep(&(struct timespec){ -1, 0 }, NULL), EINVAL);
	CHECK_EQ(clock_nanosleep(77, 0, &(struct timespec){ 0, 1 }, NULL), EINVAL);
	CHECK_EQ(clock_nanosleep(OWN_THREAD_CLOCK, 0, &(struct timespec){ 0, 1 }, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, NULL, NULL), EOPNOTSUPP);
	CHECK_EQ(usleep(1000), 0);
}

static volatile int rung;

static void ring(int signo)
{
	(void)signo;
	rung++;
}

static void interruptions(void)
{
	struct sigaction sa = { .sa_handler = ring };
	struct itimerval timer = { .it_value = { 0, 20000 }, .it_interval = { 0, 20000 } }, left;
	struct timespec remaining = { 0, 0 };
	unsigned int alarmed;

	section("a timer interrupts");
	sigaction(SIGALRM, &sa, NULL);
	CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
	CHECK(getitimer(ITIMER_REAL, &left) == 0 && (left.it_value.tv_usec > 0 || rung));
	/* The timer repeats, because its first signal may arrive before we sleep. */
	CHECK_ERRNO(nanosleep(&(struct timespec){ 1000, 0 }, &remaining), EINTR);
	CHECK(rung >= 1 && remaining.tv_sec >= 100 && remaining.tv_sec < 1000);
	remaining = (struct timespec){ 0, 0 };
	CHECK_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &(struct timespec){ 1000, 0 }, &remaining), EINTR);
	CHECK(remaining.tv_sec >= 100 && remaining.tv_sec < 1000);
	rung = 0;
	while (rung < 4)
		pause();
	timer = (struct itimerval){ 0 };
	CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
	CHECK_EQ(alarm(100), 0);
	alarmed = alarm(0);
	CHECK(alarmed > 0 && alarmed <= 100);
}

static void *run_for_ever(void *arg)
{
	for (;;)
		__asm__ volatile("pause");
	return arg;
}

static int sleep_beside_a_busy_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	MUST(pthread_create(&thread, NULL, run_for_ever, NULL) == 0);
	return clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &(struct timespec){ 0, 200 * MS }, NULL);
}

/* Stops and continues the sleeper, each time that it has used another 20 ms of CPU time. */
static void stops(void)
{
	pid_t pid = start_child(sleep_beside_a_busy_thread, NULL), ended;
	long used = 0, next = 20 * MS;
	int status;
	clockid_t clock;

	section("a process is stopped while it sleeps until it has used 200 ms of CPU time");
	MUST(clock_getcpuclockid(pid, &clock) == 0);
	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && used < 2000 * MS) {
		used = now_ns(clock);
		if (used >= next) {
			kill(pid, SIGSTOP);
			kill(pid, SIGCONT);
			next = used + 20 * MS;
		}
	}
	CHECK_THAT("the sleep ends all the same", ended == pid && exited_with(status, 0));
	if (!ended) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
}

int main(void)
{
	readings();
	cpu_time();
	cpu_time_of_another();
	sleeps();
	interruptions();
	stops();
	return check_done();
}
