/* SPDX-License-Identifier: MIT */
/* map_write FILE OFFSET TEXT: writes the text into the file through a shared mapping, without a system call. */
#include "user/lib/check.h"

#include <fcntl.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	struct stat st;
	char *pages;
	int fd;

	MUST(argc == 4);
	fd = open(argv[1], O_RDWR);
	MUST(fd >= 0 && fstat(fd, &st) == 0);
	MUST((size_t)atol(argv[2]) + strlen(argv[3]) <= (size_t)st.st_size);
	pages = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(pages != MAP_FAILED);
	memcpy(pages + atol(argv[2]), argv[3], strlen(argv[3]));
	return 0;
}
