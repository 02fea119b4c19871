/* SPDX-License-Identifier: MIT */
/*
 * Tests that calls that find no free memory wait for the OOM killer to kill another process, and then succeed: pipes,
 * forks, page tables, mappings, copies. The victim may wait for a lock that the call holds: the OOM reaper frees its
 * memory all the same.
 *
 * Arguments: the tests to run (pipes, forks, tables, mappings, copies, lock); default: all. Must run as pid 1, which is
 * never killed, on a machine with 64 MiB and no swap. `lock` needs two CPUs and a kernel with race points.
 */
#include "user/lib/await.h"
#include "user/lib/race.h"

#include <sys/sysinfo.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#define RW (PROT_READ | PROT_WRITE)
#define TABLE (512 * PAGE)
#define LEFT (6UL << 20)
#define COPIED (24UL << 20)
#define LOOK_EACH 16 /* calls between two reads of the kill count, which take longer than most calls */

/* ---- The victim -------------------------------------------------------------------------------------------------- */

static unsigned long nr_free(void)
{
	struct sysinfo info;

	MUST(sysinfo(&info) == 0);
	return info.freeram * info.mem_unit;
}

/* Starts a child that takes all memory but LEFT, reports that it is ready, and calls `then`. */
static pid_t start_hog(void (*then)(void))
{
	pid_t pid = fork_until_ready();

	if (!pid) {
		MUST(write_text("/proc/self/oom_score_adj", "1000") > 0);
		while (nr_free() > LEFT)
			memset(map_pages(64, RW), 1, 64 * PAGE);
		say_ready();
		then();
	}
	return pid;
}

static void sleep_here(void)
{
	for (;;)
		pause();
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

/* Takes a little memory and keeps it; returns true if that succeeded. `n` is the number of the call. */
typedef bool taker(long n);

static bool take_pipe(long n)
{
	static char bytes[1 << 16];
	int fds[2];

	(void)n;
	return pipe2(fds, O_NONBLOCK) == 0 && write(fds[1], bytes, sizeof(bytes)) == sizeof(bytes);
}

static bool take_fork(long n)
{
	pid_t pid = fork();

	(void)n;
	if (!pid)
		sleep_here();
	return pid > 0;
}

/* Maps the shared zero page, which needs a page table. */
static bool take_table(long n)
{
	static char *base;

	if (!base)
		base = mmap(NULL, 16384 * TABLE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return base != MAP_FAILED && madvise(base + n * TABLE, PAGE, MADV_POPULATE_READ) == 0;
}

/* Changes every other page, so that no two VMAs merge. */
static bool take_mapping(long n)
{
	static char *base;

	if (!base)
		base = mmap(NULL, 1000000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return base != MAP_FAILED && mprotect(base + 2 * n * PAGE, PAGE, PROT_READ) == 0;
}

/* Opens a file that is one hole, so that only a copy of it needs memory. */
static int open_hole(void)
{
	int fd = memfd_create("hole", 0);

	MUST(fd >= 0 && ftruncate(fd, COPIED) == 0);
	return fd;
}

static bool take_copy(long n)
{
	static int fd = -1;

	(void)n;
	if (fd < 0)
		fd = open_hole();
	return pread(fd, map_pages(64, RW), 64 * PAGE, 0) == 64 * PAGE;
}

static unsigned long nr_killed(void)
{
	static char text[1 << 15];
	const char *row;

	MUST(read_text("/proc/vmstat", text, sizeof(text)) > 0);
	row = strstr(text, "oom_kill ");
	MUST(row);
	return strtoul(row + strlen("oom_kill "), NULL, 10);
}

/*
 * Runs in a child, whose memory is freed at the end. The child is exempt from the OOM killer, as its parent is. It ends
 * when the kill count has risen, not when memory is free again: it might take that memory as fast as it is freed.
 */
static int take_until_hog_dies(void *arg)
{
	taker *take = arg;
	unsigned long nr_killed_before = nr_killed();
	int status;
	pid_t hog;

	MUST(write_text("/proc/self/oom_score_adj", "-1000") > 0);
	hog = start_hog(sleep_here);
	for (long n = 0; n % LOOK_EACH || nr_killed() == nr_killed_before; n++)
		if (!take(n))
			return 1;
	return waitpid(hog, &status, 0) == hog && killed_by(status, SIGKILL) ? 0 : 2;
}

static void end_all_others(void)
{
	kill(-1, SIGKILL);
	while (wait(NULL) > 0)
		continue;
}

static void take(taker *take)
{
	CHECK_THAT("every call succeeds, until the hog was killed for one",
		   exited_with(run_child(take_until_hog_dies, take), 0));
	end_all_others();
}

static void pipes(void)
{
	take(take_pipe);
}

static void forks(void)
{
	take(take_fork);
}

static void tables(void)
{
	take(take_table);
}

static void mappings(void)
{
	MUST(write_text("/proc/sys/vm/max_map_count", "1000000") > 0);
	take(take_mapping);
}

static void copies(void)
{
	take(take_copy);
}

/* ---- The victim waits for a lock --------------------------------------------------------------------------------- */

static int hole; /* a reader holds the lock of its file position until the read ends */
static int go[2];

static void read_when_told(void)
{
	char byte;

	run_on_cpu(0);
	MUST(read(go[0], &byte, 1) == 1);
	(void)!read(hole, &byte, 1);
	sleep_here();
}

/* Starts a reader, which stops at a race point in the copy of the first page until it is released. */
static pid_t start_reader(void)
{
	pid_t pid = fork_until_ready();

	if (!pid) {
		char *p = mmap(NULL, COPIED, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		run_on_cpu(1);
		MUST(race_command("arm fault_enter tid=%d", getpid()) > 0);
		say_ready();
		_exit(read(hole, p, COPIED) == COPIED ? 0 : 1);
	}
	return pid;
}

static void lock(void)
{
	pid_t victim, reader;
	int status;

	run_on_cpu(0);
	hole = open_hole();
	MUST(pipe(go) == 0);
	victim = start_hog(read_when_told);
	reader = start_reader();
	while (!race_stopped("fault_enter"))
		usleep(1000);
	MUST(write(go[1], "x", 1) == 1);
	await_state(victim, 'D');
	CHECK(release("fault_enter"));
	CHECK_THAT("the reader gets all", waitpid(reader, &status, 0) == reader && status == 0);
	CHECK_THAT("the victim is killed", waitpid(victim, &status, 0) == victim && killed_by(status, SIGKILL));
	end_all_others();
}

static const struct {
	const char *name;
	void (*run)(void);
} all[] = { { "pipes", pipes },	      { "forks", forks },   { "tables", tables },
	    { "mappings", mappings }, { "copies", copies }, { "lock", lock } };

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		bool wanted = argc == 1;

		for (int arg = 1; arg < argc; arg++)
			wanted |= !strcmp(argv[arg], all[i].name);
		if (!wanted)
			continue;
		section(all[i].name);
		all[i].run();
	}
	return check_done();
}
