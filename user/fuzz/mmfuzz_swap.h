/* SPDX-License-Identifier: MIT */
/*
 * mmfuzz under memory pressure: pages are paged out between the steps (--swap), or another process uses most memory
 * (--hog).
 *
 * Neither changes what a program sees, so the digest is the same as on a machine with enough memory. But residency is
 * then unpredictable and not recorded, and MADV_FREE, which discards contents, is left out.
 */
#ifndef USER_MMFUZZ_SWAP_H
#define USER_MMFUZZ_SWAP_H

#include "user/fuzz/mmfuzz_shadow.h"

#define MADV_PAGEOUT_ 21

static bool swaps;   /* --swap */
static long hog_mib; /* --hog */

static bool memory_is_short(void)
{
	return swaps || hog_mib;
}

/* --- between the steps ------------------------------------------------------------------------------------------ */

/* The call stops at locked memory and skips holes: its result does not matter. */
static void page_out(const void *from, size_t nr)
{
	syscall(SYS_madvise, (uintptr_t)from & -PAGE, nr * PAGE, MADV_PAGEOUT_);
}

/* Pages out part of the arena, all of it, or our shadow of it. */
static void page_out_something(void)
{
	struct range r = some_range();

	if (once_in(10))
		page_out(at(0), NR_PAGES);
	else if (once_in(10))
		page_out(shadow, sizeof(shadow) / PAGE);
	else if (once_in(10))
		page_out(objects, sizeof(*objects) / PAGE);
	else
		page_out(at(r.first), r.nr);
}

/* Uses random numbers of its own, so that the steps are the same as without. */
static void shorten_memory(long number)
{
	if (!swaps)
		return;
	random_for(~seed, number);
	for (int n = below(3); n >= 0; n--)
		page_out_something();
}

/* --- another process -------------------------------------------------------------------------------------------- */

static volatile bool *hog_may_stop;
static pid_t hog;

/* Each page holds its number and, twice, how often it was written. */
static int hog_main(void)
{
	size_t nr = (size_t)hog_mib << 8;
	volatile uint64_t(*page)[PAGE / 8] = (void *)map_pages(nr, PROT_READ | PROT_WRITE);

	random_for(seed, 0);
	for (size_t i = 0; i < nr; i++)
		page[i][0] = i;
	while (!*hog_may_stop) {
		size_t i = below(nr);

		if (page[i][0] != i || page[i][1] != page[i][511])
			return 1;
		page[i][1]++, page[i][511]++;
	}
	return 0;
}

static void hog_start(void)
{
	if (!hog_mib)
		return;
	hog_may_stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST((void *)hog_may_stop != MAP_FAILED);
	hog = fork();
	MUST(hog >= 0);
	if (hog == 0)
		_exit(hog_main());
}

/* Returns false if the hog found its memory changed, or was killed. */
static bool hog_ends_well(void)
{
	int status;

	if (!hog_mib)
		return true;
	*hog_may_stop = true;
	MUST(waitpid(hog, &status, 0) == hog);
	return status == 0;
}

#endif
