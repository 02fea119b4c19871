/* SPDX-License-Identifier: MIT */
/*
 * Inodes of a faultfs: their records on the disk, creation, eviction, and the operations that change a file's size.
 *
 * An inode may be evicted in a context that cannot sleep, so the flusher frees what the file has on the disk later.
 */
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/regular.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "mm/page/slab.h"

/* ---- Records ----------------------------------------------------------------------------------------------------- */

struct faultfs_inode *faultfs_record(struct faultfs *fs, u32 ino, struct page **page)
{
	assert_mutex_held(&fs->lock);
	*page = faultfs_get(fs, fs->layout.inode_start + (ino - 1) / FAULTFS_INODES_PER_BLOCK);
	if (is_err(*page))
		return err_ptr(ptr_err(*page));
	return (struct faultfs_inode *)page_to_virt(*page) + (ino - 1) % FAULTFS_INODES_PER_BLOCK;
}

static u64 size_on_disk(const struct faultfs_file *file, const struct inode *inode)
{
	if (S_ISDIR(inode->mode))
		return (u64)file->nr_slots / FAULTFS_SLOTS_PER_BLOCK * PAGE_SIZE;
	return inode_size(inode);
}

static void fill_record(struct faultfs_inode *record, const struct faultfs_file *file, const struct inode *inode)
{
	record->mode = inode->mode;
	record->nlink = inode->nlink;
	record->uid = inode->uid;
	record->gid = inode->gid;
	record->size = size_on_disk(file, inode);
	record->atime = inode->times.atime;
	record->mtime = inode->times.mtime;
	record->ctime = inode->times.ctime;
	record->btime = inode->times.btime;
	record->rdev = inode->rdev;
}

int faultfs_store_inode(struct faultfs_file *file)
{
	struct faultfs_inode *record, next;
	struct page *page;

	mutex_lock(&file->fs->lock);
	record = faultfs_record(file->fs, file->ino, &page);
	if (!is_err(record)) {
		next = *record;
		fill_record(&next, file, file->inode);
		if (memcmp(record, &next, sizeof(next))) {
			*record = next;
			faultfs_changed(page);
		}
		page_put(page);
	}
	mutex_unlock(&file->fs->lock);
	return is_err(record) ? (int)ptr_err(record) : 0;
}

/* Loads the target of a symbolic link from its first block. Returns: 0 or -errno. => fs->lock held. */
static int load_target(struct inode *inode, u64 size)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	s64 block = faultfs_lookup(file, 0);
	struct page *page;

	assert_mutex_held(&file->fs->lock);
	if (block <= 0 || !size || size >= PAGE_SIZE)
		return block < 0 ? (int)block : -EIO;
	page = faultfs_get(file->fs, (u32)block);
	if (is_err(page))
		return (int)ptr_err(page);
	inode->target = kmalloc(size + 1, ALLOC_ZERO);
	if (inode->target) {
		memcpy(inode->target, page_to_virt(page), size);
		inode->size = size;
	}
	page_put(page);
	return inode->target ? 0 : -ENOMEM;
}

bool faultfs_record_makes_sense(const struct faultfs_inode *record)
{
	const u64 max_size = FAULTFS_MAX_BLOCKS << PAGE_SHIFT;

	return record->mode && record->size <= max_size && !(record->mode & ~(S_IFMT | 07777u));
}

int faultfs_load_inode(struct inode *inode, const struct faultfs_inode *record)
{
	struct faultfs_file *file = faultfs_file_of(inode);

	assert_mutex_held(&faultfs_file_of(inode)->fs->lock);
	inode->nlink = record->nlink;
	inode->uid = record->uid;
	inode->gid = record->gid;
	inode->times = (struct inode_times){ record->atime, record->mtime, record->ctime, record->btime };
	inode->nr_blocks = (u64)record->nr_blocks * SECTORS_PER_PAGE;
	file->has_name = true;
	if (S_ISDIR(inode->mode))
		file->nr_slots = (u32)(record->size / PAGE_SIZE * FAULTFS_SLOTS_PER_BLOCK);
	else if (S_ISREG(inode->mode))
		inode->mapping->size = record->size;
	return S_ISLNK(inode->mode) ? load_target(inode, record->size) : 0;
}

/* ---- Creation ---------------------------------------------------------------------------------------------------- */

static bool add_mapping(struct faultfs_file *file, struct inode *inode)
{
	inode->mapping = file->mapping = mapping_create(0, false);
	if (!file->mapping)
		return false;
	file->mapping->ops = &faultfs_mapping_ops;
	file->mapping->host = file;
	file->mapping->inode_lock = &inode->lock;
	return true;
}

struct inode *faultfs_new_inode(struct faultfs *fs, u32 ino, u32 mode, u32 rdev)
{
	struct faultfs_file *file = kmalloc(sizeof(*file), ALLOC_ZERO);
	struct inode *inode = file ? inode_alloc(fs->sb, mode, NULL, file_ops_of(mode, rdev)) : NULL;

	if (!inode || (S_ISREG(mode) && !add_mapping(file, inode))) {
		if (inode)
			inode_put(inode);
		kfree(file);
		return err_ptr(-ENOMEM);
	}
	inode->ops = &faultfs_inode_ops;
	inode->ino = ino;
	inode->rdev = rdev;
	inode->private = file;
	file->fs = fs;
	file->ino = ino;
	file->inode = inode;
	list_init(&file->dead);
	WRITE_ONCE(fs->files[ino], file);
	fs->nr_free_inodes--;
	return inode;
}

/* Returns a number whose record is free, or -ENOSPC, -EIO. => fs->lock held. */
static s64 find_number(struct faultfs *fs)
{
	assert_mutex_held(&fs->lock);
	for (u32 ino = FAULTFS_ROOT_INO; ino <= fs->layout.nr_inodes; ino++) {
		struct faultfs_inode *record;
		struct page *page;
		bool is_free;

		if (fs->files[ino])
			continue;
		record = faultfs_record(fs, ino, &page);
		if (is_err(record))
			return ptr_err(record);
		is_free = !record->mode;
		page_put(page);
		if (is_free)
			return ino;
	}
	return -ENOSPC;
}

/* => fs->lock held. */
static int store_target(struct inode *inode, const char *target, size_t len)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	struct page *page;
	bool fresh;
	s64 block = faultfs_lookup_or_alloc(file, 0, &fresh);

	assert_mutex_held(&file->fs->lock);
	if (block < 0)
		return (int)block;
	page = faultfs_get_new(file->fs, (u32)block);
	if (is_err(page))
		return (int)ptr_err(page);
	memcpy(page_to_virt(page), target, len);
	page_put(page);
	return load_target(inode, len);
}

static struct inode *faultfs_create_locked(struct faultfs *fs, u32 mode, u32 rdev, const char *target, size_t len)
{
	s64 ino = find_number(fs);
	struct inode *inode;
	int ret = 0;

	if (ino < 0)
		return err_ptr(ino);
	inode = faultfs_new_inode(fs, (u32)ino, mode, rdev);
	if (is_err(inode))
		return inode;
	if (target)
		ret = store_target(inode, target, len);
	if (!ret)
		return inode;
	inode_put(inode);
	return err_ptr(ret);
}

struct inode *faultfs_create(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len)
{
	struct faultfs *fs = faultfs_of(sb);
	struct inode *inode;
	int ret;

	if (len >= PAGE_SIZE)
		return err_ptr(-ENAMETOOLONG);
	mutex_lock(&fs->lock);
	inode = faultfs_create_locked(fs, mode, rdev, target, len);
	mutex_unlock(&fs->lock);
	if (is_err(inode))
		return inode;
	ret = faultfs_store_inode(faultfs_file_of(inode));
	if (!ret)
		return inode;
	inode_put(inode);
	return err_ptr(ret);
}

/* ---- Eviction ---------------------------------------------------------------------------------------------------- */

static void faultfs_evict(struct inode *inode)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	struct faultfs *fs = file->fs;
	unsigned long flags;

	kfree(inode->target);
	if (file->mapping)
		file->mapping->inode_lock = NULL; /* no writer is left */
	flags = spin_lock_irqsave(&fs->io_lock);
	file->inode = NULL;
	file->unlinked = !inode->nlink || !file->has_name;
	list_add_tail(&fs->dead, &file->dead);
	spin_unlock_irqrestore(&fs->io_lock, flags);
	faultfs_wake_flusher(fs);
}

/* => fs->lock held. */
static int free_record(struct faultfs_file *file)
{
	struct page *page;
	struct faultfs_inode *record = faultfs_record(file->fs, file->ino, &page);

	assert_mutex_held(&file->fs->lock);
	if (is_err(record))
		return (int)ptr_err(record);
	memset(record, 0, sizeof(*record));
	faultfs_changed(page);
	page_put(page);
	return 0;
}

static int free_on_disk(struct faultfs_file *file)
{
	struct faultfs *fs = file->fs;
	int ret = 0;

	mutex_lock(&fs->lock);
	if (file->unlinked)
		ret = faultfs_unmap_from(file, 0);
	if (!ret && file->unlinked)
		ret = free_record(file);
	if (!ret) {
		WRITE_ONCE(fs->files[file->ino], NULL);
		fs->nr_free_inodes++;
	}
	mutex_unlock(&fs->lock);
	return ret;
}

bool faultfs_bury(struct faultfs_file *file)
{
	if (file->mapping) {
		mapping_remove_range(file->mapping, 0,
				     ~0UL); /* also pages that a failed write has left beyond the end; waits for I/O */
		mapping_put(file->mapping);
		file->mapping = NULL;
	}
	if (free_on_disk(file))
		return false;
	kfree(file);
	return true;
}

/* ---- Size -------------------------------------------------------------------------------------------------------- */

/* Zeroes a part of one page, unless the page is a hole. Returns: 0 or -errno. => inode->lock held for writing. */
static int clear_part(struct inode *inode, u64 pos, size_t n)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	struct page *page;
	s64 block;
	int ret;

	assert_rwsem_write_held(&inode->lock);
	mutex_lock(&file->fs->lock);
	block = faultfs_lookup(file, pos >> PAGE_SHIFT); /* a cached page of a hole holds only zeros */
	mutex_unlock(&file->fs->lock);
	if (block <= 0 || !n)
		return (int)min(block, 0L);
	page = mapping_write_begin(inode->mapping, pos >> PAGE_SHIFT, WRITE_PART_OF_PAGE);
	if (is_err(page))
		return (int)ptr_err(page);
	ret = faultfs_mapping_ops.page_mkwrite(inode->mapping, page);
	if (ret >= 0)
		memset((u8 *)page_to_virt(page) + (pos & ~PAGE_MASK), 0, n);
	(void)mapping_write_end(page, ret >= 0 ? n : 0);
	return min(ret, 0);
}

static size_t tail_of(u64 size)
{
	return align_up(size, PAGE_SIZE) - size;
}

static int faultfs_truncate(struct inode *inode, u64 size)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	u64 old = inode_size(inode);
	int ret = inode_may_have_size(inode, size);

	if (ret)
		return ret;
	if (size > FAULTFS_MAX_BLOCKS << PAGE_SHIFT)
		return -EFBIG;
	if (size > old)
		ret = clear_part(inode, old, tail_of(old)); /* a mapping may have written beyond the end */
	if (!ret)
		ret = mapping_truncate(inode->mapping, size);
	if (!ret && size < old) {
		mutex_lock(&file->fs->lock);
		ret = faultfs_unmap_from(file, align_up(size, PAGE_SIZE) >> PAGE_SHIFT);
		mutex_unlock(&file->fs->lock);
	}
	if (!ret)
		inode_touch_mtime(inode);
	return ret;
}

/*
 * Frees the block of a page that has been removed from the cache. If a fault has brought the page back, does nothing;
 * *again tells whether it must be removed again. While fs->lock is held no thread can read the page in or allocate its
 * block, so no cached page keeps what the freed block held.
 */
static int free_page_of(struct inode *inode, u64 index, bool *again)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	struct page *page;
	int ret = 0;

	mutex_lock(&file->fs->lock);
	page = mapping_find(inode->mapping, index);
	*again = page && faultfs_lookup(file, index) > 0;
	if (!page)
		ret = faultfs_unmap(file, index);
	mutex_unlock(&file->fs->lock);
	if (page)
		page_put(page);
	return ret;
}

static int punch_pages(struct inode *inode, u64 first, u64 last)
{
	int ret = 0;

	mapping_remove_range(inode->mapping, first, last);
	for (u64 index = first; !ret && index <= last; index++) {
		bool again;

		ret = free_page_of(inode, index, &again);
		while (!ret && again) {
			mapping_remove_range(inode->mapping, index, index);
			ret = free_page_of(inode, index, &again);
		}
		cond_resched();
	}
	return ret;
}

static int faultfs_punch_hole(struct inode *inode, u64 start, u64 end)
{
	u64 first = align_up(start, PAGE_SIZE), last = align_down(end, PAGE_SIZE);
	int ret;

	if (start >= end)
		return 0;
	if (first > last)
		return clear_part(inode, start, end - start);
	ret = clear_part(inode, start, first - start);
	if (!ret)
		ret = clear_part(inode, last, end - last);
	if (!ret && first < last)
		ret = punch_pages(inode, first >> PAGE_SHIFT, (last >> PAGE_SHIFT) - 1);
	return ret;
}

/* Allocates a block for each page of the range; what was a hole becomes a page of zeros. */
static int faultfs_fill_range(struct inode *inode, u64 start, u64 end)
{
	for (u64 pos = align_down(start, PAGE_SIZE); pos < end; pos += PAGE_SIZE) {
		struct page *page = mapping_write_begin(inode->mapping, pos >> PAGE_SHIFT, WRITE_PART_OF_PAGE);
		int ret;

		if (is_err(page))
			return (int)ptr_err(page);
		ret = faultfs_mapping_ops.page_mkwrite(inode->mapping, page);
		(void)mapping_write_end(page, 0);
		if (ret == MKWRITE_THROTTLE)
			faultfs_mapping_ops.throttle(inode->mapping);
		if (ret < 0)
			return ret;
		if (thread_killed())
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Frees what a failed faultfs_fill_range() has allocated beyond the end of the file. */
static void free_beyond_end(struct inode *inode)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	u64 first = align_up(inode_size(inode), PAGE_SIZE) >> PAGE_SHIFT;

	mapping_remove_range(inode->mapping, first, ~0UL);
	mutex_lock(&file->fs->lock);
	(void)faultfs_unmap_from(file, first); /* blocks that cannot be freed stay in the file */
	mutex_unlock(&file->fs->lock);
}

/* Blocks beyond the end of the file are not supported: nothing would record what they hold. */
static int faultfs_fallocate(struct inode *inode, u32 mode, u64 offset, u64 len)
{
	u64 end = offset + len, size = inode_size(inode);
	int ret;

	if (mode & FALLOC_FL_PUNCH_HOLE) {
		if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
			return -EOPNOTSUPP;
		ret = faultfs_punch_hole(inode, offset, min(end, size));
		inode_touch_mtime(inode);
		return ret;
	}
	if (mode & ~FALLOC_FL_KEEP_SIZE || ((mode & FALLOC_FL_KEEP_SIZE) && end > size))
		return -EOPNOTSUPP;
	ret = inode_may_have_size(inode, end);
	if (ret)
		return ret;
	ret = faultfs_fill_range(inode, offset, end);
	if (ret)
		free_beyond_end(inode);
	else if (end > size)
		WRITE_ONCE(inode->mapping->size, end);
	inode_touch_ctime(inode);
	return ret;
}

static long faultfs_readlink(struct inode *inode, char *buf, size_t size)
{
	size_t n = min(size, (size_t)inode->size);

	memcpy(buf, inode->target, n);
	return (long)n;
}

static s64 faultfs_block_of(struct inode *inode, u64 index)
{
	struct faultfs_file *file = faultfs_file_of(inode);
	s64 block;

	mutex_lock(&file->fs->lock);
	block = faultfs_lookup(file, index);
	mutex_unlock(&file->fs->lock);
	return block;
}

/* For fsync, which has written the pages already. */
static int faultfs_sync_inode(struct inode *inode)
{
	int ret = faultfs_store_inode(faultfs_file_of(inode));

	return ret ? ret : faultfs_write_metadata(faultfs_of(inode->sb));
}

const struct inode_ops faultfs_inode_ops = {
	.readlink = faultfs_readlink,
	.truncate = faultfs_truncate,
	.fallocate = faultfs_fallocate,
	.block_of = faultfs_block_of,
	.sync = faultfs_sync_inode,
	.evict = faultfs_evict,
};
