/* SPDX-License-Identifier: MIT */
/*
 * Tests that a thread that is killed while it runs does not see a call fail (race J5 in docs/races.md). The thread that
 * ends the process stops between the two steps of a kill; the victim then makes calls that a killed thread aborts. No
 * aborted call may return to user mode. Run with --deterministic: a span of time is then one turn for each CPU.
 */
#include "user/lib/race.h"

#include <sched.h>
#include <sys/uio.h>

struct family {
	volatile pid_t killer; /* the thread that will end the child */
	volatile bool go;      /* the killer may end the child */
	volatile bool gave_up; /* a call failed in the victim as if it had been killed */
	volatile unsigned long calls;
	char byte; /* read by the victim from the parent's memory */
};

static void *end_process(void *arg)
{
	struct family *family = arg;

	run_on_cpu(2);
	family->killer = (pid_t)syscall(SYS_gettid);
	while (!family->go)
		relax();
	_exit(0);
}

/* Reads the parent's memory: of the calls that check for a kill, this one waits for no lock of its own process. */
static void be_victim(struct family *family, pid_t parent)
{
	char got;
	struct iovec local = { &got, 1 }, remote = { &family->byte, 1 };
	pthread_t killer;

	run_on_cpu(1);
	MUST(pthread_create(&killer, NULL, end_process, family) == 0);
	for (;;) {
		if (process_vm_readv(parent, &local, 1, &remote, 1, 0) != 1)
			family->gave_up = true;
		family->calls++;
	}
}

static void stay_half_killed(struct family *family)
{
	while (!family->killer || family->calls < 100)
		usleep(1000);
	CHECK(race_command("arm kill_before_pending tid=%d", family->killer) >= 0);
	family->go = true;
	while (!race_stopped("kill_before_pending"))
		usleep(1000);
	usleep(30000); /* long enough for many calls, unless the victim has been stopped */
	CHECK(release("kill_before_pending"));
}

int main(void)
{
	struct family *family = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), child;
	int status = -1;

	MUST(family != MAP_FAILED);
	section("half killed");
	run_on_cpu(0);
	child = fork();
	if (child == 0)
		be_victim(family, parent);
	MUST(child > 0);
	stay_half_killed(family);
	MUST(waitpid(child, &status, 0) == child);
	CHECK(exited_with(status, 0));
	CHECK_THAT("no call came back to the killed thread", !family->gave_up);
	return check_done();
}
