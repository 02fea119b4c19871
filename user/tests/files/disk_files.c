/* SPDX-License-Identifier: MIT */
/*
 * Tests files on a disk against a shadow copy.
 *
 * The steps are random: writes, reads, shared and private mappings, truncation, holes, renames, links, msync and fsync.
 * In between, the disk is unmounted, checked and mounted again. Arguments: seed, steps. On Linux, which has no such
 * disk, the same steps run in a directory of /tmp, and the output must be the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/disk_check.h"

#define DEVICE "/dev/ram0"
#define NR_FILES 8
#define PAGE 4096ul
#define MAX_SIZE (40 * 4096 + 1000)
#define OPTIONS "dirty=64,latency=50"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("step %u: %s:%d: %s: %s\n", step, __FILE__, __LINE__, #cond, strerror(errno));          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct shadow {
	char name[32];
	size_t size;
	unsigned char *bytes; /* [MAX_SIZE]; the bytes beyond the size are 0 */
	int exists;
};

static struct shadow files[NR_FILES];
static unsigned step, nr_names;
static uint64_t seed;
static char dir[64];
static int on_disk;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (uint32_t)(seed >> 33) % below;
}

static void mount_disk(const char *options)
{
	CHECK(!mount(DEVICE, dir, "faultfs", 0, options));
}

static void setup(void)
{
	on_disk = !access(DEVICE, F_OK);
	if (on_disk) {
		strcpy(dir, "/disk");
		CHECK(!mkdir(dir, 0755) || errno == EEXIST);
		mount_disk("format," OPTIONS);
	} else {
		strcpy(dir, "/tmp/disk_files.XXXXXX");
		CHECK(mkdtemp(dir));
	}
	CHECK(!chdir(dir));
	for (unsigned i = 0; i < NR_FILES; i++)
		files[i].bytes = calloc(MAX_SIZE, 1);
}

static void remount(void)
{
	if (!on_disk)
		return;
	CHECK(!chdir("/") && !umount(dir));
	CHECK(disk_check(DEVICE) == 0);
	mount_disk(OPTIONS);
	CHECK(!chdir(dir));
}

static int open_shadow(struct shadow *s)
{
	int fd = open(s->name, O_RDWR);

	CHECK(fd >= 0);
	return fd;
}

static void create(struct shadow *s)
{
	int fd;

	snprintf(s->name, sizeof(s->name), "file%u", nr_names++);
	fd = open(s->name, O_RDWR | O_CREAT | O_EXCL, 0640);
	CHECK(fd >= 0 && !close(fd));
	s->exists = 1;
	s->size = 0;
	memset(s->bytes, 0, MAX_SIZE);
}

static void verify(struct shadow *s)
{
	static unsigned char buf[MAX_SIZE + 1];
	int fd = open_shadow(s);
	struct stat st;

	CHECK(!fstat(fd, &st) && (size_t)st.st_size == s->size);
	CHECK(pread(fd, buf, sizeof(buf), 0) == (ssize_t)s->size);
	for (size_t i = 0; i < s->size; i++)
		if (buf[i] != s->bytes[i]) {
			printf("step %u: %s: byte %zu is %02x, not %02x\n", step, s->name, i, buf[i], s->bytes[i]);
			exit(1);
		}
	CHECK(!close(fd));
}

/* Chooses a range that begins inside the file, or at most a little beyond its end, and stays within MAX_SIZE. */
static void choose_piece(const struct shadow *s, size_t *pos, size_t *n)
{
	*pos = any((uint32_t)s->size + 5000);
	if (*pos >= MAX_SIZE)
		*pos = MAX_SIZE - 1;
	*n = 1 + any(any(4) ? 9000 : 60);
	if (*pos + *n > MAX_SIZE)
		*n = MAX_SIZE - *pos;
}

static void fill(unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(any(255) + 1);
}

static void do_write(struct shadow *s)
{
	size_t pos, n;
	int fd = open_shadow(s);

	choose_piece(s, &pos, &n);
	fill(s->bytes + pos, n);
	CHECK(pwrite(fd, s->bytes + pos, n, (off_t)pos) == (ssize_t)n);
	if (pos + n > s->size)
		s->size = pos + n;
	if (!any(4))
		CHECK(!fsync(fd));
	CHECK(!close(fd));
}

static void do_map(struct shadow *s)
{
	int fd = open_shadow(s), shared = any(3) != 0;
	size_t pos, n;
	unsigned char *map;

	if (!s->size) {
		CHECK(!close(fd));
		return;
	}
	map = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED && !close(fd));
	for (unsigned round = 0; round < 3; round++) {
		pos = any((uint32_t)s->size);
		n = 1 + any(6000);
		if (pos + n > s->size)
			n = s->size - pos;
		CHECK(!memcmp(map + pos, s->bytes + pos, n) || !shared);
		if (shared) {
			fill(s->bytes + pos, n);
			memcpy(map + pos, s->bytes + pos, n);
		} else {
			memset(map + pos, 0xee, n); /* must not change the file */
		}
	}
	if (shared && any(2))
		CHECK(!msync(map, (s->size + 4095) & ~4095UL, MS_SYNC));
	CHECK(!munmap(map, MAX_SIZE));
}

static void do_truncate(struct shadow *s)
{
	size_t size = any(3) ? any((uint32_t)s->size + 1) : any(MAX_SIZE);

	CHECK(!truncate(s->name, (off_t)size));
	if (size < s->size)
		memset(s->bytes + size, 0, s->size - size);
	s->size = size;
}

static void do_punch(struct shadow *s)
{
	int fd = open_shadow(s);
	size_t pos, n;

	choose_piece(s, &pos, &n);
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)pos, (off_t)n * 3));
	CHECK(!close(fd));
	if (pos < s->size)
		memset(s->bytes + pos, 0, s->size - pos < n * 3 ? s->size - pos : n * 3);
}

/* Punches a hole through a mapping, in whole pages. */
static void do_remove(struct shadow *s)
{
	size_t nr_pages = (s->size + PAGE - 1) / PAGE, first, n;
	int fd = open_shadow(s);
	unsigned char *map;

	if (nr_pages) {
		first = any((unsigned)nr_pages);
		n = 1 + any((unsigned)(nr_pages - first));
		map = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		CHECK(!madvise(map + first * PAGE, n * PAGE, MADV_REMOVE));
		CHECK(!map[first * PAGE]);
		CHECK(!munmap(map, nr_pages * PAGE));
		for (size_t pos = first * PAGE; pos < s->size && pos < (first + n) * PAGE; pos++)
			s->bytes[pos] = 0;
	}
	CHECK(!close(fd));
}

/* Calls write() with a buffer that is a mapping of the file itself, whose pages may not be present. */
static void do_copy_within(struct shadow *s)
{
	int fd = open_shadow(s);
	size_t n = s->size / 2, to = s->size - n;
	unsigned char *map;

	if (n) {
		map = mmap(NULL, s->size, PROT_READ, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		CHECK(pwrite(fd, map, n, (off_t)to) == (ssize_t)n);
		memmove(s->bytes + to, s->bytes, n);
		CHECK(!munmap(map, s->size));
	}
	CHECK(!close(fd));
}

static void do_rename(struct shadow *s)
{
	char name[32];

	snprintf(name, sizeof(name), any(2) ? "sub/file%u" : "file%u", nr_names++);
	CHECK(!rename(s->name, name));
	strcpy(s->name, name);
}

static void do_link_and_unlink(struct shadow *s)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "link%u", nr_names++);
	CHECK(!link(s->name, name) && !stat(name, &st) && st.st_nlink == 2);
	CHECK(!unlink(s->name));
	strcpy(s->name, name);
}

/* An unlinked file remains usable while it is open. */
static void do_unlink(struct shadow *s)
{
	int fd = open_shadow(s);
	unsigned char byte;

	CHECK(!unlink(s->name));
	if (s->size)
		CHECK(pread(fd, &byte, 1, (off_t)s->size - 1) == 1 && byte == s->bytes[s->size - 1]);
	CHECK(!close(fd));
	s->exists = 0;
}

static void one_step(void)
{
	static void (*const actions[])(struct shadow * s) = {
		do_write,  do_write,	       do_write,  do_write,	  do_map,    do_map,
		do_map,	   do_truncate,	       do_punch,  verify,	  verify,    verify,
		do_rename, do_link_and_unlink, do_unlink, do_copy_within, do_remove,
	};
	struct shadow *s = &files[any(NR_FILES)];

	if (!s->exists)
		create(s);
	else
		actions[any(sizeof(actions) / sizeof(actions[0]))](s);
}

static uint32_t digest(void)
{
	uint32_t sum = 2166136261u;

	for (unsigned i = 0; i < NR_FILES; i++)
		for (size_t n = 0; files[i].exists && n < files[i].size; n++)
			sum = (sum ^ files[i].bytes[n]) * 16777619u;
	return sum;
}

static void cleanup(void)
{
	for (unsigned i = 0; i < NR_FILES; i++)
		if (files[i].exists)
			CHECK(!unlink(files[i].name));
	CHECK(!rmdir("sub") && !chdir("/"));
	if (on_disk)
		CHECK(!umount(dir) && disk_check(DEVICE) == 0);
	CHECK(!rmdir(dir));
}

int main(int argc, char **argv)
{
	unsigned steps = argc > 2 ? (unsigned)atoi(argv[2]) : 500;

	seed = argc > 1 ? (uint64_t)atoi(argv[1]) : 1;
	setup();
	CHECK(!mkdir("sub", 0700));
	for (step = 0; step < steps; step++) {
		one_step();
		if (step % 100 == 99) {
			remount();
			for (unsigned i = 0; i < NR_FILES; i++)
				if (files[i].exists)
					verify(&files[i]);
			printf("step %u: digest %08x\n", step, digest());
		}
	}
	cleanup();
	puts("files on a disk: done");
	return 0;
}
