/* SPDX-License-Identifier: MIT */
/* Writes an empty faultfs to a device. No other thread uses the device. */
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/lib/string.h"
#include "kernel/time/clock.h"
#include "mm/page/page_alloc.h"

#define BITS_PER_BLOCK ((u32)PAGE_SIZE * 8)
#define BLOCKS_PER_INODE 4
#define MIN_DATA_BLOCKS 4
#define MAX_INODES (1u << 16)

static bool mkfs_lay_out(u64 nr_blocks, struct faultfs_super *super)
{
	u32 nr_inodes = (u32)min(max(nr_blocks / BLOCKS_PER_INODE, 1UL), (u64)MAX_INODES);

	nr_inodes = (u32)align_up(nr_inodes, FAULTFS_INODES_PER_BLOCK);
	*super = (struct faultfs_super){
		.magic = FAULTFS_MAGIC,
		.version = FAULTFS_VERSION,
		.state = FAULTFS_CLEAN,
		.nr_blocks = (u32)nr_blocks,
		.nr_inodes = nr_inodes,
		.bitmap_start = 1,
	};
	super->inode_start = super->bitmap_start + (u32)((nr_blocks + BITS_PER_BLOCK - 1) / BITS_PER_BLOCK);
	super->data_start = super->inode_start + nr_inodes / FAULTFS_INODES_PER_BLOCK;
	return super->data_start + MIN_DATA_BLOCKS <= nr_blocks;
}

static void fill_bitmap(const struct faultfs_super *super, u64 *words, u32 block)
{
	u32 base = (block - super->bitmap_start) * BITS_PER_BLOCK;

	for (u32 bit = 0; bit < BITS_PER_BLOCK; bit++)
		if (base + bit < super->data_start || base + bit >= super->nr_blocks)
			words[bit / 64] |= 1UL << bit % 64;
}

static void fill_root(struct faultfs_inode *root)
{
	u64 now = realtime_ns();

	*root = (struct faultfs_inode){
		.mode = S_IFDIR | 0755, .nlink = 2, .atime = now, .mtime = now, .ctime = now, .btime = now
	};
}

static void fill_block(const struct faultfs_super *super, u32 block, void *bytes)
{
	memset(bytes, 0, PAGE_SIZE);
	if (!block)
		memcpy(bytes, super, sizeof(*super));
	else if (block < super->inode_start)
		fill_bitmap(super, bytes, block);
	else if (block == super->inode_start)
		fill_root(bytes);
}

/* Writes the super block last: until it is on the disk, there is no file system. */
static int mkfs_write_all(struct block_device *device, const struct faultfs_super *super, struct page *page)
{
	int ret = 0;

	for (u32 block = super->data_start; !ret && block--;) {
		fill_block(super, block, page_to_virt(page));
		ret = block_transfer(device, BLOCK_WRITE, (u64)block * SECTORS_PER_PAGE, page);
	}
	return ret;
}

int faultfs_format(struct block_device *device)
{
	struct faultfs_super super;
	struct page *page;
	int ret;

	assert_may_sleep();
	if (!mkfs_lay_out(device->nr_sectors / SECTORS_PER_PAGE, &super))
		return -ENOSPC;
	page = alloc_page(0);
	if (!page)
		return -ENOMEM;
	ret = mkfs_write_all(device, &super, page);
	page_put(page);
	return ret;
}
