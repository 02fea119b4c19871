/* SPDX-License-Identifier: MIT */
/*
 * Tests a directory with many names.
 *
 *	many_names COUNT	makes them, reads them, seeks, removes some while they are read, removes the rest
 *	many_names COUNT COST	exit 1 if a name among COUNT costs more than twice as much as one among COUNT / 16
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/many-XXXXXX";

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static const char *name_of(int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "file-number-%d", i);
	return name;
}

static void make(int nr)
{
	for (int i = 0; i < nr; i++) {
		int fd = open(name_of(i), O_CREAT | O_EXCL | O_WRONLY, 0600);

		if (fd < 0)
			fail("open");
		close(fd);
	}
}

static void remove_all(int nr)
{
	for (int i = 0; i < nr; i++)
		if (unlink(name_of(i)))
			fail("unlink");
}

static int number_of(const struct dirent *entry)
{
	int i;

	return sscanf(entry->d_name, "file-number-%d", &i) == 1 ? i : -1;
}

/* Counts how often each name is read from here to the end, and prints the lowest and the highest count. */
static void count_from(DIR *stream, int nr, const char *what)
{
	unsigned char *met = calloc(nr, 1);
	int low = 255, high = 0, total = 0;
	struct dirent *entry;

	while ((entry = readdir(stream)) != NULL)
		if (number_of(entry) >= 0) {
			met[number_of(entry)]++;
			total++;
		}
	for (int i = 0; i < nr; i++) {
		low = met[i] < low ? met[i] : low;
		high = met[i] > high ? met[i] : high;
	}
	printf("%s: %d names, each met %d to %d times\n", what, total, low, high);
	free(met);
}

/* Checks that a position in the directory leads to the same name after other names were removed and added. */
static void seek(DIR *stream, int nr)
{
	int before = -1, after;
	struct dirent *entry;
	long place;

	rewinddir(stream);
	for (int i = 0; i < nr / 2; i++)
		entry = readdir(stream);
	place = telldir(stream);
	entry = readdir(stream);
	if (entry)
		before = number_of(entry);
	for (int i = 0; i < 10; i++)
		if (i != before && (rename(name_of(i), "moved") || rename("moved", name_of(i))))
			fail("rename");
	seekdir(stream, place);
	entry = readdir(stream);
	after = entry ? number_of(entry) : -1;
	printf("seekdir leads to %s\n", before >= 0 && before == after ? "the same name" : "another name");
}

/* Removes every other name when it is read: none of the others is skipped. */
static void remove_while_reading(DIR *stream)
{
	struct dirent *entry;
	int removed = 0;

	rewinddir(stream);
	while ((entry = readdir(stream)) != NULL)
		if (number_of(entry) >= 0 && number_of(entry) % 2) {
			if (unlink(entry->d_name))
				fail("unlink");
			removed++;
		}
	printf("%d removed while they were read\n", removed);
}

static double nanoseconds_a_name(int nr)
{
	struct timespec begin, end;
	DIR *stream;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	make(nr);
	stream = opendir(".");
	count_from(stream, nr, "cost");
	closedir(stream);
	remove_all(nr);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / nr;
}

static int costs_the_same(int nr)
{
	double few, many;

	(void)nanoseconds_a_name(nr / 16); /* fills the caches of the kernel and the library */
	few = nanoseconds_a_name(nr / 16);
	many = nanoseconds_a_name(nr);
	fprintf(stderr, "%.0f ns a name among %d, %.0f among %d\n", few, nr / 16, many, nr);
	return many <= 2 * few;
}

int main(int argc, char **argv)
{
	int nr = argc > 1 ? atoi(argv[1]) : 1000;
	DIR *stream;

	mkdir("/tmp", 01777);
	if (!mkdtemp(dir) || chdir(dir))
		fail(dir);
	if (argc > 2) {
		nr = costs_the_same(nr);
		chdir("/");
		rmdir(dir);
		return !nr;
	}
	make(nr);
	stream = opendir(".");
	count_from(stream, nr, "all");
	seek(stream, nr);
	remove_while_reading(stream);
	rewinddir(stream);
	count_from(stream, nr, "rest");
	for (int i = 0; i < nr; i += 2)
		if (unlink(name_of(i)))
			fail("unlink");
	rewinddir(stream);
	count_from(stream, nr, "end");
	closedir(stream);
	chdir("/");
	printf("rmdir: %d\n", rmdir(dir));
	return 0;
}
