/* SPDX-License-Identifier: MIT */
/*
 * Copies standard input to standard output, by lines or by raw reads, prints counts, and writes a line to standard
 * error.
 */
#include "user/lib/check.h"

static void copy_lines(void)
{
	char line[256];
	unsigned long lines = 0, bytes = 0;

	while (fgets(line, sizeof(line), stdin)) {
		lines++;
		bytes += strlen(line);
		fputs(line, stdout);
	}
	printf("[%lu lines, %lu bytes]\n", lines, bytes);
}

static void copy_raw(void)
{
	char buf[4096];
	unsigned long bytes = 0;
	ssize_t n;

	while ((n = read(0, buf, sizeof(buf))) > 0) {
		MUST(write(1, buf, n) == n);
		bytes += n;
	}
	printf("[%lu bytes]\n", bytes);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "raw") == 0)
		copy_raw();
	else
		copy_lines();
	fprintf(stderr, "echo: done\n");
	return 0;
}
