/* SPDX-License-Identifier: MIT */
/*
 * cpio archives in the "newc" format: for each file a header of 110 characters (13 numbers of eight hexadecimal digits behind a
 * magic one), the name with its NUL, the contents; name and contents are padded to four bytes. "TRAILER!!!" ends it.
 */
#ifndef KERNEL_FS_CPIO_H
#define KERNEL_FS_CPIO_H

#include "kernel/lib/base.h"

#define CPIO_HEADER_SIZE 110
#define CPIO_TRAILER "TRAILER!!!"

struct cpio_entry {
	const char *name; /* with its NUL; of an entry that was read: inside the archive */
	u32 ino, mode, nlink, rdev;
	u32 mtime; /* seconds since 1970 */
	const u8 *data;
	size_t size; /* bytes of contents */
};

/* Reads the entry at *pos and moves on. False at the end, at the trailer, or where the archive is broken; *pos then stays. */
bool cpio_next(const u8 *archive, size_t size, size_t *pos, struct cpio_entry *entry);
/* Whether the archive ends here as it should, with its trailer. */
bool cpio_at_trailer(const u8 *archive, size_t size, size_t pos);
/* Writes the entry's header, CPIO_HEADER_SIZE bytes and a NUL. Its size must fit in 32 bits. */
void cpio_format(char *header, const struct cpio_entry *entry);

#endif
