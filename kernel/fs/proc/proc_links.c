/* SPDX-License-Identifier: MIT */
/*
 * The symbolic links exe, cwd and root of /proc/PID. Following one leads to the object itself, even if it has been
 * renamed or removed; reading one returns the object's path, if it has one. Takes process->lock.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"

/* Returns the object that a link of a process leads to, with a reference, or an error pointer. */
typedef struct dentry *target_dentry_t(const struct proc_target *target);

static struct dentry *dentry_with(u64 id, target_dentry_t *find)
{
	struct proc_target target;
	int ret = proc_target_get(id, &target);

	if (ret)
		return err_ptr(ret);
	struct dentry *dentry = find(&target);
	proc_target_put(&target);
	return dentry;
}

static struct dentry *exe_of(const struct proc_target *target)
{
	return target->mm && target->mm->exe_file ? dentry_get(target->mm->exe_file->dentry) : err_ptr(-ENOENT);
}

/* Returns the directory that `place` selects from the process's fs_context, with a reference, or an error pointer. */
static struct dentry *place_of(const struct proc_target *target, struct dentry *(*place)(struct fs_context *fs))
{
	struct fs_context *fs = target->task ? task_fs(target->task) : NULL;

	if (!fs)
		return err_ptr(-ENOENT);
	struct dentry *dentry = place(fs);
	fs_context_put(fs);
	return dentry;
}

static struct dentry *cwd_of(const struct proc_target *target)
{
	return place_of(target, fs_cwd);
}

static struct dentry *root_of(const struct proc_target *target)
{
	return place_of(target, fs_root_dir);
}

long proc_put_path(struct dentry *dentry, char *buf, size_t size)
{
	char *room, *path;
	long n = -ENAMETOOLONG;

	if (is_err(dentry))
		return ptr_err(dentry);
	room = kmalloc(PATH_MAX, ALLOC_WAIT);
	path = room ? dentry_path(dentry, room, PATH_MAX) : NULL;
	if (path) {
		n = (long)min(strlen(path), size);
		memcpy(buf, path, (size_t)n);
	}
	kfree(room);
	dentry_put(dentry);
	return n;
}

static struct dentry *jump_exe(struct inode *inode)
{
	return dentry_with(inode->private_id, exe_of);
}

static long readlink_exe(struct inode *inode, char *buf, size_t size)
{
	return proc_put_path(jump_exe(inode), buf, size);
}

static struct dentry *jump_cwd(struct inode *inode)
{
	return dentry_with(inode->private_id, cwd_of);
}

static long readlink_cwd(struct inode *inode, char *buf, size_t size)
{
	return proc_put_path(jump_cwd(inode), buf, size);
}

static struct dentry *jump_root(struct inode *inode)
{
	return dentry_with(inode->private_id, root_of);
}

static long readlink_root(struct inode *inode, char *buf, size_t size)
{
	return proc_put_path(jump_root(inode), buf, size);
}

const struct inode_ops proc_exe_ops = { .readlink = readlink_exe, .jump = jump_exe };
const struct inode_ops proc_cwd_ops = { .readlink = readlink_cwd, .jump = jump_cwd };
const struct inode_ops proc_root_link_ops = { .readlink = readlink_root, .jump = jump_root };
