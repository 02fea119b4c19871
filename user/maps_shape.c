/* SPDX-License-Identifier: MIT */
/*
 * /proc/self/maps: prints how scripted mappings appear in it, as page numbers relative to their reservation, with
 * rights and name. Shows which neighbours merge and where mprotect, munmap, madvise and mremap split.
 */
#include "user/check.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define SPAN 64

/* Prints every line of the maps file that lies within the span that starts at p. */
static void show(const char *what, char *p)
{
	unsigned long first, last, offset, inode, base = (unsigned long)p;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], perms[8], device[16];
	int name;

	MUST(maps != NULL);
	printf("-- %s\n", what);
	while (fgets(line, sizeof(line), maps)) {
		name = 0;
		MUST(sscanf(line, "%lx-%lx %7s %lx %15s %lu %n", &first, &last, perms, &offset, device, &inode,
			    &name) >= 6);
		if (first < base || last > base + SPAN * PAGE)
			continue;
		line[strcspn(line, "\n")] = 0;
		printf("   %2lu..%2lu %s %s %s\n", (first - base) / PAGE, (last - base) / PAGE, perms,
		       perms[3] == 's' ? "-" : device, line + name);
	}
	fclose(maps);
	fflush(stdout);
}

/* An empty span. */
static char *span(void)
{
	char *p = mmap(NULL, (SPAN + 32) * PAGE, PROT_NONE, ANON, -1, 0);

	MUST(p != MAP_FAILED && munmap(p, (SPAN + 32) * PAGE) == 0);
	return p + 16 * PAGE;
}

static void map(char *p, int at, int nr, int prot, int flags)
{
	char *where = p + at * PAGE;

	MUST(mmap(where, nr * PAGE, prot, ANON | MAP_FIXED | flags, -1, 0) == where);
}

static void merging(void)
{
	char *p = span();

	section("neighbours merge");
	map(p, 10, 2, RW, 0);
	map(p, 12, 2, RW, 0);
	show("two equal ones", p);
	map(p, 16, 2, RW, 0);
	map(p, 14, 2, RW, 0);
	show("the gap filled", p);
	map(p, 18, 2, PROT_READ, 0);
	map(p, 20, 2, PROT_READ | PROT_EXEC, 0);
	map(p, 22, 2, PROT_NONE, 0);
	show("other rights don't", p);
	map(p, 24, 2, RW, MAP_NORESERVE);
	map(p, 12, 1, PROT_READ, 0);
	show("MAP_FIXED into the middle", p);
	munmap(p, SPAN * PAGE);
	show("nothing left", p);
}

static void splitting(void)
{
	char *p = span();

	section("mprotect, munmap and madvise split and merge again");
	map(p, 0, 16, RW, 0);
	MUST(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	show("middle read-only", p);
	MUST(mprotect(p + 2 * PAGE, 4 * PAGE, PROT_NONE) == 0);
	show("across the border", p);
	MUST(mprotect(p, 16 * PAGE, RW) == 0);
	show("all equal again", p);
	MUST(munmap(p + 7 * PAGE, 2 * PAGE) == 0);
	show("hole", p);
	map(p, 7, 2, RW, 0);
	show("hole filled", p);
	MUST(mprotect(p, 4 * PAGE, PROT_READ) == 0);
	MUST(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	show("two steps", p);
	MUST(mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ) == 0);
	show("three", p);
	MUST(madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTFORK) == 0);
	show("flags split as well", p);
	MUST(madvise(p + 4 * PAGE, 4 * PAGE, MADV_DOFORK) == 0);
	show("and merge", p);
	MUST(madvise(p, 16 * PAGE, MADV_DONTNEED) == 0);
	show("advice without a flag doesn't split", p);
	munmap(p, SPAN * PAGE);
}

static void moving(void)
{
	char *p = span();

	section("mremap");
	map(p, 0, 8, RW, 0);
	MUST(mremap(p + 2 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 20 * PAGE) == p + 20 * PAGE);
	show("middle moved out", p);
	MUST(mremap(p + 20 * PAGE, 2 * PAGE, 6 * PAGE, 0) == p + 20 * PAGE);
	show("grown in place", p);
	MUST(mremap(p + 20 * PAGE, 6 * PAGE, 1 * PAGE, 0) == p + 20 * PAGE);
	show("shrunk", p);
	MUST(mremap(p + 20 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * PAGE) == p + 2 * PAGE);
	show("moved back, untouched", p);
	munmap(p, SPAN * PAGE);
}

static void touched(void)
{
	char *p = span();

	section("touched memory merges too");
	map(p, 0, 4, RW, 0);
	poke(p, 1);
	map(p, 4, 4, RW, 0);
	poke(p + 5 * PAGE, 1);
	show("both touched", p);
	MUST(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ) == 0);
	show("split", p);
	MUST(mprotect(p + 2 * PAGE, 2 * PAGE, RW) == 0);
	show("merged", p);
	munmap(p, SPAN * PAGE);
}

int main(void)
{
	merging();
	splitting();
	moving();
	touched();
	return 0;
}
