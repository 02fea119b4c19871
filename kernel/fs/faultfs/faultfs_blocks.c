/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a faultfs: its blocks as pages in memory, the bitmap of blocks, and write-back. Once read, a page of
 * metadata stays in memory until its block is freed or the file system is unmounted. fs->lock is held, unless noted.
 */
#include "kernel/fs/faultfs/faultfs.h"
#include "mm/page/page_lock.h"

static u64 faultfs_sector_of(u32 block)
{
	return (u64)block * SECTORS_PER_PAGE;
}

/*
 * Adds the page of a block that is not in memory, and reads it. No other thread can find the page before it has been
 * read, because fs->lock is held.
 */
static struct page *read_block(struct faultfs *fs, u32 block)
{
	struct page *page = mapping_find_or_create(fs->metadata, block);
	int error;

	if (!page)
		return err_ptr(-ENOMEM);
	error = block_read_sync(fs->device, faultfs_sector_of(block), page);
	if (!error)
		return page;
	page_put(page);
	mapping_remove_range(fs->metadata, block, block);
	return err_ptr(error);
}

struct page *faultfs_get(struct faultfs *fs, u32 block)
{
	struct page *page;

	assert_mutex_held(&fs->lock);
	assert_may_sleep();
	if (block >= fs->layout.nr_blocks)
		return err_ptr(-EIO); /* the disk is corrupt */
	page = mapping_find(fs->metadata, block);
	return page ? page : read_block(fs, block);
}

struct page *faultfs_get_new(struct faultfs *fs, u32 block)
{
	struct page *page = mapping_find_or_create(fs->metadata, block);

	assert_mutex_held(&fs->lock);
	assert_may_sleep();
	if (!page)
		return err_ptr(-ENOMEM);
	faultfs_changed(page);
	return page;
}

void faultfs_changed(struct page *page)
{
	page_set(page, PG_DIRTY);
}

/* ---- The bitmap -------------------------------------------------------------------------------------------------- */

#define BITS_PER_BLOCK ((u32)PAGE_SIZE * 8)

/*
 * Allocates the first free block of [from, end) in a block of the bitmap, whose first bit is that of block `base`.
 * Returns its number, or 0 if none is free.
 */
static u32 take_bit(struct page *page, u32 from, u32 base, u32 end)
{
	u64 *words = page_to_virt(page);

	for (u32 block = from; block < end; block++) {
		u64 *word = &words[(block - base) / 64], bit = 1UL << block % 64;

		if (block % 64 == 0 && *word == ~0UL) {
			block += 63;
			continue;
		}
		if (*word & bit)
			continue;
		*word |= bit;
		faultfs_changed(page);
		return block;
	}
	return 0;
}

/* Allocates a free block of [from, end). Returns its number, 0 if none is free, or -errno. */
static s64 take_from(struct faultfs *fs, u32 from, u32 end)
{
	while (from < end) {
		u32 base = from / BITS_PER_BLOCK * BITS_PER_BLOCK;
		u32 stop = min(end, base + BITS_PER_BLOCK), block;
		struct page *page = faultfs_get(fs, fs->layout.bitmap_start + base / BITS_PER_BLOCK);

		if (is_err(page))
			return ptr_err(page);
		block = take_bit(page, from, base, stop);
		page_put(page);
		if (block)
			return block;
		from = stop;
	}
	return 0;
}

s64 faultfs_alloc(struct faultfs *fs)
{
	s64 block;

	assert_mutex_held(&fs->lock);
	assert_may_sleep();
	if (!fs->nr_free_blocks)
		return 0;
	block = take_from(fs, fs->next_block, fs->layout.nr_blocks);
	if (!block)
		block = take_from(fs, fs->layout.data_start, fs->next_block);
	if (block > 0) {
		fs->nr_free_blocks--;
		fs->next_block = (u32)block + 1 < fs->layout.nr_blocks ? (u32)block + 1 : fs->layout.data_start;
	}
	return block;
}

void faultfs_set_unwritten(struct faultfs *fs, u32 block)
{
	atomic_or(&fs->unwritten[block / 64], 1UL << block % 64);
}

void faultfs_set_written(struct faultfs *fs, u32 block)
{
	atomic_and(&fs->unwritten[block / 64], ~(1UL << block % 64));
}

bool faultfs_is_unwritten(const struct faultfs *fs, u32 block)
{
	return load_acquire(&fs->unwritten[block / 64]) >> block % 64 & 1;
}

/*
 * Drops the block's page of metadata. The block may hold a file's data next, so nothing may write that page back any
 * more.
 */
static void forget(struct faultfs *fs, u32 block)
{
	struct page *page = mapping_find(fs->metadata, block);

	if (!page)
		return;
	page_wait_writeback(page);
	mapping_remove_range(fs->metadata, block, block);
	page_put(page);
}

void faultfs_free(struct faultfs *fs, u32 block)
{
	struct page *page;

	assert_mutex_held(&fs->lock);
	assert_may_sleep();
	if (block < fs->layout.data_start || block >= fs->layout.nr_blocks)
		return; /* the disk is corrupt */
	forget(fs, block);
	page = faultfs_get(fs, fs->layout.bitmap_start + block / BITS_PER_BLOCK);
	if (is_err(page))
		return;
	((u64 *)page_to_virt(page))[block % BITS_PER_BLOCK / 64] &= ~(1UL << block % 64);
	faultfs_changed(page);
	page_put(page);
	fs->nr_free_blocks++;
}

/* ---- Writing back ------------------------------------------------------------------------------------------------ */

/* Marks the page as under writeback if it is dirty and still has its block. Returns whether it did. Takes fs->lock. */
static bool begin_write(struct faultfs *fs, struct page *page)
{
	bool begun;

	mutex_lock(&fs->lock);
	page_wait_writeback(page);
	begun = page_test(page, PG_CACHE) && page_test(page, PG_DIRTY);
	if (begun) {
		page_set(page, PG_WRITEBACK);
		page_clear(page, PG_DIRTY); /* before the contents are read: a later change marks it again */
	}
	mutex_unlock(&fs->lock);
	return begun;
}

int faultfs_write_metadata(struct faultfs *fs)
{
	int error = 0;

	assert_may_sleep();
	if (!READ_ONCE(fs->marked))
		return 0; /* mounted read-only */
	for (u64 block = 0; mapping_next(fs->metadata, block, &block); block++) {
		struct page *page = mapping_find(fs->metadata, block);

		if (!page)
			continue;
		if (begin_write(fs, page)) {
			int failed = block_transfer(fs->device, BLOCK_WRITE, faultfs_sector_of((u32)block), page);

			page_end_writeback(page, failed);
			error = error ? error : failed;
		}
		page_put(page);
	}
	return error;
}
