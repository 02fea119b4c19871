/* SPDX-License-Identifier: MIT */
/* Unpacks the boot module, a cpio archive (cpio.h), into the root. */
#include "kernel/boot_info.h"
#include "kernel/fs/cpio.h"
#include "kernel/fs/fs.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/share.h"
#include "kernel/fs/super.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "mm/page/slab.h"

static bool is_whole; /* constant after unpacking */

/* The regular files of several names that have been unpacked. Only while unpacking, by one thread. */
struct linked_file {
	struct linked_file *next;
	u32 ino, dev;	     /* in the archive */
	struct inode *inode; /* with a reference */
};
static struct linked_file *linked_files;

static bool has_links(const struct cpio_entry *entry)
{
	return S_ISREG(entry->mode) && entry->nlink > 1;
}

/* Returns the file, already unpacked to that file system, of which the entry is one more name, or NULL. */
static struct inode *find_linked(const struct cpio_entry *entry, const struct super_block *sb)
{
	struct linked_file *file = has_links(entry) ? linked_files : NULL;

	for (; file; file = file->next)
		if (file->ino == entry->ino && file->dev == entry->dev && file->inode->nlink && file->inode->sb == sb)
			return file->inode;
	return NULL;
}

static int note_linked(const struct cpio_entry *entry, struct inode *inode)
{
	struct linked_file *file = kmalloc(sizeof(*file), ALLOC_WAIT);

	if (!file)
		return -ENOMEM;
	inode_get(inode);
	*file = (struct linked_file){ linked_files, entry->ino, entry->dev, inode };
	linked_files = file;
	return 0;
}

static void forget_linked(void)
{
	while (linked_files) {
		struct linked_file *file = linked_files;

		linked_files = file->next;
		inode_put(file->inode);
		kfree(file);
	}
}

/* => fs_tree_lock held for writing. Creates a file that is neither a directory nor a symbolic link, or a hard link. */
static struct dentry *make_file(struct dentry *dir, const char *name, size_t len, const struct cpio_entry *entry)
{
	struct inode *inode = find_linked(entry, dir->inode->sb);
	struct dentry *dentry;
	int ret = 0;

	assert_rwsem_write_held(&fs_tree_lock);
	if (inode) {
		inode_get(inode);
		dentry = dir_add(dir, name, len, inode);
		inode->nlink += !is_err(dentry);
		return dentry;
	}
	dentry = dir_create(dir, name, len, entry->mode, entry->rdev);
	if (!is_err(dentry) && has_links(entry))
		ret = note_linked(entry, dentry->inode);
	return ret ? err_ptr(ret) : dentry;
}

/*
 * => fs_tree_lock held for writing. Returns the directory of the path's last name, and creates missing parents. *name
 * is the last name.
 */
static struct dentry *make_parents(const char *path, const char **name)
{
	struct dentry *dir = fs_root;

	assert_rwsem_write_held(&fs_tree_lock);
	for (;;) {
		while (*path == '/')
			path++;
		const char *slash = strchr(path, '/');
		if (!slash || !slash[1]) {
			*name = path;
			return dir;
		}
		size_t len = (size_t)(slash - path);
		struct dentry *child = dentry_find(dir, path, len);
		if (!child)
			child = dir_create(dir, path, len, S_IFDIR | 0755, 0);
		if (is_err(child))
			return child;
		if (!S_ISDIR(child->inode->mode))
			return err_ptr(-ENOTDIR);
		dir = dentry_top(child);
		path = slash;
	}
}

/*
 * => fs_tree_lock held for writing. Creates an entry's file or hard link, which replaces an earlier file of that name.
 * Returns the dentry or an error pointer.
 */
static struct dentry *make_entry(const struct cpio_entry *entry)
{
	const char *name = entry->name;
	struct dentry *dir = make_parents(entry->name, &name);
	size_t len = strlen(name);

	assert_rwsem_write_held(&fs_tree_lock);
	if (is_err(dir))
		return dir;
	while (len && name[len - 1] == '/')
		len--;
	if (!len || (len == 1 && *name == '.'))
		return fs_root;
	struct dentry *old = dentry_find(dir, name, len);
	if (old && S_ISDIR(old->inode->mode))
		return dentry_top(old);
	int ret = old ? dir_remove(old) : 0;
	if (ret)
		return err_ptr(ret);
	if (!S_ISLNK(entry->mode))
		return make_file(dir, name, len, entry);
	struct inode *inode = ramfs_symlink(dir->inode->sb, (const char *)entry->data, entry->size);
	return inode ? dir_add(dir, name, len, inode) : err_ptr(-ENOMEM);
}

static long initramfs_fill(struct dentry *dentry, const struct cpio_entry *entry)
{
	struct file *file = file_open_dentry(dentry, O_WRONLY);
	struct iov_iter iter;
	struct iovec iov;
	u64 pos = 0;
	long ret;

	if (is_err(file))
		return ptr_err(file);
	iov_init_kernel(&iter, &iov, (void *)entry->data, entry->size);
	ret = file->ops->write(file, &iter, &pos);
	file_put(file);
	return ret == (long)entry->size ? 0 : -ENOSPC;
}

static long unpack_entry(const struct cpio_entry *entry, const u8 *header)
{
	struct dentry *dentry;
	long ret = 0;

	down_write(&fs_tree_lock);
	dentry = make_entry(entry);
	up_write(&fs_tree_lock);
	if (is_err(dentry))
		return ptr_err(dentry);
	if (S_ISREG(entry->mode) && entry->size)
		ret = initramfs_fill(dentry, entry);
	u64 mtime = entry->mtime * 1000000000UL;
	dentry->inode->times = (struct inode_times){ mtime, mtime, mtime, mtime };
	if (dentry->inode->sb == fs_root->inode->sb)
		share_note(dentry->inode, header);
	return ret;
}

static void unpack_all(void)
{
	size_t size, pos = 0, at = 0;
	const u8 *archive = boot_initramfs(&size);
	struct cpio_entry entry;

	for (; cpio_next(archive, size, &pos, &entry); at = pos) {
		long ret = unpack_entry(&entry, archive + at);

		if (ret) {
			klog_record("FAULTLINE-SHARE %s and the entries after it were not unpacked: %s", entry.name,
				    ret == -ENOSPC || ret == -ENOMEM ? "too little memory"
								     : "the entry cannot be created");
			return;
		}
	}
	is_whole = cpio_at_trailer(archive, size, pos);
	if (size && !is_whole)
		klog("initramfs: the archive is broken at byte %zu of %zu", pos, size);
}

void initramfs_unpack(void)
{
	unpack_all();
	forget_linked();
}

bool initramfs_is_whole(void)
{
	return is_whole;
}
