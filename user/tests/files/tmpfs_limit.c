/* SPDX-License-Identifier: MIT */
/*
 * Tests the size limit of a tmpfs, which also holds for writes through a mapping: a fault that would exceed it ends in
 * SIGBUS. Mounts a tmpfs on the directory of the first argument; on Linux that needs root, and `unshare -m` to leave no
 * mount behind.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define LIMIT 16

static const char *directory;

static long nr_free(void)
{
	struct statfs stats;

	MUST(statfs(directory, &stats) == 0);
	return (long)stats.f_bfree;
}

/* A file may be kept for a short time after the munmap of its mapping. */
static void await_empty(void)
{
	while (nr_free() != LIMIT)
		usleep(1000);
}

static int make_file(const char *name, size_t nr)
{
	int fd;

	MUST(chdir(directory) == 0);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	MUST(fd >= 0 && ftruncate(fd, (off_t)(nr * PAGE)) == 0);
	MUST(chdir("/") == 0);
	return fd;
}

static void remove_file(const char *name)
{
	MUST(chdir(directory) == 0 && unlink(name) == 0 && chdir("/") == 0);
}

static char *map(int fd, int flags, size_t nr)
{
	char *p = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* Writes to one page after the other. Returns how many writes succeeded. */
static int fill(char *p, int nr)
{
	volatile int done = 0;

	while (done < nr && CATCH(poke(p + (size_t)done * PAGE, (char)(done + 1))) == 0)
		done++;
	return done;
}

static void writing(void)
{
	int fd = make_file("a", 2 * LIMIT);
	char *p = map(fd, MAP_SHARED, 2 * LIMIT), *beyond = p + LIMIT * PAGE;

	section("writes through a shared mapping");
	CHECK_EQ(nr_free(), LIMIT);
	CHECK_EQ(fill(p, 2 * LIMIT), LIMIT);
	CHECK(caught.signo == SIGBUS && caught.code == BUS_ADRERR && caught_at(beyond));
	CHECK_EQ(nr_free(), 0);
	CHECK_THAT("a page that is there can be written to", CATCH(poke(p, 1)) == 0);
	CHECK_EQ(CATCH(poke(beyond, 1)), SIGBUS);
	CHECK_EQ(CATCH(peek(beyond)), SIGBUS);
	CHECK_ERRNO(pwrite(fd, "x", 1, LIMIT * PAGE), ENOSPC);
	CHECK_ERRNO(write(fd, beyond, 1), EFAULT);
	CHECK_ERRNO(fallocate(fd, 0, LIMIT * PAGE, PAGE), ENOSPC);

	section("holes make room");
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE), 0);
	CHECK_EQ(nr_free(), 1);
	CHECK_EQ(CATCH(poke(beyond, 1)), 0);
	CHECK_EQ(nr_free(), 0);
	CHECK_EQ(CATCH(poke(p + 3 * PAGE, 1)), SIGBUS);
	CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
	CHECK_EQ(nr_free(), LIMIT - 3);
	CHECK(peek(p) == 1 && peek(p + 2 * PAGE) == 3);

	section("a file without a name");
	remove_file("a");
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(nr_free(), LIMIT - 3);
	CHECK_EQ(munmap(p, 2 * LIMIT * PAGE), 0);
	await_empty();
}

/* A private copy belongs to the process alone; the page that it was copied from belongs to the file and counts. */
static void reading(void)
{
	int fd = make_file("b", 2 * LIMIT);
	char *p = map(fd, MAP_PRIVATE, 2 * LIMIT), byte;

	section("reads");
	CHECK_EQ(pread(fd, &byte, 1, 5 * PAGE), 1);
	CHECK_EQ(nr_free(), LIMIT);
	for (size_t i = 0; i < LIMIT; i++)
		MUST(CATCH(peek(p + i * PAGE)) == 0);
	CHECK_EQ(nr_free(), 0);
	CHECK_EQ(CATCH(peek(p + LIMIT * PAGE)), SIGBUS);
	CHECK_EQ(CATCH(poke(p + LIMIT * PAGE, 1)), SIGBUS);
	CHECK_EQ(CATCH(poke(p, 1)), 0);
	CHECK_EQ(nr_free(), 0);
	munmap(p, 2 * LIMIT * PAGE);
	close(fd);
	remove_file("b");
	await_empty();
}

static long nr_blocks(int fd)
{
	struct stat stat;

	MUST(fstat(fd, &stat) == 0);
	return (long)stat.st_blocks;
}

/* A fallocate that fails half-way frees what it has allocated, and keeps what was written before. */
static void allocating(void)
{
	int first = make_file("d", LIMIT / 2), second = make_file("e", 0);
	char *p = map(first, MAP_SHARED, LIMIT / 2);

	section("fallocate");
	CHECK_EQ(fill(p, LIMIT / 2), LIMIT / 2);
	CHECK_EQ(pwrite(second, "x", 1, 2 * PAGE), 1);
	CHECK_ERRNO(fallocate(second, 0, 0, LIMIT * PAGE), ENOSPC);
	CHECK_ERRNO(fallocate(second, 0, 0, 2 * LIMIT * PAGE), ENOSPC);
	CHECK(nr_blocks(second) == 8 && nr_free() == LIMIT / 2 - 1);
	CHECK_EQ(fallocate(second, 0, 0, LIMIT / 2 * PAGE), 0);
	CHECK(nr_blocks(second) == LIMIT / 2 * 8 && nr_free() == 0);
	munmap(p, LIMIT / 2 * PAGE);
	close(first), close(second);
	remove_file("d"), remove_file("e");
	await_empty();
}

/* Pages in swap count as well. */
static void paging_out(void)
{
	int fd = make_file("c", 2 * LIMIT);
	char *p = map(fd, MAP_SHARED, 2 * LIMIT);

	section("pages in swap");
	CHECK_EQ(fill(p, LIMIT), LIMIT);
	CHECK_EQ(madvise(p, LIMIT * PAGE, 21 /* MADV_PAGEOUT */), 0);
	CHECK_EQ(nr_free(), 0);
	CHECK_EQ(CATCH(poke(p + LIMIT * PAGE, 1)), SIGBUS);
	CHECK(peek(p) == 1 && peek(p + (LIMIT - 1) * PAGE) == LIMIT);
	munmap(p, 2 * LIMIT * PAGE);
	close(fd);
	remove_file("c");
	await_empty();
}

/* Returns the size of a tmpfs that is mounted with these options, in pages. */
static unsigned long pages_with(const char *options)
{
	struct statfs fs;

	MUST(mount("tmpfs", directory, "tmpfs", 0, options) == 0 && statfs(directory, &fs) == 0 &&
	     umount(directory) == 0);
	return fs.f_blocks * (unsigned long)fs.f_bsize / PAGE;
}

static void sizes(void)
{
	section("sizes");
	CHECK_EQ(pages_with("size=5000"), 2);
	CHECK_EQ(pages_with("nr_blocks=16"), 16);
	CHECK_EQ(pages_with("nr_blocks=1k,size=8k"), 2);
	CHECK(pages_with("size=150%") >= pages_with("size=100%"));
	CHECK(pages_with("size=8589934592") > 16);
	CHECK_ERRNO(mount("tmpfs", directory, "tmpfs", 0, "nr_blocks=10%"), EINVAL);
}

int main(int argc, char **argv)
{
	directory = argc > 1 ? argv[1] : "/tmp";
	catch_faults(0);
	sizes();
	MUST(mount("tmpfs", directory, "tmpfs", 0, "size=64k") == 0);
	writing();
	reading();
	allocating();
	paging_out();
	CHECK_EQ(umount(directory), 0);
	return check_done();
}
