/* SPDX-License-Identifier: MIT */
/*
 * Tests mlock and related calls, with the limit that binds users other than root.
 *
 * Covers what is locked, which pages are faulted in, which callers are refused, and which error comes first.
 */
#include "user/lib/check.h"
#include "user/lib/text.h"

#include <fcntl.h>
#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define ONFAULT 1

static int lock_on_fault(void *p, size_t len)
{
	return (int)syscall(SYS_mlock2, p, len, ONFAULT);
}

/* Calls mmap directly: the C library changes EPERM to ENOMEM. */
static char *map_raw(size_t nr, int flags)
{
	return (char *)syscall(SYS_mmap, NULL, nr * PAGE, RW, ANON | flags, -1, 0);
}

/* Returns the locked memory of the whole process, in pages. */
static long locked(void)
{
	static char text[8192]; /* no stdio, whose memory would be locked and counted as well */
	const char *row;

	MUST(read_text("/proc/self/status", text, sizeof(text)) > 0);
	row = strstr(text, "VmLck:");
	MUST(row);
	return strtol(row + 6, NULL, 10) / 4;
}

static void set_limit(size_t nr)
{
	struct rlimit limit;

	MUST(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	limit.rlim_cur = nr * PAGE;
	MUST(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

/* ---- Locking ----------------------------------------------------------------------------------------------------- */

static void ranges(void)
{
	char *p = map_island(16, RW);

	section("mlock, munlock");
	CHECK_EQ(mlock(p + 1, 2 * PAGE), 0);
	CHECK(locked() == 3 && resident(p, 16) == 3);
	CHECK_EQ(mlock(p + 2 * PAGE, 6 * PAGE), 0);
	CHECK_EQ(locked(), 8);
	CHECK_EQ(munlock(p + 4 * PAGE, PAGE), 0);
	CHECK(locked() == 7 && resident(p, 16) == 8);
	CHECK_EQ(lock_on_fault(p, 16 * PAGE), 0);
	CHECK(locked() == 16 && resident(p, 16) == 8);
	poke(p + 12 * PAGE, 1);
	CHECK_EQ(resident(p, 16), 9);
	CHECK_ERRNO(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_EQ(munlock(p, 16 * PAGE), 0);
	CHECK_EQ(locked(), 0);
	munmap(p + 4 * PAGE, PAGE);
	CHECK_ERRNO(mlock(p, 16 * PAGE), ENOMEM);
	CHECK_THAT("up to the hole it is locked", locked() == 4);
	CHECK_ERRNO(munlock(p, 16 * PAGE), ENOMEM);
	CHECK_EQ(locked(), 0);
	CHECK_EQ(mlock(p, -1UL), 0);
	CHECK_ERRNO(munlock(p, -PAGE), EINVAL);
	CHECK_ERRNO(mlock(NULL, PAGE), ENOMEM);
	CHECK_EQ(mlock(p, 0), 0);
	CHECK_ERRNO(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
}

static void rights(void)
{
	char *p = map_island(4, PROT_NONE), *f;
	int fd = memfd_create("locked", 0);

	section("rights that change");
	CHECK_ERRNO(mlock(p, 4 * PAGE), ENOMEM);
	CHECK_THAT("it is marked all the same", locked() == 4);
	CHECK_EQ(mprotect(p, 2 * PAGE, RW), 0);
	CHECK_EQ(resident(p, 4), 2);
	CHECK_EQ(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ), 0);
	CHECK_EQ(resident(p, 4), 2);
	munmap(p, 4 * PAGE);
	p = map_island(4, PROT_NONE);
	MUST(mprotect(p + 2 * PAGE, 2 * PAGE, RW) == 0);
	CHECK_ERRNO(mlock(p, 4 * PAGE), ENOMEM);
	CHECK_EQ(mprotect(p, 4 * PAGE, RW), 0);
	CHECK_THAT("only what became writable was brought in", resident(p, 4) == 2 && resident(p, 2) == 2);
	munmap(p, 4 * PAGE);
	MUST(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
	f = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(f != MAP_FAILED);
	CHECK_EQ(mlock(f, PAGE), 0);
	CHECK_EQ(mprotect(f, 2 * PAGE, RW), 0);
	MUST(pwrite(fd, "x", 1, 0) == 1 && pwrite(fd, "x", 1, PAGE) == 1);
	CHECK_THAT("what was locked has its copy since mprotect", peek(f) == 0 && peek(f + PAGE) == 'x');
	munmap(f, 2 * PAGE);
	close(fd);
}

static int child_of_locked(void *p)
{
	return locked() == 0 && resident(map_raw(2, 0), 2) == 0 && peek(p) == 0 ? 0 : 1;
}

static void everything(void)
{
	unsigned long end = (unsigned long)syscall(SYS_brk, 0);
	char *p;

	section("mlockall, munlockall");
	CHECK_ERRNO(mlockall(0), EINVAL);
	CHECK_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
	CHECK_ERRNO(mlockall(8 | MCL_CURRENT), EINVAL);
	CHECK_EQ(mlockall(MCL_FUTURE), 0);
	p = map_raw(4, 0);
	CHECK(locked() == 4 && resident(p, 4) == 4);
	CHECK_EQ(syscall(SYS_brk, end + 2 * PAGE), (long)(end + 2 * PAGE));
	CHECK_EQ(locked(), 6);
	CHECK_EQ(syscall(SYS_brk, end), (long)end);
	CHECK_EQ(run_child(child_of_locked, p), 0);
	CHECK_EQ(mlockall(MCL_FUTURE | MCL_ONFAULT), 0);
	p = map_raw(4, 0);
	CHECK(locked() == 8 && resident(p, 4) == 0);
	p = mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	CHECK(p != (char *)-1 && locked() == 12 && resident(p, 8) == 0);
	p = map_raw(4, MAP_POPULATE);
	CHECK_EQ(resident(p, 4), 0);
	CHECK_EQ(munlockall(), 0);
	CHECK_EQ(locked(), 0);
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	CHECK(locked() > 0 && resident(p, 4) == 4);
	CHECK_EQ(munlockall(), 0);
	CHECK_EQ(locked(), 0);
}

/* ---- The limit --------------------------------------------------------------------------------------------------- */

static void root_is_not_bound(void)
{
	char *p = map_island(8, RW);

	section("root and the limit");
	set_limit(0);
	CHECK(mlock(p, 8 * PAGE) == 0 && mlockall(MCL_CURRENT) == 0 && munlockall() == 0);
	p = map_raw(2, MAP_LOCKED);
	CHECK_EQ(resident(p, 2), 2);
	munmap(p, 2 * PAGE);
}

static void others_are(void)
{
	char *p = map_island(16, RW), *q;

	section("others and the limit");
	set_limit(4);
	CHECK_EQ(mlock(p, 4 * PAGE), 0);
	CHECK_EQ(mlock(p, 4 * PAGE), 0);
	CHECK_ERRNO(mlock(p, 5 * PAGE), ENOMEM);
	CHECK_ERRNO(mlock(p + 8 * PAGE, PAGE), ENOMEM);
	CHECK_EQ(munlock(p + 3 * PAGE, PAGE), 0);
	CHECK_EQ(mlock(p + 8 * PAGE, PAGE), 0);
	CHECK_EQ(locked(), 4);
	CHECK_ERRNO(map_raw(1, MAP_LOCKED), EAGAIN);
	CHECK_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
	CHECK_EQ(munlock(p, 16 * PAGE), 0);
	q = map_raw(4, MAP_LOCKED);
	CHECK_EQ(resident(q, 4), 4);
	CHECK_ERRNO(mremap(q, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE), EAGAIN);
	CHECK_EQ(mlockall(MCL_FUTURE), 0);
	CHECK_ERRNO(map_raw(1, 0), EAGAIN);
	CHECK_EQ(munlockall(), 0);
	set_limit(0);
	CHECK_ERRNO(mlock(p, PAGE), EPERM);
	CHECK_ERRNO(mlock(p, 0), EPERM);
	CHECK_ERRNO(mlock(p, -1UL), EPERM);
	CHECK_ERRNO(lock_on_fault(p, PAGE), EPERM);
	CHECK_ERRNO(mlockall(MCL_CURRENT), EPERM);
	CHECK_ERRNO(mlockall(0), EINVAL);
	CHECK_ERRNO(map_raw(1, MAP_LOCKED), EPERM);
	CHECK(munlock(p, PAGE) == 0 && munlockall() == 0);
}

static int as_nobody(void *arg)
{
	struct rlimit limit = { 1UL << 40, 1UL << 40 };
	uid_t real, effective, saved;
	unsigned failed = checks_failed;

	section("becoming nobody");
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(getuid() == 65534 && geteuid() == 65534 && getegid() == 65534);
	CHECK(getresuid(&real, &effective, &saved) == 0 && saved == 65534);
	CHECK_ERRNO(setuid(0), EPERM);
	CHECK_ERRNO(setresuid(-1, 0, -1), EPERM);
	CHECK_ERRNO(setrlimit(RLIMIT_MEMLOCK, &limit), EPERM);
	CHECK_ERRNO(kill(1, 0), EPERM);
	CHECK_EQ(kill(getpid(), 0), 0);
	others_are();
	(void)arg;
	return checks_failed != failed;
}

static int for_a_while(void *arg)
{
	unsigned failed = checks_failed;

	section("root again");
	CHECK(seteuid(65534) == 0 && geteuid() == 65534 && getuid() == 0);
	set_limit(0);
	CHECK_ERRNO(mlock(&arg, 1), EPERM);
	CHECK(seteuid(0) == 0 && mlock(&arg, 1) == 0);
	return checks_failed != failed;
}

int main(void)
{
	ranges();
	rights();
	everything();
	root_is_not_bound();
	CHECK_EQ(run_child(for_a_while, NULL), 0);
	CHECK_EQ(run_child(as_nobody, NULL), 0);
	return check_done();
}
