/* SPDX-License-Identifier: MIT */
/*
 * Measures the cost of a page for which another one must be reclaimed, in one VMA, in 512, and with most memory in
 * pipes.
 *
 *	growth_reclaim BOUND
 *
 * Memory is filled, then three quarters as many pages more are touched, so that most pages in memory have used up their
 * second chance. Prints the instructions per page. Fails if there are more than BOUND, or if many VMAs or the pipes
 * multiply them by more than ALLOWED. The bound is the same on machines of different sizes, so the cost must not grow
 * with memory either.
 *
 * Costs are read from the TSC, which counts instructions under QEMU's -icount.
 */
#include "user/lib/check.h"
#include "user/lib/faultline.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#define NR_VMAS 512
#define ALLOWED 1.3
#define PIPE_PAGES 256

static struct vmstat before, after;

static long pages_in_memory(void)
{
	struct sysinfo info;

	MUST(sysinfo(&info) == 0);
	return (long)(info.totalram / PAGE);
}

/* Maps nr pages in nr_vmas VMAs of equal sizes: every other one is MADV_DONTFORK. */
static char *map_in(long nr, long nr_vmas)
{
	char *p = mmap(NULL, (size_t)nr * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0);
	long size = nr / nr_vmas;

	MUST(p != MAP_FAILED);
	for (long i = 1; i < nr_vmas; i += 2)
		MUST(madvise(p + i * size * (long)PAGE, (size_t)size * PAGE, MADV_DONTFORK) == 0);
	return p;
}

static uint64_t nr_taken(void)
{
	return vmstat_delta(&before, &after, "pgsteal_kswapd") + vmstat_delta(&before, &after, "pgsteal_direct");
}

/* Fills pipes, which are never read, until the kernel has nr pages more. */
static void fill_pipes(long nr)
{
	static char buf[PIPE_PAGES * PAGE];
	int fds[2];

	for (; nr > 0; nr -= PIPE_PAGES) {
		MUST(pipe(fds) == 0);
		MUST(fcntl(fds[1], F_SETPIPE_SZ, sizeof(buf)) == sizeof(buf));
		MUST(write(fds[1], buf, sizeof(buf)) == sizeof(buf));
	}
}

/* Returns the instructions per page beyond the nr_first pages that memory has room for. */
static double cost_with(long nr_vmas, long nr_first)
{
	long nr = nr_first * 3 / 4;
	char *p = map_in(nr_first + nr, nr_vmas);
	uint64_t start, end;

	fill_pages(p, (size_t)nr_first, 1);
	vmstat_read(&before);
	start = read_tsc();
	fill_pages(p + nr_first * (long)PAGE, (size_t)nr, 1);
	end = read_tsc();
	vmstat_read(&after);
	MUST(nr_taken() > (uint64_t)nr / 2);
	MUST(munmap(p, (size_t)(nr_first + nr) * PAGE) == 0);
	return (double)(end - start) / (double)nr;
}

int main(int argc, char **argv)
{
	double bound = argc > 1 ? atof(argv[1]) : 0, one, many, few;
	long nr = pages_in_memory();

	memset(&before, 1, sizeof(before));
	memset(&after, 1, sizeof(after));
	one = cost_with(1, nr);
	many = cost_with(NR_VMAS, nr);
	fill_pipes(nr * 3 / 4);
	few = cost_with(1, nr / 4);
	printf("%ld pages of memory: a page costs %.0f in one VMA, %.0f in %d, %.0f when pipes have most memory\n", nr,
	       one, many, NR_VMAS, few);
	return one > bound || many > bound || few > bound || many > one * ALLOWED || few > one * ALLOWED;
}
