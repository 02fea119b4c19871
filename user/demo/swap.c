/* SPDX-License-Identifier: MIT */
/*
 * Tests swap as a program sees it: pages are swapped out by MADV_PAGEOUT and come back with their contents, for reads,
 * for writes, after fork, and in every call that meets a swapped-out page. Needs a swap area of 4 MiB or more on
 * /dev/ram0, and no other program that swaps.
 */
#include "user/lib/faultline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#define PAGE 4096UL
#define NR 512UL

static unsigned errors;
#define EXPECT(cond)                                                                                                   \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("line %d: %s does not hold (errno %d)\n", __LINE__, #cond, errno);                      \
			errors++;                                                                                      \
		}                                                                                                      \
	} while (0)

static volatile uint64_t *word(char *base, size_t page)
{
	return (uint64_t *)(base + page * PAGE) + page % 500;
}

static char *filled(void)
{
	char *p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	madvise(p, NR * PAGE, MADV_NOHUGEPAGE);
	for (size_t page = 0; page < NR; page++)
		*word(p, page) = page * 0x9e3779b97f4a7c15UL;
	EXPECT(madvise(p, NR * PAGE, MADV_PAGEOUT) == 0);
	return p;
}

static void expect_filled(char *p, size_t first, size_t last)
{
	size_t wrong = 0;

	for (size_t page = first; page < last; page++)
		wrong += *word(p, page) != page * 0x9e3779b97f4a7c15UL;
	EXPECT(wrong == 0);
}

/* Returns one row of /proc/self/status, in KiB. */
static long status_kib(const char *row)
{
	char line[200];
	long kib = -1;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, row, strlen(row)))
			kib = atol(line + strlen(row) + 1);
	if (file)
		fclose(file);
	return kib;
}

static uint64_t pagemap(char *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	EXPECT(pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * 8)) == sizeof(entry));
	close(fd);
	return entry;
}

/* On a slow device, MADV_PAGEOUT returns before all pages are written; one that is being written keeps its slot. */
static void wait_until_written(void)
{
	static struct vmstat stat;

	for (int i = 0; i < 5000 && vmstat_read(&stat) && vmstat_value(&stat, "nr_writeback"); i++)
		usleep(1000);
}

static void counts(void)
{
	struct sysinfo before, after;
	char *p;

	sysinfo(&before);
	p = filled();
	sysinfo(&after);
	EXPECT(before.totalswap == after.totalswap && after.totalswap > 0);
	EXPECT((before.freeswap - after.freeswap) * after.mem_unit == NR * PAGE);
	EXPECT(status_kib("VmSwap") == (long)(NR * PAGE / 1024));
	EXPECT(pagemap(p) >> 62 == 1); /* swapped, not present */
	expect_filled(p, 0, NR);
	EXPECT(pagemap(p) >> 62 == 2);
	EXPECT(status_kib("VmSwap") == 0);
	wait_until_written();
	munmap(p, NR * PAGE);
	sysinfo(&after);
	EXPECT(before.freeswap == after.freeswap);
}

static void forked(void)
{
	char *p = filled();
	pid_t child = fork();
	int status;

	for (size_t page = 0; page < NR; page += 2)
		*word(p, page) = child ? 1 : 2;
	for (size_t page = 0; page < NR; page += 2)
		EXPECT(*word(p, page) == (child ? 1u : 2u));
	for (size_t page = 1; page < NR; page += 2)
		expect_filled(p, page, page + 1);
	if (!child)
		exit(errors != 0);
	EXPECT(waitpid(child, &status, 0) == child && status == 0);
	munmap(p, NR * PAGE);
}

static void calls(void)
{
	static unsigned char vec[NR];
	char *p = filled(), *q;

	EXPECT(mincore(p, NR * PAGE, vec) == 0);
	EXPECT(mprotect(p, 8 * PAGE, PROT_NONE) == 0);
	EXPECT(mprotect(p, 8 * PAGE, PROT_READ) == 0);
	expect_filled(p, 0, 8);
	EXPECT(madvise(p + 8 * PAGE, 8 * PAGE, MADV_DONTNEED) == 0);
	EXPECT(*word(p, 9) == 0);
	EXPECT(mlock(p + 16 * PAGE, 8 * PAGE) == 0);
	EXPECT(pagemap(p + 17 * PAGE) >> 63 == 1);
	EXPECT(munlock(p + 16 * PAGE, 8 * PAGE) == 0);
	EXPECT(munmap(p + 24 * PAGE, 8 * PAGE) == 0);
	q = mremap(p + 256 * PAGE, 256 * PAGE, 512 * PAGE, MREMAP_MAYMOVE);
	EXPECT(q != MAP_FAILED);
	expect_filled(q - 256 * PAGE, 256, NR);
	expect_filled(p, 16, 24);
	expect_filled(p, 32, 256);
	munmap(p, 256 * PAGE);
	munmap(q, 512 * PAGE);
}

/* Tests system calls that copy from and to memory that is swapped out. */
static void kernel_copies(void)
{
	char *p = filled();
	int fds[2];

	EXPECT(pipe(fds) == 0);
	for (size_t page = 0; page < 16; page++) {
		EXPECT(write(fds[1], p + page * PAGE, PAGE) == (ssize_t)PAGE);
		EXPECT(read(fds[0], p + (page + 256) * PAGE, PAGE) == (ssize_t)PAGE);
		EXPECT(memcmp(p + page * PAGE, p + (page + 256) * PAGE, PAGE) == 0);
	}
	expect_filled(p, 0, 256);
	close(fds[0]), close(fds[1]);
	munmap(p, NR * PAGE);
}

static void refused(void)
{
	EXPECT(swapon("/nowhere", 0) == -1 && errno == ENOENT);
	EXPECT(swapon("/proc/self/status", 0) == -1 && errno == EINVAL);
	EXPECT(swapon("/dev/null", 0x100000) == -1 && errno == EINVAL);
	EXPECT(swapoff("/nowhere") == -1 && errno == ENOENT);
	EXPECT(swapoff("/dev/null") == -1 && errno == EINVAL);
	EXPECT(swapon("/dev/ram0", 0) == -1 && errno == EBUSY);
}

int main(void)
{
	counts();
	forked();
	calls();
	kernel_copies();
	refused();
	printf(errors ? "swap is wrong\n" : "swap is right\n");
	return errors != 0;
}
