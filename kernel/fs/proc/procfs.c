/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes the files of /proc, whose contents are computed. text_lock (a spinlock, a leaf) protects which text
 * an open file has; a text itself does not change once it can be read.
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"

static spinlock_t text_lock = SPINLOCK_INIT(LEAF);

static const struct proc_entry *procfs_entry_of(struct file *file)
{
	return file->inode->private;
}

/* Returns a new text with one reference, or an error pointer. */
static struct text *procfs_make_text(struct file *file)
{
	struct text *text = text_create();
	int ret;

	if (!text)
		return err_ptr(-ENOMEM);
	ret = procfs_entry_of(file)->show(text, file->inode->private_id);
	if (!ret && text->failed)
		ret = -ENOMEM;
	if (!ret)
		return text;
	text_put(text);
	return err_ptr(ret);
}

/* Stores the text in the file, in place of its previous one. */
static void keep_text(struct file *file, struct text *text)
{
	atomic_inc(&text->refcount);
	spin_lock(&text_lock);
	struct text *old = file->private;
	file->private = text;
	spin_unlock(&text_lock);
	if (old)
		text_put(old);
}

static struct text *kept_text(struct file *file)
{
	spin_lock(&text_lock);
	struct text *text = file->private;
	if (text)
		atomic_inc(&text->refcount);
	spin_unlock(&text_lock);
	return text;
}

static long proc_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct text *text = *pos ? kept_text(file) : NULL;
	long ret;

	if (!procfs_entry_of(file)->show)
		return -EINVAL;
	if (!text) {
		text = procfs_make_text(file);
		if (is_err(text))
			return ptr_err(text);
		keep_text(file, text);
	}
	ret = text_read(text, to, pos);
	text_put(text);
	return ret;
}

static long write_buffer(struct file *file, struct iov_iter *from, char *buf)
{
	size_t n = from->count;

	if (iov_copy_from(from, buf, n) < n)
		return -EFAULT;
	buf[n] = 0;
	int ret = procfs_entry_of(file)->write(file->inode->private_id, buf, n);
	return ret ? ret : (long)n;
}

static long proc_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	char *buf;
	long ret;

	if (!procfs_entry_of(file)->write)
		return -EINVAL;
	if (from->count >= PROC_WRITE_MAX)
		return -EINVAL;
	buf = kmalloc(PROC_WRITE_MAX, ALLOC_WAIT);
	if (!buf)
		return -ENOMEM;
	ret = write_buffer(file, from, buf);
	kfree(buf);
	if (ret > 0)
		*pos += (u64)ret;
	return ret;
}

/*
 * Permissions do not restrict root, but a file that has no show or write function cannot be opened for reading or
 * writing.
 */
static int proc_open(struct file *file)
{
	if ((file->mode & FMODE_READ) && !procfs_entry_of(file)->show)
		return -EACCES;
	return (file->mode & FMODE_WRITE) && !procfs_entry_of(file)->write ? -EACCES : 0;
}

static void proc_release(struct file *file)
{
	if (file->private)
		text_put(file->private);
}

static const struct file_ops proc_file_ops = {
	.open = proc_open,
	.read = proc_read,
	.write = proc_write,
	.release = proc_release,
};

struct inode *proc_inode(struct super_block *sb, const struct proc_entry *entry, u64 id)
{
	const struct file_ops *fops = entry->fops;
	struct inode *inode;

	if (!fops && S_ISDIR(entry->mode))
		fops = &ramfs_dir_ops;
	else if (!fops && S_ISREG(entry->mode))
		fops = &proc_file_ops;
	inode = inode_alloc(sb, entry->mode, entry->ops, fops);
	if (!inode)
		return NULL;
	inode->private = (void *)entry;
	inode->private_id = id;
	return inode;
}

void proc_add_files(struct dentry *dir, const struct proc_entry *entries, size_t nr, u64 id)
{
	assert_rwsem_write_held(&fs_tree_lock);
	for (size_t i = 0; i < nr; i++) {
		struct inode *inode = proc_inode(dir->inode->sb, &entries[i], id);

		if (!inode || is_err(dir_add(dir, entries[i].name, strlen(entries[i].name), inode)))
			dir->inode->sb->incomplete = true;
	}
}

struct dentry *proc_add_dir(struct dentry *dir, const char *name)
{
	struct inode *inode = ramfs_inode(dir->inode->sb, S_IFDIR | 0555, 0);
	struct dentry *dentry = inode ? dir_add(dir, name, strlen(name), inode) : err_ptr(-ENOMEM);

	assert_rwsem_write_held(&fs_tree_lock);
	if (!is_err(dentry))
		return dentry;
	dir->inode->sb->incomplete = true;
	return dir;
}

size_t proc_trim(char *buf, size_t len)
{
	while (len && (buf[len - 1] == '\n' || buf[len - 1] == ' ' || !buf[len - 1]))
		len--;
	buf[len] = 0;
	return len;
}

int proc_parse_number(const char *text, u64 *value)
{
	u64 result = 0;

	while (*text == ' ')
		text++;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(result, 10UL, &result) ||
		    __builtin_add_overflow(result, *text - '0', &result))
			return -EINVAL;
	}
	while (*text == ' ' || *text == '\n')
		text++;
	*value = result;
	return *text ? -EINVAL : 0;
}

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

int proc_mount_root(struct super_block *sb, void (*fill)(struct dentry *root))
{
	struct inode *inode = ramfs_inode(sb, S_IFDIR | 0555, 0);

	sb->root = inode ? dentry_alloc(NULL, "", 0, inode) : NULL;
	if (!sb->root)
		return -ENOMEM;
	down_write(&fs_tree_lock);
	fill(sb->root);
	up_write(&fs_tree_lock);
	return sb->incomplete ? -ENOMEM : 0;
}

static void fill_proc(struct dentry *root)
{
	root->inode->ops = &proc_root_ops;
	proc_pid_create(root);
	proc_system_create(root);
	proc_disks_create(root);
	proc_memory_create(root);
	proc_vmstat_create(root);
	proc_activity_create(root);
	proc_sysctl_create(root);
	proc_faultline_create(root);
	proc_trace_create(root);
	proc_sysrq_create(root);
}

/* Accepts hidepid= and similar options, and ignores them. */
static int proc_mount(struct super_block *sb, char *options)
{
	(void)options;
	return proc_mount_root(sb, fill_proc);
}

const struct fs_type proc_type = { .name = "proc", .magic = 0x9fa0, .computed = true, .mount = proc_mount };
