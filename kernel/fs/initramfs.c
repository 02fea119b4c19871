/* SPDX-License-Identifier: MIT */
/*
 * Unpacks the boot module, a cpio archive in the "newc" format: for each file a header of 110 characters (14 numbers of
 * eight hexadecimal digits behind a magic one), the name with its NUL, the contents; name and contents are padded to
 * four bytes. "TRAILER!!!" ends it.
 */
#include "kernel/boot_info.h"
#include "kernel/fs/fs.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/super.h"
#include "kernel/print.h"
#include "kernel/string.h"

#define HEADER_SIZE 110

enum cpio_field {
	CPIO_INO,
	CPIO_MODE,
	CPIO_UID,
	CPIO_GID,
	CPIO_NLINK,
	CPIO_MTIME,
	CPIO_FILESIZE,
	CPIO_MAJOR,
	CPIO_MINOR,
	CPIO_RMAJOR,
	CPIO_RMINOR,
	CPIO_NAMESIZE
};

struct cpio_entry {
	const char *name; /* with its NUL, inside the archive */
	u32 mode, rdev;
	u32 mtime; /* seconds since 1970 */
	const u8 *data;
	size_t size;
};

static u32 field(const char *header, enum cpio_field n)
{
	const char *digits = header + 6 + n * 8;
	u32 value = 0;

	for (unsigned i = 0; i < 8; i++) {
		u32 c = (u32)digits[i] | 0x20; /* lower case; digits stay what they are */
		value = value << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	return value;
}

/* Reads the entry at *pos and moves on. False at the end, or where the archive is broken. */
static bool next_entry(const u8 *archive, size_t size, size_t *pos, struct cpio_entry *entry)
{
	const char *header = (const char *)archive + *pos;

	if (*pos + HEADER_SIZE > size || (strncmp(header, "070701", 6) && strncmp(header, "070702", 6)))
		return false;
	size_t namesize = field(header, CPIO_NAMESIZE), filesize = field(header, CPIO_FILESIZE);
	size_t data = align_up(*pos + HEADER_SIZE + namesize, 4);
	if (!namesize || data > size || filesize > size - data || header[HEADER_SIZE + namesize - 1])
		return false;
	*entry = (struct cpio_entry){
		.name = header + HEADER_SIZE,
		.mode = field(header, CPIO_MODE),
		.rdev = field(header, CPIO_RMAJOR) << 8 | field(header, CPIO_RMINOR),
		.mtime = field(header, CPIO_MTIME),
		.data = archive + data,
		.size = filesize,
	};
	*pos = align_up(data + filesize, 4);
	return true;
}

/*
 * => fs_tree_lock held for writing. The directory that the path's last name is in, made as needed; *name is that name.
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

/* => fs_tree_lock held for writing. The dentry, or an error pointer. A later entry of the same name replaces a file. */
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

static long unpack_entry(const struct cpio_entry *entry)
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
	return ret;
}

void initramfs_unpack(void)
{
	size_t size, pos = 0;
	const u8 *archive = boot_initramfs(&size);
	struct cpio_entry entry;

	while (next_entry(archive, size, &pos, &entry)) {
		if (!strcmp(entry.name, "TRAILER!!!"))
			return;
		long ret = unpack_entry(&entry);
		if (ret) {
			klog("initramfs: %s cannot be unpacked: error %ld", entry.name, ret);
			return;
		}
	}
	if (size)
		klog("initramfs: the archive is broken at byte %zu of %zu", pos, size);
}
