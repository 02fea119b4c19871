/* SPDX-License-Identifier: MIT */
/* Reading and writing headers of cpio archives. See cpio.h. */
#include "kernel/fs/cpio.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"

enum cpio_field {
	CPIO_INO,
	CPIO_MODE,
	CPIO_UID,
	CPIO_GID,
	CPIO_NLINK,
	CPIO_MTIME,
	CPIO_FILESIZE,
	CPIO_MAJOR,
	CPIO_MINOR,
	CPIO_RMAJOR,
	CPIO_RMINOR,
	CPIO_NAMESIZE,
	CPIO_CHECK,
	CPIO_NR_FIELDS
};

static u32 field(const char *header, enum cpio_field n)
{
	const char *digits = header + 6 + n * 8;
	u32 value = 0;

	for (unsigned i = 0; i < 8; i++) {
		u32 c = (u32)digits[i] | 0x20; /* to lower case; does not change digits */
		value = value << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	return value;
}

/* Reads the entry at *pos, which may be the trailer. */
static bool read_entry(const u8 *archive, size_t size, size_t *pos, struct cpio_entry *entry)
{
	const char *header = (const char *)archive + *pos;

	if (*pos + CPIO_HEADER_SIZE > size || (strncmp(header, "070701", 6) && strncmp(header, "070702", 6)))
		return false;
	size_t namesize = field(header, CPIO_NAMESIZE), filesize = field(header, CPIO_FILESIZE);
	size_t data = align_up(*pos + CPIO_HEADER_SIZE + namesize, 4);
	if (!namesize || data > size || filesize > size - data || header[CPIO_HEADER_SIZE + namesize - 1])
		return false;
	*entry = (struct cpio_entry){
		.name = header + CPIO_HEADER_SIZE,
		.ino = field(header, CPIO_INO),
		.dev = field(header, CPIO_MAJOR) << 8 | field(header, CPIO_MINOR),
		.mode = field(header, CPIO_MODE),
		.nlink = field(header, CPIO_NLINK),
		.rdev = field(header, CPIO_RMAJOR) << 8 | field(header, CPIO_RMINOR),
		.mtime = field(header, CPIO_MTIME),
		.data = archive + data,
		.size = filesize,
	};
	*pos = align_up(data + filesize, 4);
	return true;
}

bool cpio_next(const u8 *archive, size_t size, size_t *pos, struct cpio_entry *entry)
{
	size_t behind = *pos;

	if (!read_entry(archive, size, &behind, entry) || !strcmp(entry->name, CPIO_TRAILER))
		return false;
	*pos = behind;
	return true;
}

bool cpio_at_trailer(const u8 *archive, size_t size, size_t pos)
{
	struct cpio_entry entry;

	return read_entry(archive, size, &pos, &entry) && !strcmp(entry.name, CPIO_TRAILER);
}

void cpio_format(char *header, const struct cpio_entry *entry)
{
	const u32 fields[CPIO_NR_FIELDS] = {
		[CPIO_INO] = entry->ino,
		[CPIO_MODE] = entry->mode,
		[CPIO_NLINK] = entry->nlink,
		[CPIO_MTIME] = entry->mtime,
		[CPIO_FILESIZE] = (u32)entry->size,
		[CPIO_RMAJOR] = entry->rdev >> 8,
		[CPIO_RMINOR] = entry->rdev & 0xff,
		[CPIO_NAMESIZE] = (u32)strlen(entry->name) + 1,
	};

	ASSERT(entry->size == (u32)entry->size, "a cpio entry has less than 4 GiB");
	memcpy(header, "070701", 6);
	for (unsigned i = 0; i < CPIO_NR_FIELDS; i++)
		ksnprintf(header + 6 + i * 8, 8 + 1, "%08x", fields[i]);
}
