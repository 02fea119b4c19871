/* SPDX-License-Identifier: MIT */
/*
 * Declarations that the files of /proc share. A file is a function that writes its whole text; the text is generated
 * whenever a thread reads from the beginning. So a reader sees one consistent text, however small its reads are.
 */
#ifndef KERNEL_FS_PROCFS_H
#define KERNEL_FS_PROCFS_H

#include "kernel/fs/file.h"
#include "kernel/fs/text.h"
#include "kernel/process/task.h"

#define PROC_WRITE_MAX 4096UL /* bytes; a write to such a file must be shorter */

struct proc_entry {
	const char *name;
	u32 mode; /* S_IF*, permissions */
	/*
	 * Files: writes the text. Returns: 0 or -errno. `id` names the process, see proc_id(); 0 outside /proc/PID.
	 * Called without any lock; sleeps.
	 */
	int (*show)(struct text *text, u64 id);
	/* Files: handles a write of buf, which has a NUL after its len bytes. Returns: 0 or -errno. Sleeps. */
	int (*write)(u64 id, char *buf, size_t len);
	const struct inode_ops *ops; /* directories and links */
	const struct file_ops *fops; /* files with operations of their own */
};

/* Returns an inode for the entry, or NULL. Does not sleep. */
struct inode *proc_inode(struct super_block *sb, const struct proc_entry *entry, u64 id);
/*
 * Add files about `id`, or one directory, to a directory. If there is no memory they mark the file system incomplete,
 * and its mount fails. => fs_tree_lock held for writing.
 */
void proc_add_files(struct dentry *dir, const struct proc_entry *entries, size_t nr, u64 id);
struct dentry *proc_add_dir(struct dentry *dir, const char *name);
/*
 * Mounts a computed file system: makes the root, and calls fill() for it under fs_tree_lock. Returns: 0 or -ENOMEM.
 * Sleeps.
 */
int proc_mount_root(struct super_block *sb, void (*fill)(struct dentry *root));

/* Removes spaces and newlines at the end. Returns the new length. */
size_t proc_trim(char *buf, size_t len);
/* Parses a decimal number without a sign; spaces around it and newlines after it are allowed. Returns: 0 or -EINVAL. */
int proc_parse_number(const char *text, u64 *value);

/* --- processes --- */

/*
 * The id of a thread (tid), or of a process as a whole (tid 0); or of one of its open files. Numbers are below PID_MAX.
 */
_Static_assert(PID_MAX <= 1 << 16, "two numbers and a descriptor fit into an id");
static inline u64 proc_id(s32 pid, s32 tid)
{
	return (u64)(u16)pid | (u64)(u16)tid << 16;
}
static inline u64 proc_id_of_file(u64 id, u32 fd)
{
	return (id & 0xffffffff) | (u64)fd << 32;
}
static inline s32 proc_id_pid(u64 id)
{
	return (u16)id;
}
static inline s32 proc_id_tid(u64 id)
{
	return (u16)(id >> 16);
}
static inline u32 proc_id_fd(u64 id)
{
	return (u32)(id >> 32);
}

/* The objects that an id names at the moment, each with a reference. */
struct proc_target {
	struct process *process;
	struct task *task; /* the thread, or the first one; NULL: all have exited (a zombie) */
	struct mm *mm;	   /* with one user counted; NULL: it has none */
};
/* Finds the objects of an id. Returns: 0 or -ESRCH. */
int proc_target_get(u64 id, struct proc_target *target);
void proc_target_put(struct proc_target *target);

/* Calls show() with the objects of an id. Returns: 0 or -ESRCH. */
typedef void proc_show_target_t(struct text *text, const struct proc_target *target, u64 id);
int proc_show_target(struct text *text, u64 id, proc_show_target_t *show);
/* Returns the name of the thread, or "" if all threads have exited. */
const char *proc_comm(const struct proc_target *target);

/* proc_status.c, proc_args.c, proc_maps.c, super.c: files of /proc/PID; see struct proc_entry. */
int proc_show_status(struct text *text, u64 id);
int proc_show_stat(struct text *text, u64 id);
int proc_show_statm(struct text *text, u64 id);
int proc_show_cmdline(struct text *text, u64 id);
int proc_show_environ(struct text *text, u64 id);
int proc_show_auxv(struct text *text, u64 id);
int proc_show_comm(struct text *text, u64 id);
int proc_write_comm(u64 id, char *buf, size_t len);
int proc_show_oom_score_adj(struct text *text, u64 id);
int proc_write_oom_score_adj(u64 id, char *buf, size_t len);
int proc_show_limits(struct text *text, u64 id);
int proc_show_oom_score(struct text *text, u64 id);
int proc_show_personality(struct text *text, u64 id);
int proc_show_io(struct text *text, u64 id);
int proc_show_wchan(struct text *text, u64 id);
int proc_show_maps(struct text *text, u64 id);
int proc_show_smaps(struct text *text, u64 id);
int proc_show_smaps_rollup(struct text *text, u64 id);
int proc_show_mounts(struct text *text, u64 id);
int proc_show_mountinfo(struct text *text, u64 id);
extern const struct file_ops proc_pagemap_ops;

/*
 * Copies n bytes from another address space, as far as they are in memory or in swap. Returns the number of bytes
 * copied. Sleeps. => no lock from RANK_MMAP_LOCK on held.
 */
size_t proc_peek(struct mm *mm, u64 addr, void *buf, size_t n);

extern const struct inode_ops proc_root_ops;				      /* looks up processes by number */
extern const struct inode_ops proc_fd_ops, proc_fdinfo_ops;		      /* /proc/PID/fd, fdinfo */
extern const struct inode_ops proc_exe_ops, proc_cwd_ops, proc_root_link_ops; /* links of /proc/PID */
/*
 * For readlink: copies the path of the dentry to buf, and drops the reference to the dentry. Returns the path's length,
 * or -errno; for an error pointer, its error.
 */
long proc_put_path(struct dentry *dentry, char *buf, size_t size);
/* Returns the number that a name spells, or -1. */
s64 proc_parse_name(const char *name, size_t len);
void proc_pid_create(struct dentry *proc); /* self and thread-self */

/* --- the rest of the tree; => fs_tree_lock held for writing. --- */
void proc_system_create(struct dentry *proc);
void proc_disks_create(struct dentry *proc);
void proc_memory_create(struct dentry *proc);
void proc_vmstat_create(struct dentry *proc);
void proc_activity_create(struct dentry *proc);
void proc_sysctl_create(struct dentry *proc);
void proc_sysctl_kernel_create(struct dentry *sys);
void proc_faultline_create(struct dentry *proc);
void proc_trace_create(struct dentry *proc);
void proc_sysrq_create(struct dentry *proc);

#endif
