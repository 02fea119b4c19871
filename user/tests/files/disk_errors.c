/* SPDX-License-Identifier: MIT */
/*
 * Tests errors of files on a disk, while threads fault on their pages.
 *
 * Requests fail, a disk is full or is pulled, files are truncated, and the machine is switched off in the middle
 * (argument `quit`). The caller gets an error as EIO or SIGBUS, and nothing else is lost. Needs a machine with --disk
 * 2M --disk 1M.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "user/lib/disk_check.h"
#include "user/lib/insist.h"
#include "user/lib/text.h"

#define PAGE 4096UL
#define NR_PAGES 100
#define NR_FEW 4
#define NR_THREADS 3

static void set(const char *path, const char *value)
{
	CHECK(write_text(path, value) == (ssize_t)strlen(value));
}

static void drop_caches(void)
{
	set("/proc/sys/vm/drop_caches", "1");
}

/* ---- Accesses that may fail -------------------------------------------------------------------------------------- */

static __thread sigjmp_buf recover;
static __thread volatile uintptr_t bus_address;
static __thread volatile int bus_code;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	bus_address = (uintptr_t)info->si_addr;
	bus_code = info->si_code;
	siglongjmp(recover, 1);
}

/*
 * Reads the word into *value or, with `write`, writes *value to it. Returns true on success. Otherwise checks that the
 * access raised SIGBUS of the right kind.
 */
static int access_word(volatile uint64_t *at, uint64_t *value, int write)
{
	if (sigsetjmp(recover, 1)) {
		CHECK(bus_code == BUS_ADRERR && bus_address == (uintptr_t)at);
		return 0;
	}
	if (write)
		*at = *value;
	else
		*value = *at;
	return 1;
}

static uint64_t word_of(unsigned page, unsigned round)
{
	return 0x1234567800000000UL + round * 1000UL + page;
}

/* ---- A file whose pages each begin with a word of their own ------------------------------------------------------ */

static int make_file(const char *path, unsigned nr_pages, unsigned round)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t page[PAGE / 8] = { 0 };

	CHECK(fd >= 0);
	for (unsigned i = 0; i < nr_pages; i++) {
		page[0] = word_of(i, round);
		CHECK(write(fd, page, PAGE) == (ssize_t)PAGE);
	}
	return fd;
}

static void check_file(int fd, unsigned nr_pages, unsigned round)
{
	uint64_t word;

	for (unsigned i = 0; i < nr_pages; i++)
		CHECK(pread(fd, &word, 8, (off_t)(i * PAGE)) == 8 && word == word_of(i, round));
}

static volatile uint64_t *map_file(int fd, unsigned nr_pages)
{
	void *map = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	return map;
}

static volatile uint64_t *word_at(volatile uint64_t *map, unsigned page)
{
	return map + page * (PAGE / 8);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void mounting(void)
{
	CHECK(!mkdir("/disk", 0755) && !mkdir("/disk2", 0755));
	FAILS(mount("/dev/ram0", "/disk", "faultfs", 0, ""), EINVAL);
	FAILS(mount("/dev/ram9", "/disk", "faultfs", 0, "format"), ENOENT);
	FAILS(mount("/tmp", "/disk", "faultfs", 0, "format"), ENOTBLK);
	FAILS(mount("/dev/ram0", "/disk", "faultfs", 0, "format,wrong"), EINVAL);
	FAILS(mount("/dev/ram0", "/disk", "nosuchfs", 0, ""), ENODEV);
	FAILS(mount("/dev/ram0", "/none", "faultfs", 0, "format"), ENOENT);
	FAILS(mount(NULL, "/disk", NULL, 0, NULL), EINVAL);
	FAILS(umount("/disk"), EINVAL);
	FAILS(umount2("/disk", 0x100), EINVAL);
	CHECK(!mount("/dev/ram0", "/disk", "faultfs", 0, "format,latency=100"));
	FAILS(mount("/dev/ram0", "/disk2", "faultfs", 0, ""), EBUSY);
	FAILS(mount(NULL, "/disk2", NULL, MS_REMOUNT, NULL), EINVAL);
	FAILS(rmdir("/disk"), EBUSY);
	FAILS(rename("/disk", "/other"), EBUSY);
	FAILS(umount("/"), EBUSY);
	puts("mounting: fine");
}

static void read_only(void)
{
	int fd = make_file("/disk/ro", 1, 0);

	FAILS(mount(NULL, "/disk", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
	CHECK(!close(fd) && !mount(NULL, "/disk", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	FAILS(open("/disk/ro", O_RDWR), EROFS);
	FAILS(open("/disk/new", O_WRONLY | O_CREAT, 0600), EROFS);
	FAILS(unlink("/disk/ro"), EROFS);
	FAILS(mkdir("/disk/dir", 0700), EROFS);
	FAILS(truncate("/disk/ro", 0), EROFS);
	FAILS(chmod("/disk/ro", 0777), EROFS);
	FAILS(access("/disk/ro", W_OK), EROFS);
	CHECK(!mount(NULL, "/disk", NULL, MS_REMOUNT, NULL) && !unlink("/disk/ro"));
	puts("read-only: fine");
}

static void in_use(void)
{
	int fd = make_file("/disk/used", 2, 1);
	volatile uint64_t *map = map_file(fd, 2);

	FAILS(umount("/disk"), EBUSY);
	CHECK(!close(fd));
	FAILS(umount("/disk"), EBUSY);
	CHECK(*word_at(map, 1) == word_of(1, 1) && !munmap((void *)map, 2 * PAGE));
	CHECK(!chdir("/disk"));
	FAILS(umount("/disk"), EBUSY);
	CHECK(!chdir("/") && !umount("/disk") && !disk_check("/dev/ram0"));
	CHECK(access("/disk/used", F_OK) && !mount("/dev/ram0", "/disk", "faultfs", 0, ""));
	CHECK(!unlink("/disk/used"));
	puts("in use: fine");
}

static void time_of_mapped_write(void)
{
	int fd = make_file("/disk/time", 1, 0);
	volatile uint64_t *map = map_file(fd, 1);
	struct stat before, after;

	CHECK(*map == word_of(0, 0) && !fsync(fd) && !fstat(fd, &before));
	usleep(20000);
	*map = 1;
	CHECK(!fstat(fd, &after) && memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)));
	CHECK(!msync((void *)map, PAGE, MS_SYNC) && !munmap((void *)map, PAGE) && !close(fd));
	CHECK(!unlink("/disk/time"));
	puts("time of a mapped write: fine");
}

/* All requests fail, then none does, and the data is intact. */
static void read_errors(void)
{
	int fd = make_file("/disk/r", NR_PAGES, 2);
	volatile uint64_t *map = map_file(fd, NR_PAGES);
	uint64_t word;

	CHECK(!fsync(fd));
	drop_caches();
	CHECK(lseek(fd, 0, SEEK_DATA) == 0 && lseek(fd, PAGE, SEEK_DATA) == (off_t)PAGE); /* not cached, but data */
	CHECK(lseek(fd, 0, SEEK_HOLE) == (off_t)(NR_PAGES * PAGE));
	set("/sys/block/ram0/read_error", "1");
	FAILS(pread(fd, &word, 8, 0), EIO);
	for (unsigned i = 0; i < 3; i++)
		CHECK(!access_word(word_at(map, 50), &word, 0));
	word = 1;
	CHECK(!access_word(word_at(map, 51), &word, 1));
	set("/sys/block/ram0/read_error", "0");
	for (unsigned i = 0; i < NR_PAGES; i++)
		CHECK(access_word(word_at(map, i), &word, 0) && word == word_of(i, 2));
	CHECK(!munmap((void *)map, NR_PAGES * PAGE) && !close(fd));
	puts("read errors: fine");
}

struct toucher {
	volatile uint64_t *map;
	unsigned nr_failures;
};

/* Touches all pages, each until it succeeds. */
static void *touch_all(void *arg)
{
	struct toucher *toucher = arg;
	uint64_t word;

	for (unsigned i = 0; i < NR_PAGES; i++) {
		while (!access_word(word_at(toucher->map, i), &word, 0))
			toucher->nr_failures++;
		CHECK(word == word_of(i, 2));
	}
	return NULL;
}

/* One request in four fails, while threads fault on the same pages. */
static void some_read_errors(void)
{
	struct toucher touchers[NR_THREADS] = { 0 };
	pthread_t threads[NR_THREADS];
	int fd = open("/disk/r", O_RDWR);
	unsigned nr_failures = 0;

	set("/sys/block/ram0/seed", "7");
	set("/sys/block/ram0/read_error", "4");
	for (unsigned round = 0; round < 5; round++) {
		volatile uint64_t *map = map_file(fd, NR_PAGES);

		drop_caches();
		for (unsigned i = 0; i < NR_THREADS; i++) {
			touchers[i].map = map;
			CHECK(!pthread_create(&threads[i], NULL, touch_all, &touchers[i]));
		}
		for (unsigned i = 0; i < NR_THREADS; i++) {
			CHECK(!pthread_join(threads[i], NULL));
			nr_failures += touchers[i].nr_failures;
		}
		CHECK(!munmap((void *)map, NR_PAGES * PAGE));
	}
	CHECK(nr_failures);
	set("/sys/block/ram0/read_error", "0");
	CHECK(!close(fd) && !unlink("/disk/r"));
	puts("some read errors: fine");
}

/* Pages that could not be written stay dirty, and are written when the disk works again. */
static void write_errors(void)
{
	int fd = make_file("/disk/w", NR_PAGES, 3), other = open("/disk/w", O_RDWR);
	volatile uint64_t *map = map_file(fd, NR_PAGES);

	CHECK(!fsync(fd) && !fsync(other));
	set("/sys/block/ram0/write_error", "1");
	for (unsigned i = 0; i < NR_PAGES; i++)
		*word_at(map, i) = word_of(i, 4);
	FAILS(fsync(fd), EIO);
	FAILS(fsync(other), EIO);
	FAILS(msync((void *)map, NR_PAGES * PAGE, MS_SYNC), EIO);
	drop_caches();
	check_file(fd, NR_PAGES, 4);
	set("/sys/block/ram0/write_error", "0");
	(void)fsync(fd); /* may report the earlier failure */
	CHECK(!fsync(fd) && !munmap((void *)map, NR_PAGES * PAGE) && !close(fd) && !close(other));
	CHECK(!umount("/disk") && !disk_check("/dev/ram0") && !mount("/dev/ram0", "/disk", "faultfs", 0, "dirty=16"));
	fd = open("/disk/w", O_RDONLY);
	check_file(fd, NR_PAGES, 4);
	CHECK(!close(fd) && !unlink("/disk/w"));
	puts("write errors: fine");
}

/* The blocks of a removed file are freed once the blocks that list them can be read again. */
static void remove_unreadable(void)
{
	struct statfs before, after;
	int fd;

	sync();
	CHECK(!statfs("/disk", &before));
	fd = make_file("/disk/gone", NR_PAGES, 7);
	CHECK(!close(fd) && !umount("/disk") && !mount("/dev/ram0", "/disk", "faultfs", 0, "dirty=16"));
	set("/sys/block/ram0/read_error", "1");
	CHECK(!unlink("/disk/gone"));
	sync();
	set("/sys/block/ram0/read_error", "0");
	sync();
	CHECK(!statfs("/disk", &after) && after.f_bfree == before.f_bfree && after.f_ffree == before.f_ffree);
	CHECK(!umount("/disk") && !disk_check("/dev/ram0") && !mount("/dev/ram0", "/disk", "faultfs", 0, "dirty=16"));
	puts("a removed file that cannot be read: fine");
}

static void full_disk(void)
{
	int fd = open("/disk/full", O_RDWR | O_CREAT, 0600);
	struct statfs before, after;
	volatile uint64_t *map;
	unsigned written = 0;
	uint64_t word;
	char page[PAGE];

	sync();
	CHECK(!statfs("/disk", &before) && before.f_bfree > 400 && before.f_bfree < 512);
	FAILS(fallocate(fd, 0, 0, 512 * PAGE), ENOSPC); /* keeps nothing */
	sync();
	CHECK(!statfs("/disk", &after) && after.f_bfree == before.f_bfree);
	CHECK(!ftruncate(fd, 512 * PAGE)); /* one hole, larger than the disk */
	map = map_file(fd, 512);
	for (word = 9; written < 512 && access_word(word_at(map, written), &word, 1);)
		written++;
	CHECK(written > 400 && written < before.f_bfree);
	memset(page, 'x', sizeof(page));
	FAILS(pwrite(fd, page, PAGE, (off_t)(written * PAGE)), ENOSPC);
	int other = open("/disk/one-more", O_WRONLY | O_CREAT, 0600);
	if (other >= 0)
		FAILS(write(other, page, 1), ENOSPC);
	else
		CHECK(errno == ENOSPC);
	CHECK(access_word(word_at(map, written), &word, 0) && word == 0); /* the hole can be read */
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10 * PAGE));
	word = 10;
	CHECK(access_word(word_at(map, written), &word, 1));
	CHECK(*word_at(map, 9) == 0 && *word_at(map, 10) == 9 && *word_at(map, written) == 10);
	CHECK(!munmap((void *)map, 512 * PAGE) && !close(fd));
	CHECK(!unlink("/disk/full") && (other < 0 || (!close(other) && !unlink("/disk/one-more"))));
	sync();
	CHECK(!statfs("/disk", &after) && after.f_bfree >= before.f_bfree - 1);
	puts("full disk: fine");
}

static volatile int stop;

/* Checks that a page holds its word, was cleared by a truncation, or lies beyond the end of the file. */
static void *touch_truncated(void *arg)
{
	volatile uint64_t *map = arg;
	uint64_t word;

	for (unsigned i = 0; !stop; i = (i + 7) % NR_PAGES) {
		if (access_word(word_at(map, i), &word, 0) && word != word_of(i, 5) && word) {
			printf("page %u of a truncated file holds %lx\n", i, word);
			exit(1);
		}
		word = word_of(i, 5);
		if (i % 3 == 0)
			(void)access_word(word_at(map, i), &word, 1);
	}
	return NULL;
}

/* With `quit` the program exits in the middle, and leaves the disk mounted and in use. */
static void truncation(int quit)
{
	int fd = make_file("/disk/t", NR_PAGES, 5);
	volatile uint64_t *map = map_file(fd, NR_PAGES);
	pthread_t threads[NR_THREADS];

	for (unsigned i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, touch_truncated, (void *)map));
	for (unsigned round = 0; round < 30; round++) {
		CHECK(!ftruncate(fd, (off_t)(round * 37 % NR_PAGES * PAGE + round * 100)));
		if (quit && round == 17)
			exit(3);
		if (round % 4 == 0)
			drop_caches();
		if (round % 5 == 0)
			CHECK(!fsync(fd));
		CHECK(!ftruncate(fd, NR_PAGES * PAGE));
		CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(round * PAGE), 5 * PAGE));
		usleep(1000);
	}
	stop = 1;
	for (unsigned i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(!munmap((void *)map, NR_PAGES * PAGE) && !close(fd) && !unlink("/disk/t"));
	CHECK(!umount("/disk") && !disk_check("/dev/ram0"));
	puts("truncation: fine");
}

static unsigned nr_in_flight(void)
{
	char text[256];
	unsigned nr;

	CHECK(read_text("/sys/block/ram0/stat", text, sizeof(text)) > 0);
	CHECK(sscanf(text, "%*u %*u %*u %*u %*u %*u %*u %*u %u", &nr) == 1);
	return nr;
}

static volatile int synced;

static void *sync_all(void *unused)
{
	sync();
	synced = 1;
	return unused;
}

static void *truncate_to_nothing(void *fd)
{
	CHECK(!ftruncate(*(int *)fd, 0));
	return NULL;
}

static void write_words(int fd, unsigned nr_pages, unsigned round)
{
	uint64_t page[PAGE / 8] = { 0 };

	for (unsigned i = 0; i < nr_pages; i++) {
		page[0] = word_of(i, round);
		while (pwrite(fd, page, PAGE, (off_t)(i * PAGE)) < 0) {
			CHECK(errno == ENOSPC);
			usleep(1000);
		}
	}
}

/*
 * A file is truncated while its pages are being written to a disk that takes a second. The disk is full, so another
 * file can only get the same blocks. Data written to that file arrives at once, and the late writes must not overwrite
 * it.
 */
static void truncation_in_flight(void)
{
	static const char page[PAGE];
	pthread_t syncer, truncater;
	int fd, other, rest;

	CHECK(!mount("/dev/ram0", "/disk", "faultfs", 0, "format,mode=sync"));
	fd = make_file("/disk/fd", NR_FEW, 6);
	other = make_file("/disk/other", 0, 0);
	rest = make_file("/disk/rest", 0, 0);
	while (write(rest, page, PAGE) == PAGE)
		;
	CHECK(errno == ENOSPC);
	sync();
	set("/sys/block/ram0/mode", "async");
	set("/sys/block/ram0/latency_us", "1000000");
	write_words(fd, NR_FEW, 7);
	CHECK(!pthread_create(&syncer, NULL, sync_all, NULL));
	while (nr_in_flight() < NR_FEW && !synced)
		usleep(1000);
	set("/sys/block/ram0/mode", "sync");
	CHECK(!pthread_create(&truncater, NULL, truncate_to_nothing, &fd));
	write_words(other, NR_FEW, 8); /* as soon as there are free blocks */
	CHECK(!fsync(other));
	CHECK(!pthread_join(truncater, NULL) && !pthread_join(syncer, NULL));
	drop_caches();
	check_file(other, NR_FEW, 8);
	CHECK(!close(fd) && !close(other) && !close(rest) && !umount("/disk") && !disk_check("/dev/ram0"));
	puts("truncation in flight: fine");
}

/* Works on a disk until it is pulled. Returns NULL, or the text of an unexpected error. */
static void *use_disk(void *arg)
{
	char path[32];

	for (unsigned round = 0;; round++) {
		uint64_t page[PAGE / 8] = { round };
		int fd;

		snprintf(path, sizeof(path), "/disk2/%lu-%u", (unsigned long)(uintptr_t)arg, round % 4);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		if (fd < 0)
			return errno == EIO ? NULL : strerror(errno);
		if (pwrite(fd, page, PAGE, (off_t)(round % 20 * PAGE)) < 0 || fsync(fd) < 0) {
			int error = errno;

			close(fd);
			return error == EIO ? NULL : strerror(error);
		}
		close(fd);
	}
}

static void pulled_disk(void)
{
	pthread_t threads[NR_THREADS];
	uint64_t word;
	void *result;
	int fd;

	CHECK(!mount("/dev/ram1", "/disk2", "faultfs", 0, "format,latency=200"));
	fd = make_file("/disk2/victim", 20, 6);
	CHECK(!fsync(fd));
	drop_caches();
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, use_disk, (void *)i));
	usleep(50000);
	set("/sys/block/ram1/device/delete", "1");
	for (unsigned i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_join(threads[i], &result) && !result);
	FAILS(pread(fd, &word, 8, 0), EIO);
	volatile uint64_t *map = map_file(fd, 20);
	CHECK(!access_word(word_at(map, 3), &word, 0));
	CHECK(!munmap((void *)map, 20 * PAGE) && !close(fd) && !umount("/disk2"));
	FAILS(mount("/dev/ram1", "/disk2", "faultfs", 0, ""), ENXIO);
	FAILS(open("/dev/ram1", O_RDONLY), ENXIO);
	puts("pulled disk: fine");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(!sigaction(SIGBUS, &action, NULL));
	mounting();
	read_only();
	in_use();
	time_of_mapped_write();
	read_errors();
	some_read_errors();
	write_errors();
	remove_unreadable();
	full_disk();
	truncation(argc > 1 && !strcmp(argv[1], "quit"));
	truncation_in_flight();
	pulled_disk();
	puts("disk errors: done");
	return 0;
}
