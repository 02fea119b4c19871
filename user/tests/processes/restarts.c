/* SPDX-License-Identifier: MIT */
/*
 * Tests signals in blocking calls: SA_RESTART restarts the calls, without it they fail with EINTR. Also tests values
 * sent with signals, timers, process groups, and stopping and continuing a process.
 */
#include "user/lib/await.h"

#include <pthread.h>
#include <sys/time.h>
#include <time.h>

static volatile int handled, value_seen, code_seen;

static void note(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)context;
	handled++;
	value_seen = info->si_value.sival_int;
	code_seen = info->si_code;
}

static void install(int signo, int flags)
{
	struct sigaction sa = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | flags };

	MUST(sigaction(signo, &sa, NULL) == 0);
}

static pthread_t main_thread;
static pid_t main_tid;
static int fds[2];

/* Signals the main thread when it sleeps in its call, and writes to the pipe when the signal has been handled. */
static void *disturb(void *arg)
{
	int before = handled;

	await_sleep(&main_tid);
	pthread_kill(main_thread, SIGUSR1);
	await_value(&handled, before + 1);
	if (write(fds[1], "x", 1) != 1)
		return NULL;
	return arg;
}

static void reads(void)
{
	pthread_t thread;
	char c = 0;

	section("read from a pipe");
	install(SIGUSR1, SA_RESTART);
	pthread_create(&thread, NULL, disturb, NULL);
	CHECK_THAT("restarted", read(fds[0], &c, 1) == 1 && handled == 1);
	pthread_join(thread, NULL);
	install(SIGUSR1, 0);
	pthread_create(&thread, NULL, disturb, NULL);
	CHECK_ERRNO(read(fds[0], &c, 1), EINTR);
	pthread_join(thread, NULL);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(handled, 2);
}

static void waits(void)
{
	pthread_t thread;
	int status;
	pid_t pid;
	char c;

	section("waitpid: the child ends when its parent has handled the signal");
	handled = 0;
	install(SIGUSR1, SA_RESTART);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(read(fds[0], &c, 1) != 1);
	pthread_create(&thread, NULL, disturb, NULL);
	CHECK_THAT("restarted", waitpid(pid, &status, 0) == pid && status == 0 && handled == 1);
	pthread_join(thread, NULL);
}

static void values(void)
{
	union sigval value = { .sival_int = 1234 };
	sigset_t set;
	siginfo_t info;

	section("sigqueue");
	install(SIGUSR2, 0);
	CHECK_EQ(sigqueue(getpid(), SIGUSR2, value), 0);
	CHECK(value_seen == 1234 && code_seen == SI_QUEUE);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (value.sival_int = 1; value.sival_int <= 3; value.sival_int++)
		MUST(sigqueue(getpid(), SIGRTMIN, value) == 0);
	for (int i = 1; i <= 3; i++)
		CHECK_THAT("real-time signals queue in order",
			   sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == i);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 77 };
	struct itimerspec when = { .it_value = { 0, 10000000 } }, left;
	sigset_t set, before;
	timer_t timer;

	section("timer_create");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &before);
	handled = 0;
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &when, NULL), 0);
	while (!handled)
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	CHECK(value_seen == 77 && code_seen == SI_TIMER);
	CHECK(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	CHECK_EQ(timer_delete(timer), 0);
	CHECK_ERRNO(syscall(SYS_timer_delete, 9999), EINVAL);
}

/* Creates a timer, lets it expire while its signal is blocked, and returns when that is pending. */
static int expired_timer(int notify)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 78 };
	struct itimerspec when = { .it_value = { 0, 1000000 } };
	sigset_t pending;
	int timer;

	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(syscall(SYS_timer_settime, timer, 0, &when, NULL) == 0);
	do {
		usleep(1000);
		sigpending(&pending);
	} while (!sigismember(&pending, SIGUSR2));
	return timer;
}

/* Linux before 6.13 still delivers the timer's own signal. */
static bool nothing_but_a_timers(const sigset_t *set)
{
	siginfo_t info;

	return sigtimedwait(set, &info, &(struct timespec){ 0, 0 }) == -1 || info.si_code == SI_TIMER;
}

static void pending_timers(void)
{
	struct itimerspec off = { { 0, 0 }, { 0, 0 } };
	siginfo_t info = { 0 };
	sigset_t set;
	int timer;

	section("the signal of a timer is pending when the timer ends");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	timer = expired_timer(SIGEV_SIGNAL);
	CHECK_EQ(syscall(SYS_timer_settime, timer, 0, &off, NULL), 0);
	CHECK(nothing_but_a_timers(&set));
	CHECK_EQ(syscall(SYS_timer_delete, timer), 0);
	timer = expired_timer(SIGEV_SIGNAL);
	CHECK_EQ(syscall(SYS_timer_delete, timer), 0);
	CHECK(nothing_but_a_timers(&set));
	section("SIGEV_THREAD is for the C library: the kernel sends a signal");
	timer = expired_timer(SIGEV_THREAD);
	CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_code == SI_TIMER && info.si_value.sival_int == 78);
	CHECK_EQ(syscall(SYS_timer_delete, timer), 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int count_signals(void *arg)
{
	char c;

	(void)arg;
	MUST(setpgid(0, 0) == 0);
	signal(SIGTERM, SIG_IGN);
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			signal(SIGTERM, SIG_DFL);
			MUST(write(fds[1], "x", 1) == 1);
			for (;;)
				pause();
		}
	for (int i = 0; i < 3; i++)
		MUST(read(fds[0], &c, 1) == 1);
	kill(0, SIGTERM);
	for (int i = 0; i < 3; i++) {
		int status;

		if (wait(&status) < 0 || !killed_by(status, SIGTERM))
			return 1;
	}
	return 0;
}

static void groups(void)
{
	section("kill of a group");
	CHECK_EQ(run_child(count_signals, NULL), 0);
}

static void stops(void)
{
	int status;
	pid_t pid;

	section("stop and continue");
	pid = fork();
	MUST(pid >= 0);
	while (pid == 0)
		pause();
	kill(pid, SIGSTOP);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(pid, SIGCONT);
	CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid && killed_by(status, SIGKILL));
}

int main(void)
{
	main_thread = pthread_self();
	main_tid = getpid();
	MUST(pipe(fds) == 0);
	reads();
	waits();
	values();
	timers();
	pending_timers();
	groups();
	fflush(stdout);
	stops();
	return check_done();
}
