/* SPDX-License-Identifier: MIT */
/*
 * The layout of a faultfs on the disk. Everything is little-endian; a block has 4096 bytes; block numbers count from
 * the start of the disk, and 0 stands for a hole, since block 0 is the super block.
 *
 *	block 0				struct faultfs_super
 *	bitmap_start …			one bit for each block, 1 if in use; the blocks before data_start always are
 *	inode_start …			struct faultfs_inode, 32 per block, numbered from 1; mode 0: free
 *	data_start …			files, directories, targets of symbolic links, blocks of block numbers
 *
 * The inode has the numbers of a file's first 12 blocks; an indirect block has those of the next 1024, and a double
 * indirect block leads to the next 1024 × 1024. So a file has at most a little more than 4 GiB. A directory is a file
 * of slots, 15 per block, in no order; a slot with inode 0 is free. The target of a symbolic link is in its first
 * block. The root directory is inode 1; no slot names it.
 *
 * There is no journal: what was not written when the machine stopped is lost, and `state` says that this may have
 * happened.
 */
#ifndef KERNEL_FS_FAULTFS_FORMAT_H
#define KERNEL_FS_FAULTFS_FORMAT_H

#include "kernel/lib/base.h"

#define FAULTFS_MAGIC 0x317366746c756146UL /* "Faultfs1" */
#define FAULTFS_VERSION 1
#define FAULTFS_ROOT_INO 1

enum faultfs_state { FAULTFS_CLEAN = 1, FAULTFS_MOUNTED = 2 };

struct faultfs_super {
	u64 magic;
	u32 version;
	u32 state; /* enum faultfs_state */
	u32 nr_blocks, nr_inodes;
	u32 bitmap_start, inode_start, data_start;
};

#define FAULTFS_DIRECT 12
#define FAULTFS_PER_BLOCK ((u32)(PAGE_SIZE / sizeof(u32))) /* block numbers */
#define FAULTFS_MAX_BLOCKS ((u64)FAULTFS_DIRECT + FAULTFS_PER_BLOCK + (u64)FAULTFS_PER_BLOCK * FAULTFS_PER_BLOCK)

struct faultfs_inode {
	u32 mode, nlink, uid, gid;
	u64 size;			/* bytes */
	u64 atime, mtime, ctime, btime; /* ns since 1970 */
	u32 rdev;
	u32 nr_blocks; /* of the file, including blocks of block numbers */
	u32 direct[FAULTFS_DIRECT];
	u32 indirect, double_indirect;
	u32 unused[2];
};
_Static_assert(sizeof(struct faultfs_inode) == 128, "32 inodes to a block");
#define FAULTFS_INODES_PER_BLOCK ((u32)(PAGE_SIZE / sizeof(struct faultfs_inode)))

struct faultfs_slot {
	u32 ino;
	u8 length, unused[3];
	char name[264]; /* not NUL-terminated */
};
#define FAULTFS_SLOTS_PER_BLOCK ((u32)(PAGE_SIZE / sizeof(struct faultfs_slot)))
_Static_assert(sizeof(struct faultfs_slot) == 272, "15 slots to a block");

#endif
