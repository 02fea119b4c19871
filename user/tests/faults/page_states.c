/* SPDX-License-Identifier: MIT */
/*
 * Ends with pages in each state, for the map of `tools/faultline report`: eight private pages, eight that map the zero
 * page, eight shared with a child, eight in swap, eight never touched, and eight of shared memory.
 */
#include "user/lib/check.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define NR 8
#define RW (PROT_READ | PROT_WRITE)

/* Maps memory that is a VMA of its own, between two inaccessible pages. */
static char *apart(int nr, int flags)
{
	char *p = mmap(NULL, (nr + 2) * PAGE, PROT_NONE, flags | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	MUST(mprotect(p + PAGE, nr * PAGE, RW) == 0);
	return p + PAGE;
}

static void write_pages(char *p)
{
	for (int i = 0; i < NR; i++)
		poke(p + i * PAGE, 1);
}

/* Starts a child that keeps its memory until this process ends. */
static void share_with_child(void)
{
	int ends[2];
	char byte;

	MUST(pipe(ends) == 0);
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) != 0);
	}
}

int main(void)
{
	char *p = apart(5 * NR, MAP_PRIVATE), *shared = apart(NR, MAP_SHARED);

	write_pages(shared);
	write_pages(p + 3 * NR * PAGE);
	MUST(madvise(p + 3 * NR * PAGE, NR * PAGE, MADV_PAGEOUT) == 0);
	write_pages(p + 2 * NR * PAGE);
	share_with_child();
	write_pages(p);
	for (int i = 0; i < NR; i++)
		peek(p + (NR + i) * PAGE);
	return 0;
}
