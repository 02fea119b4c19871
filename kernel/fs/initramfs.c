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

static bool is_whole; /* constant after unpacking */

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
		if (is_err(child) || !S_ISDIR(child->inode->mode))
			return err_ptr(-ENOTDIR);
		dir = dentry_top(child);
		path = slash;
	}
}

/*
 * => fs_tree_lock held for writing. Creates an entry's file, which replaces an earlier file of that name. Returns the
 * dentry or an error pointer.
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
	if (old)
		dentry_unlink(old);
	if (!S_ISLNK(entry->mode))
		return dir_create(dir, name, len, entry->mode, entry->rdev);
	struct inode *inode = ramfs_symlink(dir->inode->sb, (const char *)entry->data, entry->size);
	return inode ? dir_add(dir, name, len, inode) : err_ptr(-ENOMEM);
}

static long fill(struct dentry *dentry, const struct cpio_entry *entry)
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

	rwsem_write(&fs_tree_lock);
	dentry = make_entry(entry);
	rwsem_write_unlock(&fs_tree_lock);
	if (is_err(dentry))
		return ptr_err(dentry);
	if (S_ISREG(entry->mode) && entry->size)
		ret = fill(dentry, entry);
	u64 mtime = entry->mtime * 1000000000UL;
	dentry->inode->times = (struct inode_times){ mtime, mtime, mtime, mtime };
	if (dentry->inode->sb == fs_root->inode->sb)
		share_note(dentry->inode, header);
	return ret;
}

void initramfs_unpack(void)
{
	size_t size, pos = 0, at = 0;
	const u8 *archive = boot_initramfs(&size);
	struct cpio_entry entry;

	for (; cpio_next(archive, size, &pos, &entry); at = pos) {
		long ret = unpack_entry(&entry, archive + at);

		if (ret) {
			klog_record("FAULTLINE-SHARE %s and what follows it are missing in the machine: %s", entry.name,
				    ret == -ENOSPC || ret == -ENOMEM ? "there is too little memory"
								     : "they cannot be unpacked");
			return;
		}
	}
	is_whole = cpio_at_trailer(archive, size, pos);
	if (size && !is_whole)
		klog("initramfs: the archive is broken at byte %zu of %zu", pos, size);
}

bool initramfs_is_whole(void)
{
	return is_whole;
}
