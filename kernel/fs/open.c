/* SPDX-License-Identifier: MIT */
/*
 * The system calls that open and close files, change their size, and write them back. An open with O_CREAT holds
 * fs_tree_lock for writing from the walk to the creation; the file itself is opened after the lock is released, since
 * the open of a FIFO may wait.
 */
#include "kernel/fs/dir.h"
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"
#include "mm/services.h"

#define S_IALLUGO 07777
#define O_VALID 037777703u /* the flags that Linux knows; it ignores the rest */

/* => fs_tree_lock held for writing. */
static struct dentry *create_last(struct last_name *last, u32 mode)
{
	int ret = dir_may_create(last->dir);
	struct dentry *dentry;

	assert_rwsem_write_held(&fs_tree_lock);
	if (ret)
		return err_ptr(ret);
	if (last->wants_directory)
		return err_ptr(-EISDIR);
	dentry = dir_create(last->dir, last->name, last->len, S_IFREG | mode, 0);
	return is_err(dentry) ? dentry : dentry_get(dentry);
}

/*
 * => fs_tree_lock held for writing. Finds or creates the last name for O_CREAT, and sets *created if it creates it.
 * Follows symbolic links, dangling ones too, unless O_EXCL or O_NOFOLLOW says otherwise.
 */
static struct dentry *open_find_or_create(struct last_name *last, u32 flags, u32 mode, bool *created)
{
	assert_rwsem_write_held(&fs_tree_lock);
	for (;;) {
		struct dentry *dentry = last_name_lookup(last);

		if (is_err(dentry)) {
			*created = ptr_err(dentry) == -ENOENT && last->type == LAST_NORM;
			return *created ? create_last(last, mode) : dentry;
		}
		int ret = 0;
		if (flags & O_EXCL) {
			ret = -EEXIST;
		} else if (S_ISDIR(dentry->inode->mode) || last->wants_directory) {
			ret = -EISDIR;
		} else if (S_ISLNK(dentry->inode->mode) && !(flags & O_NOFOLLOW)) {
			ret = last_name_follow(last, dentry);
			dentry_put(dentry);
			if (ret)
				return err_ptr(ret);
			continue;
		}
		if (!ret)
			return dentry;
		dentry_put(dentry);
		return err_ptr(ret);
	}
}

static struct dentry *open_create(int dirfd, const char *path, u32 flags, u32 mode, bool *created)
{
	struct last_name last;
	struct dentry *dentry;
	int ret;

	down_write(&fs_tree_lock);
	ret = path_parent(dirfd, path, 0, &last);
	if (ret) {
		dentry = err_ptr(ret);
	} else {
		dentry = open_find_or_create(&last, flags, mode, created);
		last_name_put(&last);
	}
	up_write(&fs_tree_lock);
	return dentry;
}

/* O_TMPFILE: opens a new file without a name, in the directory's file system. */
static struct file *open_unnamed(struct dentry *dir, u32 flags, u32 mode)
{
	struct super_block *sb = dir->inode->sb;
	struct inode *inode;
	struct dentry *dentry;
	struct file *file;

	if (!(flags & O_ACCMODE))
		return err_ptr(-EINVAL);
	if (!sb->type->create)
		return err_ptr(-EOPNOTSUPP);
	if (super_is_readonly(sb))
		return err_ptr(-EROFS);
	inode = sb->type->create(sb, S_IFREG | mode, 0, NULL, 0);
	if (is_err(inode))
		return err_ptr(ptr_err(inode));
	dentry = dentry_alloc(dir, "#tmpfile", 8, inode);
	if (!dentry)
		return err_ptr(-ENOMEM);
	inode->nlink = 0;
	file = file_open_dentry(dentry, flags & ~(u32)O_DIRECTORY);
	dentry_put(dentry);
	return file;
}

static struct file *open_existing(int dirfd, const char *path, u32 flags, u32 mode)
{
	u32 how = (flags & O_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & O_DIRECTORY ? LOOKUP_DIRECTORY : 0);
	struct dentry *dentry;
	struct file *file;
	int ret = path_lookup(dirfd, path, how, &dentry);

	if (ret)
		return err_ptr(ret);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		file = open_unnamed(dentry, flags, mode);
	else
		file = file_open_dentry(dentry, flags);
	dentry_put(dentry);
	return file;
}

static struct file *open_file(int dirfd, const char *path, u32 flags, u32 mode)
{
	bool created = false;
	struct dentry *dentry;
	struct file *file;

	mode &= S_IALLUGO & ~READ_ONCE(current->fs->umask);
	if (!(flags & O_CREAT) || (flags & O_PATH))
		return open_existing(dirfd, path, flags, mode);
	dentry = open_create(dirfd, path, flags, mode, &created);
	if (is_err(dentry))
		return err_ptr(ptr_err(dentry));
	file = file_open_dentry(dentry, created ? flags & ~(u32)O_TRUNC : flags);
	dentry_put(dentry);
	return file;
}

static long open_at(int dirfd, u64 user_path, u32 flags, u32 mode)
{
	flags &= O_VALID;
	char *path;
	long fd;

	if ((flags & O_TMPFILE & ~(u32)O_DIRECTORY) && !(flags & O_DIRECTORY))
		return -EINVAL;
	if ((flags & O_CREAT) && (flags & O_DIRECTORY) && !(flags & O_PATH))
		return -EINVAL;
	path = path_from_user(user_path);
	if (is_err(path))
		return ptr_err(path);
	fd = fd_reserve(0, flags);
	if (fd >= 0) {
		struct file *file = open_file(dirfd, path, flags, mode);
		if (is_err(file)) {
			fd_unreserve((int)fd);
			fd = ptr_err(file);
		} else {
			fd_install((int)fd, file);
		}
	}
	kfree(path);
	return fd;
}

SYSCALL(open)
{
	return open_at(AT_FDCWD, a0, (u32)a1, (u32)a2);
}

SYSCALL(openat)
{
	return open_at((int)a0, a1, (u32)a2, (u32)a3);
}

SYSCALL(creat)
{
	return open_at(AT_FDCWD, a0, O_CREAT | O_WRONLY | O_TRUNC, (u32)a1);
}

SYSCALL(close)
{
	return fd_close((unsigned)a0);
}

#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

SYSCALL(close_range)
{
	unsigned first = (unsigned)a0, last = (unsigned)a1, flags = (unsigned)a2;
	int fd;

	if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		struct files *own = files_dup(current->files);
		if (!own)
			return -ENOMEM;
		task_set_files(current, own);
	}
	for (unsigned n = first; (fd = files_next_open(current->files, n)) >= 0 && (unsigned)fd <= last; n = fd + 1) {
		if (flags & CLOSE_RANGE_CLOEXEC)
			fd_cloexec_set((unsigned)fd, true);
		else
			fd_close((unsigned)fd);
	}
	return 0;
}

/* --- size --- */

static long truncate_inode(struct inode *inode, s64 size)
{
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	if (super_is_readonly(inode->sb))
		return -EROFS;
	int ret = inode_access_get(inode, ACCESS_WRITER);
	if (ret)
		return ret;
	ret = inode_truncate(inode, (u64)size);
	inode_access_put(inode, ACCESS_WRITER);
	return ret;
}

SYSCALL(truncate)
{
	struct dentry *dentry;
	long ret;

	if ((s64)a1 < 0)
		return -EINVAL;
	ret = user_path_lookup(AT_FDCWD, a0, LOOKUP_FOLLOW, &dentry);
	if (ret)
		return ret;
	ret = truncate_inode(dentry->inode, (s64)a1);
	dentry_put(dentry);
	return ret;
}

SYSCALL(ftruncate)
{
	struct file *file;
	long ret;

	if ((s64)a1 < 0)
		return -EINVAL;
	file = fget((int)a0);
	if (!file)
		return -EBADF;
	if (!S_ISREG(file->inode->mode) || !(file->mode & FMODE_WRITE))
		ret = -EINVAL;
	else
		ret = truncate_inode(file->inode, (s64)a1);
	file_put(file);
	return ret;
}

static long fallocate_file(struct file *file, u32 mode, s64 offset, s64 len)
{
	struct inode *inode = file->inode;
	long ret;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (!(file->mode & FMODE_WRITE))
		return -EBADF;
	if (S_ISFIFO(inode->mode))
		return -ESPIPE;
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -ENODEV;
	if (offset > (s64)MAX_FILE_SIZE - len)
		return -EFBIG;
	if (!inode->ops || !inode->ops->fallocate)
		return -EOPNOTSUPP;
	down_write(&inode->lock);
	ret = inode->is_swap ? -ETXTBSY : inode->ops->fallocate(inode, mode, (u64)offset, (u64)len);
	up_write(&inode->lock);
	return ret;
}

long vma_file_punch_hole(struct file *file, u64 offset, u64 len)
{
	assert_no_lock_from(RANK_MMAP_LOCK);
	return fallocate_file(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (s64)offset, (s64)len);
}

SYSCALL(fallocate)
{
	struct file *file = fget((int)a0);
	long ret;

	if (!file)
		return -EBADF;
	ret = fallocate_file(file, (u32)a1, (s64)a2, (s64)a3);
	file_put(file);
	return ret;
}

/* --- writing back --- */

/* Pipes and character devices cannot be synchronised. */
static long sync_fd(u64 fd)
{
	struct file *file = fget((int)fd);
	long ret = -EINVAL;

	if (!file)
		return -EBADF;
	if (S_ISREG(file->inode->mode) || S_ISDIR(file->inode->mode) || S_ISBLK(file->inode->mode))
		ret = file_sync(file);
	file_put(file);
	return ret;
}

SYSCALL(fsync)
{
	return sync_fd(a0);
}

SYSCALL(fdatasync)
{
	return sync_fd(a0);
}

SYSCALL(sync)
{
	super_sync_all();
	return 0;
}

SYSCALL(syncfs)
{
	struct file *file = fget((int)a0);

	if (!file)
		return -EBADF;
	struct super_block *sb = file->inode->sb;
	int ret = sb->type->sync ? sb->type->sync(sb) : 0;
	file_put(file);
	return ret;
}

#define POSIX_FADV_NOREUSE 5

SYSCALL(fadvise64)
{
	struct file *file = fget((int)a0);
	long ret = 0;

	if (!file)
		return -EBADF;
	if (S_ISFIFO(file->inode->mode))
		ret = -ESPIPE;
	else if ((s64)a2 < 0 || (int)a3 < 0 || (int)a3 > POSIX_FADV_NOREUSE)
		ret = -EINVAL;
	file_put(file);
	return ret;
}
