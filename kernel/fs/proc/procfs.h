/* SPDX-License-Identifier: MIT */
/*
 * What the files of /proc have in common. A file is a function that writes its whole text; the text is made anew whenever
 * somebody reads from the beginning. So a reader sees one consistent state, however small its pieces are.
 */
#ifndef KERNEL_FS_PROCFS_H
#define KERNEL_FS_PROCFS_H

#include "kernel/fs/file.h"
#include "kernel/fs/text.h"
#include "kernel/process/task.h"

#define PROC_WRITE_MAX 4096UL /* bytes that one write to such a file may have */

struct proc_entry {
	const char *name;
	u32 mode; /* S_IF*, permissions */
	/*
	 * Files: write the text; 0 or -errno. `id` tells of which process, see proc_id(); 0 elsewhere. Called without any
	 * lock; sleeps.
	 */
	int (*show)(struct text *text, u64 id);
	/* Files: what was written, with a NUL behind it. 0 or -errno. Sleeps. */
	int (*write)(u64 id, char *buf, size_t len);
	const struct inode_ops *ops; /* directories and links */
	const struct file_ops *fops; /* files with operations of their own */
};

/* An inode for the entry, or NULL. Does not sleep. */
struct inode *proc_inode(struct super_block *sb, const struct proc_entry *entry, u64 id);
/*
 * Fill a directory with files about `id`, or with one directory. Without memory the file system is marked incomplete,
 * and its mount fails. => fs_tree_lock held for writing.
 */
void proc_add_files(struct dentry *dir, const struct proc_entry *entries, size_t nr, u64 id);
struct dentry *proc_add_dir(struct dentry *dir, const char *name);
/* A computed file system's mount: makes the root and has it filled, under fs_tree_lock. 0 or -ENOMEM. Sleeps. */
int proc_mount_root(struct super_block *sb, void (*fill)(struct dentry *root));

/* Cuts spaces and newlines off the end; the length that is left. */
size_t proc_trim(char *buf, size_t len);
/* A number in the text, without sign; spaces around it and a newline are fine. 0 or -EINVAL. */
int proc_parse_number(const char *text, u64 *value);

/* --- processes --- */

/* Of a thread (tid), or of a process as a whole (tid 0); and of one of its open files. Numbers are below PID_MAX. */
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

/* What an id stands for just now, each with a reference. */
struct proc_target {
	struct process *process;
	struct task *task; /* the thread, or the first one; NULL: all are gone (a zombie) */
	struct mm *mm;	   /* NULL: none any more. One user counted */
};
/* 0 or -ESRCH. */
int proc_target_get(u64 id, struct proc_target *target);
void proc_target_put(struct proc_target *target);

/* Writes a text about what an id stands for: 0 or -ESRCH. */
typedef void proc_show_target_t(struct text *text, const struct proc_target *target, u64 id);
int proc_show_target(struct text *text, u64 id, proc_show_target_t *show);
/* The name of its program; "" when all threads are gone. */
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

/* Copies from another address space what is there, in memory or in swap; bytes copied. Sleeps. => no lock from RANK_MMAP_LOCK on held. */
size_t proc_peek(struct mm *mm, u64 addr, void *buf, size_t n);

extern const struct inode_ops proc_root_ops;				      /* finds processes by number */
extern const struct inode_ops proc_fd_ops, proc_fdinfo_ops;		      /* /proc/PID/fd, fdinfo */
extern const struct inode_ops proc_exe_ops, proc_cwd_ops, proc_root_link_ops; /* links of /proc/PID */
/* Writes the path of the dentry, whose reference it drops, for a readlink; or hands an error pointer through. */
long proc_put_path(struct dentry *dentry, char *buf, size_t size);
/* The number that a name is, or -1. */
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
