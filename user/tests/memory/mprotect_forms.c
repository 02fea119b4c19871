/* SPDX-License-Identifier: MIT */
/* Tests mprotect: every change of rights takes effect at once and keeps the contents; also its errors. */
#include "user/lib/check.h"

#define RW (PROT_READ | PROT_WRITE)

static bool refused(char *p, bool write)
{
	int signo = write ? CATCH(poke(p, 9)) : CATCH(peek(p));

	return signo == SIGSEGV && caught.code == SEGV_ACCERR && caught_at(p);
}

static void rights(void)
{
	char *p = map_island(4, RW);

	section("rights and contents");
	memset(p, 5, 4 * PAGE);
	CHECK_EQ(mprotect(p, 4 * PAGE, PROT_READ), 0);
	CHECK(peek(p) == 5 && refused(p, true));
	CHECK_EQ(mprotect(p, 4 * PAGE, PROT_NONE), 0);
	CHECK(refused(p, false) && refused(p + 4 * PAGE - 1, true));
	CHECK_EQ(mprotect(p, 4 * PAGE, PROT_WRITE), 0);
	CHECK_THAT("PROT_NONE kept the pages", CATCH(poke(p, 6)) == 0 && peek(p + 1) == 5 && peek(p) == 6);
	CHECK_EQ(mprotect(p, 4 * PAGE, PROT_READ | PROT_EXEC), 0);
	CHECK(peek(p + 3 * PAGE) == 5 && refused(p, true));
	CHECK_EQ(mprotect(p, 4 * PAGE, RW), 0);
	CHECK(CATCH(poke(p, 1)) == 0 && peek(p) == 1);
}

static void untouched(void)
{
	char *p = map_island(4, PROT_NONE);

	section("pages that were never touched, or only read");
	CHECK_EQ(mprotect(p, 2 * PAGE, RW), 0);
	CHECK(CATCH(peek(p)) == 0 && peek(p) == 0);
	CHECK_EQ(mprotect(p, 2 * PAGE, PROT_READ), 0);
	CHECK(peek(p) == 0 && peek(p + PAGE) == 0 && refused(p, true));
	CHECK_EQ(mprotect(p, 2 * PAGE, RW), 0);
	CHECK(CATCH(poke(p, 1)) == 0 && CATCH(poke(p + PAGE, 2)) == 0);
	CHECK(peek(p) == 1 && peek(p + PAGE) == 2 && peek(p + 1) == 0);
	CHECK(refused(p + 2 * PAGE, false));
}

static void split_and_merge(void)
{
	char *p = map_island(9, RW);

	section("split and merge");
	for (int i = 0; i < 9; i++)
		poke(p + i * PAGE, i);
	CHECK_EQ(mprotect(p + 3 * PAGE, 3 * PAGE, PROT_READ), 0);
	CHECK(!CATCH(poke(p + 2 * PAGE, 2)) && refused(p + 3 * PAGE, true) && refused(p + 6 * PAGE - 1, true));
	CHECK(!CATCH(poke(p + 6 * PAGE, 6)));
	CHECK_EQ(mprotect(p + 4 * PAGE, PAGE, PROT_NONE), 0);
	CHECK(refused(p + 4 * PAGE, false) && peek(p + 3 * PAGE) == 3 && peek(p + 5 * PAGE) == 5);
	CHECK_EQ(mprotect(p, 9 * PAGE, RW), 0);
	for (int i = 0; i < 9; i++)
		CHECK_EQ(peek(p + i * PAGE), i);
	CHECK_EQ(mprotect(p + 1 * PAGE, 1, PROT_READ), 0);
	CHECK_THAT("a length of 1 changes one page", refused(p + 2 * PAGE - 1, true) && !CATCH(poke(p + 2 * PAGE, 2)));
}

static void executable(void)
{
	static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
	char *p = map_island(1, RW);
	int (*fn)(void) = (int (*)(void))p;
	volatile int got = 0;

	section("code");
	memcpy(p, code, sizeof(code));
	CHECK(CATCH(got = fn()) == SIGSEGV && caught.code == SEGV_ACCERR && caught_at(p));
	CHECK_EQ(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
	CHECK(CATCH(got = fn()) == 0 && got == 42);
	CHECK_EQ(mprotect(p, PAGE, RW), 0);
	CHECK_EQ(CATCH(got = fn()), SIGSEGV);
	p[1] = 43;
	CHECK_EQ(mprotect(p, PAGE, RW | PROT_EXEC), 0);
	CHECK(CATCH(got = fn()) == 0 && got == 43);
}

static void errors(void)
{
	char *p = map_island(8, RW);

	section("errors");
	memset(p, 1, 8 * PAGE);
	CHECK_ERRNO(syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), EINVAL);
	CHECK_EQ(mprotect(p, 0, PROT_NONE), 0);
	CHECK_ERRNO(syscall(SYS_mprotect, p, -PAGE, PROT_READ), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mprotect, p, PAGE, 0x100), EINVAL);
	CHECK_ERRNO(syscall(SYS_mprotect, p, PAGE, PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
	CHECK_ERRNO(syscall(SYS_mprotect, p, PAGE, PROT_READ | PROT_GROWSDOWN), EINVAL);
	CHECK_ERRNO(syscall(SYS_mprotect, 0x7ffffffff000, PAGE, PROT_READ), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mprotect, NULL, PAGE, PROT_READ), ENOMEM);
	CHECK(CATCH(poke(p, 2)) == 0);
	MUST(munmap(p + 4 * PAGE, PAGE) == 0);
	CHECK_ERRNO(mprotect(p + 2 * PAGE, 4 * PAGE, PROT_READ), ENOMEM);
	CHECK_THAT("what lies before the hole was changed", refused(p + 2 * PAGE, true) && refused(p + 3 * PAGE, true));
	CHECK_THAT("what lies behind it was not", CATCH(poke(p + 5 * PAGE, 1)) == 0);
	CHECK_ERRNO(mprotect(p + 4 * PAGE, PAGE, PROT_READ), ENOMEM);
}

int main(void)
{
	catch_faults(0);
	rights();
	untouched();
	split_and_merge();
	executable();
	errors();
	return check_done();
}
