/* SPDX-License-Identifier: MIT */
/*
 * What a faultfs looks like on its disk. Everything is little-endian; a block is 4096 bytes; block numbers count from the
 * start of the disk, and 0 stands for a hole, since block 0 is the super block.
 *
 *	block 0				struct faultfs_super
 *	bitmap_start …			one bit for each block: 1, in use. The blocks before data_start are
 *	inode_start …			struct faultfs_inode, 32 to a block, numbered from 1; mode 0: free
 *	data_start …			files, directories, targets of symbolic links, blocks of block numbers
 *
 * Blocks of a file: 12 in the inode, the next 1024 named by one indirect block, the next 1024 × 1024 by a double indirect
 * one: at most 4 GiB and a little. A directory is a file of slots, 15 to a block, in no order; inode 0: a free slot. The
 * target of a symbolic link is its first block. The root directory is inode 1, and has no names of itself.
 *
 * There is no journal: what was not written when the machine stopped is lost, and `state` says that it may be so.
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
	u32 nr_blocks; /* that the file has, those of block numbers included */
	u32 direct[FAULTFS_DIRECT];
	u32 indirect, double_indirect;
	u32 unused[2];
};
_Static_assert(sizeof(struct faultfs_inode) == 128, "32 inodes to a block");
#define FAULTFS_INODES_PER_BLOCK ((u32)(PAGE_SIZE / sizeof(struct faultfs_inode)))

struct faultfs_slot {
	u32 ino;
	u8 length, unused[3];
	char name[264]; /* not terminated */
};
#define FAULTFS_SLOTS_PER_BLOCK ((u32)(PAGE_SIZE / sizeof(struct faultfs_slot)))
_Static_assert(sizeof(struct faultfs_slot) == 272, "15 slots to a block");

#endif
