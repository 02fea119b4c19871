/* SPDX-License-Identifier: MIT */
/*
 * Starts and ends processes in every way at once: several threads spawn and fork children, which exit with threads of
 * their own still running, replace themselves, crash, or are killed while they run. Argument: rounds of each thread
 * (15).
 */
#include "user/lib/check.h"

#include <pthread.h>
#include <spawn.h>

#define NR_THREADS 4

static char self[] = "/proc/self/exe";
static int rounds = 15;

static void *churn(void *arg)
{
	for (;;) {
		char *p = map_pages(8, PROT_READ | PROT_WRITE);

		memset(p, 1, 8 * PAGE);
		munmap(p, 8 * PAGE);
	}
	return arg;
}

static void start_churn(int nr)
{
	pthread_t thread;

	for (int i = 0; i < nr; i++)
		pthread_create(&thread, NULL, churn, NULL);
}

/* Runs in a spawned child, which ends while its threads are busy. */
static int spawned(const char *how)
{
	start_churn(3);
	if (strcmp(how, "signal") == 0)
		raise(SIGTERM);
	return 21;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -1;
	return status;
}

static int spawn(char *how)
{
	char *argv[] = { self, how, NULL }, *env[] = { NULL };
	pid_t pid;

	return posix_spawn(&pid, self, NULL, NULL, argv, env) ? -1 : wait_for(pid);
}

static int fork_and_exec(void)
{
	char *argv[] = { self, "exit", NULL }, *env[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		start_churn(2);
		execve(self, argv, env);
		_exit(99);
	}
	return wait_for(pid);
}

static int fork_and_kill(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		start_churn(2);
		churn(NULL);
	}
	usleep(1000);
	kill(pid, SIGKILL);
	return wait_for(pid);
}

static int fork_and_crash(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		start_churn(2);
		poke(NULL, 1);
	}
	return wait_for(pid);
}

/* Returns 1, and prints how the child ended, if it did not end as it should. */
static int wrong(const char *child, int status, bool right)
{
	if (right)
		return 0;
	print_status(child, status);
	return 1;
}

static int wrong_exit(const char *child, int status)
{
	return wrong(child, status, exited_with(status, 21));
}

static int wrong_signal(const char *child, int status, int signo)
{
	return wrong(child, status, killed_by(status, signo));
}

static void *storm(void *arg)
{
	intptr_t bad = 0;

	for (int i = 0; i < rounds; i++) {
		bad += wrong_exit("spawned", spawn("exit"));
		bad += wrong_signal("spawned, raises SIGTERM", spawn("signal"), SIGTERM);
		bad += wrong_exit("forked, then replaced", fork_and_exec());
		bad += wrong_signal("forked, then killed", fork_and_kill(), SIGKILL);
		bad += wrong_signal("forked, then crashed", fork_and_crash(), SIGSEGV);
	}
	(void)arg;
	return (void *)bad;
}

int main(int argc, char **argv)
{
	pthread_t threads[NR_THREADS];
	long bad = 0;
	void *value;

	if (argc > 1 && (strcmp(argv[1], "exit") == 0 || strcmp(argv[1], "signal") == 0))
		return spawned(argv[1]);
	if (argc > 1)
		rounds = atoi(argv[1]);
	section("four threads with children of every kind");
	for (int i = 0; i < NR_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, storm, NULL) == 0);
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &value);
		bad += (intptr_t)value;
	}
	CHECK_EQ(bad, 0);
	return check_done();
}
