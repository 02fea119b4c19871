/* SPDX-License-Identifier: MIT */
/*
 * Files in memory. The pages of its mapping hold a regular file's contents: a read copies from them, a write copies
 * into them, and a mapping of the file shows the same pages. A hole has no page and reads as zeros.
 *
 * Locks: a writer holds inode->lock for writing. A reader takes no lock and may see half of a write in progress, as on
 * Linux. User memory is accessed under inode->lock, which is taken before mmap_lock, but never under a page or mapping
 * lock. So a write() whose source is a mapping of the very page being written works (U1).
 */
#include "kernel/fs/ramfs.h"
#include "kernel/fs/block_file.h"
#include "kernel/fs/getdents.h"
#include "kernel/fs/pipe.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "mm/cache/mapping.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/shmem_swap.h"
#include "mm/page/slab.h"
#include "mm/swap/swap.h"

/*
 * Files may use all memory but a sixty-fourth, which is left for page tables, stacks and the fault path. Checked
 * without a lock: a race may use a few pages more.
 */
bool ramfs_has_room(u64 nr_pages)
{
	return nr_free_pages() > nr_pages + nr_managed_pages() / 64;
}

/* The same for one page, but reclaims memory if there is no room. Sleeps. => no lock from RANK_RECLAIM on held. */
static bool has_room(void)
{
	assert_no_lock_from(RANK_RECLAIM);
	while (!ramfs_has_room(1))
		if (!reclaim_pages(RECLAIM_BATCH))
			return false;
	return true;
}

/* Returns true if so many pages exceed all memory and free swap space together. */
static bool is_too_much(u64 nr_pages)
{
	struct swap_figures swap = swap_figures();

	return nr_pages > nr_managed_pages() + swap.total - min(swap.used, swap.total);
}

/*
 * Returns the page of a slot for writing, with a reference. If it is missing, `make` creates it. Returns NULL if files
 * have used up their share of memory, or those of their file system its quota.
 */
static struct page *page_for_write(struct inode *inode, u64 index,
				   struct page *(*make)(struct mapping *mapping, u64 index))
{
	struct page *page = shmem_get_page(inode->mapping, index);

	if (is_err(page))
		return NULL;
	if (page)
		page_use(page);
	return page || !has_room() ? page : make(inode->mapping, index);
}

long ramfs_write_piece(struct inode *inode, struct iov_iter *from, u64 pos, size_t n)
{
	struct page *page = page_for_write(inode, pos >> PAGE_SHIFT, mapping_find_or_create);
	size_t done;

	assert_may_sleep();
	assert_rwsem_write_held(&inode->lock);
	if (!page)
		return -ENOSPC;
	done = iov_copy_from(from, (u8 *)page_to_virt(page) + (pos & ~PAGE_MASK), n);
	page_set(page, PG_DIRTY); /* after the copy, even if it failed: see mm/swap/shmem_swap.c */
	page_put(page);
	return done ? (long)done : -EFAULT;
}

static s64 ramfs_dir_seek(struct file *file, s64 offset, int whence)
{
	s64 pos = whence == SEEK_CUR ? (s64)file->pos + offset : offset;

	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	return pos < 0 ? -EINVAL : pos;
}

static long dir_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	(void)file, (void)to, (void)pos;
	return -EISDIR;
}

const struct file_ops ramfs_dir_ops = {
	.read = dir_read,
	.llseek = ramfs_dir_seek,
};

/* --- size --- */

static int ramfs_truncate(struct inode *inode, u64 size)
{
	u64 old = inode_size(inode);
	int ret;

	if ((size < old && (inode->seals & F_SEAL_SHRINK)) || (size > old && (inode->seals & F_SEAL_GROW)))
		return -EPERM;
	ret = inode_may_have_size(inode, size);
	if (ret)
		return ret;
	(void)mapping_truncate(inode->mapping, size); /* cannot fail: everything is in memory */
	inode_touch_mtime(inode);
	return 0;
}

/* Clears the parts of the first and last page that are in the range, and removes the pages between. */
static int ramfs_punch_hole(struct inode *inode, u64 start, u64 end)
{
	u64 first = align_up(start, PAGE_SIZE), last = align_down(end, PAGE_SIZE);

	for (u64 pos = start; pos < end;) {
		u64 stop = min(end, align_down(pos, PAGE_SIZE) + PAGE_SIZE);
		bool whole = stop - pos == PAGE_SIZE;
		struct page *page = whole ? NULL : shmem_get_page(inode->mapping, pos >> PAGE_SHIFT);

		if (is_err(page))
			return (int)ptr_err(page);
		if (page) {
			memset((u8 *)page_to_virt(page) + (pos & ~PAGE_MASK), 0, stop - pos);
			page_set(page, PG_DIRTY);
			page_put(page);
		}
		pos = whole ? last : stop;
	}
	if (first < last)
		mapping_remove_range(inode->mapping, first >> PAGE_SHIFT, (last >> PAGE_SHIFT) - 1);
	return 0;
}

/* Allocates the missing pages of [*pos, end) in advance (PG_SET_ASIDE). Advances *pos past the pages that are done. */
static int ramfs_set_aside(struct inode *inode, u64 *pos, u64 end)
{
	for (; *pos < end; *pos += PAGE_SIZE) {
		struct page *page = page_for_write(inode, *pos >> PAGE_SHIFT, mapping_set_aside);

		if (!page)
			return -ENOSPC;
		page_put(page);
		cond_resched();
		if (thread_killed())
			return -EINTR;
	}
	return 0;
}

/* Removes pages that were allocated in advance and are not in use; as on Linux, also those of other calls. */
static void ramfs_give_back(struct inode *inode, u64 start, u64 end)
{
	for (u64 index = start >> PAGE_SHIFT; index < end >> PAGE_SHIFT; index++) {
		struct page *page = mapping_find(inode->mapping, index);
		bool unused = page && !page_is_in_use(page);

		if (page)
			page_put(page);
		if (unused)
			mapping_remove_range(inode->mapping, index, index);
	}
}

static int ramfs_fill_range(struct inode *inode, u64 start, u64 end)
{
	u64 first = align_down(start, PAGE_SIZE), pos = first;
	int error = is_too_much((end - first) >> PAGE_SHIFT) ? -ENOSPC : ramfs_set_aside(inode, &pos, end);

	if (error)
		ramfs_give_back(inode, first, pos);
	return error;
}

static int ramfs_fallocate(struct inode *inode, u32 mode, u64 offset, u64 len)
{
	u64 end = offset + len;
	bool grows = !(mode & FALLOC_FL_KEEP_SIZE) && end > inode_size(inode);
	int ret;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (mode & FALLOC_FL_PUNCH_HOLE) {
		if (inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			return -EPERM;
		return ramfs_punch_hole(inode, offset, min(end, align_up(inode_size(inode), PAGE_SIZE)));
	}
	ret = inode_may_have_size(inode, end);
	if (ret)
		return ret;
	if (grows && (inode->seals & F_SEAL_GROW))
		return -EPERM;
	ret = ramfs_fill_range(inode, offset, end);
	if (!ret && grows)
		WRITE_ONCE(inode->mapping->size, end);
	inode_touch_ctime(inode);
	return ret;
}

static void ramfs_evict(struct inode *inode)
{
	if (inode->mapping) {
		mapping_leave_quota(inode->mapping);
		mapping_put(inode->mapping);
	}
	kfree(inode->target);
}

static long ramfs_readlink(struct inode *inode, char *buf, size_t size)
{
	size_t n = min(size, (size_t)inode->size);

	memcpy(buf, inode->target, n);
	return (long)n;
}

static const struct inode_ops regular_ops = {
	.truncate = ramfs_truncate,
	.fallocate = ramfs_fallocate,
	.evict = ramfs_evict,
};

static const struct inode_ops symlink_ops = {
	.readlink = ramfs_readlink,
	.evict = ramfs_evict,
};

/* --- making files --- */

const struct file_ops *file_ops_of(u32 mode, u32 rdev)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return &regular_file_ops;
	case S_IFDIR:
		return &ramfs_dir_ops;
	case S_IFIFO:
		return &fifo_ops;
	case S_IFCHR:
		return device_ops(rdev);
	case S_IFBLK:
		return &block_file_ops;
	default:
		return NULL;
	}
}

struct inode *ramfs_inode(struct super_block *sb, u32 mode, u32 rdev)
{
	struct inode *inode;

	if (!has_room())
		return NULL;
	inode = inode_alloc(sb, mode, S_ISREG(mode) ? &regular_ops : NULL, file_ops_of(mode, rdev));
	if (!inode)
		return NULL;
	inode->rdev = rdev;
	if (!S_ISREG(mode))
		return inode;
	inode->mapping = mapping_create(0, sb->type->shmem && sb->root != fs_root);
	if (!inode->mapping) {
		inode_put(inode);
		return NULL;
	}
	inode->mapping->inode_lock = &inode->lock;
	if (sb != &memfd_super)
		inode->mapping->quota = &sb->quota;
	return inode;
}

struct inode *ramfs_symlink(struct super_block *sb, const char *target, size_t len)
{
	char *copy = has_room() ? kmalloc(len + 1, ALLOC_WAIT) : NULL;
	struct inode *inode = copy ? inode_alloc(sb, S_IFLNK | 0777, &symlink_ops, NULL) : NULL;

	if (!inode) {
		kfree(copy);
		return NULL;
	}
	memcpy(copy, target, len);
	copy[len] = 0;
	inode->target = copy;
	inode->size = len;
	return inode;
}

struct inode *ramfs_create(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len)
{
	struct inode *inode = target ? ramfs_symlink(sb, target, len) : ramfs_inode(sb, mode, rdev);

	return inode ? inode : err_ptr(-ENOSPC);
}
