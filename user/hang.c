/* SPDX-License-Identifier: MIT */
/*
 * Two ends that are not for programs. `hang`: a thread stands in the midst of a fault with mmap_lock in its hands, another
 * waits for that lock, and a third process waits until the kernel's log says who waits for whom; for a kernel that looks
 * after a second (hang=1). `hang panic`: the first thread stands with a VMA's lock, and the kernel is made to panic.
 */
#include "user/race.h"

static char *page, *other;
static volatile pid_t holder_tid;
static volatile bool hold, unmap; /* what the two threads shall do */

static void *hold_lock(void *arg)
{
	run_on_cpu(1);
	holder_tid = syscall(SYS_gettid);
	while (!hold)
		relax();
	*(volatile char *)page = 1;
	return arg;
}

static void *wait_for_lock(void *arg)
{
	run_on_cpu(2);
	while (!unmap)
		relax();
	MUST(munmap(other, PAGE) == 0);
	return arg;
}

/* A thread that stands at the point in the midst of a fault. From now on this process had better not fault. */
static pthread_t stop_at(const char *point, enum policy policy)
{
	pthread_t thread;

	MUST(set_policy(policy));
	page = map_island(1, PROT_READ | PROT_WRITE);
	other = map_island(1, PROT_READ | PROT_WRITE);
	MUST(pthread_create(&thread, NULL, hold_lock, NULL) == 0);
	while (!holder_tid)
		relax();
	MUST(!race_stopped(point)); /* touches the stack that it needs */
	MUST(race_command("arm %s tid=%d", point, holder_tid) > 0);
	hold = true;
	while (!race_stopped(point))
		usleep(1000);
	return thread;
}

/* Returns when each of the texts has stood in some line of the kernel's log since `fd` was opened. */
static void wait_for_log(int fd, const char *const *texts, unsigned int nr)
{
	static char record[1024];
	unsigned int seen = 0;

	while (seen != (1u << nr) - 1) {
		ssize_t n = read(fd, record, sizeof(record) - 1);

		if (n < 0) {
			usleep(10000);
			continue;
		}
		record[n] = 0;
		for (unsigned int i = 0; i < nr; i++)
			if (strstr(record, texts[i]))
				seen |= 1u << i;
	}
}

static void hang_for_a_while(int told)
{
	pthread_t waiter, holder;
	char go = 0;

	MUST(pthread_create(&waiter, NULL, wait_for_lock, NULL) == 0);
	holder = stop_at("mmap_locked", POLICY_MMAP);
	unmap = true;
	MUST(read(told, &go, 1) == 0); /* until the parent has let the holder go, and its end of the pipe */
	pthread_join(holder, NULL);
	pthread_join(waiter, NULL);
}

static int hang(void)
{
	static const char *const texts[] = { "waits for MMAP_LOCK", "holds mmap_lock for reading", "holds MMAP_LOCK",
					     "has not left the kernel for 1 seconds", "stands at the race point mmap_locked" };
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), pipe_ends[2], status;
	pid_t child;

	MUST(log >= 0 && lseek(log, 0, SEEK_END) >= 0 && pipe(pipe_ends) == 0);
	child = fork();
	MUST(child >= 0);
	if (child == 0) {
		close(pipe_ends[1]);
		hang_for_a_while(pipe_ends[0]);
		_exit(0);
	}
	wait_for_log(log, texts, sizeof(texts) / sizeof(texts[0]));
	CHECK(release("mmap_locked"));
	close(pipe_ends[1]);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	return check_done();
}

static int make_panic(void)
{
	stop_at("vma_locked", POLICY_VMA);
	write_text("/proc/sysrq-trigger", "c");
	return 1;
}

int main(int argc, char **argv)
{
	MUST(on_faultline());
	return argc > 1 && strcmp(argv[1], "panic") == 0 ? make_panic() : hang();
}
