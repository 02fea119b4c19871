/* SPDX-License-Identifier: MIT */
/*
 * An open file: what a descriptor stands for. Shared by dup, fork and mappings through its reference count.
 */
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

/* What the file may be used for; constant from open on. */
enum file_mode {
	FMODE_READ = 1,
	FMODE_WRITE = 2,
	FMODE_SEEK = 4,	 /* has a position: lseek, pread, pwrite */
	FMODE_PATH = 8,	 /* only names a file (O_PATH) */
	FMODE_EXEC = 16, /* a program runs from it: nobody may open it for writing */
	FMODE_NOCTTY = 32, /* opened so that it does not become the controlling terminal */
};

/* How a kind of file does its work. A missing function is answered as Linux does: EINVAL, ENOTTY, ESPIPE, ENODEV. */
struct text;
struct file_ops {
	/* Finishes an open; the file is complete but for `private`. */
	int (*open)(struct file *file);
	/* Transfer bytes at *pos and advance it; pos means nothing without FMODE_SEEK. Return bytes or -errno. Sleep. */
	long (*read)(struct file *file, struct iov_iter *to, u64 *pos);
	long (*write)(struct file *file, struct iov_iter *from, u64 *pos);
	/* Events that would not block now; registers with `table` when there is one, see poll.h. */
	u32 (*poll)(struct file *file, struct poll_table *table);
	long (*ioctl)(struct file *file, u32 cmd, u64 arg);
	/* The new position; seek by SEEK_* other than by the size. NULL: as on a regular file. */
	s64 (*llseek)(struct file *file, s64 offset, int whence);
	/* Appends what /proc/PID/fdinfo/FD says besides the usual. Does not sleep. */
	void (*show_info)(struct file *file, struct text *text);
	/* Pages of memory that go with the file, and nobody else can reach. Any of their late numbers will do; does not sleep. */
	u64 (*kept_pages)(const struct file *file);
	/*
	 * The last reference is gone. A file that can be mapped may be released under mmap_lock or after an RCU grace
	 * period: then it must not sleep.
	 */
	void (*release)(struct file *file);
	bool maps_as_anonymous; /* /dev/zero: a private mapping of it is anonymous memory, a shared one shared memory */
};

struct file {
	u32 refcount; /* atomic */
	u32 mode;     /* constant; enum file_mode */
	u32 flags;    /* O_*, what fcntl(F_GETFL) tells; each value is whole, so written and read without a lock */
	const struct file_ops *ops; /* constant */
	struct dentry *dentry;	    /* constant, with a reference */
	struct inode *inode;	    /* constant; the dentry's */
	struct mapping *mapping;    /* constant; what mmap maps and the ELF loader reads, or NULL */
	void *private;		    /* constant after open; the implementation's */

	struct list_head watches; /* epoll_watches (epoll.c); by which epolls */
	bool watched;		  /* it has been: set for good, with a reference held. Read by the last put */

	u32 seen_write_errors; /* as mapping_check_error(); each value is whole */

	struct mutex pos_lock; /* RANK_FILE: held across a read or write that uses pos */
	u64 pos;	       /* pos_lock */
};

/* Boot; and the check at shut-down: true when no file is open any more. */
void file_init_cache(void);
bool file_quiet_check(void);

/*
 * Opens the dentry's inode; `flags` as open(2)'s, without looking at O_CREAT or O_EXCL. The dentry's reference stays
 * the caller's. Returns the file with one reference, or an error pointer. Sleeps.
 */
struct file *file_open_dentry(struct dentry *dentry, u32 flags);
/*
 * An open file of a new inode without a place in the tree, which /proc shows as `name`; takes over the inode's
 * reference, also on failure. Error pointer -ENOMEM.
 */
struct file *file_open_anon(struct inode *inode, const char *name, const struct file_ops *ops, u32 flags);

static inline struct file *file_get(struct file *file)
{
	atomic_inc(&file->refcount);
	return file;
}
/* Drops a reference; see file_ops.release for what the last one may do. */
void file_put(struct file *file);

/* epoll.c: nobody watches a file that goes away. May sleep. */
void epoll_release_file(struct file *file);

/* flock.c: an open file that goes away holds no lock any more. Does not sleep. */
void flock_release(struct file *file);

/* Opens a path for the kernel itself (execve, boot), from the current directory if relative. Error pointers. Sleeps. */
struct file *file_open_kernel(const char *path, u32 flags);
/*
 * Opens a program for execve: also -EACCES for what is not a regular file with an x bit. `dirfd` and `flags` as
 * execveat(2)'s.
 */
struct file *file_open_exec(int dirfd, const char *path, u32 flags);
/* Reads up to n bytes at `pos` into kernel memory; bytes read (0: end of file) or -errno. Sleeps. => no lock from RANK_MMAP_LOCK on held. */
long file_read_kernel(struct file *file, u64 pos, void *buf, size_t n);
/* The path as /proc shows it; see dentry_path(). */
char *file_path(struct file *file, char *buf, size_t size);

#endif
