/* SPDX-License-Identifier: MIT */
/*
 * rename(2) and its variants. A rename is one change of the tree: it holds fs_tree_lock from the two walks to the end.
 */
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"

#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u

/* The state of a rename, which all steps below use under fs_tree_lock. */
struct renaming {
	struct last_name from, to;
	struct dentry *old, *target; /* target NULL: the name is free */
	u32 flags;
};

static bool is_below(struct dentry *dentry, struct dentry *ancestor)
{
	for (; dentry != dentry->parent; dentry = dentry->parent) {
		if (dentry == ancestor)
			return true;
	}
	return dentry == ancestor;
}

static void count_subdirectory(struct dentry *dir, struct dentry *child, int nr)
{
	if (S_ISDIR(child->inode->mode))
		dir->inode->nlink += (u32)nr;
}

static char *copy_name(const char *name, size_t len)
{
	char *copy = kmalloc(len + 1, ALLOC_WAIT);

	if (copy) {
		memcpy(copy, name, len);
		copy[len] = 0;
	}
	return copy;
}

static void touch(struct renaming *r)
{
	inode_touch_mtime(r->from.dir->inode);
	inode_touch_mtime(r->to.dir->inode);
	inode_touch_ctime(r->old->inode);
}

/* Has a file system that also stores its names elsewhere record the rename. It may refuse. */
static int record(struct renaming *r)
{
	const struct fs_type *type = r->old->inode->sb->type;
	char name[NAME_MAX + 1];

	if (!type->rename)
		return 0;
	memcpy(name, r->to.name, r->to.len);
	name[r->to.len] = 0;
	return type->rename(r->old, r->to.dir, name, r->target, r->flags & RENAME_EXCHANGE);
}

/* Unlinks the name that is replaced, which the file system has recorded already. */
static void drop_target(struct dentry *target)
{
	struct inode *inode = target->inode;
	bool directory = S_ISDIR(inode->mode);

	inode->nlink -= directory ? 2 : 1;
	target->parent->inode->nlink -= directory;
	inode_touch_ctime(inode);
	dentry_unlink(target);
}

static int rename_move(struct renaming *r)
{
	char *name = copy_name(r->to.name, r->to.len);
	int ret;

	if (!name)
		return -ENOMEM;
	ret = record(r);
	if (ret) {
		kfree(name);
		return ret;
	}
	if (r->target)
		drop_target(r->target);
	count_subdirectory(r->from.dir, r->old, -1);
	count_subdirectory(r->to.dir, r->old, 1);
	dentry_move(r->old, r->to.dir, name);
	touch(r);
	return 0;
}

static int exchange(struct renaming *r)
{
	char *name = copy_name(r->to.name, r->to.len), *other = copy_name(r->from.name, r->from.len);

	if (!name || !other) {
		kfree(name);
		kfree(other);
		return -ENOMEM;
	}
	int ret = record(r);
	if (ret) {
		kfree(name);
		kfree(other);
		return ret;
	}
	count_subdirectory(r->from.dir, r->old, -1);
	count_subdirectory(r->to.dir, r->old, 1);
	count_subdirectory(r->to.dir, r->target, -1);
	count_subdirectory(r->from.dir, r->target, 1);
	dentry_move(r->old, r->to.dir, name);
	dentry_move(r->target, r->from.dir, other);
	touch(r);
	return 0;
}

/* Checks the kinds and places of the two files, in Linux's order. */
static int check_kinds(struct renaming *r)
{
	bool directory = S_ISDIR(r->old->inode->mode);

	if (!directory && (r->from.wants_directory || (r->to.wants_directory && !(r->flags & RENAME_EXCHANGE))))
		return -ENOTDIR;
	if (is_below(r->to.dir, r->old))
		return -EINVAL;
	if (!r->target)
		return 0;
	if (is_below(r->from.dir, r->target))
		return r->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (r->flags & RENAME_EXCHANGE)
		return r->to.wants_directory && !S_ISDIR(r->target->inode->mode) ? -ENOTDIR : 0;
	bool onto_directory = S_ISDIR(r->target->inode->mode);
	if (directory && !onto_directory)
		return -ENOTDIR;
	if (!directory && onto_directory)
		return -EISDIR;
	return dentry_has_children(r->target) ? -ENOTEMPTY : 0;
}

static int rename_found(struct renaming *r)
{
	int ret;

	if (r->target && (r->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!r->target && (r->flags & RENAME_EXCHANGE))
		return -ENOENT;
	ret = check_kinds(r);
	if (!ret)
		ret = dentry_may_remove(r->old);
	if (!ret && r->target)
		ret = r->target->inode == r->old->inode ? 0 : dentry_may_remove(r->target);
	if (!ret)
		ret = dir_may_create(r->to.dir);
	if (ret)
		return ret;
	if (r->target && r->target->inode == r->old->inode)
		return 0; /* two names of one file: nothing to do */
	return r->flags & RENAME_EXCHANGE ? exchange(r) : rename_move(r);
}

static int rename_last(struct renaming *r)
{
	int ret;

	if (r->from.dir->inode->sb != r->to.dir->inode->sb)
		return -EXDEV;
	if (r->from.type != LAST_NORM)
		return -EBUSY;
	if (r->to.type != LAST_NORM)
		return r->flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	r->old = last_name_lookup(&r->from);
	if (is_err(r->old))
		return (int)ptr_err(r->old);
	r->target = last_name_lookup(&r->to);
	if (ptr_err(r->target) == -ENOENT)
		r->target = NULL;
	ret = is_err(r->target) ? (int)ptr_err(r->target) : rename_found(r);
	if (r->target && !is_err(r->target))
		dentry_put(r->target);
	dentry_put(r->old);
	return ret;
}

static int rename_paths(int old_dirfd, const char *old_path, int dirfd, const char *path, u32 flags)
{
	struct renaming r = { .flags = flags };
	int ret;

	down_write(&fs_tree_lock);
	ret = path_parent(old_dirfd, old_path, 0, &r.from);
	if (!ret) {
		ret = path_parent(dirfd, path, 0, &r.to);
		if (!ret) {
			ret = rename_last(&r);
			last_name_put(&r.to);
		}
		last_name_put(&r.from);
	}
	up_write(&fs_tree_lock);
	return ret;
}

static long rename_at(int old_dirfd, u64 old_user, int dirfd, u64 user, u32 flags)
{
	char *old_path, *path;
	long ret;

	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	old_path = path_from_user(old_user);
	if (is_err(old_path))
		return ptr_err(old_path);
	path = path_from_user(user);
	ret = is_err(path) ? ptr_err(path) : rename_paths(old_dirfd, old_path, dirfd, path, flags);
	if (!is_err(path))
		kfree(path);
	kfree(old_path);
	return ret;
}

SYSCALL(rename)
{
	return rename_at(AT_FDCWD, a0, AT_FDCWD, a1, 0);
}

SYSCALL(renameat)
{
	return rename_at((int)a0, a1, (int)a2, a3, 0);
}

SYSCALL(renameat2)
{
	return rename_at((int)a0, a1, (int)a2, a3, (u32)a4);
}
