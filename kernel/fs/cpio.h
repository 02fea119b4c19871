/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing cpio archives in the "newc" format. Each file has a header of 110 characters (a magic number and
 * 13 numbers of eight hexadecimal digits each), its name with a NUL, and its contents; name and contents are padded to
 * four bytes. An entry named "TRAILER!!!" ends the archive.
 */
#ifndef KERNEL_FS_CPIO_H
#define KERNEL_FS_CPIO_H

#include "kernel/lib/base.h"

#define CPIO_HEADER_SIZE 110
#define CPIO_TRAILER "TRAILER!!!"

struct cpio_entry {
	const char *name; /* NUL-terminated; of an entry that was read, points into the archive */
	u32 ino, dev, mode, nlink, rdev;
	u32 mtime; /* seconds since 1970 */
	const u8 *data;
	size_t size; /* bytes of contents */
};

/*
 * Reads the entry at *pos and advances *pos. At the end, at the trailer, or if the archive is broken, returns false and
 * leaves *pos unchanged.
 */
bool cpio_next(const u8 *archive, size_t size, size_t *pos, struct cpio_entry *entry);
/* Returns true if the entry at pos is the trailer. */
bool cpio_at_trailer(const u8 *archive, size_t size, size_t pos);
/* Writes the entry's header, CPIO_HEADER_SIZE bytes and a NUL. The entry's size must fit in 32 bits. */
void cpio_format(char *header, const struct cpio_entry *entry);

#endif
