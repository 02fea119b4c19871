/* SPDX-License-Identifier: MIT */
/*
 * Tests munmap of whole mappings, of their front, back and middle, across holes and several mappings, and its errors.
 */
#include "user/lib/check.h"

#define RW (PROT_READ | PROT_WRITE)

static bool gone(char *p)
{
	return CATCH(peek(p)) == SIGSEGV && caught.code == SEGV_MAPERR && caught_at(p);
}

static void pieces(void)
{
	char *p = map_island(16, RW);

	section("pieces of one mapping");
	memset(p, 7, 16 * PAGE);
	CHECK_EQ(munmap(p, PAGE), 0);
	CHECK_THAT("front page gone", gone(p) && peek(p + PAGE) == 7);
	CHECK_EQ(munmap(p + 15 * PAGE, PAGE), 0);
	CHECK_THAT("back page gone", gone(p + 15 * PAGE) && peek(p + 15 * PAGE - 1) == 7);
	CHECK_EQ(munmap(p + 7 * PAGE, 2 * PAGE), 0);
	CHECK_THAT("middle gone", gone(p + 7 * PAGE) && gone(p + 9 * PAGE - 1));
	CHECK_THAT("its neighbours stay", peek(p + 7 * PAGE - 1) == 7 && peek(p + 9 * PAGE) == 7);
	CHECK_EQ(munmap(p + 7 * PAGE, 2 * PAGE), 0);
	CHECK_THAT("unmapping nothing is no error", gone(p + 7 * PAGE));
	CHECK_EQ(munmap(p, 16 * PAGE), 0);
	CHECK_THAT("all gone, holes and all", gone(p + PAGE) && gone(p + 9 * PAGE) && gone(p + 14 * PAGE));
}

static void several(void)
{
	char *p = map_island(12, RW);

	section("across several mappings");
	memset(p, 3, 12 * PAGE);
	MUST(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	CHECK_EQ(munmap(p + 2 * PAGE, 8 * PAGE), 0);
	CHECK(peek(p + 2 * PAGE - 1) == 3 && peek(p + 10 * PAGE) == 3);
	CHECK(gone(p + 2 * PAGE) && gone(p + 5 * PAGE) && gone(p + 10 * PAGE - 1));
	CHECK(mmap(p + 2 * PAGE, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	      p + 2 * PAGE);
	CHECK_THAT("what comes after is zero", peek(p + 2 * PAGE) == 0 && peek(p + 10 * PAGE - 1) == 0);
}

static void large(void)
{
	size_t len = 1UL << 32;
	char *p = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	section("a sparse 4 GiB");
	MUST(p != MAP_FAILED);
	for (size_t at = 0; at < len; at += len / 16)
		poke(p + at, 1);
	CHECK_EQ(munmap(p + len / 4, len / 2), 0);
	CHECK(peek(p) == 1 && peek(p + len / 4 * 3) == 1);
	CHECK(gone(p + len / 4) && gone(p + len / 2) && gone(p + len / 4 * 3 - 1));
	CHECK_EQ(munmap(p, len), 0);
	CHECK(gone(p));
}

static void errors(void)
{
	char *p = map_island(2, RW);

	section("errors");
	CHECK_ERRNO(munmap(p, 0), EINVAL);
	CHECK_ERRNO(munmap(p + 1, PAGE), EINVAL);
	CHECK_ERRNO(syscall(SYS_munmap, p, -1UL), EINVAL);
	CHECK_ERRNO(syscall(SYS_munmap, p, 1UL << 47), EINVAL);
	CHECK_ERRNO(syscall(SYS_munmap, ~0UL << 12, PAGE), EINVAL);
	CHECK_ERRNO(syscall(SYS_munmap, 0x7ffffffff000, PAGE), EINVAL);
	CHECK_THAT("nothing was lost by that", CATCH(poke(p, 1)) == 0 && CATCH(poke(p + PAGE, 1)) == 0);
	CHECK_THAT("an unaligned length is rounded up", munmap(p, PAGE + 1) == 0 && gone(p + PAGE));
}

int main(void)
{
	catch_faults(0);
	pieces();
	several();
	large();
	errors();
	return check_done();
}
