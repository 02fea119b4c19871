/* SPDX-License-Identifier: MIT */
/*
 * Path look-up. fs_tree_lock is held throughout: the tree is in memory, so a walk is short, and nothing in it waits for
 * user memory or a device. A symbolic link is expanded in place: its target replaces the part of the path that was
 * walked, and the rest of the path follows it. A directory on which a file system is mounted is replaced by that file
 * system's root as soon as it is found.
 */
#include "kernel/fs/namei.h"
#include "kernel/fs/files.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define EXPANDED_MAX (2UL * PATH_MAX)

static bool name_is(const char *name, size_t len, const char *text)
{
	return len == strlen(text) && !strncmp(name, text, len);
}

/* Walks one name down (or up). Returns the dentry, with a reference, or an error pointer. */
static struct dentry *step(const struct last_name *last, const char *name, size_t len)
{
	struct dentry *dir = last->dir, *child;

	if (!S_ISDIR(dir->inode->mode))
		return err_ptr(-ENOTDIR);
	if (name_is(name, len, "."))
		return dentry_get(dir);
	if (name_is(name, len, ".."))
		return dentry_get(dir == last->root ? dir : dir->parent);
	if (len > NAME_MAX)
		return err_ptr(-ENAMETOOLONG);
	child = dentry_find(dir, name, len);
	if (child)
		return dentry_get(dentry_top(child));
	if (dir->inode->ops && dir->inode->ops->lookup)
		return dir->inode->ops->lookup(dir, name, len);
	return err_ptr(-ENOENT);
}

static void set_dir(struct last_name *last, struct dentry *dir)
{
	dentry_put(last->dir);
	last->dir = dir;
}

/*
 * Replaces the path that is being walked by the link's target, followed by `rest`. If the link leads directly to an
 * object, the walk continues from that object.
 */
static int expand_link(struct last_name *last, struct dentry *link, const char *rest)
{
	const struct inode_ops *ops = link->inode->ops;
	size_t rest_len = strlen(rest);
	long len = 1;

	if (last->links++ >= MAX_SYMLINKS)
		return -ELOOP;
	char *expanded = kmalloc(EXPANDED_MAX, ALLOC_WAIT);
	if (!expanded)
		return -ENOMEM;
	if (ops->jump) {
		struct dentry *target = ops->jump(link->inode);
		if (is_err(target))
			len = ptr_err(target);
		else
			set_dir(last, target);
		expanded[0] = '.';
	} else {
		len = ops->readlink(link->inode, expanded, PATH_MAX);
	}
	if (len == 0)
		len = -ENOENT;
	if (len > 0 && len + 1 + rest_len >= EXPANDED_MAX)
		len = -ENAMETOOLONG;
	if (len < 0) {
		kfree(expanded);
		return (int)len;
	}
	if (rest_len)
		expanded[len++] = '/';
	memcpy(expanded + len, rest, rest_len + 1);
	if (!ops->jump && expanded[0] == '/')
		set_dir(last, dentry_get(last->root));
	kfree(last->buffer);
	last->buffer = expanded;
	last->name = expanded;
	return 0;
}

static enum last_type last_type(const char *name, size_t len)
{
	if (name_is(name, len, "."))
		return LAST_DOT;
	return name_is(name, len, "..") ? LAST_DOTDOT : LAST_NORM;
}

static const char *skip_slashes(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

/* Walks one name that is not the last; `rest` is what follows it. On success, last->name is the path that is left. */
static int namei_walk_step(struct last_name *last, const char *name, size_t len, const char *rest)
{
	struct dentry *next = step(last, name, len);
	int ret = 0;

	if (is_err(next))
		return (int)ptr_err(next);
	if (S_ISLNK(next->inode->mode)) {
		ret = expand_link(last, next, rest);
		dentry_put(next);
		return ret;
	}
	if (!S_ISDIR(next->inode->mode)) {
		dentry_put(next);
		return -ENOTDIR;
	}
	set_dir(last, next);
	last->name = rest;
	return 0;
}

/* Walks last->name (a terminated path) from last->dir, and stops before the last name. */
static int namei_walk(struct last_name *last)
{
	for (;;) {
		const char *name = skip_slashes(last->name);
		size_t len = 0;

		while (name[len] && name[len] != '/')
			len++;
		const char *rest = skip_slashes(name + len);
		if (!*rest) {
			last->name = name;
			last->len = len;
			last->type = len ? last_type(name, len) : LAST_ROOT;
			last->wants_directory = name[len] == '/';
			return 0;
		}
		int ret = namei_walk_step(last, name, len, rest);
		if (ret)
			return ret;
	}
}

/* Returns the dentry where a path starts, with a reference, or an error pointer. */
static struct dentry *start_of(int dirfd, const char *path, struct dentry *root)
{
	struct dentry *dentry;
	struct file *file;

	if (*path == '/')
		return dentry_get(root);
	if (dirfd == AT_FDCWD)
		return current->fs ? fs_cwd(current->fs) : dentry_get(root);
	file = fget_raw(dirfd);
	if (!file)
		return err_ptr(-EBADF);
	dentry = dentry_get(file->dentry);
	file_put(file);
	return dentry;
}

int path_parent(int dirfd, const char *path, u32 flags, struct last_name *last)
{
	int ret;

	assert_may_sleep();
	assert_rwsem_held(&fs_tree_lock);
	*last = (struct last_name){ .name = path };
	if (!*path && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	last->root = current_root();
	last->dir = start_of(dirfd, path, last->root);
	if (is_err(last->dir)) {
		dentry_put(last->root);
		return (int)ptr_err(last->dir);
	}
	ret = *path && !S_ISDIR(last->dir->inode->mode) ? -ENOTDIR : namei_walk(last);
	if (ret)
		last_name_put(last);
	return ret;
}

void last_name_put(struct last_name *last)
{
	assert_rwsem_held(&fs_tree_lock);
	dentry_put(last->dir);
	dentry_put(last->root);
	kfree(last->buffer);
}

struct dentry *last_name_lookup(struct last_name *last)
{
	assert_rwsem_held(&fs_tree_lock);
	if (last->type == LAST_ROOT)
		return dentry_get(last->dir);
	if (last->type == LAST_DOT && last->buffer && !last->wants_directory)
		return dentry_get(last->dir); /* a link led to an object, maybe not a directory */
	return step(last, last->name, last->len);
}

int last_name_follow(struct last_name *last, struct dentry *link)
{
	int ret = expand_link(last, link, last->wants_directory ? "/" : "");

	assert_rwsem_held(&fs_tree_lock);
	return ret ? ret : namei_walk(last);
}

static struct dentry *lookup_last(struct last_name *last, u32 flags)
{
	for (;;) {
		struct dentry *dentry = last_name_lookup(last);

		if (is_err(dentry))
			return dentry;
		bool directory = last->wants_directory || (flags & LOOKUP_DIRECTORY);
		if (S_ISLNK(dentry->inode->mode) && ((flags & LOOKUP_FOLLOW) || last->wants_directory)) {
			int ret = last_name_follow(last, dentry);
			dentry_put(dentry);
			if (ret)
				return err_ptr(ret);
			continue;
		}
		if (!directory || S_ISDIR(dentry->inode->mode))
			return dentry;
		dentry_put(dentry);
		return err_ptr(-ENOTDIR);
	}
}

int path_lookup(int dirfd, const char *path, u32 flags, struct dentry **result)
{
	struct last_name last;
	int ret;

	down_read(&fs_tree_lock);
	ret = path_parent(dirfd, path, flags, &last);
	if (!ret) {
		*result = lookup_last(&last, flags);
		if (is_err(*result))
			ret = (int)ptr_err(*result);
		last_name_put(&last);
	}
	up_read(&fs_tree_lock);
	return ret;
}

char *path_from_user(u64 addr)
{
	char *path = kmalloc(PATH_MAX, ALLOC_WAIT);
	long len;

	assert_may_sleep();
	if (!path)
		return err_ptr(-ENOMEM);
	len = strncpy_from_user(path, addr, PATH_MAX);
	if (len >= 0 && len < (long)PATH_MAX)
		return path;
	kfree(path);
	return err_ptr(len < 0 ? len : -ENAMETOOLONG);
}

int user_path_lookup(int dirfd, u64 addr, u32 flags, struct dentry **result)
{
	char *path = path_from_user(addr);
	int ret;

	if (is_err(path))
		return (int)ptr_err(path);
	ret = path_lookup(dirfd, path, flags, result);
	kfree(path);
	return ret;
}
