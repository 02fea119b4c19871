/* SPDX-License-Identifier: MIT */
/*
 * faultfs, a simple file system on a block device, made so that page faults wait for I/O. docs/disks.md describes its
 * use, faultfs_format.h the layout on the disk.
 *
 * While mounted, it keeps in memory all names and inodes (the tree of kernel/fs); the metadata that has been needed so
 * far, as pages of `metadata`, by block number; and the pages of files, in their mappings. It has two threads. The
 * reader finds a page's block and submits the read, so that no thread waits for metadata while it holds a fault's
 * locks. The flusher writes back.
 *
 * Rules. A dirty page of a file has a block (page_mkwrite allocates it) or holds zeros. A block of a file has been
 * written or is marked as unwritten, so that what another file has left there is never visible. Metadata is changed
 * under `lock`, and then marked dirty; the flusher clears the mark before it writes.
 *
 * Locks: fs_tree_lock and inode->lock as for every file system, then a page lock, then
 *	fs->lock	(mutex, RANK_FS_BLOCKS) bitmap, inode table, block maps, directories; held while reading them
 *	fs->io_lock	(spinlock, RANK_LEAF, interrupts off) queues
 */
#ifndef KERNEL_FS_FAULTFS_H
#define KERNEL_FS_FAULTFS_H

#include "drivers/block.h"
#include "kernel/fs/faultfs/faultfs_format.h"
#include "kernel/fs/super.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/wait.h"
#include "mm/cache/mapping.h"

struct task;

/* A file on the disk. It outlives its struct inode, because the flusher frees the file's blocks after the eviction. */
struct faultfs_file {
	struct faultfs *fs;	 /* constant */
	u32 ino;		 /* constant */
	struct inode *inode;	 /* io_lock, not needed with a reference to the inode; NULL once evicted */
	struct mapping *mapping; /* constant until the file is buried; regular files */
	struct list_head dead;	 /* io_lock; in fs->dead once evicted. In fs->unburied: the flusher's */
	bool has_name;		 /* fs_tree_lock; it has or had a name. Without one, its eviction frees it */
	bool unlinked;		 /* io_lock; evicted, and its blocks and record on the disk must be freed */
	u32 nr_slots;		 /* fs_tree_lock; directories: number of slots, used or free */
	u32 first_free;		 /* likewise; no slot below is free */
};

/* A transfer of a page of a file. */
struct faultfs_io {
	struct block_request request;
	struct list_head link; /* io_lock */
	struct faultfs_file *file;
	struct page *page;
};

struct faultfs {
	struct super_block *sb; /* constant, and so are the next ones */
	struct block_device *device;
	struct faultfs_super layout;
	struct mapping *metadata;
	struct task *reader, *flusher;
	u64 dirty_limit; /* pages; above it, writers must wait */
	bool marked;	 /* fs_tree_lock; FAULTFS_MOUNTED is or may be on the disk, whose metadata may be written */

	struct mutex lock;
	struct faultfs_file *
		*files;	    /* lock; [nr_inodes + 1] by number; WRITE_ONCE, as the flusher reads it without the lock */
	u32 nr_free_blocks; /* lock; statfs reads it without */
	u32 nr_free_inodes; /* likewise */
	u32 next_block;	    /* lock; where the search for a free block begins */
	u64 *unwritten;	    /* atomic bits, by block: it belongs to a file but was never written, and reads as zeros */

	spinlock_t io_lock;	 /* protects the next four */
	struct list_head reads;	 /* struct faultfs_io: reads to be submitted */
	struct list_head spare;	 /* struct faultfs_io, for reuse: an interrupt cannot free memory */
	struct list_head dead;	 /* struct faultfs_file */
	u64 wanted, wanted_drop; /* numbers of the last pass, and of the last drop, that were requested */

	struct list_head unburied; /* flusher; struct faultfs_file that could not be freed; the next pass tries again */

	u64 finished; /* flusher; number of the last pass that has ended; written by store_release */
	int error;    /* flusher; result of the last pass */
	u64 nr_dirty; /* atomic; an estimate, corrected by each pass */
	struct wait_queue pass_end;
};

extern const struct fs_type faultfs_type;
extern const struct mapping_ops faultfs_mapping_ops;
extern const struct inode_ops faultfs_inode_ops;

static inline struct faultfs *faultfs_of(const struct super_block *sb)
{
	return sb->private;
}
static inline struct faultfs_file *faultfs_file_of(const struct inode *inode)
{
	return inode->private;
}

/* ---- faultfs_blocks.c: metadata ---------------------------------------------------------------------------------- */
/*
 * Returns the page of a metadata block, up to date and with a reference, or err_ptr(-EIO, -ENOMEM). Sleeps.
 * => fs->lock held.
 */
struct page *faultfs_get(struct faultfs *fs, u32 block);
/*
 * The same for a block that was just allocated: the page is all zeros, and dirty. err_ptr(-ENOMEM). Sleeps.
 * => fs->lock held.
 */
struct page *faultfs_get_new(struct faultfs *fs, u32 block);
/* Marks a page of metadata as dirty. Does not sleep. */
void faultfs_changed(struct page *page);
/* Allocates a block. Returns its number, 0 if none is free, or -errno. Sleeps. => fs->lock held. */
s64 faultfs_alloc(struct faultfs *fs);
/* Set, clear and test a block's bit in fs->unwritten. fs->lock is not needed; do not sleep. */
void faultfs_set_unwritten(struct faultfs *fs, u32 block);
void faultfs_set_written(struct faultfs *fs, u32 block);
bool faultfs_is_unwritten(const struct faultfs *fs, u32 block);
/*
 * Frees a block, and drops its page of metadata. A block whose bit cannot be read stays allocated. Sleeps.
 * => fs->lock held.
 */
void faultfs_free(struct faultfs *fs, u32 block);
/*
 * Writes back all dirty metadata; never before the disk is marked as mounted. Returns: 0 or -EIO. Takes fs->lock.
 * Sleeps.
 */
int faultfs_write_metadata(struct faultfs *fs);

/* ---- faultfs_map.c: where a file's pages lie. => fs->lock held. Sleep. ------------------------------------------- */
/* Returns the block of a page, 0 for a hole, or -EIO, -ENOMEM. */
s64 faultfs_lookup(struct faultfs_file *file, u64 index);
/* The same, but allocates a block for a hole, and sets *fresh if it did. Also returns -ENOSPC, -EFBIG. */
s64 faultfs_lookup_or_alloc(struct faultfs_file *file, u64 index, bool *fresh);
/*
 * Free the block of one page, or the blocks of all pages from `first` on. Return: 0, or -errno if some blocks remain.
 */
int faultfs_unmap(struct faultfs_file *file, u64 index);
int faultfs_unmap_from(struct faultfs_file *file, u64 first);

/* ---- faultfs_inode.c --------------------------------------------------------------------------------------------- */
/*
 * Returns a new inode for the file of that number, entered in fs->files, or an error pointer. Does not access the disk.
 */
struct inode *faultfs_new_inode(struct faultfs *fs, u32 ino, u32 mode, u32 rdev);
/* The operation `create` of struct fs_type. */
struct inode *faultfs_create(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len);
/*
 * Returns a file's record in the inode table, and its page, with a reference that the caller drops. err_ptr(-EIO, …).
 * => fs->lock held.
 */
struct faultfs_inode *faultfs_record(struct faultfs *fs, u32 ino, struct page **page);
/* Updates the file's record from its inode. Returns: 0 or -errno. The inode exists. Takes fs->lock. Sleeps. */
int faultfs_store_inode(struct faultfs_file *file);
/* Returns whether the record of a file that has a name is plausible. */
bool faultfs_record_makes_sense(const struct faultfs_inode *record);
/* Fills an inode from its record. Returns: 0 or -errno. => fs->lock held. */
int faultfs_load_inode(struct inode *inode, const struct faultfs_inode *record);
/*
 * Frees an evicted file, and if it is unlinked also its blocks and its record on the disk. Returns false if some of
 * these could not be read: the file then remains, for another try. Called by the flusher.
 */
bool faultfs_bury(struct faultfs_file *file);

/* ---- faultfs_dir.c: the name operations of struct fs_type, and loading the tree at mount ------------------------- */
int faultfs_add_name(struct dentry *dentry);
int faultfs_remove_name(struct dentry *dentry);
int faultfs_rename(struct dentry *dentry, struct dentry *dir, const char *name, struct dentry *target, bool exchange);
int faultfs_load_tree(struct faultfs *fs, struct dentry *root);

/* ---- faultfs_io.c: the threads ----------------------------------------------------------------------------------- */
int faultfs_start_threads(struct faultfs *fs);
void faultfs_stop_threads(struct faultfs *fs);
/* Makes the flusher write back everything, and waits for it. Returns: 0 or -EIO. */
int faultfs_sync(struct super_block *sb);
/* The interval of the flushers' periodic passes, in 1/100 s; 0: there are none. */
extern u32 sysctl_dirty_writeback_centisecs;
/* Makes the flusher drop the pages of files that are clean and not mapped, and waits for it. */
void faultfs_drop_pages(struct super_block *sb);
/* Wakes the flusher, to look at fs->dead and fs->wanted. Does not sleep. */
void faultfs_wake_flusher(struct faultfs *fs);

/* ---- faultfs_format.c -------------------------------------------------------------------------------------------- */
/*
 * Writes an empty file system to the device. Returns: 0, -EIO, -ENOMEM, or -ENOSPC if the device is too small. Sleeps.
 */
int faultfs_format(struct block_device *device);

#endif
