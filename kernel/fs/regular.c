/* SPDX-License-Identifier: MIT */
/*
 * Regular files. A read copies from the pages of the mapping, a write copies into them, and a mapping of the file shows
 * the same pages. A hole reads as zeros.
 *
 * Locks: a writer holds inode->lock for writing. A reader takes no lock and may see half of a write in progress, as on
 * Linux. User memory is accessed under inode->lock, which is taken before mmap_lock; under a page lock, only by the
 * nofault copy. So a write() whose source is a mapping of the very page being written works (U1).
 */
#include "kernel/fs/regular.h"
#include "kernel/fs/ramfs.h"
#include "kernel/process/task.h"
#include "kernel/signal/signal.h"
#include "mm/cache/mapping.h"
#include "mm/page/page_lock.h"
#include "mm/swap/shmem_swap.h"

u64 inode_size(const struct inode *inode)
{
	return inode->mapping ? READ_ONCE(inode->mapping->size) : READ_ONCE(inode->size);
}

/* --- reading --- */

/* Returns the number of bytes, which is 0 if a user address faulted at once; or -EIO, -ENOMEM, -EINTR. */
static long regular_read_piece(struct inode *inode, struct iov_iter *to, u64 pos, size_t n)
{
	struct mapping *mapping = inode->mapping;
	u64 index = pos >> PAGE_SHIFT;
	struct page *page = mapping->ops ? mapping_read_page(mapping, index) : shmem_get_page(mapping, index);
	size_t done;

	if (is_err(page))
		return ptr_err(page);
	if (!page) /* a hole, or truncated since the size was read */
		return (long)iov_zero(to, n);
	done = iov_copy_to(to, (u8 *)page_to_virt(page) + (pos & ~PAGE_MASK), n);
	page_put(page);
	return (long)done;
}

static long regular_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct inode *inode = file->inode;
	long done = 0;

	while (to->count) {
		u64 size = inode_size(inode);
		if (*pos >= size)
			break;
		size_t n = min(min((u64)to->count, size - *pos), PAGE_SIZE - (*pos & ~PAGE_MASK));
		long moved = regular_read_piece(inode, to, *pos, n);
		if (moved < 0)
			return done ? done : moved;
		*pos += (u64)moved;
		done += moved;
		if (moved < (long)n)
			return done ? done : -EFAULT;
		if (thread_killed())
			break;
		cond_resched();
	}
	if (!(file->flags & O_NOATIME))
		inode_touch_atime(inode);
	return done;
}

/* --- writing --- */

/* Reserves what the write-back of the locked page needs, and copies into it. *throttle: the writer is too fast. */
static long fill_page(struct mapping *mapping, struct page *page, struct iov_iter *from, size_t offset, size_t n,
		      bool *throttle)
{
	int ret = mapping->ops->page_mkwrite(mapping, page);
	size_t copied = 0, counted;

	if (ret >= 0)
		copied = iov_copy_from_nofault(from, (u8 *)page_to_virt(page) + offset, n);
	counted = mapping_write_end(page, copied);
	iov_revert(from, copied - counted);
	*throttle = ret == MKWRITE_THROTTLE;
	return ret < 0 ? ret : (long)counted;
}

/* Writes into one page of a file that is written back. Returns the number of bytes, or -errno if there are none. */
static long write_stored(struct inode *inode, struct iov_iter *from, u64 pos, size_t n)
{
	struct mapping *mapping = inode->mapping;

	for (;;) {
		enum write_extent extent = n == PAGE_SIZE ? WRITE_WHOLE_PAGE : WRITE_PART_OF_PAGE;
		struct page *page = mapping_write_begin(mapping, pos >> PAGE_SHIFT, extent);
		bool throttle;
		long done;

		if (is_err(page))
			return ptr_err(page);
		done = fill_page(mapping, page, from, pos & ~PAGE_MASK, n, &throttle);
		if (throttle)
			mapping->ops->throttle(mapping);
		if (done)
			return done;
		if (!iov_fault_in(from))
			return -EFAULT;
		if (thread_killed())
			return -EINTR;
	}
}

/* => inode->lock held for writing. Returns the number of bytes written, or an error if there are none. */
static long write_locked(struct inode *inode, struct iov_iter *from, u64 *pos)
{
	struct mapping *mapping = inode->mapping;
	long done = 0;

	assert_rwsem_write_held(&inode->lock);
	while (from->count) {
		size_t n = min((u64)from->count, PAGE_SIZE - (*pos & ~PAGE_MASK));
		long moved =
			mapping->ops ? write_stored(inode, from, *pos, n) : ramfs_write_piece(inode, from, *pos, n);

		if (moved < 0)
			return done ? done : moved;
		*pos += (u64)moved;
		done += moved;
		if (*pos > inode_size(inode))
			WRITE_ONCE(mapping->size, *pos);
		if (thread_killed())
			break;
		cond_resched();
	}
	return done;
}

long write_too_large(u64 limit)
{
	struct siginfo info = signal_from_caller(SIGXFSZ, SI_USER);

	if (limit < MAX_FILE_SIZE)
		signal_task(current, &info);
	return -EFBIG;
}

int inode_may_have_size(const struct inode *inode, u64 size)
{
	return size > inode_size(inode) && size > rlimit_current(RLIMIT_FSIZE) ? (int)write_too_large(0) : 0;
}

static long write_checks(struct inode *inode, struct iov_iter *from, u64 pos)
{
	if (inode->is_swap)
		return -ETXTBSY;
	if (inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if ((inode->seals & F_SEAL_GROW) && pos + from->count > inode_size(inode))
		return -EPERM;
	u64 limit = min(rlimit_current(RLIMIT_FSIZE), MAX_FILE_SIZE);
	if (pos >= limit)
		return write_too_large(limit);
	from->count = min((u64)from->count, limit - pos);
	return 0;
}

static long regular_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct inode *inode = file->inode;
	long ret;

	if (!from->count)
		return 0;
	down_write(&inode->lock);
	if ((file->flags & O_APPEND) && !from->no_append)
		*pos = inode_size(inode);
	ret = write_checks(inode, from, *pos);
	if (!ret)
		ret = write_locked(inode, from, pos);
	if (ret > 0)
		inode_touch_mtime(inode);
	up_write(&inode->lock);
	if (ret > 0 && (file->flags & O_DSYNC)) {
		int error = file_sync(file);
		ret = error ? error : ret;
	}
	return ret;
}

/* fsync() on this file does not report errors from before the open. */
static int regular_open(struct file *file)
{
	file->seen_write_errors = READ_ONCE(file->mapping->nr_write_errors);
	return 0;
}

/* Only an unlinked file in memory frees its pages with it. */
static u64 regular_kept_pages(const struct file *file)
{
	const struct mapping *mapping = file->mapping;

	return READ_ONCE(file->inode->nlink) || mapping->ops ? 0 : READ_ONCE(mapping->nr_pages);
}

const struct file_ops regular_file_ops = {
	.open = regular_open,
	.kept_pages = regular_kept_pages,
	.read = regular_read,
	.write = regular_write,
};

/* --- size, and writing back --- */

int inode_truncate(struct inode *inode, u64 size)
{
	int ret = 0;

	down_write(&inode->lock);
	if (inode->is_swap)
		ret = -ETXTBSY;
	else if (inode->ops && inode->ops->truncate)
		ret = inode->ops->truncate(inode, size);
	up_write(&inode->lock);
	return ret;
}

int file_sync(struct file *file)
{
	assert_may_sleep();
	return file_sync_range(file, 0, ~0UL);
}

int file_sync_range(struct file *file, u64 first, u64 last)
{
	struct inode *inode = file->inode;
	int error = 0, other = 0;

	if (inode->mapping)
		error = mapping_writeback(inode->mapping, first, last, WRITEBACK_WAIT);
	if (inode->ops && inode->ops->sync)
		other = inode->ops->sync(inode);
	if (inode->mapping && mapping_check_error(inode->mapping, &file->seen_write_errors))
		error = -EIO;
	return error ? error : other;
}
