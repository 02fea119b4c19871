/* SPDX-License-Identifier: MIT */
/* Tests the program break through the raw system call (musl's brk() always fails by design). */
#include "user/lib/check.h"

#include <sys/resource.h>

static char *brk_to(char *end)
{
	return (char *)syscall(SYS_brk, end);
}

static void grow_and_shrink(void)
{
	char *start = brk_to(NULL), *page = (char *)(((uintptr_t)start + PAGE - 1) & -PAGE);

	section("grow and shrink");
	CHECK(start != NULL);
	CHECK(brk_to(NULL) == start);
	CHECK(brk_to(page + 100) == page + 100);
	CHECK_THAT("new memory is zero to the end of its page", peek(page) == 0 && peek(page + PAGE - 1) == 0);
	memset(page, 8, PAGE);
	CHECK(brk_to(page + 10 * PAGE) == page + 10 * PAGE);
	CHECK(peek(page) == 8 && !CATCH(poke(page + 10 * PAGE - 1, 1)));
	CHECK_EQ(CATCH(poke(page + 10 * PAGE, 1)), SIGSEGV);
	CHECK(brk_to(page + 2 * PAGE) == page + 2 * PAGE);
	CHECK(CATCH(peek(page + 2 * PAGE)) == SIGSEGV && caught.code == SEGV_MAPERR);
	CHECK(brk_to(page + 10 * PAGE) == page + 10 * PAGE);
	CHECK_THAT("memory that comes back is zero", peek(page + 10 * PAGE - 1) == 0);
	CHECK(brk_to(start) == start);
	CHECK_EQ(CATCH(peek(page)), SIGSEGV);
}

static void refusals(void)
{
	char *start = brk_to(NULL);
	struct rlimit old, low = { 1 << 20, RLIM_INFINITY };

	section("refusals leave the break where it was");
	CHECK(brk_to((char *)1) == start);
	CHECK(brk_to(start - (64 << 20)) == start);
	CHECK(brk_to((char *)0x7ffffffff000) == start);
	CHECK(brk_to((char *)-1) == start);
	MUST(getrlimit(RLIMIT_DATA, &old) == 0);
	low.rlim_max = old.rlim_max;
	MUST(setrlimit(RLIMIT_DATA, &low) == 0);
	CHECK_THAT("RLIMIT_DATA", brk_to(start + (4 << 20)) == start);
	MUST(setrlimit(RLIMIT_DATA, &old) == 0);
	CHECK(brk_to(start + (4 << 20)) == start + (4 << 20));
	brk_to(start);
}

static int child_heap(void *arg)
{
	char *page = arg;

	if (peek(page) != 1)
		return 1;
	poke(page, 2);
	return brk_to(page + 4 * PAGE) == page + 4 * PAGE ? 0 : 2;
}

static void over_fork(void)
{
	char *start = brk_to(NULL), *page = (char *)(((uintptr_t)start + PAGE - 1) & -PAGE);

	section("over fork");
	MUST(brk_to(page + PAGE) == page + PAGE);
	poke(page, 1);
	CHECK_EQ(run_child(child_heap, page), 0);
	CHECK(peek(page) == 1 && brk_to(NULL) == page + PAGE);
	brk_to(start);
}

int main(void)
{
	catch_faults(0);
	grow_and_shrink();
	refusals();
	over_fork();
	return check_done();
}
