/* SPDX-License-Identifier: MIT */
/* Reads and writes whole files as text, such as those of /proc and /sys. */
#ifndef USER_TEXT_H
#define USER_TEXT_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Reads a file as far as there is room. Returns its length, or -1 with errno. Uses only `text` and the stack. */
static inline ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY), saved;
	size_t len = 0;
	ssize_t n = 0;

	text[0] = 0;
	if (fd < 0)
		return -1;
	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	saved = errno;
	close(fd);
	errno = saved;
	text[len] = 0;
	return n < 0 ? -1 : (ssize_t)len;
}

/* Writes the text in one write. Returns the result of the write, so -1 with errno when the kernel refuses. */
static inline ssize_t write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), saved;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n;
}

#endif
