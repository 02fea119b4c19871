/* SPDX-License-Identifier: MIT */
/*
 * Tests copy-on-write after fork, over several generations and among siblings.
 *
 * Writes by parent or child stay private. The last owner of a page reuses it instead of copying it: one fault for each
 * page.
 */
#include "user/lib/check.h"

#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)
#define NR 16

static char *memory;

/* A pair of pipes that lets parent and child take turns. */
static int to_child[2], to_parent[2];

static void give(int *pipe_fds)
{
	MUST(write(pipe_fds[1], "x", 1) == 1);
}

static void await(int *pipe_fds)
{
	char c;

	MUST(read(pipe_fds[0], &c, 1) == 1);
}

static bool filled_with(char value, int first, int last)
{
	for (int i = first; i < last; i++)
		if (peek(memory + i * PAGE) != value || peek(memory + i * PAGE + PAGE - 1) != value)
			return false;
	return true;
}

static int child_writes(void *arg)
{
	(void)arg;
	if (!filled_with(1, 0, NR))
		return 1;
	memset(memory, 2, NR / 2 * PAGE);
	return filled_with(2, 0, NR / 2) && filled_with(1, NR / 2, NR) ? 0 : 2;
}

static void private_to_child(void)
{
	section("the child's writes stay with the child");
	memset(memory, 1, NR * PAGE);
	CHECK_EQ(run_child(child_writes, NULL), 0);
	CHECK(filled_with(1, 0, NR));
	memset(memory, 3, NR * PAGE);
	CHECK(filled_with(3, 0, NR));
}

static int child_rereads(void *arg)
{
	(void)arg;
	if (!filled_with(4, 0, NR))
		return 1;
	give(to_parent);
	await(to_child);
	return filled_with(4, 0, NR) ? 0 : 2;
}

static void private_to_parent(void)
{
	pid_t pid;
	int status;

	section("the parent's writes stay with the parent");
	memset(memory, 4, NR * PAGE);
	MUST(pipe(to_child) == 0 && pipe(to_parent) == 0);
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(child_rereads(NULL));
	await(to_parent);
	memset(memory, 5, NR * PAGE);
	give(to_child);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	CHECK(filled_with(5, 0, NR));
}

/* Each generation checks what it inherited, writes one page, and forks the next. */
static int generation(void *arg)
{
	long depth = (long)arg;
	int status;

	for (long i = 0; i < NR; i++)
		if (peek(memory + i * PAGE) != (i < depth ? 10 + i : 6))
			return 1 + i;
	if (depth == NR)
		return 0;
	poke(memory + depth * PAGE, 10 + depth);
	status = run_child(generation, (void *)(depth + 1));
	if (status)
		return WEXITSTATUS(status);
	return peek(memory + depth * PAGE) == 10 + depth ? 0 : 99;
}

static void generations(void)
{
	section("sixteen generations");
	memset(memory, 6, NR * PAGE);
	CHECK_EQ(run_child(generation, (void *)0), 0);
	CHECK(filled_with(6, 0, NR));
}

static int brood(void *arg)
{
	long id = (long)arg;

	for (int round = 0; round < 8; round++) {
		memset(memory, id + round, NR * PAGE);
		if (!filled_with(id + round, 0, NR))
			return 1;
	}
	return 0;
}

static void siblings(void)
{
	pid_t pids[6];
	int status, bad = 0;

	section("six siblings write at once");
	memset(memory, 7, NR * PAGE);
	fflush(stdout);
	for (long i = 0; i < 6; i++) {
		pids[i] = fork();
		MUST(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(brood((void *)(20 + i * 10)));
	}
	for (int i = 0; i < 6; i++) {
		MUST(waitpid(pids[i], &status, 0) == pids[i]);
		bad += status != 0;
	}
	CHECK_EQ(bad, 0);
	CHECK(filled_with(7, 0, NR));
}

static long minflt(void)
{
	struct rusage usage;

	MUST(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt;
}

static int quiet(void *arg)
{
	(void)arg;
	return 0;
}

/* Writes one byte to each page. Returns how many faults that took. */
static long write_all(char value)
{
	long before = minflt();

	for (int i = 0; i < NR; i++)
		poke(memory + i * PAGE, value);
	return minflt() - before;
}

static void faults(void)
{
	section("faults of a write after fork");
	memset(memory, 8, NR * PAGE);
	CHECK_EQ(write_all(9), 0);
	CHECK_EQ(run_child(quiet, NULL), 0);
	CHECK_THAT("one for each page when the child has exited (reuse)", write_all(10) == NR);
	CHECK_EQ(write_all(11), 0);
}

static int changes_rights(void *arg)
{
	(void)arg;
	if (mprotect(memory, NR * PAGE, PROT_READ) || CATCH(poke(memory, 1)) != SIGSEGV)
		return 1;
	if (mprotect(memory, NR * PAGE, RW) || CATCH(poke(memory, 1)) != 0)
		return 2;
	return peek(memory) == 1 && filled_with(12, 1, NR) ? 0 : 3;
}

static void rights(void)
{
	section("mprotect does not break the sharing open");
	memset(memory, 12, NR * PAGE);
	CHECK_EQ(run_child(changes_rights, NULL), 0);
	CHECK(filled_with(12, 0, NR));
}

int main(void)
{
	catch_faults(0);
	memory = map_island(NR, RW);
	private_to_child();
	private_to_parent();
	generations();
	siblings();
	faults();
	rights();
	return check_done();
}
