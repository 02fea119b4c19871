/* SPDX-License-Identifier: MIT */
/*
 * Tests that getrusage counts faults exactly: one for each page that a fault maps, none for pages that are mapped
 * already.
 */
#include "user/lib/check.h"

#include <sys/resource.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define RW (PROT_READ | PROT_WRITE)
#define NR 64

static long minflt(int who)
{
	struct rusage usage;

	MUST(getrusage(who, &usage) == 0);
	return usage.ru_minflt;
}

/* Returns how many faults it takes to touch nr pages, by reading or by writing. */
static long touch(char *p, int nr, bool write)
{
	long before = minflt(RUSAGE_SELF);

	for (int i = 0; i < nr; i++) {
		if (write)
			poke(p + i * PAGE, 1);
		else
			peek(p + i * PAGE);
	}
	return minflt(RUSAGE_SELF) - before;
}

static void anonymous(void)
{
	char *p = map_island(NR, RW);

	section("anonymous memory");
	CHECK_EQ(touch(p, NR, true), NR);
	CHECK_EQ(touch(p, NR, true), 0);
	CHECK_EQ(touch(p, NR, false), 0);
	MUST(madvise(p, NR * PAGE, MADV_DONTNEED) == 0);
	CHECK_EQ(touch(p, NR, false), NR);
	CHECK_EQ(touch(p, NR, false), 0);
	CHECK_THAT("a write after the read faults again", touch(p, NR, true) == NR);
	MUST(mprotect(p, NR * PAGE, PROT_READ) == 0);
	CHECK_EQ(touch(p, NR, false), 0);
	MUST(mprotect(p, NR * PAGE, RW) == 0);
	CHECK_THAT("own pages become writable again without a fault, or with one each", touch(p, NR, true) % NR == 0);
}

static void syscalls(void)
{
	char *p = map_island(NR, RW);
	int fds[2];
	long before;

	section("faults inside system calls count too");
	MUST(pipe(fds) == 0);
	MUST(write(fds[1], "x", 1) == 1);
	before = minflt(RUSAGE_SELF);
	MUST(read(fds[0], p + 5 * PAGE, 1) == 1);
	CHECK_EQ(minflt(RUSAGE_SELF) - before, 1);
	CHECK_EQ(touch(p, NR, true), NR - 1);
}

static void populated(void)
{
	char *p = map_island(NR, RW);

	section("populated memory doesn't fault");
	MUST(madvise(p, NR * PAGE, MADV_POPULATE_WRITE) == 0);
	CHECK_EQ(touch(p, NR, true), 0);
}

static int touch_in_child(void *arg)
{
	return touch(arg, NR, true) == NR ? 0 : 1;
}

static void children(void)
{
	char *p = map_island(NR, RW);
	long before = minflt(RUSAGE_CHILDREN);

	section("children");
	CHECK_EQ(run_child(touch_in_child, p), 0);
	CHECK(minflt(RUSAGE_CHILDREN) - before >= NR);
	memset(p, 1, NR * PAGE);
	CHECK_EQ(run_child(touch_in_child, p), 0);
	CHECK_THAT("reads after fork don't fault", touch(p, NR, false) == 0);
}

int main(void)
{
	anonymous();
	syscalls();
	populated();
	children();
	return check_done();
}
