/* SPDX-License-Identifier: MIT */
/* Tests madvise: advice that acts (DONTNEED, POPULATE_*, DONTFORK, WIPEONFORK), hints that succeed, and errors. */
#include "user/lib/check.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define RW (PROT_READ | PROT_WRITE)

static void dontneed(void)
{
	char *p = map_island(8, RW), *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	section("MADV_DONTNEED");
	memset(p, 1, 8 * PAGE);
	CHECK_EQ(madvise(p + 2 * PAGE, 3 * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(resident(p, 8), 5);
	CHECK(peek(p + 2 * PAGE) == 0 && peek(p + 5 * PAGE - 1) == 0);
	CHECK(peek(p + 2 * PAGE - 1) == 1 && peek(p + 5 * PAGE) == 1);
	poke(p + 2 * PAGE, 4);
	CHECK_EQ(madvise(p, 8 * PAGE, MADV_DONTNEED), 0);
	CHECK(resident(p, 8) == 0 && peek(p + 2 * PAGE) == 0 && peek(p) == 0);
	CHECK_EQ(madvise(p, 8 * PAGE, MADV_DONTNEED), 0);
	MUST(mprotect(p, PAGE, PROT_READ) == 0);
	CHECK_EQ(madvise(p, 2 * PAGE, MADV_DONTNEED), 0);
	MUST(s != MAP_FAILED);
	poke(s, 3);
	CHECK_EQ(madvise(s, 2 * PAGE, MADV_DONTNEED), 0);
	CHECK_THAT("shared memory keeps its contents", peek(s) == 3);
	munmap(s, 2 * PAGE);
}

static void populate(void)
{
	char *p = map_island(8, RW), *r = map_island(4, PROT_READ), *n = map_island(4, PROT_NONE);

	section("MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_WILLNEED");
	CHECK_EQ(madvise(p, 8 * PAGE, MADV_WILLNEED), 0);
	CHECK_EQ(madvise(p, 4 * PAGE, MADV_POPULATE_READ), 0);
	CHECK_EQ(resident(p, 8), 4);
	CHECK_EQ(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE), 0);
	CHECK(resident(p, 8) == 8 && peek(p) == 0 && peek(p + 8 * PAGE - 1) == 0);
	poke(p, 5);
	CHECK_EQ(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE), 0);
	CHECK_EQ(peek(p), 5);
	CHECK_EQ(madvise(r, 4 * PAGE, MADV_POPULATE_READ), 0);
	CHECK_ERRNO(madvise(r, 4 * PAGE, MADV_POPULATE_WRITE), EINVAL);
	CHECK_ERRNO(madvise(n, 4 * PAGE, MADV_POPULATE_READ), EINVAL);
	CHECK_ERRNO(madvise(n, 4 * PAGE, MADV_POPULATE_WRITE), EINVAL);
	MUST(munmap(p + 3 * PAGE, PAGE) == 0);
	CHECK_ERRNO(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE), ENOMEM);
}

struct pages {
	char *kept, *hidden, *wiped;
};

static int look(void *arg)
{
	struct pages *p = arg;

	if (peek(p->kept) != 1)
		return 1;
	if (CATCH(peek(p->hidden)) != SIGSEGV || caught.code != SEGV_MAPERR)
		return 2;
	if (peek(p->wiped) != 0)
		return 3;
	return 0;
}

static void over_fork(void)
{
	struct pages p = { map_island(1, RW), map_island(1, RW), map_island(1, RW) };

	section("MADV_DONTFORK, MADV_WIPEONFORK");
	poke(p.kept, 1), poke(p.hidden, 1), poke(p.wiped, 1);
	CHECK_EQ(madvise(p.hidden, PAGE, MADV_DONTFORK), 0);
	CHECK_EQ(madvise(p.wiped, PAGE, MADV_WIPEONFORK), 0);
	CHECK_EQ(run_child(look, &p), 0);
	CHECK(peek(p.hidden) == 1 && peek(p.wiped) == 1);
	CHECK_EQ(madvise(p.hidden, PAGE, MADV_DOFORK), 0);
	CHECK_EQ(madvise(p.wiped, PAGE, MADV_KEEPONFORK), 0);
	CHECK_THAT("undone", exited_with(run_child(look, &p), 2));
}

static void hints(void)
{
	static const int advice[] = { MADV_NORMAL,   MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
				      MADV_DONTDUMP, MADV_DODUMP, MADV_FREE };
	char *p = map_island(2, RW);

	section("hints succeed and change no contents");
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		poke(p, 9);
		CHECK_EQ(madvise(p, 2 * PAGE, advice[i]), 0);
		poke(p, 9);
		CHECK(peek(p) == 9);
	}
}

static void errors(void)
{
	char *p = map_island(4, RW);

	section("errors");
	CHECK_ERRNO(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_ERRNO(madvise(p, PAGE, 12345), EINVAL);
	CHECK_ERRNO(madvise(p, PAGE, -1), EINVAL);
	CHECK_ERRNO(madvise(p, -1UL, MADV_DONTNEED), EINVAL);
	CHECK_ERRNO(madvise(p, -PAGE, MADV_DONTNEED), EINVAL);
	CHECK_EQ(madvise(p, 0, MADV_DONTNEED), 0);
	CHECK_ERRNO(madvise(NULL, PAGE, MADV_DONTNEED), ENOMEM);
	memset(p, 1, 4 * PAGE);
	MUST(munmap(p + PAGE, PAGE) == 0);
	CHECK_ERRNO(madvise(p, 4 * PAGE, MADV_DONTNEED), ENOMEM);
	CHECK_THAT("both sides of the hole were dropped all the same", peek(p) == 0 && peek(p + 3 * PAGE) == 0);
}

int main(void)
{
	catch_faults(0);
	dontneed();
	populate();
	over_fork();
	hints();
	errors();
	return check_done();
}
