/* SPDX-License-Identifier: MIT */
/*
 * The types of file system whose files are in memory: tmpfs, which has a limit; ramfs, which has none; and devtmpfs,
 * which has the devices in it from the start. Their files are implemented in ramfs.c. Takes fs_tree_lock.
 */
#include "kernel/fs/devices.h"
#include "kernel/fs/mount_options.h"
#include "kernel/fs/ramfs.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "mm/page/page_alloc.h"

#define TMPFS_MAGIC 0x01021994
#define RAMFS_MAGIC 0x858458f6

struct tmpfs_options {
	u64 max_pages, mode;
};

/* Returns true for options that are accepted and have no effect. */
static bool is_accepted(const char *name)
{
	static const char *const names[] = { "nr_inodes", "uid", "gid", "huge", "inode64", "inode32", "mpol" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static int tmpfs_parse_options(char *text, struct tmpfs_options *options)
{
	struct mount_option option;

	while (mount_option_next(&text, &option)) {
		int ret = 0;

		if (!strcmp(option.name, "size"))
			ret = mount_option_pages(option.value, 1, &options->max_pages);
		else if (!strcmp(option.name, "nr_blocks"))
			ret = mount_option_pages(option.value, PAGE_SIZE, &options->max_pages);
		else if (!strcmp(option.name, "mode"))
			ret = mount_option_number(option.value, &options->mode);
		else if (!is_accepted(option.name))
			ret = -EINVAL;
		if (ret)
			return ret;
	}
	return 0;
}

static int make_root(struct super_block *sb, u32 mode)
{
	struct inode *inode = ramfs_inode(sb, S_IFDIR | (mode & 07777), 0);

	sb->root = inode ? dentry_alloc(NULL, "", 0, inode) : NULL;
	return sb->root ? 0 : -ENOMEM;
}

static u64 tmpfs_limit_of(const struct tmpfs_options *options)
{
	return options->max_pages ? options->max_pages : ~0UL;
}

static int tmpfs_mount(struct super_block *sb, char *text)
{
	struct tmpfs_options options = { .max_pages = nr_managed_pages() / 2, .mode = 01777 };
	int ret = tmpfs_parse_options(text, &options);

	sb->quota.max_pages = tmpfs_limit_of(&options);
	return ret ? ret : make_root(sb, (u32)options.mode);
}

static int tmpfs_remount(struct super_block *sb, char *text, bool readonly __maybe_unused)
{
	struct tmpfs_options options = { .max_pages = sb->quota.max_pages };
	int ret = tmpfs_parse_options(text, &options);

	if (ret)
		return ret;
	if (tmpfs_limit_of(&options) < READ_ONCE(sb->quota.nr_pages))
		return -EINVAL;
	WRITE_ONCE(sb->quota.max_pages, tmpfs_limit_of(&options));
	return 0;
}

/* As on Linux, default values are not shown. */
static void tmpfs_show_options(const struct super_block *sb, struct text *text)
{
	u32 mode = sb->root->inode->mode & 07777;

	if (sb->quota.max_pages != ~0UL && sb->quota.max_pages != nr_managed_pages() / 2)
		text_printf(text, ",size=%luk", sb->quota.max_pages << (PAGE_SHIFT - 10));
	if (mode != 01777)
		text_printf(text, ",mode=%03o", mode);
}

static void tmpfs_usage(const struct super_block *sb, struct super_usage *usage)
{
	u64 limit = min(READ_ONCE(sb->quota.max_pages), nr_managed_pages());
	u64 used = READ_ONCE(sb->quota.nr_pages);

	usage->blocks = limit;
	usage->free_blocks = min(limit - min(used, limit), nr_free_pages());
	usage->files = nr_managed_pages();
	usage->free_files = nr_free_pages();
}

const struct fs_type tmpfs_type = {
	.name = "tmpfs",
	.magic = TMPFS_MAGIC,
	.shmem = true,
	.mount = tmpfs_mount,
	.remount = tmpfs_remount,
	.show_options = tmpfs_show_options,
	.usage = tmpfs_usage,
	.create = ramfs_create,
};

/* As on Linux, unknown options are ignored. */
static int ramfs_mount(struct super_block *sb, char *text)
{
	struct mount_option option;
	u64 mode = 0755;

	while (mount_option_next(&text, &option))
		if (!strcmp(option.name, "mode") && mount_option_number(option.value, &mode))
			return -EINVAL;
	return make_root(sb, (u32)mode);
}

const struct fs_type ramfs_type = {
	.name = "ramfs",
	.magic = RAMFS_MAGIC,
	.mount = ramfs_mount,
	.create = ramfs_create,
};

static int devtmpfs_mount(struct super_block *sb, char *text)
{
	struct tmpfs_options options = { .mode = 0755 };
	int ret = tmpfs_parse_options(text, &options);

	if (!ret)
		ret = make_root(sb, (u32)options.mode);
	if (ret)
		return ret;
	down_write(&fs_tree_lock);
	devices_create(sb->root);
	up_write(&fs_tree_lock);
	return sb->incomplete ? -ENOMEM : 0;
}

const struct fs_type devtmpfs_type = {
	.name = "devtmpfs",
	.magic = TMPFS_MAGIC,
	.shmem = true,
	.mount = devtmpfs_mount,
	.show_options = tmpfs_show_options,
	.usage = tmpfs_usage,
	.create = ramfs_create,
};
