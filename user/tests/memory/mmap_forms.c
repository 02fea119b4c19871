/* SPDX-License-Identifier: MIT */
/* Tests mmap of anonymous memory in every form, and with absurd arguments. */
#include "user/lib/check.h"

#include <fcntl.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static bool all_zero(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void private_memory(void)
{
	char *p = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);

	section("private anonymous");
	CHECK(p != MAP_FAILED);
	CHECK(((uintptr_t)p & (PAGE - 1)) == 0);
	CHECK(all_zero(p, 4 * PAGE));
	memset(p, 0x5a, 4 * PAGE);
	CHECK(p[0] == 0x5a && p[4 * PAGE - 1] == 0x5a);
	CHECK_EQ(munmap(p, 4 * PAGE), 0);

	p = mmap(NULL, 100, RW, ANON, -1, 0);
	CHECK_THAT("a length of 100 maps a whole page", p != MAP_FAILED && all_zero(p, PAGE));
	CHECK_EQ(munmap(p, 1), 0);
	CHECK_EQ(CATCH(peek(p)), SIGSEGV);
	CHECK_THAT("any file descriptor will do for anonymous memory",
		   (p = mmap(NULL, PAGE, RW, ANON, 77, 0)) != MAP_FAILED);
	munmap(p, PAGE);
}

static void shared_memory(void)
{
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	section("shared anonymous");
	CHECK(p != MAP_FAILED);
	CHECK(all_zero(p, 4 * PAGE));
	memset(p, 0x33, 4 * PAGE);
	CHECK(p[2 * PAGE] == 0x33);
	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	CHECK_EQ(CATCH(peek(p + PAGE)), SIGSEGV);
	CHECK(p[0] == 0x33 && p[2 * PAGE] == 0x33);
	munmap(p, 4 * PAGE);
}

static void hints(void)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_NONE, ANON, -1, 0), *q;

	section("address hints");
	MUST(p != MAP_FAILED && munmap(p, 8 * PAGE) == 0);
	q = mmap(p + 2 * PAGE, PAGE, RW, ANON, -1, 0);
	CHECK_THAT("a free hint is taken", q == p + 2 * PAGE);
	q = mmap(p + 3 * PAGE + 5, PAGE, RW, ANON, -1, 0);
	CHECK_THAT("a crooked hint is rounded", q == p + 3 * PAGE || q == p + 4 * PAGE);
	q = mmap(p + 2 * PAGE, PAGE, RW, ANON, -1, 0);
	CHECK_THAT("an occupied hint is not taken", q != MAP_FAILED && q != p + 2 * PAGE);
	munmap(q, PAGE);
	munmap(p, 8 * PAGE);
}

static void fixed(void)
{
	char *p = map_island(8, RW);

	section("MAP_FIXED and MAP_FIXED_NOREPLACE");
	memset(p, 1, 8 * PAGE);
	CHECK(mmap(p + 2 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + 2 * PAGE);
	CHECK(all_zero(p + 2 * PAGE, 2 * PAGE));
	CHECK(p[2 * PAGE - 1] == 1 && p[4 * PAGE] == 1);
	CHECK_ERRNO(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_ERRNO(mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	CHECK(p[PAGE] == 1);
	MUST(munmap(p + PAGE, PAGE) == 0);
	CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
	CHECK(p[PAGE] == 0);
	CHECK(mmap(p, 8 * PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p);
	CHECK_EQ(CATCH(peek(p)), SIGSEGV);
	CHECK_EQ(caught.code, SEGV_ACCERR);
}

static void populate(void)
{
	char *p = mmap(NULL, 8 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);

	section("MAP_POPULATE, MAP_NORESERVE, MAP_STACK");
	MUST(p != MAP_FAILED);
	CHECK_EQ(resident(p, 8), 8);
	CHECK(all_zero(p, 8 * PAGE));
	munmap(p, 8 * PAGE);
	p = mmap(NULL, 8 * PAGE, RW, ANON, -1, 0);
	CHECK_EQ(resident(p, 8), 0);
	munmap(p, 8 * PAGE);
	p = mmap(NULL, 8 * PAGE, PROT_NONE, ANON | MAP_POPULATE, -1, 0);
	CHECK_THAT("PROT_NONE populates nothing, without an error", p != MAP_FAILED && resident(p, 8) == 0);
	munmap(p, 8 * PAGE);
	p = mmap(NULL, 1UL << 36, RW, ANON | MAP_NORESERVE, -1, 0);
	CHECK_THAT("64 GiB without reservation", p != MAP_FAILED);
	poke(p + (1UL << 35), 9);
	CHECK(peek(p + (1UL << 35)) == 9 && peek(p) == 0);
	CHECK_EQ(munmap(p, 1UL << 36), 0);
	p = mmap(NULL, PAGE, RW, ANON | MAP_STACK, -1, 0);
	CHECK(p != MAP_FAILED && p[0] == 0);
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);
	CHECK_THAT("MAP_32BIT stays below 2 GiB", p != MAP_FAILED && (uintptr_t)p < 0x80000000UL);
	munmap(p, PAGE);
}

static void grows_down(void)
{
	char *base = mmap(NULL, 1024 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *p;

	section("MAP_GROWSDOWN");
	MUST(base != MAP_FAILED && munmap(base, 1024 * PAGE) == 0);
	p = mmap(base + 1000 * PAGE, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(p == base + 1000 * PAGE);
	poke(p, 1);
	CHECK_THAT("a touch below extends it", CATCH(poke(p - 1, 2)) == 0 && p[-1] == 2);
	CHECK_THAT("and several pages at once", CATCH(poke(p - 20 * PAGE, 3)) == 0 && p[-20 * (long)PAGE] == 3);
	CHECK_THAT("what lies between is there", CATCH(peek(p - 10 * PAGE)) == 0 && p[-10 * (long)PAGE] == 0);
	munmap(base, 1024 * PAGE);
}

static void absurd(void)
{
	char *p;

	section("absurd arguments");
	CHECK_ERRNO(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0), EBADF);
	CHECK_ERRNO(syscall(SYS_mmap, NULL, PAGE, RW, ANON, -1, 1), EINVAL);
	CHECK_ERRNO(syscall(SYS_mmap, NULL, -1UL, RW, ANON, -1, 0), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mmap, NULL, 1UL << 47, RW, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mmap, NULL, ~0UL << 12, RW, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mmap, 0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mmap, ~0UL << 12, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mmap, 0xffff800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	CHECK_ERRNO(syscall(SYS_mmap, 0x7fffffffe000, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 0x80000000, -1, 0), EINVAL);
	p = mmap(NULL, PAGE, RW, ANON | 0x80000000, -1, 0);
	CHECK_THAT("an unknown flag of a private mapping is ignored", p != MAP_FAILED);
	munmap(p, PAGE);
	p = mmap((void *)-1, PAGE, RW, ANON, -1, 0);
	CHECK_THAT("an absurd hint is ignored", p != MAP_FAILED);
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, RW | 0x7ff00, ANON, -1, 0);
	CHECK_THAT("unknown protection bits are ignored", p != MAP_FAILED && CATCH(poke(p, 1)) == 0);
	munmap(p, PAGE);
}

static void protections(void)
{
	char *p;

	section("protections as x86 knows them");
	p = map_island(1, PROT_WRITE);
	CHECK_THAT("write-only memory can be written", CATCH(poke(p, 4)) == 0);
	CHECK_THAT("and then read", CATCH(peek(p)) == 0);
	p = map_island(1, PROT_WRITE);
	CHECK_THAT("a read may even come first", CATCH(peek(p)) == 0 && CATCH(poke(p, 4)) == 0);
	p = map_island(1, PROT_READ);
	CHECK_EQ(CATCH(peek(p)), 0);
	CHECK_EQ(CATCH(poke(p, 1)), SIGSEGV);
	CHECK(caught.code == SEGV_ACCERR && caught_at(p));
	p = map_island(1, PROT_NONE);
	CHECK_EQ(CATCH(peek(p)), SIGSEGV);
	CHECK(caught.code == SEGV_ACCERR && caught_at(p));
	p = map_island(1, PROT_EXEC);
	CHECK_THAT("execute-only memory without protection keys can be read or not, never written",
		   CATCH(poke(p, 1)) == SIGSEGV);
}

/* Place and size are checked before the descriptor's rights, and those before what its file supports. */
static void orders_of_refusal(void)
{
	int fds[] = { open("/proc/self/exe", O_RDONLY), open("/dev/zero", O_RDONLY), open("/", O_RDONLY), 0 };
	char *p = map_pages(1, RW);

	section("the order of refusals");
	fds[3] = (int)syscall(SYS_memfd_create, "sealed", 2U /* MFD_ALLOW_SEALING */);
	MUST(ftruncate(fds[3], PAGE) == 0 && fcntl(fds[3], 1033 /* F_ADD_SEALS */, 8 /* F_SEAL_WRITE */) == 0);
	for (int i = 0; i < 4; i++) {
		CHECK_ERRNO(mmap(NULL, 0, RW, MAP_SHARED, fds[i], 0), EINVAL);
		CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_HUGETLB, fds[i], 0), EINVAL);
		CHECK_ERRNO(mmap(NULL, -256UL, RW, MAP_SHARED, fds[i], 0), ENOMEM);
		CHECK_ERRNO(mmap(NULL, 1UL << 48, RW, MAP_SHARED, fds[i], 0), ENOMEM);
		CHECK_ERRNO(syscall(SYS_mmap, NULL, 2 * PAGE, RW, MAP_SHARED, fds[i], -PAGE), EOVERFLOW);
		CHECK_ERRNO(mmap(p + 1, PAGE, RW, MAP_SHARED | MAP_FIXED, fds[i], 0), EINVAL);
		CHECK_ERRNO(mmap(p, PAGE, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fds[i], 0), EEXIST);
		CHECK_ERRNO(mmap(NULL, PAGE, RW, 0, fds[i], 0), EINVAL);
		CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, 8 /* MAP_DROPPABLE */, fds[i], 0), EINVAL);
		CHECK_ERRNO(mmap(p, PAGE, RW, MAP_SHARED | MAP_FIXED, fds[i], 0), i < 3 ? EACCES : EPERM);
	}
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_GROWSDOWN, fds[1], 0), EACCES);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fds[1], 0), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[2], 0), ENODEV);
	poke(p, 1); /* it is still mapped */
}

int main(void)
{
	catch_faults(0);
	private_memory();
	shared_memory();
	hints();
	fixed();
	populate();
	grows_down();
	absurd();
	protections();
	orders_of_refusal();
	return check_done();
}
