/* SPDX-License-Identifier: MIT */
/*
 * Block devices (/dev/ramN) as files. Their data is not cached here: each read and write goes to the device, one page
 * at a time, through a page of kernel memory. So the caller that causes an error gets it, and data that a mounted file
 * system has not written back yet is not visible.
 *
 * Locks: none; concurrent writes to the same page may interleave, as on any device.
 */
#include "kernel/fs/block_file.h"
#include "drivers/block.h"
#include "kernel/fs/devices.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/sched/thread.h"
#include "kernel/uaccess.h"
#include "mm/page/page_alloc.h"

#define BLKROGET 0x125eu
#define BLKGETSIZE 0x1260u
#define BLKFLSBUF 0x1261u
#define BLKSSZGET 0x1268u
#define BLKIOMIN 0x1278u
#define BLKIOOPT 0x1279u
#define BLKPBSZGET 0x127bu
#define BLKBSZGET 0x80081270u
#define BLKGETSIZE64 0x80081272u

static u64 device_size(const struct block_device *device)
{
	return device->nr_sectors << SECTOR_SHIFT;
}

static int block_file_open(struct file *file)
{
	struct block_device *device = block_find(file->inode->rdev);

	if (!device || READ_ONCE(device->removed))
		return -ENXIO;
	file->private = device;
	return 0;
}

/* The part of a transfer that lies within one page of the device. */
struct piece {
	u64 sector;
	size_t offset, n; /* bytes within the page */
};

static struct piece piece_at(u64 pos, u64 size, size_t count)
{
	size_t offset = pos & ~PAGE_MASK;

	return (struct piece){
		.sector = align_down(pos, PAGE_SIZE) >> SECTOR_SHIFT,
		.offset = offset,
		.n = min(min((u64)count, size - pos), PAGE_SIZE - offset),
	};
}

/* Returns the number of bytes moved, or -errno. */
static long block_file_read_piece(struct block_device *device, struct iov_iter *to, struct piece piece,
				  struct page *page)
{
	int ret = block_read_sync(device, piece.sector, page);
	size_t moved;

	current->io.read_bytes += PAGE_SIZE;
	if (ret)
		return ret;
	moved = iov_copy_to(to, (u8 *)page_to_virt(page) + piece.offset, piece.n);
	return moved ? (long)moved : -EFAULT;
}

/* The bytes of the page outside the piece keep the device's contents. */
static long write_piece(struct block_device *device, struct iov_iter *from, struct piece piece, struct page *page)
{
	int ret = piece.n < PAGE_SIZE ? block_read_sync(device, piece.sector, page) : 0;
	size_t moved;

	if (ret)
		return ret;
	moved = iov_copy_from(from, (u8 *)page_to_virt(page) + piece.offset, piece.n);
	if (!moved)
		return -EFAULT;
	if (moved < piece.n && piece.n == PAGE_SIZE) { /* the page was not read: write only what was copied */
		iov_revert(from, moved);
		return write_piece(device, from, (struct piece){ piece.sector, 0, moved }, page);
	}
	current->io.write_bytes += PAGE_SIZE;
	ret = block_transfer(device, BLOCK_WRITE, piece.sector, page);
	return ret ? ret : (long)moved;
}

typedef long move_piece_t(struct block_device *device, struct iov_iter *iter, struct piece piece, struct page *page);

/* Returns the number of bytes moved, or an error if there are none. */
static long block_file_move_all(struct block_device *device, struct iov_iter *iter, u64 *pos, move_piece_t *move)
{
	struct page *page = alloc_page(0);
	u64 size = device_size(device);
	long done = 0, moved = 0;

	if (!page)
		return -ENOMEM;
	while (iter->count && *pos < size) {
		struct piece piece = piece_at(*pos, size, iter->count);

		moved = move(device, iter, piece, page);
		if (moved < 0)
			break;
		*pos += (u64)moved;
		done += moved;
		if ((size_t)moved < piece.n || thread_killed())
			break;
		cond_resched();
	}
	page_put(page);
	return done ? done : min(moved, 0L);
}

static long block_file_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	return block_file_move_all(file->private, to, pos, block_file_read_piece);
}

static long block_file_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct block_device *device = file->private;

	if (from->count && *pos >= device_size(device))
		return -ENOSPC;
	return block_file_move_all(device, from, pos, write_piece);
}

static s64 block_file_seek(struct file *file, s64 offset, int whence)
{
	s64 size = (s64)device_size(file->private), base = 0, pos;

	if (whence == SEEK_CUR)
		base = (s64)file->pos;
	else if (whence == SEEK_END)
		base = size;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (__builtin_add_overflow(base, offset, &pos) || pos < 0 || pos > size)
		return -EINVAL;
	return pos;
}

static long block_file_ioctl(struct file *file, u32 cmd, u64 arg)
{
	const struct block_device *device = file->private;

	switch (cmd) {
	case BLKGETSIZE64:
		return put_user(device_size(device), arg);
	case BLKGETSIZE:
		return put_user(device->nr_sectors, arg);
	case BLKSSZGET:
		return put_user(1 << SECTOR_SHIFT, arg);
	case BLKPBSZGET:
	case BLKIOMIN:
	case BLKBSZGET:
		return put_user((u32)PAGE_SIZE, arg);
	case BLKIOOPT:
	case BLKROGET:
		return put_user(0, arg);
	case BLKFLSBUF:
		return 0; /* nothing is cached */
	default:
		return -ENOTTY;
	}
}

const struct file_ops block_file_ops = {
	.open = block_file_open,
	.read = block_file_read,
	.write = block_file_write,
	.ioctl = block_file_ioctl,
	.llseek = block_file_seek,
};

void block_files_create(struct dentry *dev)
{
	struct block_device *device;

	assert_rwsem_write_held(&fs_tree_lock);
	for (unsigned n = 0; (device = block_nth(n)) != NULL; n++)
		if (is_err(dir_create(dev, device->name, strlen(device->name), S_IFBLK | 0660, device->rdev)))
			dev->inode->sb->incomplete = true;
}
