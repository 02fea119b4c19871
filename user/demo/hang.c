/* SPDX-License-Identifier: MIT */
/*
 * Makes the kernel hang or panic on purpose, to test what it reports.
 *
 *	hang			a thread stops in the middle of a fault with mmap_lock held, another waits for that
 *				lock, and a third process waits until the kernel's log says so; for a kernel that checks
 *				after a second (hang=1)
 *	hang deaf		the same with a CPU that takes no interrupts, since its process stops in a switch of
 *				address spaces, and another CPU that spins for its lock
 *	hang alone		the same with the boot CPU, while all others are idle; does not end
 *	hang panic		the thread stops with a VMA's lock held, and the kernel is made to panic
 *	hang busy SECONDS	no hang, but successive calls that keep a CPU in the kernel nearly all the time
 */
#include "user/lib/race.h"

static char *page, *other;
static volatile pid_t holder_tid;
static volatile bool hold, unmap; /* tell the two threads to go on */

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

/*
 * Starts a thread, and returns when it has stopped at the race point in the middle of a fault. From then on this
 * process should not fault.
 */
static pthread_t stop_at(const char *point, enum policy policy)
{
	pthread_t thread;

	MUST(set_policy(policy));
	page = map_island(1, PROT_READ | PROT_WRITE);
	other = map_island(1, PROT_READ | PROT_WRITE);
	MUST(pthread_create(&thread, NULL, hold_lock, NULL) == 0);
	while (!holder_tid)
		relax();
	MUST(!race_stopped(point)); /* faults in the stack that the call needs */
	MUST(race_command("arm %s tid=%d", point, holder_tid) > 0);
	hold = true;
	while (!race_stopped(point))
		usleep(1000);
	return thread;
}

/* Returns when each of the texts has appeared in a line of the kernel's log since `fd` was opened. */
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
	MUST(read(told, &go, 1) == 0); /* until the parent has released the holder and closed its end of the pipe */
	pthread_join(holder, NULL);
	pthread_join(waiter, NULL);
}

static int hang(void)
{
	static const char *const texts[] = { "waits for MMAP_LOCK", "holds mmap_lock for reading", "holds MMAP_LOCK",
					     "has not left the kernel for 1 seconds",
					     "is stopped at the race point mmap_locked" };
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

/* Starts a process that stops in its execve on that CPU. Once released, it exits. */
static pid_t stop_in_exec(int cpu)
{
	pid_t child = fork();

	MUST(child >= 0);
	if (child == 0) {
		MUST(run_on_cpu(cpu) && race_command("arm switch_mask_set tid=%d", getpid()) > 0);
		execl("/proc/self/exe", "hang", "nothing", NULL);
		_exit(1);
	}
	while (!race_stopped("switch_mask_set"))
		usleep(1000);
	return child;
}

/* Starts a process that sends another a signal from CPU 2. */
static pid_t send_signal(pid_t to)
{
	pid_t child = fork();

	MUST(child >= 0);
	if (child == 0) {
		MUST(run_on_cpu(2));
		_exit(kill(to, SIGCONT) != 0);
	}
	return child;
}

static int deaf(void)
{
	static const char *const texts[] = { "CPU 1 has taken no interrupt for 1 seconds", "the CPU waits for SIGNAL",
					     "which CPU 1 holds", "is stopped at the race point switch_mask_set" };
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), status;
	pid_t standing, spinning;

	MUST(run_on_cpu(0) && log >= 0 && lseek(log, 0, SEEK_END) >= 0);
	standing = stop_in_exec(1);
	spinning = send_signal(standing);
	wait_for_log(log, texts, sizeof(texts) / sizeof(texts[0]));
	CHECK(release("switch_mask_set"));
	CHECK(waitpid(standing, &status, 0) == standing && status == 0);
	CHECK(waitpid(spinning, &status, 0) == spinning && status == 0);
	return check_done();
}

/* The machine makes no progress from here on. */
static int alone(void)
{
	MUST(run_on_cpu(1));
	stop_in_exec(0);
	pause();
	return 1;
}

/* Each call takes some milliseconds, and the time between calls is negligible. */
static int stay_busy(int seconds)
{
	size_t size = 8 << 20;
	char *buffer = malloc(size);
	int zero = open("/dev/zero", O_RDONLY);
	time_t end = time(NULL) + seconds;

	MUST(buffer && zero >= 0);
	puts("busy"), fflush(stdout);
	while (time(NULL) < end)
		MUST(read(zero, buffer, size) == (ssize_t)size);
	return 0;
}

static int make_panic(void)
{
	stop_at("vma_locked", POLICY_VMA);
	usleep(100000); /* the stopped thread is busy, so that its CPU takes ticks, which a debugger may look at */
	write_text("/proc/sysrq-trigger", "c");
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "busy") == 0)
		return stay_busy(argc > 2 ? atoi(argv[2]) : 3);
	MUST(on_faultline());
	if (strcmp(what, "nothing") == 0)
		return 0;
	if (strcmp(what, "deaf") == 0)
		return deaf();
	if (strcmp(what, "alone") == 0)
		return alone();
	return strcmp(what, "panic") == 0 ? make_panic() : hang();
}
