/* SPDX-License-Identifier: MIT */
/*
 * The links of /proc/PID: exe, cwd, root and those in fd. They lead to the object itself, whatever its name is by now;
 * reading one gives the path as far as there is one. Takes process->lock and the lock of a descriptor table.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/procfs.h"
#include "kernel/string.h"
#include "mm/mm.h"
#include "mm/slab.h"

/* The object that a link of a process leads to, with a reference, or an error pointer. */
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

/* What `place` says of the process's place in the tree. */
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

/* Writes the path of the dentry, whose reference it drops; or hands an error pointer through. */
static long put_path(struct dentry *dentry, char *buf, size_t size)
{
	char *room, *path;
	long n = -ENAMETOOLONG;

	if (is_err(dentry))
		return ptr_err(dentry);
	room = kmalloc(PATH_MAX, 0);
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
	return put_path(jump_exe(inode), buf, size);
}

static struct dentry *jump_cwd(struct inode *inode)
{
	return dentry_with(inode->private_id, cwd_of);
}

static long readlink_cwd(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_cwd(inode), buf, size);
}

static struct dentry *jump_root(struct inode *inode)
{
	return dentry_with(inode->private_id, root_of);
}

static long readlink_root(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_root(inode), buf, size);
}

const struct inode_ops proc_exe_ops = { .readlink = readlink_exe, .jump = jump_exe };
const struct inode_ops proc_cwd_ops = { .readlink = readlink_cwd, .jump = jump_cwd };
const struct inode_ops proc_root_link_ops = { .readlink = readlink_root, .jump = jump_root };

/* --- /proc/PID/fd --- */

static struct files *files_of(u64 id)
{
	struct proc_target target;
	struct files *files = NULL;

	if (proc_target_get(id, &target))
		return NULL;
	if (target.task)
		files = task_files(target.task);
	proc_target_put(&target);
	return files;
}

/* What an inode of /proc/PID/fd stands for. */
struct fd_link {
	u64 id;
	unsigned fd;
};

static struct dentry *jump_fd(struct inode *inode)
{
	const struct fd_link *link = inode->private;
	struct files *files = files_of(link->id);
	struct file *file = files ? files_get_file(files, link->fd) : NULL;
	struct dentry *dentry = file ? dentry_get(file->dentry) : err_ptr(-ENOENT);

	if (file)
		file_put(file);
	if (files)
		files_put(files);
	return dentry;
}

static long readlink_fd(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_fd(inode), buf, size);
}

static void evict_fd(struct inode *inode)
{
	kfree(inode->private);
}

static const struct inode_ops fd_link_ops = { .readlink = readlink_fd, .jump = jump_fd, .evict = evict_fd };

s64 proc_parse_name(const char *name, size_t len)
{
	s64 value = 0;

	if (!len || len > 9 || (len > 1 && *name == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		value = value * 10 + (name[i] - '0');
	}
	return value;
}

static struct dentry *make_fd_link(struct dentry *dir, const char *name, size_t len, unsigned fd, u32 mode)
{
	struct inode *inode = inode_alloc(dir->inode->sb, S_IFLNK | mode, &fd_link_ops, NULL);
	struct fd_link *link = kmalloc(sizeof(*link), 0);
	struct dentry *dentry;

	if (!inode || !link) {
		kfree(link);
		if (inode)
			inode_put(inode);
		return err_ptr(-ENOMEM);
	}
	*link = (struct fd_link){ .id = dir->inode->private_id, .fd = fd };
	inode->private = link;
	inode->size = 64; /* what Linux says of every such link */
	dentry = dentry_alloc(dir, name, len, inode);
	return dentry ? dentry : err_ptr(-ENOMEM);
}

static struct dentry *lookup_fd(struct dentry *dir, const char *name, size_t len)
{
	s64 fd = proc_parse_name(name, len);
	struct files *files = fd >= 0 ? files_of(dir->inode->private_id) : NULL;
	struct file *file = files ? files_get_file(files, (unsigned)fd) : NULL;
	struct dentry *dentry = err_ptr(-ENOENT);

	if (file) {
		u32 mode = (file->mode & FMODE_READ ? 0500 : 0) | (file->mode & FMODE_WRITE ? 0300 : 0);
		dentry = make_fd_link(dir, name, len, (unsigned)fd, mode);
		file_put(file);
	}
	if (files)
		files_put(files);
	return dentry;
}

static int iterate_fd(struct inode *dir, struct dir_context *ctx)
{
	struct files *files = files_of(dir->private_id);
	char name[16];
	int fd;

	if (!files)
		return -ENOENT;
	while ((fd = files_next_open(files, (unsigned)(ctx->pos - DIR_POS_COMPUTED))) >= 0) {
		u64 next = DIR_POS_COMPUTED + (u64)fd + 1;
		int len = ksnprintf(name, sizeof(name), "%d", fd);

		if (!ctx->emit(ctx, name, (size_t)len, dir->ino + (u64)fd + 1, S_IFLNK, next))
			break;
		ctx->pos = next;
	}
	files_put(files);
	return 0;
}

const struct inode_ops proc_fd_ops = { .lookup = lookup_fd, .iterate = iterate_fd };
