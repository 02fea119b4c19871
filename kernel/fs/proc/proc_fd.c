/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/fd and /proc/PID/fdinfo, which have a symbolic link and a text file for each open file of a process. Takes
 * process->lock, and the lock of the descriptor table.
 */
#include "kernel/fs/files.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"

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

/* Returns the open file that an inode of either directory stands for, with a reference, or an error pointer. */
static struct file *file_of(u64 id)
{
	struct files *files = files_of(id);
	struct file *file = files ? files_get_file(files, proc_id_fd(id)) : NULL;

	if (files)
		files_put(files);
	return file ? file : err_ptr(-ENOENT);
}

/* --- links --- */

static struct dentry *jump_fd(struct inode *inode)
{
	struct file *file = file_of(inode->private_id);
	struct dentry *dentry;

	if (is_err(file))
		return err_ptr(ptr_err(file));
	dentry = dentry_get(file->dentry);
	file_put(file);
	return dentry;
}

static long readlink_fd(struct inode *inode, char *buf, size_t size)
{
	return proc_put_path(jump_fd(inode), buf, size);
}

static const struct inode_ops fd_link_ops = { .readlink = readlink_fd, .jump = jump_fd };

/* Makes a link as on Linux: its size is 64, and its permissions show how the file was opened. */
static struct inode *proc_fd_make_link(struct super_block *sb, const struct file *file, u64 id)
{
	u32 mode = (file->mode & FMODE_READ ? 0500 : 0) | (file->mode & FMODE_WRITE ? 0300 : 0);
	struct inode *inode = inode_alloc(sb, S_IFLNK | mode, &fd_link_ops, NULL);

	if (!inode)
		return NULL;
	inode->private_id = id;
	inode->size = 64;
	return inode;
}

/* --- texts --- */

/* The flags are those of F_GETFL, and O_CLOEXEC if execve() closes the descriptor. */
static int show_fdinfo(struct text *text, u64 id)
{
	struct files *files = files_of(id);
	struct file *file = file_of(id);
	u32 flags;

	if (!is_err(file)) {
		flags = (READ_ONCE(file->flags) & ~O_CLOEXEC) |
			(files && files_is_cloexec(files, proc_id_fd(id)) ? O_CLOEXEC : 0);
		text_printf(text, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", READ_ONCE(file->pos), flags,
			    super_mount_id(file->inode->sb), file->inode->ino);
		if (file->ops->show_info)
			file->ops->show_info(file, text);
		file_put(file);
	}
	if (files)
		files_put(files);
	return is_err(file) ? (int)ptr_err(file) : 0;
}

static const struct proc_entry fdinfo_entry = { .mode = S_IFREG | 0444, .show = show_fdinfo };

static struct inode *proc_fd_make_text(struct super_block *sb, const struct file *file, u64 id)
{
	(void)file;
	return proc_inode(sb, &fdinfo_entry, id);
}

/* --- the directories --- */

/* Above all other numbers in /proc: those of directories have fewer than 40 bits, and descriptors fewer than 24. */
static u64 ino_of_fd(const struct inode *dir, u64 fd)
{
	return dir->ino << 24 | fd;
}

static struct dentry *lookup(struct dentry *dir, const char *name, size_t len,
			     struct inode *(*make)(struct super_block *sb, const struct file *file, u64 id))
{
	s64 fd = proc_parse_name(name, len);
	u64 id = proc_id_of_file(dir->inode->private_id, (u32)fd);
	struct file *file = fd >= 0 ? file_of(id) : err_ptr(-ENOENT);
	struct inode *inode;
	struct dentry *dentry;

	if (is_err(file))
		return err_ptr(-ENOENT);
	inode = make(dir->inode->sb, file, id);
	file_put(file);
	if (inode)
		inode->ino = ino_of_fd(dir->inode, (u64)fd);
	dentry = inode ? dentry_alloc(dir, name, len, inode) : NULL;
	return dentry ? dentry : err_ptr(-ENOMEM);
}

static struct dentry *lookup_link(struct dentry *dir, const char *name, size_t len)
{
	return lookup(dir, name, len, proc_fd_make_link);
}

static struct dentry *lookup_text(struct dentry *dir, const char *name, size_t len)
{
	return lookup(dir, name, len, proc_fd_make_text);
}

static int iterate(struct inode *dir, struct dir_context *ctx, u32 type)
{
	struct files *files = files_of(dir->private_id);
	char name[16];
	int fd;

	if (!files)
		return -ENOENT;
	while ((fd = files_next_open(files, (unsigned)(ctx->pos - DIR_POS_COMPUTED))) >= 0) {
		u64 next = DIR_POS_COMPUTED + (u64)fd + 1;
		int len = ksnprintf(name, sizeof(name), "%d", fd);

		if (!ctx->emit(ctx, name, (size_t)len, ino_of_fd(dir, (u64)fd), type, next))
			break;
		ctx->pos = next;
	}
	files_put(files);
	return 0;
}

static int iterate_links(struct inode *dir, struct dir_context *ctx)
{
	return iterate(dir, ctx, S_IFLNK);
}

static int iterate_texts(struct inode *dir, struct dir_context *ctx)
{
	return iterate(dir, ctx, S_IFREG);
}

const struct inode_ops proc_fd_ops = { .lookup = lookup_link, .iterate = iterate_links };
const struct inode_ops proc_fdinfo_ops = { .lookup = lookup_text, .iterate = iterate_texts };
