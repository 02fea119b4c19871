/* SPDX-License-Identifier: MIT */
/* Tests mincore: which pages are resident, and its errors. */
#include "user/lib/check.h"

#include <fcntl.h>

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

/* Pages that fallocate has only set aside are not resident for mincore until they are used: they were never filled. */
static void set_aside(void)
{
	int fd = memfd_create("mincore", 0);
	char *shared, *private, byte;

	section("fallocate");
	MUST(fd >= 0 && ftruncate(fd, 16 * PAGE) == 0);
	shared = mmap(NULL, 16 * PAGE, RW, MAP_SHARED, fd, 0);
	private = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE, fd, 0);
	MUST(shared != MAP_FAILED && private != MAP_FAILED);
	madvise(shared, 16 * PAGE, MADV_RANDOM); /* one page for each fault */
	madvise(private, 16 * PAGE, MADV_RANDOM);
	show("a hole", shared, 16);
	MUST(fallocate(fd, 0, PAGE, 12 * PAGE) == 0);
	show("twelve pages set aside", shared, 16);
	MUST(pread(fd, &byte, 1, 2 * PAGE) == 1);
	show("one read by a call", shared, 16);
	MUST(pwrite(fd, &byte, 1, 4 * PAGE + 10) == 1);
	show("one written by a call", shared, 16);
	peek(shared + 6 * PAGE);
	poke(shared + 7 * PAGE, 1);
	show("one read, one written here", shared, 16);
	peek(private + 9 * PAGE);
	poke(private + 10 * PAGE, 1);
	show("and in another mapping", shared, 16);
	show("as that sees it", private, 16);
	MUST(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 6 * PAGE, 2 * PAGE) == 0);
	show("with two punched out", shared, 16);
	MUST(fallocate(fd, 0, 0, 16 * PAGE) == 0);
	show("set aside again", shared, 16);
	close(fd);
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
	set_aside();
	errors();
	return check_done();
}
