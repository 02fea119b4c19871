/* SPDX-License-Identifier: MIT */
/* Tests stopping and continuing processes: reports to the parent, the effect of signals, process groups, sessions. */
#include "user/check.h"

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
	CHECK_THAT("a stop is told once", waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
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

static void kill_stopped(void)
{
	pid_t pid = start(run_for_ever);

	section("SIGKILL ends a stopped process");
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK(stopped_by(pid, SIGSTOP));
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(ended_by(pid, SIGKILL));
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
	kill_stopped();
	groups();
	section("sessions");
	CHECK_EQ(run_child(new_session, NULL), 0);
	return check_done();
}
