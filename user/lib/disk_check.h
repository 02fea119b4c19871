/* SPDX-License-Identifier: MIT */
/*
 * A checker for faultfs, written from the description of the format alone (docs/disks.md), for programs that test the
 * file system.
 *
 * It reads an unmounted disk and finds blocks that are used twice or marked wrongly, inodes without a name, and wrong
 * link counts.
 */
#ifndef USER_DISK_CHECK_H
#define USER_DISK_CHECK_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk {
	unsigned char *bytes;
	uint32_t nr_blocks, nr_inodes, bitmap_start, inode_start, data_start;
	unsigned char *used; /* [nr_blocks] references to the block */
	uint32_t *links;     /* [nr_inodes + 1] names of the inode */
	unsigned char *seen; /* [nr_inodes + 1] visits to the directory */
	unsigned nr_problems;
};

static void disk_problem(struct disk *disk, const char *what, uint32_t number)
{
	if (disk->nr_problems++ < 10)
		printf("disk: %s: %u\n", what, number);
}

static uint32_t disk_u32(const struct disk *disk, uint64_t at)
{
	uint32_t value;

	memcpy(&value, disk->bytes + at, sizeof(value));
	return value;
}

static uint64_t disk_inode(const struct disk *disk, uint32_t ino)
{
	return (uint64_t)disk->inode_start * 4096 + (uint64_t)(ino - 1) * 128;
}

/* Counts a block and, for depth > 0, the blocks that it names. Returns how many. */
static uint32_t disk_use(struct disk *disk, uint32_t block, int depth)
{
	uint32_t nr = 1;

	if (!block)
		return 0;
	if (block < disk->data_start || block >= disk->nr_blocks) {
		disk_problem(disk, "no such block", block);
		return 0;
	}
	if (disk->used[block]++)
		disk_problem(disk, "block is used twice", block);
	for (uint32_t i = 0; depth && i < 1024; i++)
		nr += disk_use(disk, disk_u32(disk, (uint64_t)block * 4096 + i * 4), depth - 1);
	return nr;
}

/* Returns the n-th block of a file of up to 12 + 1024 blocks: enough for directories. */
static uint32_t disk_block(const struct disk *disk, uint64_t inode, uint32_t n)
{
	uint32_t indirect = disk_u32(disk, inode + 112);

	if (n < 12)
		return disk_u32(disk, inode + 64 + n * 4);
	return indirect ? disk_u32(disk, (uint64_t)indirect * 4096 + (n - 12) * 4) : 0;
}

static void disk_walk(struct disk *disk, uint32_t ino)
{
	uint64_t inode = disk_inode(disk, ino), size;

	memcpy(&size, disk->bytes + inode + 16, sizeof(size));
	if (disk->seen[ino]++) {
		disk_problem(disk, "directory has two names", ino);
		return;
	}
	disk->links[ino]++; /* the directory's own "." */
	for (uint32_t slot = 0; slot < size / 4096 * 15; slot++) {
		uint64_t at = (uint64_t)disk_block(disk, inode, slot / 15) * 4096 + slot % 15 * 272;
		uint32_t child = disk_u32(disk, at);

		if (!child)
			continue;
		if (child > disk->nr_inodes || !disk_u32(disk, disk_inode(disk, child))) {
			disk_problem(disk, "name refers to a free inode", child);
			continue;
		}
		disk->links[child]++;
		if (S_ISDIR(disk_u32(disk, disk_inode(disk, child)))) {
			disk->links[ino]++; /* the child's ".." */
			disk_walk(disk, child);
		}
	}
}

static void disk_check_inode(struct disk *disk, uint32_t ino)
{
	uint64_t inode = disk_inode(disk, ino);
	uint32_t nr = 0;

	if (!disk_u32(disk, inode)) {
		if (disk->links[ino])
			disk_problem(disk, "free inode has a name", ino);
		return;
	}
	if (!disk->links[ino])
		disk_problem(disk, "inode without a name", ino);
	if (disk->links[ino] != disk_u32(disk, inode + 4))
		disk_problem(disk, "wrong link count", ino);
	for (unsigned i = 0; i < 14; i++)
		nr += disk_use(disk, disk_u32(disk, inode + 64 + i * 4), i < 12 ? 0 : (int)i - 11);
	if (nr != disk_u32(disk, inode + 60))
		disk_problem(disk, "wrong number of blocks in inode", ino);
}

static void disk_check_bitmap(struct disk *disk)
{
	const unsigned char *bitmap = disk->bytes + (uint64_t)disk->bitmap_start * 4096;

	for (uint32_t block = 0; block < disk->nr_blocks; block++) {
		int marked = bitmap[block / 8] >> block % 8 & 1, used = block < disk->data_start || disk->used[block];

		if (marked && !used)
			disk_problem(disk, "block is marked as used, but no inode has it", block);
		if (!marked && used)
			disk_problem(disk, "block is in use, but marked as free", block);
	}
}

static void disk_check_all(struct disk *disk)
{
	disk->nr_blocks = disk_u32(disk, 16);
	disk->nr_inodes = disk_u32(disk, 20);
	disk->bitmap_start = disk_u32(disk, 24);
	disk->inode_start = disk_u32(disk, 28);
	disk->data_start = disk_u32(disk, 32);
	disk->used = calloc(disk->nr_blocks, 1);
	disk->seen = calloc(disk->nr_inodes + 1, 1);
	disk->links = calloc(disk->nr_inodes + 1, sizeof(*disk->links));
	disk->links[1] = 1; /* the root counts as named, though no directory contains it */
	disk_walk(disk, 1);
	for (uint32_t ino = 1; ino <= disk->nr_inodes; ino++)
		disk_check_inode(disk, ino);
	disk_check_bitmap(disk);
	free(disk->used);
	free(disk->seen);
	free(disk->links);
}

/* Checks a disk, and prints the first ten problems. Returns the number of problems. */
static unsigned disk_check(const char *device)
{
	struct disk disk = { 0 };
	int fd = open(device, O_RDONLY);
	off_t size = lseek(fd, 0, SEEK_END);

	disk.bytes = malloc((size_t)size);
	if (fd < 0 || pread(fd, disk.bytes, (size_t)size, 0) != size) {
		printf("disk: cannot read %s\n", device);
		return 1;
	}
	close(fd);
	if (memcmp(disk.bytes, "Faultfs1", 8))
		disk_problem(&disk, "no faultfs", 0);
	else if (disk_u32(&disk, 12) != 1)
		disk_problem(&disk, "not marked clean", disk_u32(&disk, 12));
	else
		disk_check_all(&disk);
	free(disk.bytes);
	return disk.nr_problems;
}

#endif
