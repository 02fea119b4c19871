/* SPDX-License-Identifier: MIT */
/*
 * The file state of a process: its descriptor table (shared by CLONE_FILES), and its current and root directory (shared
 * by CLONE_FS).
 */
#ifndef KERNEL_FS_FILES_H
#define KERNEL_FS_FILES_H

#include "kernel/fs/file.h"

struct files {
	u32 refcount; /* atomic */

	spinlock_t lock;   /* RANK_LEAF: the rest */
	unsigned capacity; /* number of descriptors that fit */
	struct file **fd;  /* [capacity], each with a reference; NULL: free */
	u64 *cloexec;	   /* [capacity / 64] bits: closed by execve */
	u64 *used;	   /* [capacity / 64] bits: has a file, or is reserved by fd_reserve() */
	u64 *full;	   /* [capacity / 64 / 64, rounded up] bits: words of `used` without a free descriptor */
};

struct fs_context {
	u32 refcount; /* atomic */

	spinlock_t lock;     /* RANK_LEAF: the rest */
	struct dentry *cwd;  /* with a reference */
	struct dentry *root; /* with a reference; absolute paths start here */
	u32 umask;
};

/* Boot: return an empty table, or a context in the root directory with umask 022. NULL: no memory. */
struct files *files_create(void);
struct fs_context *fs_context_create(void);

/* Boot: installs the file, whose reference it takes over, in a table that is not in use yet. */
void files_put_first(struct files *files, unsigned fd, struct file *file);

/* Fork: return a copy, with references of its own, or NULL if there is no memory. May wait for memory. */
struct files *files_dup(struct files *files);
struct fs_context *fs_context_dup(struct fs_context *fs);

/* Take and drop a reference. The last put closes every file, so it may sleep. */
struct files *files_get(struct files *files);
void files_put(struct files *files);
struct fs_context *fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);

/* Exec: closes every descriptor marked close-on-exec. The table must have one user. May sleep. */
void files_close_on_exec(struct files *files);

struct task;
/*
 * Return the table or the context of any task, with a reference, or NULL once it has begun to exit. Take process->lock.
 */
struct files *task_files(struct task *task);
struct fs_context *task_fs(struct task *task);
/* Replace them (by NULL at exit), and take over the reference to the new one. Nothing else changes them. May sleep. */
void task_set_files(struct task *task, struct files *files);
void task_set_fs(struct task *task, struct fs_context *fs);

/* Return the file of a descriptor of the current process, with a reference, or NULL (EBADF). fget() refuses O_PATH. */
struct file *fget(int fd);
struct file *fget_raw(int fd); /* O_PATH files too */
/* The same for any table, for /proc. */
struct file *files_get_file(struct files *files, unsigned fd);
/* Estimates pages that would be freed with the table's files, for the OOM killer. Takes its lock; does not sleep. */
u64 files_kept_pages(struct files *files);
/* Returns true if execve closes the descriptor. For /proc. */
bool files_is_cloexec(struct files *files, unsigned fd);
/* Returns the first open descriptor ≥ fd, or -1. For /proc/PID/fd. */
int files_next_open(struct files *files, unsigned fd);

/* Reserves the lowest free descriptor ≥ min and returns it, or -EMFILE, -ENOMEM. `flags`: O_CLOEXEC or 0. */
int fd_reserve(unsigned min, u32 flags);
/* Install a file, whose reference is taken over, at a reserved descriptor; or free the descriptor. */
void fd_install(int fd, struct file *file);
void fd_unreserve(int fd);
/* close(2). Returns 0 or -EBADF. May sleep. */
int fd_close(unsigned fd);
/*
 * The second half of dup2(2): installs the file at fd, and closes the file that was there. Takes over the new file's
 * reference if it succeeds. Returns fd, -EMFILE, -ENOMEM, or -EBUSY while another thread's open has fd reserved.
 */
int fd_replace(unsigned fd, struct file *file, u32 flags);
/* Get and set the close-on-exec flag of an open descriptor. Return the flag, or 0, or -EBADF. */
int fd_cloexec_get(unsigned fd);
int fd_cloexec_set(unsigned fd, bool close);
/* RLIMIT_NOFILE of the current process. */
u64 rlimit_nofile(void);

/* Return the current or the root directory, with a reference; or set it, and take over the dentry's reference. */
struct dentry *fs_cwd(struct fs_context *fs);
struct dentry *fs_root_dir(struct fs_context *fs);
void fs_set_cwd(struct fs_context *fs, struct dentry *dentry);
void fs_set_root_dir(struct fs_context *fs, struct dentry *dentry);
/*
 * Returns the current thread's root directory (a kernel thread's is the root of the tree), with a reference. Takes a
 * leaf lock only.
 */
struct dentry *current_root(void);

/*
 * fd_reserve() and fd_install(). Drops the file's reference on error. Returns the error if `file` is an error pointer.
 */
int fd_install_new(struct file *file, u32 flags);

#endif
