/* SPDX-License-Identifier: MIT */
/*
 * File systems, and where they are mounted. A struct super_block is one file system in use. It is mounted in one place, for
 * there are no bind mounts; so it is the mount as well.
 *
 * The root dentry of a mounted file system takes the place of the directory it covers: it gets its name and its parent, and
 * the covered dentry points to it. So "..", paths and the walk need to know nothing else of mounts.
 *
 * Locks: fs_tree_lock for what is mounted where.
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

/* A kind of file system. What is NULL is not needed by it. */
struct fs_type {
	const char *name;
	u64 magic;	   /* statfs: f_type */
	bool needs_device; /* of struct block_device */
	bool computed;	   /* names and contents are made by the kernel: nothing can be created or removed */
	bool shmem;	   /* pages of its files count as RssShmem, not RssFile */

	/*
	 * Sets sb->root, from what `options` (writable; "" for none) ask for: 0 or -errno. Nobody else knows the file system
	 * yet. Sleeps; fs_tree_lock is not held.
	 */
	int (*mount)(struct super_block *sb, char *options);
	/* mount -o remount; the options, likewise. => fs_tree_lock held for writing. Sleeps. */
	int (*remount)(struct super_block *sb, char *options);
	/* Appends options to a line of /proc/mounts, each behind a comma. => fs_tree_lock held. */
	void (*show_options)(const struct super_block *sb, struct text *text);
	/* Room; NULL: there is none to tell of. */
	void (*usage)(const struct super_block *sb, struct super_usage *usage);
	/* Writes everything back: 0 or -EIO. Sleeps; fs_tree_lock may be held. */
	int (*sync)(struct super_block *sb);
	/* Drops the pages that can be read in again. Sleeps; fs_tree_lock is held for reading. */
	void (*drop_pages)(struct super_block *sb);
	/* After the last name and inode have gone. Sleeps. */
	void (*unmount)(struct super_block *sb);

	/* ---- Names; => fs_tree_lock held for writing. NULL: they live in memory alone ---- */
	/* A new inode without a name; symbolic links have a target. Error pointers. For O_TMPFILE the lock is not held. */
	struct inode *(*create)(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len);
	/* Records that `dentry`, whose parent and name are set, is about to be linked, or unlinked: 0 or -errno. */
	int (*add_name)(struct dentry *dentry);
	int (*remove_name)(struct dentry *dentry);
	/*
	 * Records a rename: `dentry` gets the place and name of `target`, which goes or, with `exchange`, gets those of the
	 * dentry; target NULL: a new name in dir. 0 or -errno: nothing has changed.
	 */
	int (*rename)(struct dentry *dentry, struct dentry *dir, const char *name, struct dentry *target,
		      bool exchange);
};

struct super_block {
	const struct fs_type *type;  /* constant, and so are the next four */
	u32 dev;		     /* st_dev */
	struct block_device *device; /* claimed, or NULL */
	void *private;		     /* of the type */
	struct dentry *root;	     /* with a reference */

	struct list_head link;	   /* fs_tree_lock: in the list of mounted file systems, oldest first */
	struct dentry *mountpoint; /* fs_tree_lock; with a reference; NULL: the root, or not in the tree */
	char *source;		   /* fs_tree_lock; what mount(8) calls the device */
	u64 flags;		   /* MS_*; each value is whole, and looked at without a lock */

	bool incomplete; /* while it is made: memory was short, so the mount fails */
	u64 nr_inodes;	 /* atomic; that exist */
	struct mapping_quota quota; /* of files in memory */
};

/* What has no place in the tree: pipes, eventfds, pidfds; and memfds. */
extern struct super_block anon_super, memfd_super;

/* The number of its mount, for mountinfo and fdinfo: there is one mount for each. */
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
/* What a dentry stands for: the root of the file system that is mounted on it, or itself. => fs_tree_lock held. */
static inline struct dentry *dentry_top(struct dentry *dentry)
{
	assert_rwsem_held(&fs_tree_lock);
	while (dentry->covered)
		dentry = dentry->covered;
	return dentry;
}

/*
 * A file system of that type, not mounted yet; NULL without memory. The name must be kept (kmalloc), and is the file
 * system's from then on. And the end of one that was not mounted, or is not any more; it may hold a root. Sleeps.
 */
struct super_block *super_create(const struct fs_type *type, char *source, u64 flags);
void super_destroy(struct super_block *sb);
/* Runs type->mount: 0 or -errno. Sleeps. */
int super_fill(struct super_block *sb, char *options);
/*
 * Puts it into the tree, on a directory (NULL: it is the root of all). 0 or -ENOMEM. => fs_tree_lock held for writing.
 */
int super_attach(struct super_block *sb, struct dentry *mountpoint);
/* Takes it out again. => fs_tree_lock held for writing. */
void super_detach(struct super_block *sb);
/* The same, for one that is in use, and all that is mounted in it. => fs_tree_lock held for writing. */
void super_detach_busy(struct super_block *sb);
/* Destroys those of them that no longer are in use. Takes fs_tree_lock. Sleeps. */
void super_destroy_unused(void);
/* Shut-down: nothing of kernel/fs may be called again. */
void super_destroy_all(void);
/*
 * Somebody uses a file, a directory, or a mount point in it, besides `nr` references to its root. => fs_tree_lock held
 * for writing.
 */
bool super_is_busy(const struct super_block *sb, u32 nr);
/* A file is open for writing. => fs_tree_lock held for writing. */
bool super_has_writers(const struct super_block *sb);
/* The dentry behind this one in the tree below `root`, parents first; NULL after the last. Under fs_tree_lock, or at mount. */
struct dentry *dentry_next(const struct dentry *root, struct dentry *dentry);
/* Writes back all that is mounted: sync(2). Sleeps. */
void super_sync_all(void);
/* Drops the pages of all that is mounted: /proc/sys/vm/drop_caches. Sleeps. */
void super_drop_pages(void);

/* The type of that name, or NULL. */
const struct fs_type *fs_type_find(const char *name);
/* The rows of /proc/filesystems; those of mounts and mountinfo are in procfs.h. */
void show_filesystems(struct text *text);

/* Boot: mounts a file system of that type on a directory, which is made. Panics without memory. */
struct super_block *mount_at_boot(const char *path, const char *type, u32 mode);

extern const struct fs_type tmpfs_type, ramfs_type, devtmpfs_type, proc_type, sysfs_type;

#endif
