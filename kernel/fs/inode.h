/* SPDX-License-Identifier: MIT */
/*
 * Inodes and dentries, which form the tree of names. An inode is a file; a dentry is one name of it, in one directory.
 * Everything is in memory: a dentry exists as long as its name does, and there is no dentry cache. A directory has its
 * names in two search trees: by hash of the name, for look-up; and by cookie, the order of creation, for reading. To
 * add or remove a name moves no other, so positions in a directory stay valid (readdir, telldir).
 *
 * Locks, in the order they are taken:
 *	fs_tree_lock	(rwsem, RANK_FILES) which names exist; taken for reading by walks, for writing by changes
 *	inode->lock	(rwsem, RANK_INODE) contents and size of one file
 *	fs_rename_lock	(spinlock, RANK_LEAF) name and parent of every dentry, for callers that print a path and hold
 *			mmap_lock already
 * References alone keep an inode or a dentry in memory. The last put may come from any context that holds no RANK_SLAB
 * lock, since a mapped file is put under mmap_lock or after an RCU grace period.
 */
#ifndef KERNEL_FS_INODE_H
#define KERNEL_FS_INODE_H

#include "kernel/lib/errno.h"
#include "mm/vma/interval_tree.h"
#include "kernel/sync/rwsem.h"
#include "kernel/sync/spinlock.h"

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFDIR 0040000
#define S_IFBLK 0060000
#define S_IFREG 0100000
#define S_IFLNK 0120000
#define S_IFSOCK 0140000
#define S_ISDIR(mode) (((mode)&S_IFMT) == S_IFDIR)
#define S_ISREG(mode) (((mode)&S_IFMT) == S_IFREG)
#define S_ISLNK(mode) (((mode)&S_IFMT) == S_IFLNK)
#define S_ISCHR(mode) (((mode)&S_IFMT) == S_IFCHR)
#define S_ISBLK(mode) (((mode)&S_IFMT) == S_IFBLK)
#define S_ISFIFO(mode) (((mode)&S_IFMT) == S_IFIFO)

#define NAME_MAX 255
#define PATH_MAX 4096
#define MAX_SYMLINKS 40 /* followed in one walk */
#define MAX_FILE_SIZE 0x7fffffffffffffffUL

struct file;
struct file_ops;
struct dentry;
struct inode;
struct mapping;
struct pipe;
struct file_lock;
struct super_block;
struct record_lock;

/* Wall-clock times, in nanoseconds since 1970. Written without a lock: an inconsistent set of times is harmless. */
struct inode_times {
	u64 atime, mtime, ctime, btime;
};

/*
 * A read of a directory. emit() is called for each entry; `next` is the position after it. It returns false if there is
 * no more room.
 */
struct dir_context {
	bool (*emit)(struct dir_context *ctx, const char *name, size_t len, u64 ino, u32 mode, u64 next);
	u64 pos;
};

struct inode_ops {
	/*
	 * Directories whose names are computed: looks up `name`, which is not among the dentries. Returns a dentry of
	 * its own, with a reference, or an error pointer. Called with fs_tree_lock held.
	 */
	struct dentry *(*lookup)(struct dentry *dir, const char *name, size_t len);
	/* Directories whose names are computed: emits those from ctx->pos (≥ DIR_POS_COMPUTED) on. */
	int (*iterate)(struct inode *dir, struct dir_context *ctx);
	/* Symbolic links: writes at most `size` bytes of the target and returns their number. May sleep. */
	long (*readlink)(struct inode *inode, char *buf, size_t size);
	/*
	 * Links of /proc that lead to an object, not to a path: returns that object's dentry, with a reference, or an
	 * error.
	 */
	struct dentry *(*jump)(struct inode *inode);
	/* Sets the size; inode->lock held for writing. */
	int (*truncate)(struct inode *inode, u64 size);
	/* mode as for fallocate(2); inode->lock held for writing. */
	int (*fallocate)(struct inode *inode, u32 mode, u64 offset, u64 len);
	/*
	 * Regular files that can be used for swap: returns the position of a page on the file system's device, in
	 * pages, or 0 for a hole, or -EIO, -ENOMEM. inode->lock held. Sleeps.
	 */
	s64 (*block_of)(struct inode *inode, u64 index);
	/* Writes back everything but the pages of the file: 0 or -EIO. Sleeps. NULL: nothing to write. */
	int (*sync)(struct inode *inode);
	/* Called when the last reference is dropped, in any context that may free memory. */
	void (*evict)(struct inode *inode);
};

struct inode {
	u32 refcount; /* atomic */
	u32 nlink;    /* fs_tree_lock */
	u32 mode;     /* type: constant; permission bits: written without a lock, each value is whole */
	u32 uid, gid; /* likewise */
	u32 rdev;     /* constant; devices: the device's number */
	/* lock; regular files: used for swap, so not writable or truncatable. Unlocked reads are early checks */
	bool is_swap;
	u32 seals;   /* lock and i_mmap_lock to write, one of them to read; memfds: F_SEAL_* */
	s32 writers; /* atomic; opens for writing or, if negative, programs that run from it: inode_access_get() */
	u64 ino;     /* constant */
	struct super_block *sb;	     /* constant; the file system it is in */
	const struct inode_ops *ops; /* constant */
	const struct file_ops *fops; /* constant; NULL: cannot be opened */
	struct inode_times times;

	struct rwsem lock;
	u64 nr_blocks; /* of 512 bytes, if the file system counts them; otherwise the mapping's pages count */
	u64 size;      /* lock; unlocked reads (stat, lseek) may be stale */

	struct mapping *mapping; /* constant; regular files: their pages */
	struct pipe *pipe;	 /* attach_lock in pipe.c; FIFOs: exists while the FIFO is open */
	char *target;		 /* constant; symbolic links */
	/* constant; for the file system that computes this file; in the root: its entry in the boot module */
	void *private;
	u64 private_id;		      /* constant; as `private` */
	struct file_lock *flocks;     /* flock_lock in kernel/linux/flock.c */
	struct interval_tree records; /* of struct record_lock: record_spinlock in kernel/linux/record_lock.c */
};

struct dentry {
	u32 refcount;	     /* atomic; being linked in a directory counts as one */
	struct inode *inode; /* constant, with a reference */
	struct dentry
		*covered; /* fs_tree_lock; directories: the root of the file system that is mounted here, or NULL */
	struct dentry *parent; /* fs_tree_lock and fs_rename_lock; with a reference. The root is its own parent */
	char *name;	       /* fs_tree_lock and fs_rename_lock; contains a slash only if outside the tree */
	bool linked;	       /* fs_tree_lock: the name exists */
	struct interval_tree children; /* fs_tree_lock; directories: by cookie */
	struct interval_tree names;    /* fs_tree_lock; directories: the same, by hash */
	struct interval_node sibling;  /* fs_tree_lock: its place in the parent's children */
	struct interval_node by_name;  /* fs_tree_lock: and in the parent's names */
	u32 slot;		       /* fs_tree_lock; the name's place on the device of its file system */
	u64 cookie;		       /* fs_tree_lock; position of this entry in its directory */
	u64 next_cookie;	       /* fs_tree_lock; directories: for the next child */
};

/* Positions in a directory: 0 is ".", 1 "..", then the dentries by cookie, then the computed names. */
#define DIR_POS_FIRST 2
#define DIR_POS_COMPUTED (1UL << 32)

extern struct rwsem fs_tree_lock;
extern spinlock_t fs_rename_lock;
extern struct dentry *fs_root; /* constant after boot */

/* Boot: creates the caches. And the check at shut-down, after everything was released: true if nothing is in use. */
void inode_init_caches(void);
bool inode_quiet_check(void);

/*
 * Returns a new inode with one reference and nlink 1 (directories 2), or NULL if there is no memory. May wait for
 * memory, unless the file system is on a device.
 */
struct inode *inode_alloc(struct super_block *sb, u32 mode, const struct inode_ops *ops, const struct file_ops *fops);
static inline void inode_get(struct inode *inode)
{
	atomic_inc(&inode->refcount);
}
void inode_put(struct inode *inode);
/*
 * A regular file cannot be open for writing and running as a program at the same time; other files are not restricted.
 * Add and remove a writer or a program. Return 0, -ETXTBSY, or -EROFS for a writer. Do not sleep.
 */
enum inode_access { ACCESS_WRITER = 1, ACCESS_PROGRAM = -1 };
int inode_access_get(struct inode *inode, enum inode_access access);
void inode_access_put(struct inode *inode, enum inode_access access);
/* Set a time to the current time. Do not sleep. */
void inode_touch_atime(struct inode *inode); /* unless the file system is read-only */
void inode_touch_mtime(struct inode *inode); /* and ctime */
/*
 * Brings mtime and ctime up to date with writes through mappings of a file in memory. To be called before either is
 * read or set.
 */
void inode_settle_times(struct inode *inode);
void inode_touch_ctime(struct inode *inode);

/*
 * Returns a new dentry that is not linked, with one reference, or NULL if there is no memory. Takes over the caller's
 * reference to the inode, also on failure; takes a reference to the parent (NULL: the dentry is its own parent). May
 * wait for memory as inode_alloc() does.
 */
struct dentry *dentry_alloc(struct dentry *parent, const char *name, size_t len, struct inode *inode);
static inline struct dentry *dentry_get(struct dentry *dentry)
{
	atomic_inc(&dentry->refcount);
	return dentry;
}
void dentry_put(struct dentry *dentry);
/*
 * Add or remove the name; the link holds a reference. Context: fs_tree_lock held for writing, or at mount, while only
 * the caller knows the tree.
 */
void dentry_link(struct dentry *dir, struct dentry *dentry);
void dentry_unlink(struct dentry *dentry);
/* Returns the child of that name, without a reference, or NULL. => fs_tree_lock held. */
struct dentry *dentry_find(struct dentry *dir, const char *name, size_t len);

static inline struct dentry *dentry_of_sibling(struct interval_node *node)
{
	return node ? container_of(node, struct dentry, sibling) : NULL;
}
/* Returns the first child at or after that position, or NULL. Context: fs_tree_lock held, or at mount. */
static inline struct dentry *dentry_first_child(const struct dentry *dir, u64 pos)
{
	return dentry_of_sibling(interval_tree_first(&dir->children, pos, ~0UL));
}
/* Returns the next child, or NULL. Context: likewise. */
static inline struct dentry *dentry_next_sibling(const struct dentry *child)
{
	return dentry_of_sibling(interval_tree_next(&child->sibling, 0, ~0UL));
}
static inline bool dentry_has_children(const struct dentry *dir)
{
	return !interval_tree_is_empty(&dir->children);
}
/*
 * Moves a linked dentry to another directory and name (which it takes over and frees). => fs_tree_lock held for
 * writing.
 */
void dentry_move(struct dentry *dentry, struct dentry *dir, char *name);
/*
 * Writes the path of the dentry, as seen from the current thread's root, to the end of buf. Returns its start, or NULL
 * if it does not fit. The path of an unlinked file ends in " (deleted)". May be called under mmap_lock. Does not sleep.
 */
char *dentry_path(struct dentry *dentry, char *buf, size_t size);

#endif
