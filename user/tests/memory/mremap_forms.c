/* SPDX-License-Identifier: MIT */
/*
 * Tests mremap: shrinking, growing in place or by moving, moves to a fixed address, duplicating shared memory, and
 * errors.
 */
#include "user/lib/check.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* Sets page i of p to i + 1, for i in [first, last). */
static void fill(char *p, int first, int last)
{
	for (int i = first; i < last; i++)
		poke(p + i * PAGE, i + 1);
}

static bool filled(char *p, int first, int last, int value)
{
	for (int i = first; i < last; i++, value++)
		if (peek(p + i * PAGE) != value)
			return false;
	return true;
}

static bool gone(char *p)
{
	return CATCH(peek(p)) == SIGSEGV && caught.code == SEGV_MAPERR;
}

/* Returns an empty range between reserved neighbours. The caller unmaps what it has mapped there. */
static char *hole(size_t nr)
{
	char *p = map_island(nr, PROT_NONE);

	MUST(munmap(p, nr * PAGE) == 0);
	return p;
}

static char *map_at(char *where, size_t nr, int prot)
{
	char *p = mmap(where, nr * PAGE, prot, ANON | MAP_FIXED_NOREPLACE, -1, 0);

	MUST(p == where);
	return p;
}

static void shrink(void)
{
	char *p = map_island(8, RW);

	section("shrink");
	fill(p, 0, 8);
	CHECK(mremap(p, 8 * PAGE, 3 * PAGE, 0) == p);
	CHECK(filled(p, 0, 3, 1) && gone(p + 3 * PAGE) && gone(p + 8 * PAGE - 1));
	CHECK(mremap(p, 3 * PAGE, 3 * PAGE, 0) == p);
	CHECK(mremap(p, 2 * PAGE + 1, 2 * PAGE + 5, 0) == p);
	CHECK(filled(p, 0, 3, 1));
}

static void grow_in_place(void)
{
	char *p = map_at(hole(16), 4, RW);

	section("grow in place");
	fill(p, 0, 4);
	CHECK(mremap(p, 4 * PAGE, 8 * PAGE, 0) == p);
	CHECK(filled(p, 0, 4, 1) && peek(p + 4 * PAGE) == 0 && !CATCH(poke(p + 8 * PAGE - 1, 1)));
	map_at(p + 10 * PAGE, 1, PROT_NONE);
	CHECK_ERRNO(mremap(p, 8 * PAGE, 12 * PAGE, 0), ENOMEM);
	CHECK(filled(p, 0, 4, 1) && gone(p + 8 * PAGE));
	CHECK(mremap(p + 6 * PAGE, 2 * PAGE, 4 * PAGE, 0) == p + 6 * PAGE);
	CHECK(filled(p, 0, 4, 1) && !CATCH(poke(p + 9 * PAGE, 1)));
}

static void grow_by_moving(void)
{
	char *p = map_island(4, RW), *q;

	section("grow by moving");
	fill(p, 0, 3);
	q = mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p);
	CHECK(filled(q, 0, 3, 1) && peek(q + 3 * PAGE) == 0 && peek(q + 64 * PAGE - 1) == 0);
	CHECK_THAT("the old place is empty", gone(p) && gone(p + 4 * PAGE - 1));
	CHECK(CATCH(poke(q + 63 * PAGE, 1)) == 0);
	munmap(q, 64 * PAGE);

	p = map_island(9, RW);
	fill(p, 0, 9);
	q = mremap(p + 3 * PAGE, 3 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
	CHECK_THAT("the middle of a mapping moves out", q != MAP_FAILED && filled(q, 0, 3, 4));
	CHECK(filled(p, 0, 3, 1) && gone(p + 3 * PAGE) && gone(p + 5 * PAGE) && filled(p, 6, 9, 7));
	munmap(q, 40 * PAGE);
}

static void move_fixed(void)
{
	char *p = map_island(4, RW), *q = map_island(8, RW);

	section("move to a fixed place");
	fill(p, 0, 4);
	memset(q, 99, 8 * PAGE);
	CHECK(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 2 * PAGE) == q + 2 * PAGE);
	CHECK(filled(q, 2, 6, 1) && gone(p));
	CHECK(peek(q + 2 * PAGE - 1) == 99 && peek(q + 6 * PAGE) == 99 && peek(q + 2 * PAGE + 1) == 0);
	CHECK_THAT("grow while moving",
		   mremap(q + 2 * PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
	CHECK(filled(p, 0, 2, 1) && peek(p + 2 * PAGE) == 0 && gone(q + 2 * PAGE) && filled(q, 4, 6, 3));
	CHECK_THAT("shrink while moving",
		   mremap(p, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 2 * PAGE) == q + 2 * PAGE);
	CHECK(filled(q, 2, 3, 1) && gone(p) && gone(p + PAGE));
}

static void move_rights(void)
{
	char *p = map_island(4, RW), *q = hole(64);

	section("rights, untouched pages and the zero page move along");
	poke(p, 1);
	peek(p + PAGE);
	MUST(mprotect(p, 4 * PAGE, PROT_READ) == 0);
	CHECK(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	CHECK(peek(q) == 1 && peek(q + PAGE) == 0 && peek(q + 2 * PAGE) == 0);
	CHECK(CATCH(poke(q, 2)) == SIGSEGV && caught.code == SEGV_ACCERR);
	MUST(mprotect(q, 4 * PAGE, RW) == 0);
	CHECK(!CATCH(poke(q + PAGE, 5)) && peek(q + PAGE) == 5);
	munmap(q, 4 * PAGE);
}

static void large_move(void)
{
	size_t len = 8UL << 20;
	char *p = mmap(NULL, len, RW, ANON, -1, 0), *q = mmap(NULL, 2 * len, PROT_NONE, ANON, -1, 0);
	bool same = true;

	section("a large move, tables and all");
	MUST(p != MAP_FAILED && q != MAP_FAILED);
	madvise(p, len, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < len; at += PAGE)
		*(size_t *)(p + at) = at;
	CHECK(mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, q + 3 * PAGE) == q + 3 * PAGE);
	for (size_t at = 0; at < len; at += PAGE)
		same &= *(size_t *)(q + 3 * PAGE + at) == at;
	CHECK(same);
	CHECK(gone(p) && gone(p + len - 1));
	munmap(q, 2 * len);
}

static void shared(void)
{
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *q;

	section("shared memory");
	MUST(p != MAP_FAILED);
	fill(p, 0, 4);
	q = mremap(p, 0, 4 * PAGE, MREMAP_MAYMOVE);
	CHECK_THAT("an old size of 0 duplicates", q != MAP_FAILED && q != p && filled(q, 0, 4, 1));
	poke(q, 77);
	CHECK(peek(p) == 77);
	CHECK(mremap(q, 4 * PAGE, 2 * PAGE, 0) == q && peek(q) == 77);
	munmap(q, 2 * PAGE);
	munmap(p, 4 * PAGE);
	p = map_pages(1, RW);
	CHECK_ERRNO(mremap(p, 0, PAGE, MREMAP_MAYMOVE), EINVAL);
}

static void errors(void)
{
	char *p = map_island(8, RW), *q = map_island(8, RW);

	section("errors");
	fill(p, 0, 8);
	CHECK_ERRNO(mremap(p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERRNO(mremap(p, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERRNO(mremap(p, PAGE, PAGE, 0x80), EINVAL);
	CHECK_ERRNO(mremap(p, PAGE, PAGE, MREMAP_FIXED, q), EINVAL);
	CHECK_ERRNO(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 1), EINVAL);
	CHECK_ERRNO(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * PAGE), EINVAL);
	CHECK_ERRNO(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x7ffffffff000), EINVAL);
	CHECK_ERRNO(mremap(p, PAGE, 0x7fffffffe000, MREMAP_MAYMOVE), ENOMEM);
	CHECK_ERRNO(mremap(p, 1UL << 63, PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERRNO(mremap(p, -PAGE, PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERRNO(mremap(p, -1UL, PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK(filled(p, 0, 8, 1));
	MUST(munmap(p + 4 * PAGE, PAGE) == 0);
	CHECK_ERRNO(mremap(p + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_ERRNO(mremap(p, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK(filled(p, 0, 4, 1) && filled(p, 5, 8, 6));
}

int main(void)
{
	catch_faults(0);
	shrink();
	grow_in_place();
	grow_by_moving();
	move_fixed();
	move_rights();
	large_move();
	shared();
	errors();
	return check_done();
}
