/* SPDX-License-Identifier: MIT */
/*
 * Tests fault-around: which pages of a cached file one read fault maps.
 *
 * Shows where it stops (at the end of the mapping or the file, or at a hole), which pages it leaves alone, and that a
 * write fault maps none around it. Reads /proc/self/pagemap; the picture is the same on Linux.
 */
#include "user/lib/check.h"

#include <fcntl.h>

#define RW (PROT_READ | PROT_WRITE)
#define TABLE (512 * PAGE)
#define NR 64
#define PRESENT (1ULL << 63)

static int pagemap;

/* Returns a memfd of NR pages, of which `first` to `last` are written. */
static int cached(size_t first, size_t last)
{
	static const char page[PAGE];
	int fd = syscall(SYS_memfd_create, "around", 0);

	MUST(fd >= 0 && ftruncate(fd, NR * PAGE) == 0);
	for (size_t i = first; i <= last; i++)
		MUST(pwrite(fd, page, PAGE, i * PAGE) == (ssize_t)PAGE);
	return fd;
}

/* Maps pages [pgoff, pgoff + nr) of fd, beginning `into` pages into a page table. Closes fd. */
static char *map_at(int fd, size_t pgoff, size_t nr, size_t into, int flags)
{
	char *area = mmap(NULL, 3 * TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;

	MUST(area != MAP_FAILED);
	p = (char *)(((uintptr_t)area + TABLE - 1) & -TABLE) + into * PAGE;
	MUST(mmap(p, nr * PAGE, RW, flags | MAP_FIXED, fd, pgoff * PAGE) == p);
	close(fd);
	return p;
}

static void show(const char *what, const char *p, size_t nr)
{
	uint64_t entry[NR];

	MUST(pread(pagemap, entry, nr * 8, (uintptr_t)p / PAGE * 8) == (ssize_t)(nr * 8));
	printf("%-34s ", what);
	for (size_t i = 0; i < nr; i++)
		putchar(entry[i] & PRESENT ? '#' : '.');
	putchar('\n');
	fflush(stdout);
}

static void window(void)
{
	char *p;

	section("window");
	p = map_at(cached(0, NR - 1), 0, NR, 0, MAP_SHARED);
	peek(p + 20 * PAGE);
	show("aligned, page 20", p, NR);
	peek(p + 63 * PAGE);
	show("and page 63", p, NR);
	p = map_at(cached(0, NR - 1), 0, NR, 5, MAP_PRIVATE);
	peek(p + 20 * PAGE);
	show("5 pages into a table, page 20", p, NR);
	p = map_at(cached(0, NR - 1), 30, NR - 30, 0, MAP_SHARED);
	peek(p);
	show("from page 30 of the file on", p, NR - 30);
	p = map_at(cached(0, NR - 1), 0, NR, 500, MAP_SHARED);
	peek(p + 5 * PAGE);
	show("up to the end of a table", p, NR);
	peek(p + 12 * PAGE);
	show("and beyond", p, NR);
}

static void limits(void)
{
	char *p;
	int fd;

	section("limits");
	p = map_at(cached(0, NR - 1), 3, 9, 18, MAP_PRIVATE);
	peek(p + 4 * PAGE);
	show("a short mapping", p, 9);
	fd = cached(0, NR - 1);
	MUST(ftruncate(fd, 19 * PAGE + 1) == 0);
	p = map_at(fd, 0, NR, 0, MAP_SHARED);
	peek(p + 16 * PAGE);
	show("the end of the file", p, NR);
	p = map_at(cached(20, 26), 0, NR, 0, MAP_SHARED);
	peek(p + 22 * PAGE);
	show("holes", p, NR);
	peek(p + 17 * PAGE);
	show("a hole that is read", p, NR);
}

static void writes(void)
{
	char *p;

	section("writes");
	p = map_at(cached(0, NR - 1), 0, NR, 0, MAP_SHARED);
	poke(p + 20 * PAGE, 1);
	show("a shared write", p, NR);
	p = map_at(cached(0, NR - 1), 0, NR, 0, MAP_PRIVATE);
	poke(p + 20 * PAGE, 7);
	show("a private write", p, NR);
	peek(p + 21 * PAGE);
	show("and a read beside it", p, NR);
	CHECK_EQ(p[20 * PAGE], 7);
	MUST(mprotect(p, NR * PAGE, PROT_READ) == 0);
	peek(p + 40 * PAGE);
	show("read-only, page 40", p, NR);
}

int main(void)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	MUST(pagemap >= 0);
	window();
	limits();
	writes();
	return check_done();
}
