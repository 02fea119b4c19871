/* SPDX-License-Identifier: MIT */
/*
 * What a process knows of files: its descriptor table (shared by CLONE_FILES) and its place in the tree (shared by
 * CLONE_FS).
 */
#ifndef KERNEL_FS_FILES_H
#define KERNEL_FS_FILES_H

#include "kernel/fs/file.h"

struct files {
	u32 refcount; /* atomic: processes (threads) that use this table */

	spinlock_t lock;     /* RANK_LEAF: the rest */
	unsigned capacity;   /* descriptors there is room for */
	struct file **fd;    /* [capacity], each with a reference; NULL: free */
	u64 *cloexec;	     /* [capacity / 64] bits: closed by execve */
	u64 *used;	     /* [capacity / 64] bits: not free, since it has a file, or is handed out by fd_reserve() */
	u64 *full;	     /* [capacity / 64 / 64, rounded up] bits: words of `used` without a free descriptor */
};

struct fs_context {
	u32 refcount; /* atomic */

	spinlock_t lock;    /* RANK_LEAF: the rest */
	struct dentry *cwd; /* with a reference */
	struct dentry *root; /* likewise: where its paths begin */
	u32 umask;
};

/* Boot: an empty table; the root as current directory, umask 022. NULL without memory. */
struct files *files_create(void);
struct fs_context *fs_context_create(void);

/* Boot: puts the file, whose reference it takes over, into a table that nobody uses yet. */
void files_put_first(struct files *files, unsigned fd, struct file *file);

/* Fork: a copy (every file referenced once more), or NULL without memory. Does not sleep. */
struct files *files_dup(struct files *files);
struct fs_context *fs_context_dup(struct fs_context *fs);

/* Threads: one more, one less user. The last put closes every file, so it may sleep. */
struct files *files_get(struct files *files);
void files_put(struct files *files);
struct fs_context *fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);

/* Exec: closes every descriptor marked close-on-exec. The table must have one user. May sleep. */
void files_close_on_exec(struct files *files);

struct task;
/* The table, or the place, of any task, with a reference, or NULL once it has begun to exit. Takes process->lock. */
struct files *task_files(struct task *task);
struct fs_context *task_fs(struct task *task);
/* The only ways to change them: put others in their place (NULL at exit), whose references they take over. May sleep. */
void task_set_files(struct task *task, struct files *files);
void task_set_fs(struct task *task, struct fs_context *fs);

/* The open file behind a descriptor of the current process, with a reference, or NULL (EBADF). O_PATH files: see raw. */
struct file *fget(int fd);
struct file *fget_raw(int fd); /* O_PATH files too */
/* The same for another process's table, for /proc. */
struct file *files_get_file(struct files *files, unsigned fd);
/* Pages that go with the table's files when nobody else has them, about; for the OOM killer. Takes its lock; does not sleep. */
u64 files_kept_pages(struct files *files);
/* Whether execve closes that descriptor. For /proc. */
bool files_is_cloexec(struct files *files, unsigned fd);
/* The first open descriptor ≥ fd, or -1. For /proc/PID/fd. */
int files_next_open(struct files *files, unsigned fd);

/* The lowest free descriptor ≥ min, reserved, or -EMFILE, -EINVAL, -ENOMEM. `flags`: O_CLOEXEC or 0. */
int fd_reserve(unsigned min, u32 flags);
/* Puts the file, whose reference it takes over, at a reserved descriptor; or gives the descriptor back. */
void fd_install(int fd, struct file *file);
void fd_unreserve(int fd);
/* close(2). 0 or -EBADF. May sleep. */
int fd_close(unsigned fd);
/*
 * dup2(2)'s second half: puts the file, whose reference it takes over when it succeeds, at fd and closes what was
 * there. fd, -EMFILE, -ENOMEM, or -EBUSY while an open of another thread is about to use fd.
 */
int fd_replace(unsigned fd, struct file *file, u32 flags);
/* The close-on-exec mark of an open descriptor: 0 or 1, or -EBADF. */
int fd_cloexec_get(unsigned fd);
int fd_cloexec_set(unsigned fd, bool close);
/* RLIMIT_NOFILE of the current process. */
u64 rlimit_nofile(void);

/* The current directory, or the root, with a reference; and another one, whose reference it takes over. */
struct dentry *fs_cwd(struct fs_context *fs);
struct dentry *fs_root_dir(struct fs_context *fs);
void fs_set_cwd(struct fs_context *fs, struct dentry *dentry);
void fs_set_root_dir(struct fs_context *fs, struct dentry *dentry);
/* The root of the current thread (of the whole tree, in a kernel thread), with a reference. Takes a leaf lock only. */
struct dentry *current_root(void);

/* fd_reserve + fd_install; on error the file's reference is dropped. An error pointer is handed through. */
int fd_install_new(struct file *file, u32 flags);

#endif
