/* SPDX-License-Identifier: MIT */
/*
 * Who is killed when memory is out: the one whose oom_score_adj says so, though another has more; never one that is exempt.
 * Wants a machine with 64 MiB and no swap.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_adjustment(const char *value)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		_exit(1);
	close(fd);
}

/* A child that has so many MiB and keeps them; 0: it takes all it can get. */
static pid_t child(const char *adjustment, size_t mib)
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready))
		exit(1);
	pid = fork();
	if (pid) {
		if (mib && read(ready[0], &byte, 1) != 1)
			exit(1);
		close(ready[0]), close(ready[1]);
		return pid;
	}
	set_adjustment(adjustment);
	for (size_t i = 0; !mib || i < mib; i++)
		memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 1 << 20);
	if (write(ready[1], "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void expect_killed(pid_t pid, const char *who)
{
	int status;

	if (waitpid(-1, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		printf("the next one killed is not %s\n", who);
}

int main(void)
{
	pid_t exempt, volunteer, eater;

	set_adjustment("-1000");
	exempt = child("-1000", 20);
	volunteer = child("1000", 1);
	eater = child("0", 0);
	expect_killed(volunteer, "the volunteer");
	expect_killed(eater, "the eater");
	if (kill(exempt, 0) || waitpid(exempt, NULL, WNOHANG))
		printf("who is exempt was killed\n");
	kill(exempt, SIGKILL);
	expect_killed(exempt, "the exempt one, at last");
	printf("done\n");
	return 0;
}
