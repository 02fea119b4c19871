/* SPDX-License-Identifier: MIT */
/*
 * File systems in use: their creation, mounting, checks for users, and unmounting. fs_tree_lock guards the list of
 * those that are mounted; the types document which locks they take besides.
 */
#include "kernel/fs/super.h"
#include "drivers/block.h"
#include "kernel/fs/dir.h"
#include "kernel/fs/faultfs/faultfs.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/string.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "mm/page/slab.h"

static const struct fs_type *const types[] = {
	&sysfs_type, &tmpfs_type, &proc_type, &devtmpfs_type, &ramfs_type, &faultfs_type,
};

static const struct fs_type anon_type = { .name = "pipefs", .magic = 0x50495045 };

struct super_block anon_super = { .type = &anon_type, .quota = { .max_pages = ~0UL } };
struct super_block memfd_super = { .type = &tmpfs_type, .quota = { .max_pages = ~0UL } };

static struct list_head mounted = LIST_HEAD_INIT(mounted);   /* fs_tree_lock */
static struct list_head detached = LIST_HEAD_INIT(detached); /* fs_tree_lock; removed from the tree, but still in use */
static u32 last_dev;					     /* atomic */

const struct fs_type *fs_type_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i]->name, name))
			return types[i];
	return NULL;
}

struct super_block *super_create(const struct fs_type *type, char *source, u64 flags)
{
	struct super_block *sb = kmalloc(sizeof(*sb), ALLOC_ZERO);

	assert_may_sleep();
	if (!sb)
		return NULL;
	sb->type = type;
	sb->source = source;
	sb->flags = flags;
	sb->quota.max_pages = ~0UL;
	sb->dev = atomic_add_return(&last_dev, 1);
	list_init(&sb->link);
	return sb;
}

int super_fill(struct super_block *sb, char *options)
{
	int ret = sb->type->mount(sb, options);

	assert_may_sleep();
	if (!ret)
		sb->root->linked = true;
	return ret;
}

/* ---- Mounting and unmounting ------------------------------------------------------------------------------------- */

/*
 * Sets the root's name and parent (itself, outside the tree), under fs_rename_lock since paths are printed under it.
 * Frees the old name and puts the old parent.
 */
static void place_root(struct dentry *root, struct dentry *parent, char *name)
{
	struct dentry *old_parent = root->parent;
	char *old_name = root->name;

	if (parent != root)
		dentry_get(parent);
	spin_lock(&fs_rename_lock);
	root->parent = parent;
	root->name = name;
	spin_unlock(&fs_rename_lock);
	if (old_name != name)
		kfree(old_name);
	if (old_parent != root)
		dentry_put(old_parent);
}

int super_attach(struct super_block *sb, struct dentry *mountpoint)
{
	char *name;

	assert_rwsem_write_held(&fs_tree_lock);
	if (!mountpoint) {
		fs_root = sb->root;
	} else {
		name = kstrdup(mountpoint->name);
		if (!name)
			return -ENOMEM;
		place_root(sb->root, mountpoint->parent, name);
		sb->mountpoint = dentry_get(mountpoint);
		mountpoint->covered = sb->root;
	}
	list_add_tail(&mounted, &sb->link);
	return 0;
}

void super_detach(struct super_block *sb)
{
	struct dentry *mountpoint = sb->mountpoint;

	assert_rwsem_write_held(&fs_tree_lock);
	list_del(&sb->link);
	sb->mountpoint = NULL;
	if (!mountpoint) {
		fs_root = NULL;
		return;
	}
	mountpoint->covered = NULL;
	place_root(sb->root, sb->root, sb->root->name);
	dentry_put(mountpoint);
}

/* ---- Walks over a whole file system ------------------------------------------------------------------------------ */

struct dentry *dentry_next(const struct dentry *root, struct dentry *dentry)
{
	struct dentry *next = dentry_first_child(dentry, 0);

	for (; !next && dentry != root; dentry = dentry->parent)
		next = dentry_next_sibling(dentry);
	return next;
}

/*
 * In an unused tree, each dentry has one reference from its directory and one from each of its children. An open file
 * adds a reference to its dentry; an unlinked file that is open still has one to its directory.
 */
bool super_is_busy(const struct super_block *sb, u32 nr)
{
	assert_rwsem_write_held(&fs_tree_lock);
	for (struct dentry *dentry = sb->root; dentry; dentry = dentry_next(sb->root, dentry)) {
		u32 expected = 1 + (u32)dentry->children.nr + (dentry == sb->root ? nr : 0);

		if (READ_ONCE(dentry->refcount) != expected)
			return true;
	}
	return false;
}

bool super_has_writers(const struct super_block *sb)
{
	assert_rwsem_write_held(&fs_tree_lock);
	for (struct dentry *dentry = sb->root; dentry; dentry = dentry_next(sb->root, dentry))
		if (READ_ONCE(dentry->inode->writers) > 0)
			return true;
	return false;
}

/*
 * Unlinks every name, depth first and without recursion: descends to a leaf, unlinks it, and continues at its parent.
 * The parent still exists, because it is linked itself or is the root.
 */
static void release_tree(struct dentry *root)
{
	struct dentry *dentry = root;

	while (dentry != root || dentry_has_children(dentry)) {
		if (dentry_has_children(dentry)) {
			dentry = dentry_first_child(dentry, 0);
			continue;
		}
		struct dentry *parent = dentry->parent;
		dentry_unlink(dentry);
		dentry = parent;
	}
	root->linked = false;
	dentry_put(root);
}

/*
 * Waits until no inode is left. Files that were mapped are put after a grace period. The thread that writes all files
 * back may then still hold a reference to one, but not after a sync that begins later. Returns false if an inode has
 * leaked, which needs its file system.
 */
static bool wait_for_inodes(struct super_block *sb)
{
	if (READ_ONCE(sb->nr_inodes))
		rcu_barrier();
	if (READ_ONCE(sb->nr_inodes) && sb->type->sync)
		(void)sb->type->sync(sb);
	return !READ_ONCE(sb->nr_inodes);
}

void super_destroy(struct super_block *sb)
{
	assert_may_sleep();
	if (sb->root) {
		down_write(&fs_tree_lock);
		release_tree(sb->root);
		up_write(&fs_tree_lock);
	}
	if (!wait_for_inodes(sb))
		return; /* the check at shut-down reports the inode */
	if (sb->type->unmount)
		sb->type->unmount(sb);
	if (sb->device)
		block_release(sb->device);
	kfree(sb->source);
	kfree(sb);
}

/* First waits until files that were unmapped recently are put, so that their space on a device is free afterwards. */
void super_sync_all(void)
{
	struct super_block *sb;

	rcu_barrier();
	down_read(&fs_tree_lock);
	list_for_each (sb, &mounted, link)
		if (sb->type->sync)
			(void)sb->type->sync(sb); /* sync(2) cannot report an error; fsync can */
	up_read(&fs_tree_lock);
}

/* => fs_tree_lock held. Returns true if sb is mounted in `below`, directly or indirectly. */
static bool is_mounted_in(const struct super_block *sb, const struct super_block *below)
{
	assert_rwsem_held(&fs_tree_lock);
	while (sb->mountpoint) {
		sb = sb->mountpoint->inode->sb;
		if (sb == below)
			return true;
	}
	return false;
}

/* Returns the newest file system that is mounted in `below`, or `below` itself. */
static struct super_block *innermost(struct super_block *below)
{
	struct super_block *sb, *found = below;

	list_for_each (sb, &mounted, link)
		if (is_mounted_in(sb, below))
			found = sb;
	return found;
}

void super_detach_busy(struct super_block *sb)
{
	struct super_block *next;

	assert_rwsem_write_held(&fs_tree_lock);
	do {
		next = innermost(sb);
		super_detach(next);
		list_add_tail(&detached, &next->link);
	} while (next != sb);
}

/* Removes a detached file system that is not in use any more from the list and returns it, or NULL. */
static struct super_block *super_take_unused(void)
{
	struct super_block *sb, *found = NULL;

	down_write(&fs_tree_lock);
	list_for_each (sb, &detached, link)
		if (!super_is_busy(sb, 0)) {
			found = sb;
			list_del(&sb->link);
			break;
		}
	up_write(&fs_tree_lock);
	return found;
}

void super_destroy_unused(void)
{
	struct super_block *sb;

	assert_may_sleep();
	while ((sb = super_take_unused()) != NULL) {
		if (sb->type->sync)
			(void)sb->type->sync(sb);
		super_destroy(sb);
	}
}

void super_drop_pages(void)
{
	struct super_block *sb;

	down_read(&fs_tree_lock);
	list_for_each (sb, &mounted, link)
		if (sb->type->drop_pages)
			sb->type->drop_pages(sb);
	up_read(&fs_tree_lock);
}

/* Destroys the newest first: it may be mounted on an older one. */
void super_destroy_all(void)
{
	while (!list_empty(&mounted)) {
		struct super_block *sb = container_of(mounted.prev, struct super_block, link);

		if (sb->type->sync)
			(void)sb->type->sync(sb);
		down_write(&fs_tree_lock);
		super_detach(sb);
		up_write(&fs_tree_lock);
		super_destroy(sb);
	}
	super_destroy_unused(); /* last: others may have been mounted in these after they were detached */
}

/* ---- Boot -------------------------------------------------------------------------------------------------------- */

struct super_block *mount_at_boot(const char *path, const char *type, u32 mode)
{
	const struct fs_type *fs_type = fs_type_find(type);
	struct super_block *sb = super_create(fs_type, kstrdup(type), MS_RELATIME);
	const char *name = strrchr(path, '/') + 1;
	char none[1] = "";
	struct dentry *dir = NULL;

	if (!sb || super_fill(sb, none))
		panic("no memory for %s at boot", path);
	sb->root->inode->mode = S_IFDIR | mode;
	down_write(&fs_tree_lock);
	if (*name) {
		struct dentry *parent = name - path > 1
						? dentry_top(dentry_find(fs_root, path + 1, (size_t)(name - path) - 2))
						: fs_root;
		dir = dir_create(parent, name, strlen(name), S_IFDIR | mode, 0);
	}
	if ((dir && is_err(dir)) || super_attach(sb, dir))
		panic("no memory for %s at boot", path);
	up_write(&fs_tree_lock);
	return sb;
}

/* ---- Tables for /proc -------------------------------------------------------------------------------------------- */

static const struct {
	u64 flag;
	const char *text;
} flag_names[] = {
	{ MS_SYNCHRONOUS, ",sync" },	  { MS_DIRSYNC, ",dirsync" },	{ MS_NOSUID, ",nosuid" },
	{ MS_NODEV, ",nodev" },		  { MS_NOEXEC, ",noexec" },	{ MS_NOATIME, ",noatime" },
	{ MS_NODIRATIME, ",nodiratime" }, { MS_RELATIME, ",relatime" },
};

static void super_show_flags(const struct super_block *sb, struct text *text)
{
	text_printf(text, "%s", sb->flags & MS_RDONLY ? "ro" : "rw");
	for (unsigned i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (sb->flags & flag_names[i].flag)
			text_printf(text, "%s", flag_names[i].text);
}

/* Writes a name as Linux does in these tables: with column separators in octal. */
static void show_escaped(struct text *text, const char *name)
{
	for (; *name; name++) {
		if (strchr(" \t\n\\", *name))
			text_printf(text, "\\%03o", (u8)*name);
		else
			text_append(text, name, 1);
	}
}

static void show_path(const struct super_block *sb, struct text *text)
{
	char *buf = kmalloc(PATH_MAX, ALLOC_WAIT);
	char *path = buf ? dentry_path(sb->root, buf, PATH_MAX) : NULL;

	show_escaped(text, path ? path : "?");
	kfree(buf);
}

typedef void show_row_t(const struct super_block *sb, struct text *text);

static void super_show_rows(struct text *text, show_row_t *show)
{
	struct super_block *sb;

	down_read(&fs_tree_lock);
	list_for_each (sb, &mounted, link)
		show(sb, text);
	up_read(&fs_tree_lock);
}

static void show_mount(const struct super_block *sb, struct text *text)
{
	show_escaped(text, sb->source);
	text_printf(text, " ");
	show_path(sb, text);
	text_printf(text, " %s ", sb->type->name);
	super_show_flags(sb, text);
	if (sb->type->show_options)
		sb->type->show_options(sb, text);
	text_printf(text, " 0 0\n");
}

int proc_show_mounts(struct text *text, u64 id)
{
	(void)id; /* all processes see the same tree */
	super_show_rows(text, show_mount);
	return 0;
}

static void show_info(const struct super_block *sb, struct text *text)
{
	const struct super_block *parent = sb->mountpoint ? sb->mountpoint->inode->sb : sb;

	text_printf(text, "%u %u 0:%u / ", super_mount_id(sb), super_mount_id(parent), sb->dev);
	show_path(sb, text);
	text_printf(text, " ");
	super_show_flags(sb, text);
	text_printf(text, " - %s ", sb->type->name);
	show_escaped(text, sb->source);
	text_printf(text, " %s", sb->flags & MS_RDONLY ? "ro" : "rw");
	if (sb->type->show_options)
		sb->type->show_options(sb, text);
	text_printf(text, "\n");
}

int proc_show_mountinfo(struct text *text, u64 id)
{
	(void)id;
	super_show_rows(text, show_info);
	return 0;
}

void show_filesystems(struct text *text)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		text_printf(text, "%s\t%s\n", types[i]->needs_device ? "" : "nodev", types[i]->name);
}
