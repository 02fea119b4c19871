/* SPDX-License-Identifier: MIT */
/*
 * The system calls that read, write and seek. A transfer at the file's own position holds pos_lock, so that two threads
 * that share a descriptor never read the same bytes; pread and pwrite do not take it.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/regular.h"
#include "kernel/process/task.h"
#include "kernel/signal/signal.h"
#include "kernel/uaccess.h"
#include "mm/cache/mapping.h"
#include "mm/page/slab.h"

/* Returns the file of a descriptor, with a reference, if it was opened for `mode`; otherwise an error pointer. */
static struct file *fget_for(u64 fd, enum file_mode mode)
{
	struct file *file = fget((int)fd);

	if (file && (file->mode & mode))
		return file;
	if (file)
		file_put(file);
	return err_ptr(-EBADF);
}

static long do_read(struct file *file, struct iov_iter *iter, u64 *pos)
{
	long ret = file->ops->read ? file->ops->read(file, iter, pos) : -EINVAL;

	current->io.nr_reads++;
	current->io.read_chars += ret > 0 ? (u64)ret : 0;
	return ret;
}

static long do_write(struct file *file, struct iov_iter *iter, u64 *pos)
{
	long ret = file->ops->write ? file->ops->write(file, iter, pos) : -EINVAL;

	current->io.nr_writes++;
	current->io.written_chars += ret > 0 ? (u64)ret : 0;
	return ret;
}

static long rw_transfer(struct file *file, struct iov_iter *iter, enum file_mode mode, u64 *pos)
{
	return mode == FMODE_READ ? do_read(file, iter, pos) : do_write(file, iter, pos);
}

static long transfer_at_pos(struct file *file, struct iov_iter *iter, enum file_mode mode)
{
	u64 unused = 0;
	long ret;

	if (!(file->mode & FMODE_SEEK))
		return rw_transfer(file, iter, mode, &unused);
	mutex_lock(&file->pos_lock);
	ret = rw_transfer(file, iter, mode, &file->pos);
	mutex_unlock(&file->pos_lock);
	return ret;
}

static long read_or_write(u64 fd, u64 addr, u64 len, enum file_mode mode)
{
	struct file *file = fget_for(fd, mode);
	struct iov_iter iter;
	struct iovec iov;
	long ret = -EFAULT;

	if (is_err(file))
		return ptr_err(file);
	if ((s64)len < 0) {
		ret = -EINVAL;
	} else if (access_ok(addr, len)) {
		iov_init_user(&iter, &iov, addr, min(len, MAX_RW_COUNT));
		ret = transfer_at_pos(file, &iter, mode);
	}
	file_put(file);
	return ret;
}

SYSCALL(read)
{
	return read_or_write(a0, a1, a2, FMODE_READ);
}

SYSCALL(write)
{
	return read_or_write(a0, a1, a2, FMODE_WRITE);
}

#define RWF_NOAPPEND 0x20

/* pos: the position, or -1 for the file's own. The caller has checked the flags: only RWF_NOAPPEND can be set. */
static long vectored(u64 fd, u64 uvec, u64 nr, s64 pos, u64 flags, enum file_mode mode)
{
	struct iovec fast[UIO_FASTIOV], *allocated;
	struct file *file = fget_for(fd, mode);
	struct iov_iter iter;
	long ret;

	if (is_err(file))
		return ptr_err(file);
	u64 at = (u64)pos;
	ret = iov_import(&iter, uvec, nr, fast, &allocated);
	if (!ret) {
		iter.no_append = flags & RWF_NOAPPEND;
		ret = pos < 0 ? transfer_at_pos(file, &iter, mode) : rw_transfer(file, &iter, mode, &at);
		kfree(allocated);
	}
	file_put(file);
	return ret;
}

SYSCALL(readv)
{
	return vectored(a0, a1, a2, -1, 0, FMODE_READ);
}

SYSCALL(writev)
{
	return vectored(a0, a1, a2, -1, 0, FMODE_WRITE);
}

/* The checks that pread and its variants make first. Returns 0 or -errno. */
static long check_positional(u64 fd, s64 pos)
{
	struct file *file;
	bool seekable;

	if (pos < 0)
		return -EINVAL;
	file = fget((int)fd);
	if (!file)
		return -EBADF;
	seekable = file->mode & FMODE_SEEK || file->ops->llseek;
	file_put(file);
	return seekable ? 0 : -ESPIPE;
}

static long positional(u64 fd, u64 addr, u64 len, s64 pos, enum file_mode mode)
{
	struct file *file;
	struct iov_iter iter;
	struct iovec iov;
	u64 at = (u64)pos;
	long ret = check_positional(fd, pos);

	if (ret)
		return ret;
	file = fget_for(fd, mode);
	if (is_err(file))
		return ptr_err(file);
	if ((s64)len < 0) {
		ret = -EINVAL;
	} else if (!access_ok(addr, len)) {
		ret = -EFAULT;
	} else {
		iov_init_user(&iter, &iov, addr, min(len, MAX_RW_COUNT));
		ret = rw_transfer(file, &iter, mode, &at);
	}
	file_put(file);
	return ret;
}

SYSCALL(pread64)
{
	return positional(a0, a1, a2, (s64)a3, FMODE_READ);
}

SYSCALL(pwrite64)
{
	return positional(a0, a1, a2, (s64)a3, FMODE_WRITE);
}

static long vectored_at(u64 fd, u64 uvec, u64 nr, s64 pos, u64 flags, enum file_mode mode)
{
	long ret = check_positional(fd, pos);

	return ret ? ret : vectored(fd, uvec, nr, pos, flags, mode);
}

SYSCALL(preadv)
{
	return vectored_at(a0, a1, a2, (s64)a3, 0, FMODE_READ);
}

SYSCALL(pwritev)
{
	return vectored_at(a0, a1, a2, (s64)a3, 0, FMODE_WRITE);
}

/*
 * Position -1 means the file's own. Of the flags, only RWF_NOAPPEND is supported: newer C libraries implement pwrite
 * with it, so that it writes at the given position as POSIX demands.
 */
static long vectored2(u64 fd, u64 uvec, u64 nr, s64 pos, u64 flags, enum file_mode mode)
{
	if (flags & ~(u64)RWF_NOAPPEND)
		return -EOPNOTSUPP;
	return pos == -1 ? vectored(fd, uvec, nr, -1, flags, mode) : vectored_at(fd, uvec, nr, pos, flags, mode);
}

SYSCALL(preadv2)
{
	return vectored2(a0, a1, a2, (s64)a3, a5, FMODE_READ);
}

SYSCALL(pwritev2)
{
	return vectored2(a0, a1, a2, (s64)a3, a5, FMODE_WRITE);
}

/* --- lseek --- */

/*
 * A file in memory has a hole wherever it has no page. In other files, a missing page says nothing, so all counts as
 * data.
 */
static bool may_have_holes(const struct inode *inode)
{
	return inode->mapping && !inode->mapping->ops;
}

/* Returns the first position at or after offset that holds data: there is a page. */
static s64 seek_data(struct inode *inode, s64 offset, s64 size)
{
	u64 index;

	if (!may_have_holes(inode))
		return offset;
	if (!mapping_next(inode->mapping, (u64)offset >> PAGE_SHIFT, &index) || (s64)(index << PAGE_SHIFT) >= size)
		return -ENXIO;
	return max(offset, (s64)(index << PAGE_SHIFT));
}

/* Returns the first position at or after offset that is in a hole: there is no page, or the file ends. */
static s64 seek_hole(struct inode *inode, s64 offset, s64 size)
{
	u64 index = (u64)offset >> PAGE_SHIFT, found;

	if (!may_have_holes(inode))
		return size;
	while (mapping_next(inode->mapping, index, &found) && found == index) {
		index++;
		cond_resched();
	}
	return min(max(offset, (s64)(index << PAGE_SHIFT)), size);
}

/* => file->pos_lock held. Returns the new position or -errno. */
static s64 seek_regular(struct file *file, s64 offset, int whence)
{
	s64 size = (s64)inode_size(file->inode), pos;

	assert_mutex_held(&file->pos_lock);
	switch (whence) {
	case SEEK_SET:
		pos = offset;
		break;
	case SEEK_CUR:
		if (__builtin_add_overflow((s64)file->pos, offset, &pos))
			return -EOVERFLOW;
		break;
	case SEEK_END:
		if (__builtin_add_overflow(size, offset, &pos))
			return -EOVERFLOW;
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if (offset < 0 || offset >= size)
			return -ENXIO;
		pos = whence == SEEK_DATA ? seek_data(file->inode, offset, size) : seek_hole(file->inode, offset, size);
		if (pos < 0)
			return pos;
		break;
	default:
		return -EINVAL;
	}
	return pos < 0 ? -EINVAL : pos;
}

static s64 file_seek(struct file *file, s64 offset, int whence)
{
	s64 pos;

	if (!(file->mode & FMODE_SEEK) && !file->ops->llseek)
		return -ESPIPE;
	mutex_lock(&file->pos_lock);
	pos = file->ops->llseek ? file->ops->llseek(file, offset, whence) : seek_regular(file, offset, whence);
	if (pos >= 0)
		file->pos = (u64)pos;
	mutex_unlock(&file->pos_lock);
	return pos;
}

SYSCALL(lseek)
{
	struct file *file = fget((int)a0);
	s64 ret;

	if (!file)
		return -EBADF;
	ret = (u32)a2 > SEEK_HOLE ? -EINVAL : file_seek(file, (s64)a1, (int)a2);
	file_put(file);
	return ret;
}

/* --- sendfile --- */

#define SENDFILE_CHUNK 4096UL

/* Moves up to one chunk from *in_pos. Advances *in_pos only by the bytes that the output took. */
static long send_chunk(struct file *out, struct file *in, u64 *in_pos, char *buf, size_t n)
{
	struct iovec iov;
	struct iov_iter iter;
	u64 pos = *in_pos;
	long got, sent;

	iov_init_kernel(&iter, &iov, buf, n);
	got = rw_transfer(in, &iter, FMODE_READ, &pos);
	if (got <= 0)
		return got;
	iov_init_kernel(&iter, &iov, buf, (size_t)got);
	sent = transfer_at_pos(out, &iter, FMODE_WRITE);
	if (sent > 0)
		*in_pos += (u64)sent;
	return sent;
}

static long send_all(struct file *out, struct file *in, u64 *in_pos, u64 len)
{
	char *buf = kmalloc(SENDFILE_CHUNK, ALLOC_WAIT);
	long done = 0, moved = 0;

	if (!buf)
		return -ENOMEM;
	while ((u64)done < len &&
	       (moved = send_chunk(out, in, in_pos, buf, min(len - (u64)done, SENDFILE_CHUNK))) > 0) {
		done += moved;
		if (signal_pending())
			break;
	}
	kfree(buf);
	return done ? done : moved;
}

static long sendfile_files(struct file *out, struct file *in, u64 user_pos, u64 len)
{
	u64 pos = READ_ONCE(in->pos); /* a concurrent seek is ordered before or after the whole call */
	long ret;

	if (!(in->mode & FMODE_SEEK) || (out->flags & O_APPEND))
		return -EINVAL;
	if (user_pos && get_user(&pos, user_pos))
		return -EFAULT;
	if ((s64)pos < 0)
		return -EINVAL;
	ret = send_all(out, in, &pos, min(len, MAX_RW_COUNT));
	if (user_pos)
		return put_user(pos, user_pos) ? -EFAULT : ret;
	mutex_lock(&in->pos_lock);
	in->pos = pos;
	mutex_unlock(&in->pos_lock);
	return ret;
}

SYSCALL(sendfile)
{
	struct file *out, *in = fget_for(a1, FMODE_READ);
	long ret;

	if (is_err(in))
		return ptr_err(in);
	out = fget_for(a0, FMODE_WRITE);
	ret = is_err(out) ? ptr_err(out) : sendfile_files(out, in, a2, a3);
	if (!is_err(out))
		file_put(out);
	file_put(in);
	return ret;
}
