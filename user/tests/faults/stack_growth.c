/* SPDX-License-Identifier: MIT */
/*
 * Tests the growth of stacks: deep recursion grows a stack, RLIMIT_STACK and the guard gap limit it, and the SIGSEGV of
 * an overflow is delivered on the alternate stack.
 */
#include "user/lib/check.h"

#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* Uses one page of stack for each level; the volatile array keeps the compiler from folding levels. */
__attribute__((noinline)) static long recurse(long depth)
{
	volatile char frame[PAGE];

	frame[0] = (char)depth;
	frame[PAGE - 1] = 1;
	return depth == 0 ? 0 : recurse(depth - 1) + frame[PAGE - 1];
}

static volatile bool forever = true;

__attribute__((noinline)) static long endless(long depth)
{
	volatile char frame[PAGE];

	frame[0] = (char)depth;
	return forever ? endless(depth + 1) + frame[0] : 0;
}

static void use_alternate_stack(void)
{
	stack_t ss = { .ss_sp = map_pages(16, RW), .ss_size = 16 * PAGE };

	MUST(sigaltstack(&ss, NULL) == 0);
	catch_faults(SA_ONSTACK);
}

static void deep(void)
{
	section("deep recursion");
	CHECK_EQ(recurse(64), 64);
	CHECK_EQ(recurse(1000), 1000);
	CHECK_EQ(recurse(1900), 1900);
}

static void overflow(void)
{
	volatile int rounds = 0;

	section("overflow, caught on the alternate stack");
	for (int i = 0; i < 3; i++)
		rounds = rounds + (CATCH(endless(0)) == SIGSEGV && caught.code == SEGV_MAPERR);
	CHECK_EQ(rounds, 3);
	CHECK_EQ(recurse(1900), 1900);
}

static int small_limit(void *arg)
{
	struct rlimit limit = { 256 * 1024, RLIM_INFINITY };

	(void)arg;
	MUST(setrlimit(RLIMIT_STACK, &(struct rlimit){ limit.rlim_cur, limit.rlim_cur }) == 0);
	if (CATCH(recurse(32)) != 0)
		return 1;
	return CATCH(recurse(1000)) == SIGSEGV ? 0 : 2;
}

static int no_alternate(void *arg)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	(void)arg;
	MUST(sigaltstack(&off, NULL) == 0);
	endless(0);
	return 0;
}

static void limits(void)
{
	section("limits");
	CHECK_EQ(run_child(small_limit, NULL), 0);
	CHECK_THAT("without an alternate stack an overflow kills", killed_by(run_child(no_alternate, NULL), SIGSEGV));
}

/* Returns by how many pages a growing mapping can grow with a neighbour `gap` pages below it. */
static long growth_above(int neighbour_prot, long gap)
{
	char *base = mmap(NULL, 4096 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *top;
	long n = 0;

	MUST(base != MAP_FAILED && munmap(base, 4096 * PAGE) == 0);
	top = mmap(base + 4000 * PAGE, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(top == base + 4000 * PAGE);
	MUST(mmap(top - (gap + 1) * PAGE, PAGE, neighbour_prot, ANON | MAP_FIXED, -1, 0) != MAP_FAILED);
	poke(top, 1);
	while (n < gap && CATCH(poke(top - (n + 1) * PAGE, 1)) == 0)
		n++;
	munmap(base, 4096 * PAGE);
	return n;
}

static void guard_gap(void)
{
	section("the guard gap of 256 pages");
	CHECK_EQ(growth_above(RW, 300), 44);
	CHECK_EQ(growth_above(PROT_READ, 257), 1);
	CHECK_EQ(growth_above(RW, 256), 0);
	CHECK_EQ(growth_above(RW, 10), 0);
	CHECK_THAT("an inaccessible neighbour needs no gap", growth_above(PROT_NONE, 10) == 10);
}

int main(void)
{
	use_alternate_stack();
	limits();
	deep();
	overflow();
	guard_gap();
	return check_done();
}
