/* SPDX-License-Identifier: MIT */
/* Tests stopping and continuing processes: reports to the parent, the effect of signals, process groups, sessions. */
#include "user/lib/await.h"

#include <pthread.h>

static pid_t start(void (*fn)(void))
{
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(9);
	}
	return pid;
}

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

static void run_for_ever(void)
{
	for (;;)
		__asm__ volatile("pause");
}

static void *run_in_thread(void *arg)
{
	run_for_ever();
	return arg;
}

static void run_in_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		MUST(pthread_create(&thread, NULL, run_in_thread, NULL) == 0);
	sleep_for_ever();
}

static bool stopped_by(pid_t pid, int signo)
{
	int status;

	return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == signo;
}

static bool continued(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status);
}

static bool ended_by(pid_t pid, int signo)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == signo;
}

static void stop_and_go(void (*fn)(void))
{
	int status;
	pid_t pid = start(fn);

	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_THAT("a stop is reported once", waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK(continued(pid));
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_EQ(kill(pid, SIGTERM), 0);
	usleep(20000);
	CHECK_THAT("a stopped process does not even die of SIGTERM", waitpid(pid, &status, WNOHANG) == 0);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK(ended_by(pid, SIGTERM));
}

static void reports(void)
{
	int status;
	pid_t pid = start(sleep_for_ever);

	section("reports of a process that stops and continues");
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK_THAT("it continues at once", waitpid(pid, &status, WCONTINUED | WNOHANG) == pid && WIFCONTINUED(status));
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_EQ(kill(pid, SIGCONT), 0);
	await_state(pid, 'S');
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	await_state(pid, 'T');
	CHECK_THAT("a stopped process does not go on", waitpid(pid, &status, WCONTINUED | WNOHANG) == 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(ended_by(pid, SIGKILL));
}

/* ---- Signals at the same time ------------------------------------------------------------------------------------ */

#define ROUNDS 2000

static int *steps; /* shared with the process that counts */

static void count_for_ever(void)
{
	for (;;)
		__atomic_fetch_add(steps, 1, __ATOMIC_SEQ_CST);
}

/* Returns false if the process is found stopped again and again. */
static bool goes_on(pid_t pid)
{
	int before = __atomic_load_n(steps, __ATOMIC_SEQ_CST), stopped = 0;

	while (__atomic_load_n(steps, __ATOMIC_SEQ_CST) == before && stopped < 100) {
		stopped += state_of(pid, 0) == 'T';
		usleep(1000);
	}
	return stopped < 100;
}

static void *stop_and_continue(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	bool ok = true;

	for (int i = 0; i < ROUNDS && ok; i++) {
		kill(pid, SIGSTOP);
		kill(pid, SIGCONT);
		ok = goes_on(pid);
	}
	kill(pid, SIGKILL);
	return ok ? arg : NULL;
}

static void stop_signal_and_continue(void)
{
	bool reports = true;
	pthread_t thread;
	int status;
	void *ok;
	pid_t pid;

	section("SIGCONT directly after a stop signal");
	steps = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST((void *)steps != MAP_FAILED);
	pid = start(count_for_ever);
	MUST(pthread_create(&thread, NULL, stop_and_continue, &pid) == 0);
	do {
		MUST(waitpid(pid, &status, WUNTRACED | WCONTINUED) == pid);
		reports &= killed_by(status, SIGKILL) || WIFCONTINUED(status) || status == (SIGSTOP << 8 | 0x7f);
	} while (!killed_by(status, SIGKILL));
	MUST(pthread_join(thread, &ok) == 0);
	CHECK_THAT("it always continues", ok);
	CHECK_THAT("each report of a stop has its signal", reports);
}

static void kill_stopped(void)
{
	pid_t pid = start(run_for_ever);
	int status;

	section("SIGKILL ends a stopped process");
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(ended_by(pid, SIGKILL));
	pid = start(run_for_ever);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	await_state(pid, 'T');
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_THAT("its stop is not reported", waitpid(pid, &status, WUNTRACED) == pid && killed_by(status, SIGKILL));
}

static void groups(void)
{
	pid_t leader = start(sleep_for_ever), member;

	section("process groups");
	CHECK_EQ(setpgid(leader, leader), 0);
	CHECK(getpgid(leader) == leader);
	member = start(sleep_for_ever);
	CHECK_EQ(setpgid(member, leader), 0);
	CHECK_EQ(kill(-leader, SIGKILL), 0);
	CHECK(waitpid(-leader, NULL, 0) > 0);
	CHECK(waitpid(-leader, NULL, 0) > 0);
	CHECK_ERRNO(waitpid(-leader, NULL, 0), ECHILD);
	CHECK_ERRNO(setpgid(0, -1), EINVAL);
	CHECK_ERRNO(setpgid(999999, 0), ESRCH);
	CHECK_ERRNO(setpgid(0, 999999), EPERM);
}

static int new_session(void *arg)
{
	(void)arg;
	CHECK(setsid() == getpid());
	CHECK(getsid(0) == getpid() && getpgrp() == getpid());
	CHECK_ERRNO(setsid(), EPERM);
	CHECK_ERRNO(setpgid(0, 0), EPERM);
	return checks_failed != 0;
}

int main(void)
{
	section("a sleeping process");
	stop_and_go(sleep_for_ever);
	section("a running process");
	stop_and_go(run_for_ever);
	section("four threads");
	stop_and_go(run_in_threads);
	reports();
	stop_signal_and_continue();
	kill_stopped();
	groups();
	section("sessions");
	CHECK_EQ(run_child(new_session, NULL), 0);
	return check_done();
}
