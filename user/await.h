/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what others do, whatever the load: a machine may let any thread wait for seconds, so no sleep is long enough.
 * There are no limits here: whoever waits for what never comes is ended by the test runner.
 */
#ifndef USER_AWAIT_H
#define USER_AWAIT_H

#include "user/check.h"
#include "user/text.h"

/* The letter by which /proc names the state of a process (tid 0) or of one of its threads; '?' when it is gone. */
UNUSED static char state_of(pid_t pid, pid_t tid)
{
	char path[64], line[512], *at;

	snprintf(path, sizeof(path), tid ? "/proc/%d/task/%d/stat" : "/proc/%d/stat", pid, tid);
	(void)read_text(path, line, sizeof(line));
	at = strrchr(line, ')');
	return at ? at[2] : '?';
}

/* Until the process is asleep in a call ('S'), stopped ('T'), ended ('Z'). */
UNUSED static void await_state(pid_t pid, char state)
{
	while (state_of(pid, 0) != state)
		usleep(1000);
}

/* Until the thread of this process whose id appears in *tid sleeps in a call. */
UNUSED static void await_sleep(const volatile pid_t *tid)
{
	while (!*tid || state_of(getpid(), *tid) != 'S')
		usleep(1000);
}

UNUSED static void await_value(const volatile int *word, int value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value)
		usleep(1000);
}

/* The parent goes on when its child has said that it is ready: one at a time. */
static int ready_pipe[2];

/* As fork(), but the parent is back only after the child's say_ready(). */
UNUSED static pid_t fork_until_ready(void)
{
	pid_t pid;
	char byte;

	MUST(pipe(ready_pipe) == 0);
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		close(ready_pipe[0]);
		return 0;
	}
	close(ready_pipe[1]);
	MUST(read(ready_pipe[0], &byte, 1) == 1);
	close(ready_pipe[0]);
	return pid;
}

UNUSED static void say_ready(void)
{
	MUST(write(ready_pipe[1], "r", 1) == 1);
	close(ready_pipe[1]);
}

#endif
