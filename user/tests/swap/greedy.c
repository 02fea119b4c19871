/* SPDX-License-Identifier: MIT */
/*
 * Tests greedy programs beside an innocent process: they are killed or refused, and it keeps running with its memory
 * intact.
 *
 * The greedy programs are a fork bomb with a bound of its own, processes that map, touch or copy memory without end,
 * and some that open files, start threads or fill pipes without end.
 *
 * Arguments: which (forks, mappings, files, threads, memory, pipes, copies); default: all but the last three, which
 * need a machine of their own.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)
#define MAX_FORKS 400

/* Each process forks as long as it may; a shared counter bounds the number of all processes. */
static int *family;

static int bomb(void *arg)
{
	while (__atomic_fetch_add(family, 1, __ATOMIC_SEQ_CST) < MAX_FORKS) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0)
			continue;
		if (*family % 3 == 0)
			waitpid(pid, NULL, 0);
	}
	while (wait(NULL) > 0)
		continue;
	(void)arg;
	return 0;
}

static int eat_memory(void *arg)
{
	for (;;) {
		char *p = mmap(NULL, 1 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		memset(p, 1, 1 << 20);
	}
	(void)arg;
}

/* Returns the limit of mappings: 65530 unless the administrator has changed it. */
static long max_mappings(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	long limit;

	MUST(file && fscanf(file, "%ld", &limit) == 1 && fclose(file) == 0);
	return limit;
}

/*
 * Changes every other page, so that nothing merges. Ends at the limit of mappings, or after all pages if the limit is
 * higher.
 */
static int eat_mappings(void *arg)
{
	long limit = max_mappings();
	char *p = mmap(NULL, 200000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long i;

	(void)arg;
	if (p == MAP_FAILED)
		return 1;
	for (i = 0; i < 200000; i += 2)
		if (mprotect(p + i * PAGE, PAGE, PROT_READ))
			break;
	if (limit > 200000)
		return i == 200000 ? 0 : 2;
	return i < 200000 && errno == ENOMEM && i > limit - 1000 ? 0 : 3;
}

static int eat_files(void *arg)
{
	int n = 0;

	(void)arg;
	while (dup(1) >= 0)
		n++;
	return errno == EMFILE && n > 100 ? 0 : 1;
}

static void *wait_here(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static int eat_threads(void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int n = 0;

	(void)arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16 * 1024);
	while (n < 300 && pthread_create(&thread, &attr, wait_here, NULL) == 0)
		n++;
	return n == 300 ? 0 : 1;
}

/* The memory that it takes is the kernel's (pages of pipes), not its own. The OOM killer must find it all the same. */
static int eat_pipes(void *arg)
{
	static char bytes[1 << 16];
	int fds[2];

	while (pipe2(fds, O_NONBLOCK) == 0) {
		fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		while (write(fds[1], bytes, sizeof(bytes)) > 0)
			continue;
	}
	return eat_memory(arg);
}

static void *feed(void *fd)
{
	static char bytes[1 << 16];

	while (write((int)(intptr_t)fd, bytes, sizeof(bytes)) > 0)
		continue;
	return NULL;
}

/* Memory runs out in the middle of a copy, with the pipe's lock held, for which other threads of the victim wait. */
static int eat_by_copies(void *arg)
{
	char *p = mmap(NULL, 1 << 30, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	pthread_t thread;
	int fds[2];

	(void)arg;
	MUST(p != MAP_FAILED && pipe(fds) == 0);
	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&thread, NULL, feed, (void *)(intptr_t)fds[1]) == 0);
	for (ssize_t n; (n = read(fds[0], p, 1 << 16)) > 0; p += n)
		continue;
	return 1;
}

static const struct {
	const char *name;
	int (*run)(void *);
	bool killed;
} appetites[] = {
	{ "forks", bomb, false },	   { "mappings", eat_mappings, false }, { "files", eat_files, false },
	{ "threads", eat_threads, false }, { "memory", eat_memory, true },	{ "pipes", eat_pipes, true },
	{ "copies", eat_by_copies, true },
};

/* The innocent process: checks and changes its own memory until told to stop. */
static int innocent(void *arg)
{
	volatile int *stop = arg;
	char *p = map_pages(64, RW);
	unsigned char round = 0;

	while (!*stop) {
		for (int i = 0; i < 64; i++)
			if ((unsigned char)p[i * PAGE] != round)
				return 1;
		memset(p, ++round, 64 * PAGE);
		usleep(1000);
	}
	return 0;
}

static bool is_wanted(size_t appetite, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], appetites[appetite].name))
			return true;
	return argc == 1 && !appetites[appetite].killed;
}

int main(int argc, char **argv)
{
	volatile int *stop = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	MUST((void *)stop != MAP_FAILED);
	family = (int *)stop + 16;
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(innocent((void *)stop));
	for (size_t i = 0; i < sizeof(appetites) / sizeof(appetites[0]); i++) {
		if (!is_wanted(i, argc, argv))
			continue;
		section(appetites[i].name);
		status = run_child(appetites[i].run, NULL);
		CHECK_THAT("killed or refused, as it should be",
			   appetites[i].killed ? killed_by(status, SIGKILL) : status == 0);
	}
	*stop = 1;
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_THAT("the innocent process went on", status == 0);
	return check_done();
}
