/* SPDX-License-Identifier: MIT */
/*
 * Open files: their creation, reference counts and release. Descriptors and mappings share an open file. Takes no lock
 * itself; the implementation of each kind of file documents the locks that it takes.
 */
#include "kernel/fs/file.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "mm/cache/mapping.h"
#include "mm/page/slab.h"
#include "mm/services.h"

#define O_PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_EXEC (1u << 31) /* internal: opens a program to run it */
#define O_NOT_KEPT (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | FILE_EXEC)

static struct slab_cache *file_cache;

void file_init_cache(void)
{
	file_cache = slab_create("file", sizeof(struct file), CACHE_LINE);
}

bool file_quiet_check(void)
{
	u64 files = slab_in_use(file_cache);

	if (files)
		klog("check: %lu open files have leaked", files);
	return !files;
}

static u32 file_mode(struct inode *inode, u32 flags)
{
	u32 mode = (flags + 1) & O_ACCMODE; /* O_RDONLY is 0; O_ACCMODE itself permits neither */

	if (flags & O_PATH)
		return FMODE_PATH;
	if (flags & FILE_EXEC)
		mode |= FMODE_EXEC;
	if (flags & O_NOCTTY)
		mode |= FMODE_NOCTTY;
	if (S_ISREG(inode->mode) || S_ISDIR(inode->mode) || S_ISBLK(inode->mode))
		mode |= FMODE_SEEK;
	return mode;
}

static int access_get(struct inode *inode, u32 mode)
{
	if (mode & FMODE_EXEC)
		return inode_access_get(inode, ACCESS_PROGRAM);
	return mode & FMODE_WRITE ? inode_access_get(inode, ACCESS_WRITER) : 0;
}

static void access_put(struct inode *inode, u32 mode)
{
	if (mode & FMODE_EXEC)
		inode_access_put(inode, ACCESS_PROGRAM);
	else if (mode & FMODE_WRITE)
		inode_access_put(inode, ACCESS_WRITER);
}

/* If it succeeds, takes over the dentry's reference, and the access that access_get() counts for its mode. */
static struct file *file_alloc(struct dentry *dentry, const struct file_ops *ops, u32 flags)
{
	struct file *file = slab_alloc(file_cache, ALLOC_ZERO | ALLOC_WAIT);

	if (!file)
		return NULL;
	file->refcount = 1;
	file->mode = file_mode(dentry->inode, flags);
	file->flags = flags & O_PATH ? flags & O_PATH_FLAGS : (flags & ~O_NOT_KEPT) | O_LARGEFILE;
	file->ops = ops;
	file->dentry = dentry;
	file->inode = dentry->inode;
	file->mapping = dentry->inode->mapping;
	list_init(&file->watches);
	mutex_init(&file->pos_lock, RANK_FILE);
	return file;
}

static void file_free(struct file *file)
{
	access_put(file->inode, file->mode);
	dentry_put(file->dentry);
	slab_free(file_cache, file);
}

static int may_open(struct inode *inode, u32 flags)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY;

	if ((flags & O_DIRECTORY) && !S_ISDIR(inode->mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (S_ISLNK(inode->mode))
		return -ELOOP;
	if (S_ISDIR(inode->mode) && (write || (flags & O_TRUNC)))
		return -EISDIR;
	if (S_ISREG(inode->mode) && (write || (flags & O_TRUNC)) && super_is_readonly(inode->sb))
		return -EROFS;
	return inode->fops ? 0 : -ENXIO;
}

/* Counts as a write even if the file is then opened for reading only: the text of a running program must stay. */
static int truncate_to_nothing(struct inode *inode)
{
	int ret = inode_access_get(inode, ACCESS_WRITER);

	if (ret)
		return ret;
	ret = inode_truncate(inode, 0);
	inode_access_put(inode, ACCESS_WRITER);
	return ret;
}

static int file_finish_open(struct file *file, u32 flags)
{
	if ((flags & O_PATH))
		return 0;
	if ((flags & O_TRUNC) && S_ISREG(file->inode->mode)) {
		int ret = truncate_to_nothing(file->inode);

		if (ret)
			return ret;
	}
	return file->ops->open ? file->ops->open(file) : 0;
}

struct file *file_open_dentry(struct dentry *dentry, u32 flags)
{
	int ret = may_open(dentry->inode, flags);
	struct file *file;

	assert_may_sleep();
	u32 mode = file_mode(dentry->inode, flags);
	if (!ret)
		ret = access_get(dentry->inode, mode);
	if (ret)
		return err_ptr(ret);
	file = file_alloc(dentry, dentry->inode->fops, flags);
	if (!file) {
		access_put(dentry->inode, mode);
		return err_ptr(-ENOMEM);
	}
	dentry_get(dentry);
	ret = file_finish_open(file, flags);
	if (ret) {
		file_free(file);
		return err_ptr(ret);
	}
	return file;
}

struct file *file_open_anon(struct inode *inode, const char *name, const struct file_ops *ops, u32 flags)
{
	struct dentry *dentry = dentry_alloc(NULL, name, strlen(name), inode);
	struct file *file;

	if (!dentry)
		return err_ptr(-ENOMEM);
	file = file_alloc(dentry, ops, flags);
	if (!file) {
		dentry_put(dentry);
		return err_ptr(-ENOMEM);
	}
	BUG_ON(access_get(file->inode, file->mode), "a new file is neither written nor executed");
	return file;
}

void file_put(struct file *file)
{
	if (atomic_dec_return(&file->refcount))
		return;
	if (file->watched)
		epoll_release_file(file); /* while the file's wait queues exist */
	if (!(file->mode & FMODE_PATH) && file->ops->release)
		file->ops->release(file);
	flock_release(file);
	record_lock_release(file->inode, file);
	file_free(file);
}

void vma_file_get(struct file *file)
{
	file_get(file);
}

void vma_file_put(struct file *file)
{
	file_put(file);
}

long vma_file_sync(struct file *file, u64 first, u64 last)
{
	assert_no_lock_from(RANK_MMAP_LOCK);
	assert_may_sleep();
	return file_sync_range(file, first, last);
}

struct file *file_open_kernel(const char *path, u32 flags)
{
	struct dentry *dentry;
	int ret = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);

	assert_may_sleep();
	if (ret)
		return err_ptr(ret);
	struct file *file = file_open_dentry(dentry, flags);
	dentry_put(dentry);
	return file;
}

struct file *file_open_exec(int dirfd, const char *path, u32 flags)
{
	u32 how = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct dentry *dentry;
	struct file *file;
	int ret;

	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return err_ptr(-EINVAL);
	ret = path_lookup(dirfd, path, how, &dentry);
	if (ret)
		return err_ptr(ret);
	if (S_ISLNK(dentry->inode->mode))
		file = err_ptr(-ELOOP);
	else if (!S_ISREG(dentry->inode->mode) || !(dentry->inode->mode & 0111) || !dentry->inode->mapping ||
		 (READ_ONCE(dentry->inode->sb->flags) & MS_NOEXEC))
		file = err_ptr(-EACCES);
	else
		file = file_open_dentry(dentry, O_RDONLY | FILE_EXEC);
	dentry_put(dentry);
	return file;
}

long file_read_kernel(struct file *file, u64 pos, void *buf, size_t n)
{
	struct iovec iov;
	struct iov_iter iter;

	assert_no_lock_from(RANK_MMAP_LOCK);
	assert_may_sleep();
	if (!file->ops->read)
		return -EINVAL;
	iov_init_kernel(&iter, &iov, buf, n);
	return file->ops->read(file, &iter, &pos);
}

char *file_path(struct file *file, char *buf, size_t size)
{
	return dentry_path(file->dentry, buf, size);
}
