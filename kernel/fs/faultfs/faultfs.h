/* SPDX-License-Identifier: MIT */
/*
 * faultfs: a simple file system on a block device, made so that page faults wait for I/O. docs/disks.md tells how to use it,
 * faultfs_format.h what is on the disk.
 *
 * In memory, while it is mounted: all names and inodes (the tree of kernel/fs); the metadata that was needed so far, as pages of
 * `metadata`, by block number; the pages of files, in their mappings. Two threads: a reader, which finds out where a page lies
 * and sends for it, so that nobody who holds a fault's locks waits for metadata; and a flusher, which writes back.
 *
 * Rules. A dirty page of a file has a block (page_mkwrite sees to it) or holds zeros, and a block of a file has been written, or
 * is known to be unwritten: what another file has left there is never seen. Metadata is changed under `lock`, and then marked dirty; the flusher clears the mark before it writes.
 *
 * Locks: fs_tree_lock and inode->lock as for every file system, then a page lock, then
 *	fs->lock	(mutex, RANK_FS_BLOCKS) bitmap, inode table, block maps, directory blocks; held while metadata is read in
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

/* A file that exists on the disk: longer than its struct inode, since what it has there is freed by the flusher. */
struct faultfs_file {
	struct faultfs *fs;	 /* constant */
	u32 ino;		 /* constant */
	struct inode *inode;	 /* io_lock; NULL once evicted. Who holds a reference may use it without */
	struct mapping *mapping; /* constant until it is buried; regular files */
	struct list_head dead;	 /* io_lock; evicted, and to be let go. On `unburied`: the flusher's */
	bool has_name;		 /* fs_tree_lock; it has had one, so that it is worth keeping */
	bool unlinked;		 /* io_lock; evicted, and nothing of it is to stay on the disk */
	u32 nr_slots;		 /* fs_tree_lock; directories: slots that there are, used or free */
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
	u64 dirty_limit; /* pages; more make writers wait */

	struct mutex lock;
	struct faultfs_file *
		*files;	    /* lock; [nr_inodes + 1] by number; written by WRITE_ONCE, read by the flusher without */
	u32 nr_free_blocks; /* lock; read for statfs without */
	u32 nr_free_inodes; /* likewise */
	u32 next_block;	    /* lock; where the search for a free one begins */
	u64 *unwritten; /* atomic bits, by block: data that a file has, but the disk holds nothing of it yet; reads as zeros */

	spinlock_t io_lock;	 /* the next four */
	struct list_head reads;	 /* struct faultfs_io: to be sent for */
	struct list_head spare;	 /* the same, for reuse: an interrupt cannot free memory */
	struct list_head dead;	 /* struct faultfs_file */
	u64 wanted, wanted_drop; /* numbers of the last pass, and of the last drop, that somebody asked for */

	struct list_head unburied; /* flusher; struct faultfs_file that could not be let go, until the next pass */

	u64 finished; /* flusher; number of the last pass that has ended, by WRITE_ONCE */
	int error;    /* flusher; what the last pass came to */
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
 * The block's contents in memory, up to date; the page with a reference, or err_ptr(-EIO, -ENOMEM). Sleeps. => fs->lock
 * held.
 */
struct page *faultfs_get(struct faultfs *fs, u32 block);
/* The same for a block that was just allocated: all zeros, and dirty. err_ptr(-ENOMEM). Sleeps. => fs->lock held. */
struct page *faultfs_get_new(struct faultfs *fs, u32 block);
/* The contents have been changed. Does not sleep. */
void faultfs_changed(struct page *page);
/* A free block, taken: its number, or 0 (none is left), or -errno. Sleeps. => fs->lock held. */
s64 faultfs_alloc(struct faultfs *fs);
/* Whether the disk holds what was written to a block of a file; see struct faultfs. fs->lock is not needed; do not sleep. */
void faultfs_set_unwritten(struct faultfs *fs, u32 block);
void faultfs_set_written(struct faultfs *fs, u32 block);
bool faultfs_is_unwritten(const struct faultfs *fs, u32 block);
/* Gives a block back; a metadata block is forgotten. What cannot be read stays taken. Sleeps. => fs->lock held. */
void faultfs_free(struct faultfs *fs, u32 block);
/* Writes back what is dirty: 0 or -EIO. Takes fs->lock. Sleeps. */
int faultfs_write_metadata(struct faultfs *fs);

/* ---- faultfs_map.c: where a file's pages lie. => fs->lock held. Sleep. ------------------------------------------- */
/* The block of a page, or 0: a hole; -EIO, -ENOMEM. */
s64 faultfs_lookup(struct faultfs_file *file, u64 index);
/* The same, but a hole is filled, and *fresh says so: also -ENOSPC, -EFBIG. */
s64 faultfs_lookup_or_alloc(struct faultfs_file *file, u64 index, bool *fresh);
/* Makes a hole of one page; and of all pages from `first` on. 0 or -EIO: some blocks are left. */
int faultfs_unmap(struct faultfs_file *file, u64 index);
int faultfs_unmap_from(struct faultfs_file *file, u64 first);

/* ---- faultfs_inode.c --------------------------------------------------------------------------------------------- */
/* An inode for a file of that number, or an error pointer; takes `files[ino]`. Does not touch the disk. */
struct inode *faultfs_new_inode(struct faultfs *fs, u32 ino, u32 mode, u32 rdev);
/* struct fs_type's create. */
struct inode *faultfs_create(struct super_block *sb, u32 mode, u32 rdev, const char *target, size_t len);
/* The record on the disk; the page with a reference is to be put. => fs->lock held. err_ptr(-EIO, …). */
struct faultfs_inode *faultfs_record(struct faultfs *fs, u32 ino, struct page **page);
/* Brings the record up to date: 0 or -EIO. The inode exists. Takes fs->lock. Sleeps. */
int faultfs_store_inode(struct faultfs_file *file);
/* What the disk tells of a file that has a name may be true. */
bool faultfs_record_makes_sense(const struct faultfs_inode *record);
/* Fills an inode from its record. => fs->lock held. 0 or -errno. */
int faultfs_load_inode(struct inode *inode, const struct faultfs_inode *record);
/*
 * Lets go of a file that was evicted, and frees what it has on the disk when it has no name. False: not all of that could be
 * read; the file is still there, for another try. Flusher.
 */
bool faultfs_bury(struct faultfs_file *file);

/* ---- faultfs_dir.c: struct fs_type's name operations, and reading the tree in at mount --------------------------- */
int faultfs_add_name(struct dentry *dentry);
int faultfs_remove_name(struct dentry *dentry);
int faultfs_rename(struct dentry *dentry, struct dentry *dir, const char *name, struct dentry *target, bool exchange);
int faultfs_load_tree(struct faultfs *fs, struct dentry *root);

/* ---- faultfs_io.c: the threads ----------------------------------------------------------------------------------- */
int faultfs_start_threads(struct faultfs *fs);
void faultfs_stop_threads(struct faultfs *fs);
/* Has the flusher write back everything, and waits: 0 or -EIO. */
int faultfs_sync(struct super_block *sb);
/* Between two passes of the flushers that nobody asked for, in 1/100 s; 0: none is made. */
extern u32 sysctl_dirty_writeback_centisecs;
/* Has it drop the pages of files that are clean and not mapped, and waits. */
void faultfs_drop_pages(struct super_block *sb);
/* The flusher shall look at fs->dead. Does not sleep. */
void faultfs_wake_flusher(struct faultfs *fs);

/* ---- faultfs_format.c -------------------------------------------------------------------------------------------- */
/* Writes an empty file system onto the device: 0, -EIO, -ENOMEM, or -ENOSPC: it is too small. Sleeps. */
int faultfs_format(struct block_device *device);

#endif
