/* SPDX-License-Identifier: MIT */
/*
 * File systems, and where they are mounted. A struct super_block is one file system in use. There are no bind mounts,
 * so it is mounted in at most one place, and represents the mount as well.
 *
 * The root dentry of a mounted file system takes the place of the directory that it covers: it gets that directory's
 * name and parent, and the covered dentry points to it. So "..", printed paths and walks need to know nothing else of
 * mounts.
 *
 * Locks: fs_tree_lock guards what is mounted where.
 */
#ifndef KERNEL_FS_SUPER_H
#define KERNEL_FS_SUPER_H

#include "kernel/fs/inode.h"
#include "kernel/fs/text.h"
#include "mm/cache/mapping.h"

struct block_device;
struct super_block;

#define MS_RDONLY 1UL
#define MS_NOSUID 2UL
#define MS_NODEV 4UL
#define MS_NOEXEC 8UL
#define MS_SYNCHRONOUS 16UL
#define MS_REMOUNT 32UL
#define MS_DIRSYNC 128UL
#define MS_NOATIME 1024UL
#define MS_NODIRATIME 2048UL
#define MS_BIND 4096UL
#define MS_MOVE 8192UL
#define MS_SILENT 32768UL
#define MS_UNBINDABLE (1UL << 17)
#define MS_PRIVATE (1UL << 18)
#define MS_SLAVE (1UL << 19)
#define MS_SHARED (1UL << 20)
#define MS_RELATIME (1UL << 21)
#define MS_STRICTATIME (1UL << 24)

/* Room in a file system, for statfs. */
struct super_usage {
	u64 blocks, free_blocks; /* of PAGE_SIZE bytes */
	u64 files, free_files;
};

/* A type of file system. Functions that it does not need are NULL. */
struct fs_type {
	const char *name;
	u64 magic;	   /* statfs: f_type */
	bool needs_device; /* is mounted from a struct block_device */
	bool computed;	   /* the kernel generates names and contents: nothing can be created or removed */
	bool shmem;	   /* pages of its files count as RssShmem, not RssFile */

	/*
	 * Sets sb->root according to `options` (writable; "" for none): 0 or -errno. Only the caller knows the file
	 * system. Sleeps; fs_tree_lock is not held.
	 */
	int (*mount)(struct super_block *sb, char *options);
	/*
	 * mount -o remount; `options` as for mount(). If not `readonly`, sb->flags permits writing from then on.
	 * => fs_tree_lock held for writing. Sleeps.
	 */
	int (*remount)(struct super_block *sb, char *options, bool readonly);
	/* Appends the options to a line of /proc/mounts, each after a comma. => fs_tree_lock held. */
	void (*show_options)(const struct super_block *sb, struct text *text);
	/* Reports the space; NULL: all of it is 0. */
	void (*usage)(const struct super_block *sb, struct super_usage *usage);
	/* Writes everything back: 0 or -EIO. Sleeps; fs_tree_lock may be held. */
	int (*sync)(struct super_block *sb);
	/* Drops the pages that can be read again. Sleeps; fs_tree_lock is held for reading. */
	void (*drop_pages)(struct super_block *sb);
	/* Called after the last dentry and inode were freed. Sleeps. */
	void (*unmount)(struct super_block *sb);

	/* ---- Names; => fs_tree_lock held for writing. NULL: they are in memory only ---- */
	/*
	 * Returns a new inode without a name, or an error pointer; symbolic links have a target. For O_TMPFILE the lock
	 * is not held.
	 */
	struct inode *(*create)(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len);
	/* Records that `dentry`, whose parent and name are set, is about to be linked, or unlinked: 0 or -errno. */
	int (*add_name)(struct dentry *dentry);
	int (*remove_name)(struct dentry *dentry);
	/*
	 * Records a rename of `dentry` to `name` in `dir`. If `target` is not NULL, it has that name; it is removed or,
	 * with `exchange`, gets the old place and name of `dentry`. 0, or -errno with nothing changed.
	 */
	int (*rename)(struct dentry *dentry, struct dentry *dir, const char *name, struct dentry *target,
		      bool exchange);
};

struct super_block {
	const struct fs_type *type;  /* constant, and so are the next four */
	u32 dev;		     /* st_dev */
	struct block_device *device; /* claimed, or NULL */
	void *private;		     /* for the type */
	struct dentry *root;	     /* with a reference */

	struct list_head link;	   /* fs_tree_lock: in the list of mounted file systems, oldest first */
	struct dentry *mountpoint; /* fs_tree_lock; with a reference; NULL: the root, or not in the tree */
	char *source;		   /* fs_tree_lock; what mount(8) calls the device */
	u64 flags;		   /* MS_*; each value is whole, and read without a lock */

	bool incomplete;	    /* set during creation if memory is short: the mount fails */
	u64 nr_inodes;		    /* atomic; existing inodes */
	struct mapping_quota quota; /* of files in memory */
};

/* For files that have no place in the tree: pipes, eventfds, pidfds; and memfds. */
extern struct super_block anon_super, memfd_super;

/* Returns the ID of its mount, for mountinfo and fdinfo: each file system has one mount. */
static inline u32 super_mount_id(const struct super_block *sb)
{
	return sb->dev + 20;
}
static inline bool super_is_readonly(const struct super_block *sb)
{
	return READ_ONCE(sb->flags) & MS_RDONLY;
}
static inline bool dentry_is_computed(const struct dentry *dentry)
{
	return dentry->inode->sb->type->computed;
}
/* Returns the root of the file system that is mounted on the dentry (the topmost), or itself. => fs_tree_lock held. */
static inline struct dentry *dentry_top(struct dentry *dentry)
{
	assert_rwsem_held(&fs_tree_lock);
	while (dentry->covered)
		dentry = dentry->covered;
	return dentry;
}

/*
 * Returns a new file system of that type, not mounted yet, or NULL if there is no memory. It takes over `source`, which
 * must be kmalloc()ed. super_destroy() frees one that is not mounted; it may have a root. Sleep.
 */
struct super_block *super_create(const struct fs_type *type, char *source, u64 flags);
void super_destroy(struct super_block *sb);
/* Calls type->mount(). Returns 0 or -errno. Sleeps. */
int super_fill(struct super_block *sb, char *options);
/* Mounts it on a directory (NULL: as the root of the tree). Returns 0 or -ENOMEM. => fs_tree_lock held for writing. */
int super_attach(struct super_block *sb, struct dentry *mountpoint);
/* Removes it from the tree. => fs_tree_lock held for writing. */
void super_detach(struct super_block *sb);
/* The same for a file system that is in use, and for all that are mounted in it. => fs_tree_lock held for writing. */
void super_detach_busy(struct super_block *sb);
/* Destroys the file systems detached while busy that are not in use any more. Takes fs_tree_lock. Sleeps. */
void super_destroy_unused(void);
/* Shut-down: destroys all file systems. Of kernel/fs, only the checks for leaks may be called afterwards. */
void super_destroy_all(void);
/*
 * Returns true if a file, a directory or a mount point in it is in use, apart from `nr` references to its root.
 * => fs_tree_lock held for writing.
 */
bool super_is_busy(const struct super_block *sb, u32 nr);
/* Returns true if a file in it is open for writing. => fs_tree_lock held for writing. */
bool super_has_writers(const struct super_block *sb);
/*
 * Returns the next dentry in the tree below `root`, parents first; NULL after the last. Context: fs_tree_lock held, or
 * at mount.
 */
struct dentry *dentry_next(const struct dentry *root, struct dentry *dentry);
/* Writes back all mounted file systems: sync(2). Sleeps. */
void super_sync_all(void);
/* Drops the pages of all mounted file systems: /proc/sys/vm/drop_caches. Sleeps. */
void super_drop_pages(void);

/* Returns the type of that name, or NULL. */
const struct fs_type *fs_type_find(const char *name);
/* Writes the rows of /proc/filesystems; for those of mounts and mountinfo see procfs.h. */
void show_filesystems(struct text *text);

/* Boot: mounts a file system of that type on a directory, which it creates. Panics if there is no memory. */
struct super_block *mount_at_boot(const char *path, const char *type, u32 mode);

extern const struct fs_type tmpfs_type, ramfs_type, devtmpfs_type, proc_type, sysfs_type;

#endif
