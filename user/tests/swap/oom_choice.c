/* SPDX-License-Identifier: MIT */
/*
 * Tests which process the OOM killer kills: the one that its oom_score_adj selects, although another has more memory,
 * and never one that is exempt. Needs a machine with 64 MiB and no swap.
 */
#include "user/lib/await.h"

static void set_adjustment(const char *value)
{
	MUST(write_text("/proc/self/oom_score_adj", value) > 0);
}

/* Starts a child that takes `mib` MiB and keeps them; 0: all that it can get. */
static pid_t child(const char *adjustment, size_t mib)
{
	pid_t pid = fork_until_ready();

	if (pid)
		return pid;
	set_adjustment(adjustment);
	if (!mib)
		say_ready();
	for (size_t i = 0; !mib || i < mib; i++)
		memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 1 << 20);
	say_ready();
	for (;;)
		pause();
}

static void expect_killed(pid_t pid, const char *who)
{
	int status;

	if (waitpid(-1, &status, 0) != pid || !killed_by(status, SIGKILL))
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
		printf("the exempt process was killed\n");
	kill(exempt, SIGKILL);
	expect_killed(exempt, "the exempt one, at last");
	printf("done\n");
	return 0;
}
