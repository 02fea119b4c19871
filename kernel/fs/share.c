/* SPDX-License-Identifier: MIT */
/*
 * Copies the changes in /share to the host: see share.h. An inode that came from the boot module refers to its entry
 * there, which is still in memory. It is compared with that entry byte by byte, since times do not show writes through
 * a mapping.
 *
 * Only the root's own file system is examined: file systems mounted on /share, or below it, are left out.
 */
#include "kernel/fs/share.h"
#include "drivers/debugcon.h"
#include "kernel/boot_info.h"
#include "kernel/boot_words.h"
#include "kernel/fs/cpio.h"
#include "kernel/fs/fs.h"
#include "kernel/fs/regular.h"
#include "kernel/fs/super.h"
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"
#include "kernel/sched/sched.h"
#include "mm/cache/mapping.h"

#define SHARE "share"
#define PREFIX_SIZE (sizeof(SHARE "/") - 1)
#define MAX_SIZE 0xffffffffUL /* of a file in a cpio archive */
#define NS_PER_SECOND 1000000000UL

static u64 written; /* bytes of the archive so far */

void share_note(struct inode *inode, const void *header)
{
	inode->private = (void *)header;
}

/* ---- Writing the archive ----------------------------------------------------------------------------------------- */

static void share_put(const void *bytes, size_t size)
{
	debugcon_write(DEBUGCON_SHARE, bytes, size);
	written += size;
}

static void pad(void)
{
	share_put("\0\0\0", -written & 3);
}

static void put_head(const struct cpio_entry *entry)
{
	char header[CPIO_HEADER_SIZE + 1];

	cpio_format(header, entry);
	share_put(header, CPIO_HEADER_SIZE);
	share_put(entry->name, strlen(entry->name) + 1);
	pad();
}

static void put_gone(const char *name)
{
	put_head(&(struct cpio_entry){ .name = name, .mode = S_IFCHR, .nlink = 1 });
}

/* ---- Removed names ----------------------------------------------------------------------------------------------- */

/* Returns the name below /share, "." for /share itself, or NULL for a path elsewhere. `path` has no leading slash. */
static const char *name_below(const char *path)
{
	if (!strcmp(path, SHARE))
		return ".";
	return strncmp(path, SHARE "/", PREFIX_SIZE) ? NULL : path + PREFIX_SIZE;
}

/*
 * Returns the dentry of a path from the root, or NULL. Ignores mounts and does not follow links. => fs_tree_lock held.
 */
static struct dentry *share_find(const char *path)
{
	struct dentry *dentry = fs_root;

	assert_rwsem_held(&fs_tree_lock);
	while (dentry && *path) {
		const char *slash = strchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : strlen(path);

		dentry = S_ISDIR(dentry->inode->mode) ? dentry_find(dentry, path, len) : NULL;
		path += slash ? len + 1 : len;
	}
	return dentry;
}

/* => fs_tree_lock held. */
static void put_all_gone(void)
{
	size_t size, pos = 0;
	const u8 *archive = boot_initramfs(&size);
	struct cpio_entry entry;

	assert_rwsem_held(&fs_tree_lock);
	while (cpio_next(archive, size, &pos, &entry)) {
		const char *name = name_below(entry.name);

		if (name && !share_find(entry.name))
			put_gone(name);
		cond_resched();
	}
}

/* ---- New and changed files --------------------------------------------------------------------------------------- */

/* Calls fn with each page of the file (the last may be a part) until it returns false. Returns true if it never did. */
static bool each_page(const struct inode *inode, bool (*fn)(const u8 *bytes, size_t size, const u8 *old), const u8 *old)
{
	static const u8 hole[PAGE_SIZE];
	u64 size = inode_size(inode);
	bool more = true;

	for (u64 pos = 0; more && pos < size; pos += PAGE_SIZE) {
		struct page *page = mapping_find(inode->mapping, pos >> PAGE_SHIFT);

		more = fn(page ? page_to_virt(page) : hole, min(size - pos, PAGE_SIZE), old ? old + pos : NULL);
		if (page)
			page_put(page);
		cond_resched();
	}
	return more;
}

static bool is_same_page(const u8 *bytes, size_t size, const u8 *old)
{
	return !memcmp(bytes, old, size);
}

static bool share_put_page(const u8 *bytes, size_t size, const u8 *old __maybe_unused)
{
	share_put(bytes, size);
	return true;
}

static bool has_same_contents(const struct inode *inode, const struct cpio_entry *old)
{
	if (S_ISDIR(inode->mode))
		return true;
	if (S_ISLNK(inode->mode))
		return inode->size == old->size && !memcmp(inode->target, old->data, old->size);
	return inode->nlink == 1 && inode_size(inode) == old->size && each_page(inode, is_same_page, old->data);
}

/* Returns true if the boot module has the same file under this path. */
static bool is_unchanged(const struct inode *inode, const char *path)
{
	size_t size, pos;
	const u8 *archive = boot_initramfs(&size);
	struct cpio_entry old;

	if (!inode->private)
		return false;
	pos = (size_t)((const u8 *)inode->private - archive);
	return cpio_next(archive, size, &pos, &old) && !strcmp(old.name, path) && old.mode == inode->mode &&
	       has_same_contents(inode, &old);
}

static void put_file(const char *name, struct inode *inode)
{
	inode_settle_times(inode);
	put_head(&(struct cpio_entry){
		.name = name,
		.ino = (u32)inode->ino,
		.mode = inode->mode,
		.nlink = inode->nlink,
		.mtime = (u32)(inode->times.mtime / NS_PER_SECOND),
		.size = S_ISDIR(inode->mode) ? 0 : inode_size(inode),
	});
	if (S_ISREG(inode->mode))
		each_page(inode, share_put_page, NULL);
	else if (S_ISLNK(inode->mode))
		share_put(inode->target, inode->size);
	pad();
}

/* Returns the reason why the file cannot be copied, or NULL. */
static const char *obstacle(const struct inode *inode, const char *path)
{
	if (!path)
		return "its path is too long";
	if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode) && !S_ISLNK(inode->mode))
		return "it is not a regular file, directory or symbolic link";
	return S_ISREG(inode->mode) && inode_size(inode) > MAX_SIZE ? "it has 4 GiB or more" : NULL;
}

/* => fs_tree_lock held. */
static void put_tree(struct dentry *root)
{
	static char buf[PATH_MAX];

	assert_rwsem_held(&fs_tree_lock);
	for (struct dentry *dentry = root; dentry; dentry = dentry_next(root, dentry)) {
		const char *path = dentry_path(dentry, buf, sizeof(buf));
		const char *why = obstacle(dentry->inode, path);

		if (why)
			klog_record("FAULTLINE-SHARE %s is not copied to the host: %s", path ? path : dentry->name,
				    why);
		else if (!is_unchanged(dentry->inode, path + 1))
			put_file(name_below(path + 1), dentry->inode);
	}
}

/* If /share itself is gone, the archive has only the entry that says so. */
void share_copy_out(void)
{
	struct dentry *root;

	if (!boot_option("share", NULL, 0) || !initramfs_is_whole())
		return;
	down_read(&fs_tree_lock);
	root = share_find(SHARE);
	if (root && S_ISDIR(root->inode->mode)) {
		put_all_gone();
		put_tree(root);
	} else {
		put_gone(".");
	}
	put_head(&(struct cpio_entry){ .name = CPIO_TRAILER, .nlink = 1 });
	up_read(&fs_tree_lock);
}
