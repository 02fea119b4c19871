/* SPDX-License-Identifier: MIT */
/*
 * Tests the ramdisks /dev/ram0 and /dev/ram1 as block devices: size, positions, reads and writes of any length, errors
 * at the end, and two threads on one asynchronous device. Needs a machine with
 * --disk 256K --disk 128K,async,latency=200.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/insist.h"

#define BLKGETSIZE 0x1260
#define BLKFLSBUF 0x1261
#define BLKSSZGET 0x1268
#define BLKGETSIZE64 0x80081272UL

static int open_disk(const char *path)
{
	int fd = open(path, O_RDWR);

	CHECK(fd >= 0);
	return fd;
}

static void identity(int fd, unsigned minor_number, uint64_t size)
{
	unsigned long sectors = 0;
	uint64_t bytes = 0;
	struct stat st;
	int sector = 0;

	CHECK(!fstat(fd, &st) && S_ISBLK(st.st_mode));
	CHECK(major(st.st_rdev) == 1 && minor(st.st_rdev) == minor_number && st.st_size == 0);
	CHECK(!ioctl(fd, BLKGETSIZE64, &bytes) && bytes == size);
	CHECK(!ioctl(fd, BLKGETSIZE, &sectors) && sectors == size / 512);
	CHECK(!ioctl(fd, BLKSSZGET, &sector) && sector == 512);
	CHECK(!ioctl(fd, BLKFLSBUF, 0));
	FAILS(ioctl(fd, 0x12ff, 0), ENOTTY);
}

static unsigned char pattern(uint64_t pos, unsigned round)
{
	return (unsigned char)(pos * 31 + (pos >> 8) * 7 + round);
}

/* Writes [pos, pos + n) and reads it back; the byte on either side must not change. */
static void write_and_read(int fd, uint64_t pos, size_t n, unsigned round)
{
	unsigned char *buf = malloc(n), around[2], after[2];

	CHECK(pread(fd, around, 1, (off_t)pos - 1) == 1 && pread(fd, around + 1, 1, (off_t)(pos + n)) == 1);
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(pos + i, round);
	CHECK(pwrite(fd, buf, n, (off_t)pos) == (ssize_t)n);
	memset(buf, 0, n);
	CHECK(pread(fd, buf, n, (off_t)pos) == (ssize_t)n);
	for (size_t i = 0; i < n; i++)
		CHECK(buf[i] == pattern(pos + i, round));
	CHECK(pread(fd, after, 1, (off_t)pos - 1) == 1 && pread(fd, after + 1, 1, (off_t)(pos + n)) == 1);
	CHECK(!memcmp(around, after, 2));
	free(buf);
}

static void lengths(int fd)
{
	static const size_t sizes[] = { 1, 511, 512, 513, 4095, 4096, 4097, 20000 };
	static const uint64_t places[] = { 1, 512, 4095, 4096, 4097, 8191, 70000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t j = 0; j < sizeof(places) / sizeof(places[0]); j++)
			write_and_read(fd, places[j], sizes[i], (unsigned)(i * 16 + j));
}

static void the_end(int fd, uint64_t size)
{
	char buf[8192] = { 0 };

	CHECK(lseek(fd, 0, SEEK_END) == (off_t)size);
	CHECK(read(fd, buf, 100) == 0);
	FAILS(write(fd, buf, 1), ENOSPC);
	CHECK(write(fd, buf, 0) == 0);
	CHECK(pread(fd, buf, sizeof(buf), (off_t)size - 100) == 100);
	CHECK(pwrite(fd, buf, sizeof(buf), (off_t)size - 5000) == 5000);
	FAILS(lseek(fd, (off_t)size + 1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK(lseek(fd, 4096, SEEK_SET) == 4096 && lseek(fd, -96, SEEK_CUR) == 4000);
	FAILS(ftruncate(fd, 0), EINVAL);
	CHECK(!fsync(fd));
}

/* A write that a bad address cuts short must not change the rest of its block. */
static void bad_addresses(int fd)
{
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char before[4096], after[4096];

	CHECK(two != MAP_FAILED && !munmap(two + 4096, 4096));
	FAILS(pread(fd, (void *)8, 4096, 0), EFAULT);
	FAILS(pwrite(fd, (void *)8, 4096, 0), EFAULT);
	CHECK(pread(fd, before, 4096, 8192) == 4096);
	memset(two, 'x', 4096);
	CHECK(pwrite(fd, two + 3096, 4096, 8192) == 1000);
	CHECK(pread(fd, after, 4096, 8192) == 4096);
	CHECK(after[0] == 'x' && after[999] == 'x' && !memcmp(before + 1000, after + 1000, 3096));
}

struct half {
	int fd;
	unsigned number;
};

static void *own_pages(void *arg)
{
	const struct half *half = arg;
	unsigned char page[4096];

	for (unsigned round = 0; round < 20; round++) {
		off_t pos = (off_t)(round % 8 * 2 + half->number) * 4096;

		memset(page, (int)(half->number * 100 + round), sizeof(page));
		CHECK(pwrite(half->fd, page, sizeof(page), pos) == 4096);
		memset(page, 0xff, sizeof(page));
		CHECK(pread(half->fd, page, sizeof(page), pos) == 4096);
		for (unsigned i = 0; i < sizeof(page); i++)
			CHECK(page[i] == half->number * 100 + round);
	}
	return NULL;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Each transfer takes at least the device's latency, and each thread makes its 40 transfers one after the other. */
static void two_threads(int fd)
{
	struct half halves[2] = { { fd, 0 }, { fd, 1 } };
	uint64_t start = now_us();
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, own_pages, &halves[1]));
	own_pages(&halves[0]);
	CHECK(!pthread_join(thread, NULL));
	CHECK(now_us() - start >= 40 * 200);
}

/* Tests both tables of /proc. Other programs may have read from the second device before this one. */
static void tables(int fd)
{
	static const char want[] =
		"major minor  #blocks  name\n\n   1        0        256 ram0\n   1        1        128 ram1\n";
	char text[1024], *row;
	unsigned long reads, sectors;
	int table = open("/proc/partitions", O_RDONLY), major_number, minor_number;
	ssize_t n = read(table, text, sizeof(text) - 1);

	CHECK(n == (ssize_t)strlen(want) && !memcmp(text, want, n) && !close(table));
	CHECK(pread(fd, text, 512, 0) == 512);
	table = open("/proc/diskstats", O_RDONLY);
	n = read(table, text, sizeof(text) - 1);
	CHECK(n > 0 && !close(table));
	text[n] = 0;
	row = strstr(text, "   1       1 ram1 ");
	CHECK(row && sscanf(row, "%d %d ram1 %lu 0 %lu 0 ", &major_number, &minor_number, &reads, &sectors) == 4);
	CHECK(minor_number == 1 && reads >= 1 && sectors == reads * 8);
}

int main(void)
{
	int first = open_disk("/dev/ram0"), second = open_disk("/dev/ram1");

	identity(first, 0, 256 * 1024);
	identity(second, 1, 128 * 1024);
	tables(second);
	lengths(first);
	lengths(second);
	the_end(first, 256 * 1024);
	the_end(second, 128 * 1024);
	bad_addresses(first);
	two_threads(second);
	CHECK(!mknod("/tmp/none", S_IFBLK | 0600, makedev(1, 9)));
	FAILS(open("/tmp/none", O_RDONLY), ENXIO);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, first, 0) == MAP_FAILED && errno == ENODEV);
	puts("ramdisks read and write");
	return 0;
}
