/* SPDX-License-Identifier: MIT */
/*
 * Helpers that wait for the progress of other threads and processes, independent of the load.
 *
 * The machine may delay any thread for seconds, so no fixed sleep is long enough. These functions have no timeout: the
 * test runner ends a program that waits in vain.
 */
#ifndef USER_AWAIT_H
#define USER_AWAIT_H

#include "user/lib/check.h"
#include "user/lib/text.h"

/*
 * Returns the state letter that /proc shows for a process (tid 0) or for one of its threads, or '?' if it does not
 * exist.
 */
UNUSED static char state_of(pid_t pid, pid_t tid)
{
	char path[64], line[512], *at;

	snprintf(path, sizeof(path), tid ? "/proc/%d/task/%d/stat" : "/proc/%d/stat", pid, tid);
	(void)read_text(path, line, sizeof(line));
	at = strrchr(line, ')');
	return at ? at[2] : '?';
}

/* Waits until the process is asleep in a call ('S'), stopped ('T') or a zombie ('Z'). */
UNUSED static void await_state(pid_t pid, char state)
{
	while (state_of(pid, 0) != state)
		usleep(1000);
}

/* Waits until the thread of this process whose id appears in *tid sleeps in a call. */
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

/* A child tells its parent through this pipe that it is ready: one child at a time. */
static int ready_pipe[2];

/* Like fork(), but returns in the parent only after the child has called say_ready(). */
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
