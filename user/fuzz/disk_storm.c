/* SPDX-License-Identifier: MIT */
/*
 * A stress test of files on a disk whose requests fail, and whose file system is unmounted while threads use it.
 *
 * The threads map, touch, sync, truncate, punch, read and write the same files while the file system is detached
 * (umount -l) and mounted again. A failed access gets EIO or SIGBUS. No page ever shows data that was not written to
 * it. At the end the disk is consistent. Needs a machine with --disk 4M.
 *
 *	disk_storm SEED ROUNDS
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
#include <unistd.h>

#include "user/lib/disk_check.h"
#include "user/lib/insist.h"
#include "user/lib/text.h"

#define PAGE 4096UL
#define NR_PAGES 60 /* more than the direct blocks of a file */
#define NR_FILES 3
#define NR_THREADS 4
#define NR_STEPS 40

static void set(const char *path, const char *value)
{
	CHECK(write_text(path, value) == (ssize_t)strlen(value));
}

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

/* ---- Contents ---------------------------------------------------------------------------------------------------- */

/* Returns a word that a page of a file may begin with, if not with zeros: its place, and a number that changes. */
static uint64_t word_of(unsigned file, unsigned page, unsigned number)
{
	return 0xd15c000000000000UL | (uint64_t)file << 40 | (uint64_t)page << 32 | number;
}

static void check_word(unsigned file, unsigned page, uint64_t word)
{
	if (!word || word >> 32 == word_of(file, page, 0) >> 32)
		return;
	printf("page %u of file %u holds %lx\n", page, file, (unsigned long)word);
	exit(1);
}

/* ---- Accesses that may fail -------------------------------------------------------------------------------------- */

static __thread sigjmp_buf recover;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	CHECK(info->si_code == BUS_ADRERR);
	siglongjmp(recover, 1);
}

/* Reads the page's word, which must be one of its own, or writes another one, or both. The access may raise SIGBUS. */
static void touch(volatile uint64_t *map, unsigned file, unsigned page, unsigned number)
{
	volatile uint64_t *at = map + page * (PAGE / 8);

	if (sigsetjmp(recover, 1))
		return;
	if (number & 1)
		check_word(file, page, *at);
	if (number & 2)
		*at = word_of(file, page, number);
}

static int may_fail(long result)
{
	if (result < 0 && errno != EIO && errno != ENOSPC && errno != ENOENT) {
		printf("unexpected: %s\n", strerror(errno));
		exit(1);
	}
	return result < 0;
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

struct worker {
	unsigned random, file;
	int fd;
	volatile uint64_t *map;
};

static void write_page(struct worker *w, unsigned page, unsigned number)
{
	uint64_t words[PAGE / 8] = { word_of(w->file, page, number) };

	(void)may_fail(pwrite(w->fd, words, PAGE, (off_t)(page * PAGE)));
}

static void read_page(struct worker *w, unsigned page)
{
	uint64_t word;
	ssize_t n = pread(w->fd, &word, sizeof(word), (off_t)(page * PAGE));

	if (!may_fail(n) && n == sizeof(word))
		check_word(w->file, page, word);
}

static void step(struct worker *w)
{
	unsigned what = next_random(&w->random) % 32, page = next_random(&w->random) % NR_PAGES;
	unsigned number = next_random(&w->random);

	if (what < 16)
		touch(w->map, w->file, page, number);
	else if (what < 20)
		write_page(w, page, number);
	else if (what < 24)
		read_page(w, page);
	else if (what < 26)
		(void)may_fail(ftruncate(w->fd, (off_t)(page * PAGE + number % PAGE)));
	else if (what < 28)
		(void)may_fail(fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * PAGE),
					 (off_t)((number % 9 + 1) * PAGE)));
	else if (what == 28)
		(void)may_fail(msync((void *)w->map, NR_PAGES * PAGE, MS_SYNC));
	else if (what == 29)
		(void)may_fail(fsync(w->fd));
	else if (what == 30)
		set("/proc/sys/vm/drop_caches", "1");
	else
		(void)may_fail(ftruncate(w->fd, NR_PAGES * PAGE));
}

static char *path_of(char *path, unsigned file)
{
	sprintf(path, "/disk/%u", file);
	return path;
}

/* Works on one file after another: opens it, or creates it if its name was removed, maps it, and finally unmaps it. */
static void *work(void *arg)
{
	struct worker *w = arg;
	char path[16];

	for (unsigned turn = 0; turn < 3; turn++) {
		w->file = next_random(&w->random) % NR_FILES;
		w->fd = open(path_of(path, w->file), O_RDWR | O_CREAT, 0600);
		if (may_fail(w->fd))
			continue;
		w->map = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
		CHECK(w->map != MAP_FAILED);
		for (unsigned i = 0; i < NR_STEPS; i++)
			step(w);
		if (next_random(&w->random) % 8 == 0)
			(void)may_fail(unlink(path));
		CHECK(!munmap((void *)w->map, NR_PAGES * PAGE) && !close(w->fd));
	}
	return NULL;
}

/* ---- The disk ---------------------------------------------------------------------------------------------------- */

static void set_errors(const char *rate)
{
	set("/sys/block/ram0/read_error", rate);
	set("/sys/block/ram0/write_error", rate);
}

/* Mounts the disk again. It stays busy until the last user of the detached file system has released it. */
static void mount_again(const char *options)
{
	while (mount("/dev/ram0", "/disk", "faultfs", 0, options)) {
		CHECK(errno == EBUSY || errno == EIO);
		if (errno == EIO)
			set_errors("0");
		usleep(1000);
	}
}

static void storm(unsigned seed, unsigned round)
{
	struct worker workers[NR_THREADS] = { 0 };
	pthread_t threads[NR_THREADS];

	mount_again(round % 3 ? "latency=100" : "mode=sync,dirty=32");
	set_errors(round % 4 == 3 ? "2" : round % 2 ? "10" : "0");
	for (unsigned i = 0; i < NR_THREADS; i++) {
		workers[i].random = seed * 1000003u + round * 131u + i;
		CHECK(!pthread_create(&threads[i], NULL, work, &workers[i]));
	}
	if (round % 2)
		CHECK(!umount2("/disk", MNT_DETACH));
	for (unsigned i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	set_errors("0");
	if (round % 2)
		mount_again("");
	CHECK(!umount("/disk") && !disk_check("/dev/ram0"));
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : 1, rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 8;

	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(!sigaction(SIGBUS, &action, NULL) && !mkdir("/disk", 0755));
	CHECK(!mount("/dev/ram0", "/disk", "faultfs", 0, "format") && !umount("/disk"));
	for (unsigned round = 0; round < rounds; round++)
		storm(seed, round);
	puts("the storm is over");
	return 0;
}
