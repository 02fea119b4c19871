/* SPDX-License-Identifier: MIT */
/*
 * The system calls mount(2) and umount2(2). A new file system is created without any lock held, since that may read a
 * device, and attached to the tree with fs_tree_lock held for writing. Errors are Linux's, in Linux's order.
 */
#include "drivers/block.h"
#include "kernel/fs/fs_syscalls.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/super.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/sync/rcu.h"
#include "kernel/uaccess.h"
#include "mm/page/slab.h"

#define MS_MAGIC 0xc0ed0000UL /* in the upper half; required by old versions of Linux */
#define MS_MAGIC_MASK 0xffff0000UL
#define MS_PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)
#define MS_KEPT                                                                                                        \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOATIME | MS_NODIRATIME |     \
	 MS_RELATIME)
#define MNT_FORCE 1u
#define MNT_DETACH 2u
#define UMOUNT_NOFOLLOW 8u

/* The strings of a mount(2), copied; kfree()d by mount_args_put(). */
struct mount_args {
	char *source, *type, *options; /* NULL: none was given */
	u64 flags;
};

static char *string_from_user(u64 addr)
{
	return addr ? path_from_user(addr) : NULL;
}

/* Missing options are the same as empty ones for most file systems. */
static char *options_from_user(u64 addr)
{
	char *text = string_from_user(addr);

	return text ? text : kstrdup("");
}

static void mount_put_string(char *text)
{
	if (!is_err(text))
		kfree(text);
}

static void mount_args_put(struct mount_args *args)
{
	mount_put_string(args->source);
	mount_put_string(args->type);
	mount_put_string(args->options);
}

static int mount_args_get(struct mount_args *args, u64 source, u64 type, u64 flags, u64 options)
{
	if ((flags & MS_MAGIC_MASK) == MS_MAGIC)
		flags &= ~MS_MAGIC_MASK;
	args->flags = flags;
	args->type = string_from_user(type);
	args->source = string_from_user(source);
	args->options = options_from_user(options);
	if (is_err(args->type))
		return (int)ptr_err(args->type);
	if (is_err(args->source))
		return (int)ptr_err(args->source);
	if (!args->options)
		return -ENOMEM;
	return is_err(args->options) ? (int)ptr_err(args->options) : 0;
}

/* ---- A new mount ------------------------------------------------------------------------------------------------- */

/* Defaults to relatime, as on Linux, and drops unknown flags. */
static u64 kept_flags(u64 flags)
{
	if (!(flags & (MS_NOATIME | MS_STRICTATIME)))
		flags |= MS_RELATIME;
	return flags & MS_KEPT;
}

/* Claims the device that the source names. Returns 0, or -ENOENT, -ENOTBLK, -ENXIO, -EBUSY, ... */
static int mount_claim_device(struct super_block *sb)
{
	struct block_device *device = NULL;
	struct dentry *node;
	int ret = path_lookup(AT_FDCWD, sb->source, LOOKUP_FOLLOW, &node);

	if (ret)
		return ret;
	if (!S_ISBLK(node->inode->mode))
		ret = -ENOTBLK;
	else if (!(device = block_find(node->inode->rdev)) || READ_ONCE(device->removed))
		ret = -ENXIO;
	else if (!block_claim(device, sb))
		ret = -EBUSY;
	else
		sb->device = device;
	dentry_put(node);
	return ret;
}

/* Linux has one proc and one sysfs for all mounts, and refuses to mount one over itself. */
static bool is_there_already(const struct super_block *sb, const struct dentry *target)
{
	return sb->type->computed && target->inode->sb->type == sb->type && target == target->inode->sb->root;
}

/* Another file system may have been mounted on the target since it was looked up; then covers the root of that one. */
static int mount_attach(struct super_block *sb, struct dentry *target)
{
	int ret;

	down_write(&fs_tree_lock);
	target = dentry_top(target);
	if (target == fs_root)
		ret = -EBUSY; /* Linux would cover it, where no process sees it */
	else if (!target->linked)
		ret = -ENOENT;
	else
		ret = super_attach(sb, target);
	up_write(&fs_tree_lock);
	return ret;
}

static int mount_super(struct super_block *sb, struct mount_args *args, struct dentry *target)
{
	int ret = sb->type->needs_device ? mount_claim_device(sb) : 0;

	if (!ret && is_there_already(sb, target))
		ret = -EBUSY;
	if (!ret)
		ret = super_fill(sb, args->options);
	return ret ? ret : mount_attach(sb, target);
}

static int mount_new(struct mount_args *args, struct dentry *target)
{
	const struct fs_type *type = args->type ? fs_type_find(args->type) : NULL;
	struct super_block *sb;
	char *source;
	int ret;

	if (!args->type)
		return -EINVAL;
	if (!type)
		return -ENODEV;
	if (type->needs_device && !args->source)
		return -EINVAL;
	if (!S_ISDIR(target->inode->mode))
		return -ENOTDIR;
	source = kstrdup(args->source && *args->source ? args->source : "none");
	sb = source ? super_create(type, source, kept_flags(args->flags)) : NULL;
	if (!sb) {
		kfree(source);
		return -ENOMEM;
	}
	ret = mount_super(sb, args, target);
	if (ret)
		super_destroy(sb);
	return ret;
}

/* ---- Remounting -------------------------------------------------------------------------------------------------- */

/* For a read-only mount, MS_RDONLY is set already, so that no new writer appears. => fs_tree_lock held for writing. */
static int change_mount(struct super_block *sb, struct mount_args *args, bool readonly)
{
	int ret = 0;

	assert_rwsem_write_held(&fs_tree_lock);
	if (readonly && super_has_writers(sb))
		return -EBUSY;
	if (sb->type->remount)
		ret = sb->type->remount(sb, args->options, readonly);
	if (!ret && readonly && sb->type->sync)
		ret = sb->type->sync(sb);
	return ret;
}

/* => fs_tree_lock held for writing. */
static int remount_locked(struct super_block *sb, struct mount_args *args)
{
	u64 flags = kept_flags(args->flags), before = sb->flags;
	int ret;

	assert_rwsem_write_held(&fs_tree_lock);
	atomic_or(&sb->flags, flags & MS_RDONLY);
	ret = change_mount(sb, args, flags & MS_RDONLY);
	WRITE_ONCE(sb->flags, ret ? before : flags);
	return ret;
}

static int remount(struct mount_args *args, struct dentry *target)
{
	struct super_block *sb = target->inode->sb;
	int ret;

	if (target != sb->root)
		return -EINVAL;
	down_write(&fs_tree_lock);
	ret = remount_locked(sb, args);
	up_write(&fs_tree_lock);
	return ret;
}

static int do_mount(struct mount_args *args, struct dentry *target)
{
	if (args->flags & MS_REMOUNT)
		return remount(args, target);
	if (args->flags & (MS_BIND | MS_MOVE))
		return -EINVAL;		  /* a file system has one place, which does not change */
	if (args->flags & MS_PROPAGATION) /* there is one namespace, so nothing to propagate to */
		return target == target->inode->sb->root ? 0 : -EINVAL;
	return mount_new(args, target);
}

SYSCALL(mount)
{
	struct mount_args args = {};
	struct dentry *target;
	long ret = mount_args_get(&args, a0, a2, a3, a4);

	if (!ret)
		ret = user_path_lookup(AT_FDCWD, a1, LOOKUP_FOLLOW, &target);
	if (!ret) {
		super_destroy_unused();
		ret = process_is_privileged(current->process) ? do_mount(&args, target) : -EPERM;
		dentry_put(target);
	}
	mount_args_put(&args);
	return ret;
}

/* ---- Unmounting -------------------------------------------------------------------------------------------------- */

/*
 * => fs_tree_lock held for writing. Removes the file system from the tree: 0 (*gone: it is not in use), -EBUSY or
 * -EINVAL.
 */
static int mount_detach(struct super_block *sb, u32 flags, bool *gone)
{
	bool busy = super_is_busy(sb, 1); /* the caller has a reference to the root */

	assert_rwsem_write_held(&fs_tree_lock);
	if (list_empty(&sb->link) || !sb->mountpoint)
		return sb->root == fs_root ? -EBUSY : -EINVAL;
	if (busy && !(flags & MNT_DETACH))
		return -EBUSY;
	*gone = !busy;
	if (busy)
		super_detach_busy(sb);
	else
		super_detach(sb);
	return 0;
}

#define GRACE_PERIODS 3

/*
 * A file that was unmapped recently is put only after a grace period or two. So the file system counts as busy only if
 * it still is after GRACE_PERIODS of them.
 */
static int detach_settled(struct super_block *sb, u32 flags, bool *gone)
{
	int ret = -EBUSY;

	for (unsigned i = 0; ret == -EBUSY && i < GRACE_PERIODS; i++) {
		rcu_barrier();
		down_write(&fs_tree_lock);
		ret = mount_detach(sb, flags, gone);
		up_write(&fs_tree_lock);
	}
	return ret;
}

static int unmount(struct dentry *root, u32 flags)
{
	struct super_block *sb = root->inode->sb;
	bool gone = false;
	int ret;

	if (sb->type->sync)
		(void)sb->type->sync(sb); /* data that cannot be written is lost, as on Linux */
	ret = detach_settled(sb, flags, &gone);
	dentry_put(root);
	if (gone && sb->type->sync)
		(void)sb->type->sync(sb); /* writes since the first sync */
	if (gone)
		super_destroy(sb);
	super_destroy_unused(); /* this mount may have been all that kept another one busy */
	return ret;
}

SYSCALL(umount2)
{
	u32 flags = (u32)a1;
	struct dentry *root;
	long ret;

	if (flags & ~(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW))
		return -EINVAL;
	ret = user_path_lookup(AT_FDCWD, a0, flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &root);
	if (ret)
		return ret;
	super_destroy_unused();
	if (!process_is_privileged(current->process))
		ret = -EPERM;
	else if (root != root->inode->sb->root)
		ret = -EINVAL;
	if (ret) {
		dentry_put(root);
		return ret;
	}
	return unmount(root, flags);
}
