/* SPDX-License-Identifier: MIT */
/* Open files, to which descriptors refer. dup, fork and mappings share an open file through its reference count. */
#ifndef KERNEL_FS_FILE_H
#define KERNEL_FS_FILE_H

#include "kernel/fs/inode.h"
#include "kernel/fs/iov.h"
#include "kernel/sync/mutex.h"

#define O_ACCMODE 03
#define O_RDONLY 00
#define O_WRONLY 01
#define O_RDWR 02
#define O_CREAT 0100
#define O_EXCL 0200
#define O_NOCTTY 0400
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_DSYNC 010000
#define O_ASYNC 020000
#define O_DIRECT 040000
#define O_LARGEFILE 0100000
#define O_DIRECTORY 0200000
#define O_NOFOLLOW 0400000
#define O_NOATIME 01000000
#define O_CLOEXEC 02000000
#define O_SYNC 04010000
#define O_PATH 010000000
#define O_TMPFILE (020000000 | O_DIRECTORY)

#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define SEEK_DATA 3
#define SEEK_HOLE 4

#define POLLIN 0x001
#define POLLPRI 0x002
#define POLLOUT 0x004
#define POLLERR 0x008
#define POLLHUP 0x010
#define POLLNVAL 0x020
#define POLLRDNORM 0x040
#define POLLRDBAND 0x080
#define POLLWRNORM 0x100
#define POLLWRBAND 0x200
#define POLLRDHUP 0x2000

struct poll_table;
struct vma;

/* The permitted uses of the file; constant after open. */
enum file_mode {
	FMODE_READ = 1,
	FMODE_WRITE = 2,
	FMODE_SEEK = 4,	   /* has a position: lseek, pread, pwrite */
	FMODE_PATH = 8,	   /* only names a file (O_PATH) */
	FMODE_EXEC = 16,   /* a program runs from it: it cannot be opened for writing */
	FMODE_NOCTTY = 32, /* opened so that it does not become the controlling terminal */
};

/*
 * The operations of a kind of file. Where a function is missing, the call fails as on Linux: EINVAL, ENOTTY, ESPIPE,
 * ENODEV.
 */
struct text;
struct file_ops {
	/* Finishes an open; the file is complete but for `private`. */
	int (*open)(struct file *file);
	/*
	 * Transfer bytes at *pos and advance it; *pos is meaningless without FMODE_SEEK. Return the number of bytes or
	 * -errno. Sleep.
	 */
	long (*read)(struct file *file, struct iov_iter *to, u64 *pos);
	long (*write)(struct file *file, struct iov_iter *from, u64 *pos);
	/* Returns the events that would not block; registers with `table` unless it is NULL, see poll.h. */
	u32 (*poll)(struct file *file, struct poll_table *table);
	long (*ioctl)(struct file *file, u32 cmd, u64 arg);
	/* Returns the new position. NULL: as on a regular file. */
	s64 (*llseek)(struct file *file, s64 offset, int whence);
	/* Appends the lines of /proc/PID/fdinfo/FD that only this kind of file has. Does not sleep. */
	void (*show_info)(struct file *file, struct text *text);
	/*
	 * Returns the number of pages that would be freed with the file, because nothing else refers to them. The
	 * number may be slightly out of date. Does not sleep.
	 */
	u64 (*kept_pages)(const struct file *file);
	/*
	 * Called when the last reference is dropped. A file that can be mapped may be released under mmap_lock or after
	 * an RCU grace period: then it must not sleep.
	 */
	void (*release)(struct file *file);
	bool maps_as_anonymous; /* /dev/zero: a private mapping of it is anonymous memory, a shared one shared memory */
};

struct file {
	u32 refcount; /* atomic */
	u32 mode;     /* constant; enum file_mode */
	u32 flags;    /* O_*, as F_GETFL returns them; each value is whole, so written and read without a lock */
	const struct file_ops *ops; /* constant */
	struct dentry *dentry;	    /* constant, with a reference */
	struct inode *inode;	    /* constant; the dentry's */
	struct mapping *mapping;    /* constant; for mmap and the ELF loader, or NULL */
	void *private;		    /* constant after open; for the implementation */

	struct list_head watches; /* epoll_watches (kernel/linux/epoll.c); the watches of this file */
	bool watched;		  /* has ever been watched; set with a reference held, read by the last put */

	u32 seen_write_errors; /* see mapping_check_error(); each value is whole */

	struct mutex pos_lock; /* RANK_FILE: held across a read or write that uses pos */
	u64 pos;	       /* pos_lock */
};

/* Boot; and the check at shut-down, which returns true if no file is open. */
void file_init_cache(void);
bool file_quiet_check(void);

/*
 * Opens the dentry's inode. `flags` are those of open(2), of which O_CREAT and O_EXCL have no effect. The caller keeps
 * its reference to the dentry. Returns the file with one reference, or an error pointer. Sleeps.
 */
struct file *file_open_dentry(struct dentry *dentry, u32 flags);
/*
 * Opens a new inode that has no place in the tree, and that /proc shows as `name`. Takes over the inode's reference,
 * also on failure. Returns the file, or the error pointer -ENOMEM.
 */
struct file *file_open_anon(struct inode *inode, const char *name, const struct file_ops *ops, u32 flags);

static inline struct file *file_get(struct file *file)
{
	atomic_inc(&file->refcount);
	return file;
}
/* Drops a reference. The last one calls file_ops.release(), see there for where it must not sleep. */
void file_put(struct file *file);

/*
 * Opens a path for the kernel itself (execve, boot). A relative path starts at the current directory. Returns the file
 * or an error pointer. Sleeps.
 */
struct file *file_open_kernel(const char *path, u32 flags);
/*
 * Opens a program for execve. `dirfd` and `flags` are those of execveat(2). Returns also -EACCES for a file that is not
 * regular, has no x bit, or is in a file system mounted noexec.
 */
struct file *file_open_exec(int dirfd, const char *path, u32 flags);
/*
 * Reads up to n bytes at `pos` into kernel memory. Returns the number of bytes (0: end of file) or -errno. Sleeps.
 * => no lock from RANK_MMAP_LOCK on held.
 */
long file_read_kernel(struct file *file, u64 pos, void *buf, size_t n);
/* The path as /proc shows it; see dentry_path(). */
char *file_path(struct file *file, char *buf, size_t size);

#endif
