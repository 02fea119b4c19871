/* SPDX-License-Identifier: MIT */
/* mincore: which pages have memory behind them, and its errors. */
#include "user/check.h"

#define RW (PROT_READ | PROT_WRITE)

static unsigned char vec[64];

static void show(const char *what, char *p, size_t nr)
{
	MUST(mincore(p, nr * PAGE, vec) == 0);
	printf("%-28s ", what);
	for (size_t i = 0; i < nr; i++)
		putchar(vec[i] & 1 ? '#' : '.');
	putchar('\n');
	fflush(stdout);
}

static void residency(void)
{
	char *p = map_island(16, RW);

	section("residency");
	show("untouched", p, 16);
	poke(p, 1), poke(p + 5 * PAGE, 1), poke(p + 15 * PAGE, 1);
	show("three written", p, 16);
	peek(p + 7 * PAGE);
	show("one read (zero page)", p, 16);
	MUST(mprotect(p, 16 * PAGE, PROT_NONE) == 0);
	show("PROT_NONE", p, 16);
	MUST(mprotect(p, 16 * PAGE, RW) == 0);
	MUST(madvise(p, 6 * PAGE, MADV_DONTNEED) == 0);
	show("first six dropped", p, 16);
	memset(p, 1, 16 * PAGE);
	show("all written", p, 16);
}

static void errors(void)
{
	char *p = map_island(4, RW), *bad = map_island(1, PROT_NONE);

	section("errors");
	CHECK_ERRNO(mincore(p + 1, PAGE, vec), EINVAL);
	CHECK_EQ(mincore(p, 0, vec), 0);
	CHECK_EQ(mincore(p, 1, vec), 0);
	CHECK_ERRNO(syscall(SYS_mincore, p, PAGE, bad), EFAULT);
	CHECK_ERRNO(syscall(SYS_mincore, p, PAGE, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_mincore, 0, PAGE, vec), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mincore, p, -1UL, vec), ENOMEM);
	MUST(munmap(p + PAGE, PAGE) == 0);
	CHECK_ERRNO(mincore(p, 4 * PAGE, vec), ENOMEM);
}

int main(void)
{
	residency();
	errors();
	return check_done();
}
