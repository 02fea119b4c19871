/* SPDX-License-Identifier: MIT */
/*
 * Uses more shared memory than there is memory: it is swapped out and in, however it is accessed. The argument is the
 * size in MiB of each of three objects: shared anonymous memory, a memfd, a file in a tmpfs. Each page carries its own
 * number and a generation; a forked child reads what its parent wrote, and its parent reads what the child wrote.
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
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

static unsigned long nr_pages, nr_wrong;

static uint64_t word_of(int kind, unsigned long page, unsigned generation)
{
	return (uint64_t)page << 16 | (unsigned)kind << 8 | generation;
}

static void fill(char *memory, int kind, unsigned generation)
{
	for (unsigned long page = 0; page < nr_pages; page++) {
		uint64_t *words = (uint64_t *)(memory + page * PAGE);

		words[0] = words[511] = word_of(kind, page, generation);
	}
}

static void check(const char *what, const uint64_t *words, uint64_t wanted)
{
	if (words[0] == wanted && words[511] == wanted && words[1] == 0)
		return;
	if (nr_wrong++ < 5)
		printf("%s: %llx … %llx instead of %llx\n", what, (unsigned long long)words[0],
		       (unsigned long long)words[511], (unsigned long long)wanted);
}

static void check_mapped(const char *what, const char *memory, int kind, unsigned generation)
{
	for (unsigned long page = 0; page < nr_pages; page++)
		check(what, (const uint64_t *)(memory + page * PAGE), word_of(kind, page, generation));
}

static void check_read(const char *what, int fd, int kind, unsigned generation)
{
	static uint64_t words[PAGE / 8];

	for (unsigned long page = 0; page < nr_pages; page++) {
		if (pread(fd, words, PAGE, (off_t)(page * PAGE)) != (ssize_t)PAGE)
			nr_wrong++;
		check(what, words, word_of(kind, page, generation));
	}
}

static void fill_by_write(int fd, int kind, unsigned generation)
{
	for (unsigned long page = 0; page < nr_pages; page++) {
		uint64_t word = word_of(kind, page, generation);

		if (pwrite(fd, &word, 8, (off_t)(page * PAGE)) != 8 ||
		    pwrite(fd, &word, 8, (off_t)(page * PAGE + PAGE - 8)) != 8)
			nr_wrong++;
	}
}

static char *map(int fd)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	char *memory = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return memory;
}

/* A child checks what the parent wrote, and writes its own; the parent then checks that. */
static void over_fork(char *memory)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		check_mapped("in the child", memory, 1, 1);
		fill(memory, 1, 2);
		_exit(nr_wrong != 0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		nr_wrong++;
	check_mapped("from the child", memory, 1, 2);
}

/* Tests that a punched hole is empty and its neighbours are not, and that a truncated end comes back as zeros. */
static void cut(int fd, char *memory)
{
	unsigned long third = nr_pages / 3;
	uint64_t word = 1;

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(third * PAGE), (off_t)(third * PAGE)) ||
	    ftruncate(fd, (off_t)(3 * third * PAGE - 8)) || ftruncate(fd, (off_t)(nr_pages * PAGE)))
		nr_wrong++;
	for (unsigned long page = 0; page < 3 * third; page++) {
		uint64_t *words = (uint64_t *)(memory + page * PAGE);
		uint64_t wanted = page >= third && page < 2 * third ? 0 : word_of(2, page, 3);

		if (words[0] != wanted || words[511] != (page == 3 * third - 1 ? 0 : wanted))
			nr_wrong++;
	}
	if (pread(fd, &word, 8, (off_t)((third + 1) * PAGE)) != 8 || word)
		nr_wrong++;
}

/* Opens a file in a new tmpfs, because a tmpfs that is mounted without a size holds no more than half of the memory. */
static int open_in_tmpfs(void)
{
	char directory[] = "/tmp/swap_shared-XXXXXX", path[64];
	int fd = -1;

	if (!mkdtemp(directory))
		return -1;
	if (!mount("tmpfs", directory, "tmpfs", 0, "size=4g")) {
		snprintf(path, sizeof(path), "%s/file", directory);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		umount2(directory, MNT_DETACH);
	}
	rmdir(directory);
	return fd;
}

static unsigned long nr_swapped_out(void)
{
	FILE *vmstat = fopen("/proc/vmstat", "r");
	unsigned long value = 0;
	char line[128];

	while (vmstat && fgets(line, sizeof(line), vmstat))
		(void)sscanf(line, "pswpout %lu", &value);
	if (vmstat)
		fclose(vmstat);
	return value;
}

/* A request that cannot succeed must not swap anything out. */
static void promise_too_much(int fd)
{
	unsigned long before = nr_swapped_out();

	if (!fallocate(fd, 0, 0, (off_t)1 << 50) || errno != ENOSPC || nr_swapped_out() != before)
		nr_wrong++;
}

int main(int argc, char **argv)
{
	char *anonymous, *memory, *file;
	int memfd, fd;

	nr_pages = strtoul(argc > 1 ? argv[1] : "8", NULL, 0) * (1048576 / PAGE);
	memfd = memfd_create("shared", 0);
	fd = open_in_tmpfs();
	if (memfd < 0 || fd < 0 || ftruncate(memfd, (off_t)(nr_pages * PAGE)) ||
	    ftruncate(fd, (off_t)(nr_pages * PAGE))) {
		perror("files");
		return 1;
	}
	promise_too_much(memfd);
	anonymous = map(-1);
	memory = map(memfd);
	file = map(fd);
	fill(anonymous, 1, 1);
	fill(memory, 2, 1);
	fill_by_write(fd, 3, 1);
	over_fork(anonymous);
	check_read("memfd, read", memfd, 2, 1);
	check_mapped("file", file, 3, 1);
	fill_by_write(memfd, 2, 3);
	fill(file, 3, 2);
	check_mapped("memfd", memory, 2, 3);
	check_read("file, read", fd, 3, 2);
	cut(memfd, memory);
	check_mapped("shared memory", anonymous, 1, 2);
	printf("%lu pages, %lu wrong\n", 3 * nr_pages, nr_wrong);
	return nr_wrong != 0;
}
