/* SPDX-License-Identifier: MIT */
/*
 * Tests that a memory call that fails changes nothing.
 *
 * It changes neither what maps shows nor any byte or, where Linux does so too, a part and no more. Linux may leave a
 * VMA split where the call would have ended, so the calls end where VMAs do.
 */
#include "user/lib/check.h"
#include "user/lib/text.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/shm.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define MOVE_TO (MREMAP_MAYMOVE | MREMAP_FIXED)
#define NR_PAGES 24

static char *area;
static int file; /* opened for reading */

static char *at(size_t page)
{
	return area + page * PAGE;
}

static void put_at(size_t page, size_t nr, int prot, int flags, int fd)
{
	MUST(mmap(at(page), nr * PAGE, prot, flags | MAP_FIXED, fd, 0) == at(page));
}

/*
 * Maps pages 0-4 writable, 4-8 read-only, 8-12 shared, 12-16 writable, none at 16-20, and 20-24 of a file that may not
 * be written.
 */
static void build(void)
{
	area = map_island(NR_PAGES, PROT_NONE);
	MUST(munmap(area, NR_PAGES * PAGE) == 0);
	put_at(0, 8, RW, ANON, -1);
	put_at(8, 4, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	put_at(12, 4, RW, ANON, -1);
	put_at(20, 4, PROT_READ, MAP_SHARED, file);
	fill_pages(at(0), 16, 1);
	MUST(mprotect(at(4), 4 * PAGE, PROT_READ) == 0);
}

/*
 * Returns the rights of each page of the area, as maps shows them: '-', 'r', 'w', or '.' for no mapping, with '|'
 * before each mapping. Allocates no memory.
 */
static const char *picture(void)
{
	static char text[2 * NR_PAGES + 1], maps[16384];
	char rights[NR_PAGES + 1], *line = maps;
	bool begins[NR_PAGES] = { false };
	unsigned long start, end;
	size_t n = 0;

	memset(rights, '.', sizeof(rights));
	MUST(read_text("/proc/self/maps", maps, sizeof(maps)) > 0);
	for (; line; line = strchr(line, '\n'), line = line && line[1] ? line + 1 : NULL) {
		MUST(sscanf(line, "%lx-%lx", &start, &end) == 2);
		for (size_t page = 0; page < NR_PAGES; page++) {
			unsigned long addr = (unsigned long)at(page);

			if (addr < start || addr >= end)
				continue;
			begins[page] = addr == start;
			rights[page] = strchr(line, ' ')[2] == 'w' ? 'w' : strchr(line, ' ')[1];
		}
	}
	for (size_t page = 0; page < NR_PAGES; page++) {
		if (begins[page])
			text[n++] = '|';
		text[n++] = rights[page];
	}
	text[n] = 0;
	return text;
}

static char before[2 * NR_PAGES + 1];

#define LEAVES_ALL(call, error)                                                                                        \
	do {                                                                                                           \
		strcpy(before, picture());                                                                             \
		CHECK_ERRNO(call, error);                                                                              \
		CHECK(strcmp(before, picture()) == 0 && pages_hold(at(0), 16, 1));                                     \
	} while (0)

static void limit_to(int resource, unsigned long bytes)
{
	struct rlimit limit;

	MUST(getrlimit(resource, &limit) == 0);
	limit.rlim_cur = bytes;
	MUST(setrlimit(resource, &limit) == 0);
}

static unsigned long pages_mapped(void)
{
	char text[128];

	MUST(read_text("/proc/self/statm", text, sizeof(text)) > 0);
	return strtoul(text, NULL, 10);
}

static void short_of_address_space(void)
{
	section("RLIMIT_AS");
	limit_to(RLIMIT_AS, pages_mapped() * PAGE);
	LEAVES_ALL(mmap(at(0), NR_PAGES * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	LEAVES_ALL(mmap(at(8), 10 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);
	LEAVES_ALL(mmap(at(12), 6 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0), ENOMEM);
	LEAVES_ALL(mremap(at(12), 4 * PAGE, 5 * PAGE, 0), ENOMEM);
	LEAVES_ALL(mremap(at(0), 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE), ENOMEM);
	LEAVES_ALL(mremap(at(0), 4 * PAGE, 8 * PAGE, MOVE_TO, at(8)), ENOMEM);
	LEAVES_ALL((long)sbrk(64 * PAGE), ENOMEM);
	CHECK(mmap(at(8), 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      at(8)); /* the total does not grow */
	fill_pages(at(8), 4, 9);
	limit_to(RLIMIT_AS, RLIM_INFINITY);
}

static void short_of_data(void)
{
	section("RLIMIT_DATA");
	limit_to(RLIMIT_DATA, PAGE);
	LEAVES_ALL(mmap(at(4), 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	LEAVES_ALL(mmap(at(16), 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	LEAVES_ALL(mprotect(at(4), 2 * PAGE, RW), ENOMEM);
	LEAVES_ALL(mprotect(at(5), 2 * PAGE, RW), ENOMEM);
	LEAVES_ALL(mremap(at(12), 4 * PAGE, 6 * PAGE, 0), ENOMEM);
	limit_to(RLIMIT_DATA, RLIM_INFINITY);
}

static void refused(void)
{
	section("refused");
	LEAVES_ALL(mmap(at(2), 20 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	LEAVES_ALL(mmap(at(2), 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0), EACCES);
	LEAVES_ALL(mmap(at(2), 4 * PAGE, RW, MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
	LEAVES_ALL(munmap(at(2) + 1, PAGE), EINVAL);
	LEAVES_ALL(munmap(at(2), 0), EINVAL);
	LEAVES_ALL(mprotect(at(21), PAGE, RW), EACCES);
	LEAVES_ALL(mprotect(at(2), PAGE, 0x100), EINVAL);
	LEAVES_ALL(mremap(at(2), PAGE, 0, MREMAP_MAYMOVE), EINVAL);
	LEAVES_ALL(mremap(at(2), 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE), EFAULT);
	LEAVES_ALL(mremap(at(0), 4 * PAGE, 4 * PAGE, MOVE_TO, at(2)), EINVAL);
	LEAVES_ALL(mremap(at(0), 0, 4 * PAGE, MOVE_TO, at(8)), EINVAL);
	LEAVES_ALL(mremap(at(0), PAGE, PAGE, MOVE_TO, at(8) + 1), EINVAL);
	LEAVES_ALL(mremap(at(16), PAGE, PAGE, MOVE_TO, at(8)), EFAULT);
	LEAVES_ALL(madvise(at(9), PAGE, 18 /* MADV_WIPEONFORK */), EINVAL);
	LEAVES_ALL(madvise(at(2), PAGE, 999), EINVAL);
	LEAVES_ALL(mlock((void *)-PAGE, 2 * PAGE), EINVAL);
	LEAVES_ALL((long)shmat(-1, at(2), SHM_REMAP), EINVAL);
}

/* Calls that fail after they changed the VMAs up to the first that they cannot change, or all that they can. */
static void in_parts(void)
{
	section("in parts");
	CHECK_ERRNO(mprotect(at(14), 8 * PAGE, PROT_READ), ENOMEM);
	printf("%s\n", picture());
	CHECK_ERRNO(mprotect(at(12), 4 * PAGE, 0x1000 | PROT_READ), EINVAL);
	CHECK(mprotect(at(12), 4 * PAGE, RW) == 0);
	CHECK_ERRNO(madvise(at(14), 8 * PAGE, MADV_DONTFORK), ENOMEM);
	printf("%s\n", picture());
	CHECK(madvise(at(12), 4 * PAGE, MADV_DOFORK) == 0 && madvise(at(20), 4 * PAGE, MADV_DOFORK) == 0);
	CHECK_ERRNO(mlock(at(14), 4 * PAGE), ENOMEM);
	CHECK_ERRNO(madvise(at(14), PAGE, MADV_DONTNEED), EINVAL); /* it is locked */
	printf("%s\n", picture());
	CHECK_ERRNO(munlock(at(14), 4 * PAGE), ENOMEM);
	printf("%s\n", picture());
	CHECK(pages_hold(at(0), 16, 1));
}

int main(void)
{
	file = open("/proc/self/exe", O_RDONLY);
	MUST(file >= 0);
	build();
	short_of_address_space();
	short_of_data();
	refused();
	in_parts();
	return check_done();
}
