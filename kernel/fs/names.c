/* SPDX-License-Identifier: MIT */
/*
 * The system calls that create and remove names, read links, and change the current directory. A change holds
 * fs_tree_lock for writing from the walk to the end; paths are copied from user memory before that.
 */
#include "kernel/fs/dir.h"
#include "kernel/fs/files.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define S_IALLUGO 07777

/* A name to be created. After all checks, make() is called for its inode, under fs_tree_lock. */
struct creation {
	struct inode *(*make)(struct creation *c, struct super_block *sb); /* returns error pointers */
	u32 mode, rdev;
	const char *target;  /* symbolic links */
	struct inode *inode; /* hard links */
	bool directory;
};

/* => fs_tree_lock held for writing. */
static int names_create_locked(struct last_name *last, struct creation *c)
{
	struct dentry *old = last_name_lookup(last);
	struct inode *inode;
	int ret;

	assert_rwsem_write_held(&fs_tree_lock);
	if (!is_err(old)) {
		dentry_put(old);
		return -EEXIST;
	}
	if (ptr_err(old) != -ENOENT)
		return (int)ptr_err(old);
	if (last->wants_directory && !c->directory)
		return -ENOENT;
	ret = dir_may_create(last->dir);
	if (ret)
		return ret;
	if (c->inode && c->inode->sb != last->dir->inode->sb)
		return -EXDEV;
	if (c->inode && !c->inode->nlink)
		return -ENOENT; /* found through /proc: a file that has lost its last name gets no new one */
	inode = c->make(c, last->dir->inode->sb);
	if (is_err(inode))
		return (int)ptr_err(inode);
	struct dentry *dentry = dir_add(last->dir, last->name, last->len, inode);
	if (is_err(dentry))
		return (int)ptr_err(dentry);
	if (c->inode) {
		inode->nlink++;
		inode_touch_ctime(inode);
	}
	return 0;
}

static long create_at(int dirfd, u64 user_path, struct creation *c)
{
	char *path = path_from_user(user_path);
	struct last_name last;
	int ret;

	if (is_err(path))
		return ptr_err(path);
	down_write(&fs_tree_lock);
	ret = path_parent(dirfd, path, 0, &last);
	if (!ret) {
		ret = names_create_locked(&last, c);
		last_name_put(&last);
	}
	up_write(&fs_tree_lock);
	kfree(path);
	return ret;
}

static struct inode *make_node(struct creation *c, struct super_block *sb)
{
	return sb->type->create(sb, c->mode, c->rdev, NULL, 0);
}

static u32 creation_mode(u64 mode)
{
	return (u32)mode & S_IALLUGO & ~READ_ONCE(current->fs->umask);
}

static long mkdir_at(int dirfd, u64 path, u64 mode)
{
	struct creation c = { .make = make_node, .mode = S_IFDIR | (creation_mode(mode) & 01777), .directory = true };

	return create_at(dirfd, path, &c);
}

SYSCALL(mkdir)
{
	return mkdir_at(AT_FDCWD, a0, a1);
}

SYSCALL(mkdirat)
{
	return mkdir_at((int)a0, a1, a2);
}

static long mknod_at(int dirfd, u64 path, u32 mode, u64 rdev)
{
	u32 type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
	struct creation c = { .make = make_node, .mode = type | creation_mode(mode), .rdev = (u32)rdev };

	if (type == S_IFDIR)
		return -EPERM;
	if (type == S_IFLNK ||
	    (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK))
		return -EINVAL;
	if ((type == S_IFCHR || type == S_IFBLK) && !process_is_privileged(current->process))
		return -EPERM;
	return create_at(dirfd, path, &c);
}

SYSCALL(mknod)
{
	return mknod_at(AT_FDCWD, a0, (u32)a1, a2);
}

SYSCALL(mknodat)
{
	return mknod_at((int)a0, a1, (u32)a2, a3);
}

static struct inode *make_symlink(struct creation *c, struct super_block *sb)
{
	return sb->type->create(sb, S_IFLNK | 0777, 0, c->target, strlen(c->target));
}

static long symlink_at(u64 user_target, int dirfd, u64 path)
{
	struct creation c = { .make = make_symlink };
	char *target = path_from_user(user_target);
	long ret;

	if (is_err(target))
		return ptr_err(target);
	c.target = target;
	ret = *target ? create_at(dirfd, path, &c) : -ENOENT;
	kfree(target);
	return ret;
}

SYSCALL(symlink)
{
	return symlink_at(a0, AT_FDCWD, a1);
}

SYSCALL(symlinkat)
{
	return symlink_at(a0, (int)a1, a2);
}

static struct inode *names_make_link(struct creation *c, struct super_block *sb)
{
	(void)sb;
	inode_get(c->inode);
	return c->inode;
}

static long link_at(int old_dirfd, u64 old_path, int dirfd, u64 path, u32 flags)
{
	u32 how = (flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct creation c = { .make = names_make_link };
	struct dentry *old;
	long ret;

	if (flags & ~(u32)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	ret = user_path_lookup(old_dirfd, old_path, how, &old);
	if (ret)
		return ret;
	c.inode = old->inode;
	ret = S_ISDIR(old->inode->mode) ? -EPERM : create_at(dirfd, path, &c);
	dentry_put(old);
	return ret;
}

SYSCALL(link)
{
	return link_at(AT_FDCWD, a0, AT_FDCWD, a1, 0);
}

SYSCALL(linkat)
{
	return link_at((int)a0, a1, (int)a2, a3, (u32)a4);
}

/* --- removing --- */

/* => fs_tree_lock held for writing. */
static int unlink_locked(struct last_name *last, struct dentry *dentry)
{
	int ret = dentry_may_remove(dentry);

	assert_rwsem_write_held(&fs_tree_lock);
	if (S_ISDIR(dentry->inode->mode))
		return -EISDIR;
	if (last->wants_directory)
		return -ENOTDIR;
	return ret ? ret : dir_remove(dentry);
}

static int rmdir_locked(struct last_name *last, struct dentry *dentry)
{
	int ret;

	(void)last;
	if (!S_ISDIR(dentry->inode->mode))
		return -ENOTDIR;
	ret = dentry_may_remove(dentry);
	if (!ret && dentry_has_children(dentry))
		ret = -ENOTEMPTY;
	return ret ? ret : dir_remove(dentry);
}

static int rmdir_of_dots(const struct last_name *last)
{
	switch (last->type) {
	case LAST_DOT:
		return -EINVAL;
	case LAST_DOTDOT:
		return -ENOTEMPTY;
	case LAST_ROOT:
		return -EBUSY;
	case LAST_NORM:
		break;
	}
	return 0;
}

static int remove_last(struct last_name *last, bool directory)
{
	int ret = directory ? rmdir_of_dots(last) : last->type == LAST_NORM ? 0 : -EISDIR;
	struct dentry *dentry;

	if (ret)
		return ret;
	dentry = last_name_lookup(last);
	if (is_err(dentry))
		return (int)ptr_err(dentry);
	ret = directory ? rmdir_locked(last, dentry) : unlink_locked(last, dentry);
	dentry_put(dentry);
	return ret;
}

static long remove_at(int dirfd, u64 user_path, bool directory)
{
	char *path = path_from_user(user_path);
	struct last_name last;
	int ret;

	if (is_err(path))
		return ptr_err(path);
	down_write(&fs_tree_lock);
	ret = path_parent(dirfd, path, 0, &last);
	if (!ret) {
		ret = remove_last(&last, directory);
		last_name_put(&last);
	}
	up_write(&fs_tree_lock);
	kfree(path);
	return ret;
}

SYSCALL(unlink)
{
	return remove_at(AT_FDCWD, a0, false);
}

SYSCALL(rmdir)
{
	return remove_at(AT_FDCWD, a0, true);
}

SYSCALL(unlinkat)
{
	if ((u32)a2 & ~(u32)AT_REMOVEDIR)
		return -EINVAL;
	return remove_at((int)a0, a1, a2 & AT_REMOVEDIR);
}

/* --- reading links --- */

static long read_link(struct inode *inode, u64 addr, size_t size)
{
	char *buf = kmalloc(PATH_MAX, ALLOC_WAIT);
	long n;

	if (!buf)
		return -ENOMEM;
	n = inode->ops->readlink(inode, buf, min(size, (size_t)PATH_MAX));
	if (n > 0 && copy_to_user(addr, buf, (u64)n))
		n = -EFAULT;
	kfree(buf);
	return n;
}

/* An empty path means dirfd itself, which must have been opened with O_PATH | O_NOFOLLOW to be a link. */
static long readlink_at(int dirfd, u64 user_path, u64 addr, s32 size)
{
	struct dentry *dentry;
	char *path;
	long ret;

	if (size <= 0)
		return -EINVAL;
	path = path_from_user(user_path);
	if (is_err(path))
		return ptr_err(path);
	ret = path_lookup(dirfd, path, LOOKUP_EMPTY, &dentry);
	if (!ret) {
		ret = *path ? -EINVAL : -ENOENT;
		if (S_ISLNK(dentry->inode->mode))
			ret = read_link(dentry->inode, addr, (size_t)size);
		dentry_put(dentry);
	}
	kfree(path);
	return ret;
}

SYSCALL(readlink)
{
	return readlink_at(AT_FDCWD, a0, a1, (s32)a2);
}

SYSCALL(readlinkat)
{
	return readlink_at((int)a0, a1, a2, (s32)a3);
}

/* --- the current directory --- */

SYSCALL(chdir)
{
	struct dentry *dentry;
	long ret = user_path_lookup(AT_FDCWD, a0, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);

	if (!ret)
		fs_set_cwd(current->fs, dentry);
	return ret;
}

/* The current directory does not change, even if it is outside the new root. */
SYSCALL(chroot)
{
	struct dentry *dentry;
	long ret = user_path_lookup(AT_FDCWD, a0, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);

	if (ret)
		return ret;
	if (!process_is_privileged(current->process)) {
		dentry_put(dentry);
		return -EPERM;
	}
	fs_set_root_dir(current->fs, dentry);
	return 0;
}

SYSCALL(fchdir)
{
	struct file *file = fget_raw((int)a0);
	long ret = 0;

	if (!file)
		return -EBADF;
	if (S_ISDIR(file->inode->mode))
		fs_set_cwd(current->fs, dentry_get(file->dentry));
	else
		ret = -ENOTDIR;
	file_put(file);
	return ret;
}

static long put_cwd(struct dentry *cwd, char *buf, u64 addr, u64 size)
{
	char *path = dentry_path(cwd, buf, PATH_MAX);
	u64 len = path ? (u64)(buf + PATH_MAX - path) : 0;

	if (!cwd->linked && !dentry_is_computed(cwd))
		return -ENOENT;
	if (!path)
		return -ENAMETOOLONG;
	if (len > size)
		return -ERANGE;
	return copy_to_user(addr, path, len) ? -EFAULT : (long)len;
}

SYSCALL(getcwd)
{
	char *buf = kmalloc(PATH_MAX, ALLOC_WAIT);
	struct dentry *cwd;
	long ret;

	if (!buf)
		return -ENOMEM;
	cwd = fs_cwd(current->fs);
	ret = put_cwd(cwd, buf, a0, a1);
	dentry_put(cwd);
	kfree(buf);
	return ret;
}
