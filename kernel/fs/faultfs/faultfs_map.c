/* SPDX-License-Identifier: MIT */
/*
 * Finds, allocates and frees the blocks of a file's pages. The inode has twelve block numbers, and those of an indirect
 * and a double indirect block. The numbers on the way to a page form a path of up to three places, along which lookup,
 * allocation and freeing walk. fs->lock is held throughout.
 */
#include "kernel/fs/faultfs/faultfs.h"

#define MAX_DEPTH 3

/* The path to a page: for each level, from the inode on, an index into its block numbers. */
struct path {
	unsigned depth;
	u32 place[MAX_DEPTH];
};

static u32 *numbers_of(struct page *page)
{
	return page_to_virt(page);
}

static bool path_to(u64 index, struct path *path)
{
	if (index < FAULTFS_DIRECT) {
		*path = (struct path){ 1, { (u32)index } };
		return true;
	}
	index -= FAULTFS_DIRECT;
	if (index < FAULTFS_PER_BLOCK) {
		*path = (struct path){ 2, { FAULTFS_DIRECT, (u32)index } };
		return true;
	}
	index -= FAULTFS_PER_BLOCK;
	if (index >= (u64)FAULTFS_PER_BLOCK * FAULTFS_PER_BLOCK)
		return false;
	*path = (struct path){
		3, { FAULTFS_DIRECT + 1, (u32)(index / FAULTFS_PER_BLOCK), (u32)(index % FAULTFS_PER_BLOCK) }
	};
	return true;
}

/* The inode's own numbers form one array: direct, indirect, double_indirect. */
_Static_assert(offsetof(struct faultfs_inode, indirect) ==
		       offsetof(struct faultfs_inode, direct) + FAULTFS_DIRECT * sizeof(u32),
	       "the indirect block follows the direct ones");

/* The place of a block number: in the inode's record, or in a block of numbers. */
struct number {
	u32 *at;
	struct page *page; /* the page that holds it, with a reference */
};

static int first_number(struct faultfs_file *file, const struct path *path, struct number *number)
{
	struct faultfs_inode *record = faultfs_record(file->fs, file->ino, &number->page);

	if (is_err(record))
		return (int)ptr_err(record);
	number->at = &record->direct[path->place[0]];
	return 0;
}

/* Checks a block number read from the disk. Returns it if it is 0 or in the data area; or -EIO: the disk is corrupt. */
static s64 checked(const struct faultfs *fs, u32 block)
{
	return !block || (block >= fs->layout.data_start && block < fs->layout.nr_blocks) ? (s64)block : -EIO;
}

/* Returns the page of the block of numbers `block`, with a reference, or an error pointer. */
static struct page *get_numbers(struct faultfs *fs, u32 block)
{
	return checked(fs, block) > 0 ? faultfs_get(fs, block) : err_ptr(-EIO);
}

/* Moves on to entry `place` of the block of numbers that *number names. Drops the old page, also on failure. */
static int next_number(struct faultfs_file *file, struct number *number, u32 place)
{
	struct page *page = get_numbers(file->fs, *number->at);

	page_put(number->page);
	if (is_err(page))
		return (int)ptr_err(page);
	*number = (struct number){ &numbers_of(page)[place], page };
	return 0;
}

/* Adds `nr` to the file's number of blocks, in its record and its inode. */
static void count_block(struct faultfs_file *file, int nr)
{
	struct page *page;
	struct faultfs_inode *record = faultfs_record(file->fs, file->ino, &page);

	if (is_err(record))
		return; /* cannot happen: the caller has just read it, and metadata stays in memory */
	record->nr_blocks += (u32)nr;
	faultfs_changed(page);
	if (file->inode) /* NULL when the file is being buried */
		WRITE_ONCE(file->inode->nr_blocks, (u64)record->nr_blocks * SECTORS_PER_PAGE);
	page_put(page);
}

s64 faultfs_lookup(struct faultfs_file *file, u64 index)
{
	struct number number;
	struct path path;
	s64 block;
	int ret;

	assert_mutex_held(&file->fs->lock);
	assert_may_sleep();
	if (!path_to(index, &path))
		return 0;
	ret = first_number(file, &path, &number);
	for (unsigned level = 1; !ret && level < path.depth && *number.at; level++)
		ret = next_number(file, &number, path.place[level]);
	if (ret)
		return ret;
	block = checked(file->fs, *number.at);
	page_put(number.page);
	return block;
}

/* Allocates a block for an empty number; a block of numbers is zeroed. Returns: 0 or -errno. */
static int fill_number(struct faultfs_file *file, struct number *number, bool of_numbers)
{
	s64 block = faultfs_alloc(file->fs);
	struct page *page;

	if (block <= 0)
		return block ? (int)block : -ENOSPC;
	if (of_numbers) {
		page = faultfs_get_new(file->fs, (u32)block);
		if (is_err(page)) {
			faultfs_free(file->fs, (u32)block);
			return (int)ptr_err(page);
		}
		page_put(page);
	}
	*number->at = (u32)block;
	faultfs_changed(number->page);
	count_block(file, 1);
	return 0;
}

s64 faultfs_lookup_or_alloc(struct faultfs_file *file, u64 index, bool *fresh)
{
	struct number number;
	struct path path;
	s64 block;
	int ret;

	assert_mutex_held(&file->fs->lock);
	assert_may_sleep();
	*fresh = false;
	if (!path_to(index, &path))
		return -EFBIG;
	ret = first_number(file, &path, &number);
	if (ret)
		return ret;
	for (unsigned level = 1; level <= path.depth; level++) {
		bool last = level == path.depth;

		if (!*number.at) {
			ret = fill_number(file, &number, !last);
			*fresh = last && !ret;
		}
		if (ret || last)
			break;
		ret = next_number(file, &number, path.place[level]);
		if (ret)
			return ret;
	}
	block = ret ? ret : checked(file->fs, *number.at);
	page_put(number.page);
	return block;
}

int faultfs_unmap(struct faultfs_file *file, u64 index)
{
	struct number number;
	struct path path;
	int ret;

	assert_mutex_held(&file->fs->lock);
	assert_may_sleep();
	if (!path_to(index, &path))
		return 0;
	ret = first_number(file, &path, &number);
	for (unsigned level = 1; !ret && level < path.depth && *number.at; level++)
		ret = next_number(file, &number, path.place[level]);
	if (ret)
		return ret;
	if (*number.at) {
		faultfs_free(file->fs, *number.at);
		*number.at = 0;
		faultfs_changed(number.page);
		count_block(file, -1);
	}
	page_put(number.page);
	return 0;
}

/*
 * Frees the blocks to which a number leads, for pages from `first` on; `base` is the first page below the number,
 * `depth` the number of levels of block numbers below it. If that frees all pages below the number, also frees its own
 * block and clears it.
 */
static int empty(struct faultfs_file *file, struct number number, unsigned depth, u64 base, u64 first)
{
	u64 span = depth == 2 ? FAULTFS_PER_BLOCK : 1;
	struct page *page;
	int ret = 0;

	if (!*number.at)
		return 0;
	if (depth) {
		page = get_numbers(file->fs, *number.at);
		if (is_err(page))
			return (int)ptr_err(page);
		for (u32 i = 0; !ret && i < FAULTFS_PER_BLOCK; i++)
			if (base + (i + 1) * span > first)
				ret = empty(file, (struct number){ &numbers_of(page)[i], page }, depth - 1,
					    base + i * span, first);
		page_put(page);
	}
	if (ret || base < first)
		return ret;
	faultfs_free(file->fs, *number.at);
	*number.at = 0;
	faultfs_changed(number.page);
	count_block(file, -1);
	return 0;
}

int faultfs_unmap_from(struct faultfs_file *file, u64 first)
{
	const struct path start = { 1, { 0 } };
	struct number number;
	int ret = first_number(file, &start, &number);

	assert_mutex_held(&file->fs->lock);
	assert_may_sleep();
	if (ret)
		return ret;
	for (u32 i = 0; !ret && i < FAULTFS_DIRECT + 2; i++) {
		unsigned depth = i < FAULTFS_DIRECT ? 0 : i - FAULTFS_DIRECT + 1;
		u64 base = depth == 2 ? FAULTFS_DIRECT + FAULTFS_PER_BLOCK : i;
		u64 nr = depth == 2 ? (u64)FAULTFS_PER_BLOCK * FAULTFS_PER_BLOCK : depth ? FAULTFS_PER_BLOCK : 1;

		if (base + nr > first)
			ret = empty(file, (struct number){ number.at + i, number.page }, depth, base, first);
	}
	page_put(number.page);
	return ret;
}
