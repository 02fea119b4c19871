/* SPDX-License-Identifier: MIT */
/*
 * Tests fallocate of a memfd that is larger than free memory, and than memory itself: the kernel makes room for it in
 * swap.
 *
 * A file that can never fit is refused, and leaves nothing behind. Argument: the size in MiB (80).
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <sys/stat.h>

static long nr_blocks(int fd)
{
	struct stat stat;

	MUST(fstat(fd, &stat) == 0);
	return (long)stat.st_blocks;
}

static bool mark(int fd, size_t page)
{
	return pwrite(fd, &page, sizeof(page), (off_t)(page * PAGE)) == sizeof(page);
}

static bool is_marked(int fd, size_t page)
{
	size_t found = ~page;

	return pread(fd, &found, sizeof(found), (off_t)(page * PAGE)) == sizeof(found) && found == page;
}

int main(int argc, char **argv)
{
	size_t nr_pages = (argc > 1 ? strtoul(argv[1], NULL, 10) : 80) << 8, nr_right = 0;
	int fd = memfd_create("large", 0), other = memfd_create("too large", 0);

	MUST(fd >= 0 && other >= 0);
	CHECK_EQ(fallocate(fd, 0, 0, (off_t)(nr_pages * PAGE)), 0);
	CHECK_EQ(nr_blocks(fd), (long)(nr_pages * 8));
	for (size_t page = 0; page < nr_pages; page += 64)
		MUST(mark(fd, page));
	CHECK_ERRNO(fallocate(other, 0, 0, (off_t)1 << 34), ENOSPC);
	CHECK_EQ(nr_blocks(other), 0);
	CHECK_EQ(close(memfd_create("another", 0)), 0);
	for (size_t page = 0; page < nr_pages; page += 64)
		nr_right += is_marked(fd, page);
	CHECK_THAT("the written pages are intact", nr_right == nr_pages / 64);
	return check_done();
}
