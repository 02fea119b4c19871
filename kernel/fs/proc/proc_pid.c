/* SPDX-License-Identifier: MIT */
/*
 * The directories of processes and threads in /proc. They are made on lookup, and freed with their last reference.
 *
 * Locks: process_tree_lock to list processes, process->lock to list threads; neither is held across a sleep.
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/string.h"

/* --- /proc/PID --- */

static const struct inode_ops task_dir_ops;

static const struct proc_entry pid_entries[] = {
	{ .name = "auxv", .mode = S_IFREG | 0400, .show = proc_show_auxv },
	{ .name = "cmdline", .mode = S_IFREG | 0444, .show = proc_show_cmdline },
	{ .name = "comm", .mode = S_IFREG | 0644, .show = proc_show_comm, .write = proc_write_comm },
	{ .name = "cwd", .mode = S_IFLNK | 0777, .ops = &proc_cwd_ops },
	{ .name = "environ", .mode = S_IFREG | 0400, .show = proc_show_environ },
	{ .name = "exe", .mode = S_IFLNK | 0777, .ops = &proc_exe_ops },
	{ .name = "fd", .mode = S_IFDIR | 0500, .ops = &proc_fd_ops },
	{ .name = "fdinfo", .mode = S_IFDIR | 0555, .ops = &proc_fdinfo_ops },
	{ .name = "io", .mode = S_IFREG | 0400, .show = proc_show_io },
	{ .name = "limits", .mode = S_IFREG | 0444, .show = proc_show_limits },
	{ .name = "maps", .mode = S_IFREG | 0444, .show = proc_show_maps },
	{ .name = "mountinfo", .mode = S_IFREG | 0444, .show = proc_show_mountinfo },
	{ .name = "mounts", .mode = S_IFREG | 0444, .show = proc_show_mounts },
	{ .name = "oom_score_adj",
	  .mode = S_IFREG | 0644,
	  .show = proc_show_oom_score_adj,
	  .write = proc_write_oom_score_adj },
	{ .name = "oom_score", .mode = S_IFREG | 0444, .show = proc_show_oom_score },
	{ .name = "pagemap", .mode = S_IFREG | 0400, .fops = &proc_pagemap_ops },
	{ .name = "personality", .mode = S_IFREG | 0400, .show = proc_show_personality },
	{ .name = "root", .mode = S_IFLNK | 0777, .ops = &proc_root_link_ops },
	{ .name = "smaps", .mode = S_IFREG | 0444, .show = proc_show_smaps },
	{ .name = "smaps_rollup", .mode = S_IFREG | 0444, .show = proc_show_smaps_rollup },
	{ .name = "stat", .mode = S_IFREG | 0444, .show = proc_show_stat },
	{ .name = "statm", .mode = S_IFREG | 0444, .show = proc_show_statm },
	{ .name = "status", .mode = S_IFREG | 0444, .show = proc_show_status },
	{ .name = "wchan", .mode = S_IFREG | 0444, .show = proc_show_wchan },
	{ .name = "task", .mode = S_IFDIR | 0555, .ops = &task_dir_ops }, /* must be last: threads have none */
};

#define INO_BASE 0x100000000UL /* above the numbers that inode_alloc() assigns */

static u64 entry_ino(u64 id, unsigned index)
{
	return INO_BASE + ((u64)(proc_id_tid(id) ? proc_id_tid(id) : proc_id_pid(id)) << 8) + index;
}

static unsigned nr_entries(u64 id)
{
	return ARRAY_SIZE(pid_entries) - (proc_id_tid(id) ? 1 : 0);
}

static struct dentry *make_dentry(struct dentry *dir, const char *name, size_t len, const struct proc_entry *entry,
				  u64 id, u64 ino)
{
	struct inode *inode = proc_inode(dir->inode->sb, entry, id);
	struct dentry *dentry;

	if (!inode)
		return err_ptr(-ENOMEM);
	inode->ino = ino;
	dentry = dentry_alloc(dir, name, len, inode);
	return dentry ? dentry : err_ptr(-ENOMEM);
}

static struct dentry *lookup_pid_entry(struct dentry *dir, const char *name, size_t len)
{
	u64 id = dir->inode->private_id;
	struct process *process = process_find(proc_id_pid(id));

	if (!process)
		return err_ptr(-ENOENT);
	process_put(process);
	for (unsigned i = 0; i < nr_entries(id); i++) {
		const struct proc_entry *entry = &pid_entries[i];

		if (strlen(entry->name) == len && !strncmp(entry->name, name, len))
			return make_dentry(dir, name, len, entry, id, entry_ino(id, i + 1));
	}
	return err_ptr(-ENOENT);
}

static int iterate_pid_entries(struct inode *dir, struct dir_context *ctx)
{
	u64 id = dir->private_id;

	for (u64 i = ctx->pos - DIR_POS_COMPUTED; i < nr_entries(id); i++) {
		const struct proc_entry *entry = &pid_entries[i];

		if (!ctx->emit(ctx, entry->name, strlen(entry->name), entry_ino(id, (unsigned)i + 1), entry->mode,
			       DIR_POS_COMPUTED + i + 1))
			break;
		ctx->pos = DIR_POS_COMPUTED + i + 1;
	}
	return 0;
}

static const struct inode_ops pid_dir_ops = { .lookup = lookup_pid_entry, .iterate = iterate_pid_entries };
static const struct proc_entry pid_dir_entry = { .mode = S_IFDIR | 0555, .ops = &pid_dir_ops };

static bool emit_number(struct dir_context *ctx, u64 number, u64 ino)
{
	char name[16];
	int len = ksnprintf(name, sizeof(name), "%lu", number);
	u64 next = DIR_POS_COMPUTED + number + 1;

	if (!ctx->emit(ctx, name, (size_t)len, ino, S_IFDIR, next))
		return false;
	ctx->pos = next;
	return true;
}

/* --- /proc/PID/task --- */

static struct dentry *lookup_task(struct dentry *dir, const char *name, size_t len)
{
	s64 tid = proc_parse_name(name, len);
	u64 id = proc_id(proc_id_pid(dir->inode->private_id), (s32)tid);
	struct proc_target target;

	if (tid <= 0 || tid >= PID_MAX || proc_target_get(id, &target))
		return err_ptr(-ENOENT);
	proc_target_put(&target);
	return make_dentry(dir, name, len, &pid_dir_entry, id, entry_ino(id, 0));
}

/* Returns the lowest number >= tid of a thread of the process, or 0. => process->lock held. */
static s32 lowest_thread(const struct process *process, s32 tid)
{
	struct task *task;
	s32 best = 0;

	assert_spin_held(&process->lock);
	list_for_each (task, &process->threads, thread_link)
		if (task->tid >= tid && (!best || task->tid < best))
			best = task->tid;
	return best;
}

/* Returns the number of the thread that follows in the list, or 0. => process->lock held. */
static s32 thread_behind(const struct process *process, const struct list_head *link)
{
	assert_spin_held(&process->lock);
	return link->next == &process->threads ? 0 : list_first(link, struct task, thread_link)->tid;
}

/*
 * Returns the number of the thread to list after `told` (-1: none yet), or 0. If `told` has exited, that is the next
 * higher number. The list is in order of creation, in which numbers fall when they wrap.
 */
static s32 next_thread(struct process *process, s32 told)
{
	struct task *task = task_find(told);
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool there = task && task->process == process && !list_empty(&task->thread_link);
	s32 next;

	if (told < 0)
		next = thread_behind(process, &process->threads);
	else
		next = there ? thread_behind(process, &task->thread_link) : lowest_thread(process, told + 1);

	spin_unlock_irqrestore(&process->lock, flags);
	if (task)
		task_put(task);
	return next;
}

static int iterate_tasks(struct inode *dir, struct dir_context *ctx)
{
	s32 pid = proc_id_pid(dir->private_id), tid;
	struct process *process = process_find(pid);

	if (!process)
		return -ENOENT;
	while ((tid = next_thread(process, (s32)(ctx->pos - DIR_POS_COMPUTED) - 1)) != 0) {
		if (!emit_number(ctx, (u64)tid, entry_ino(proc_id(pid, tid), 0)))
			break;
	}
	process_put(process);
	return 0;
}

static const struct inode_ops task_dir_ops = { .lookup = lookup_task, .iterate = iterate_tasks };

/* --- /proc itself --- */

static struct dentry *lookup_pid(struct dentry *dir, const char *name, size_t len)
{
	s64 pid = proc_parse_name(name, len);
	struct process *process = pid > 0 ? process_find((s32)pid) : NULL;
	u64 id = proc_id((s32)pid, 0);

	if (!process)
		return err_ptr(-ENOENT);
	process_put(process);
	return make_dentry(dir, name, len, &pid_dir_entry, id, entry_ino(id, 0));
}

static int iterate_pids(struct inode *dir, struct dir_context *ctx)
{
	struct process *process;
	bool room = true;

	(void)dir;
	while (room && (process = process_next((s32)(ctx->pos - DIR_POS_COMPUTED))) != NULL) {
		room = emit_number(ctx, (u64)process->pid, entry_ino(proc_id(process->pid, 0), 0));
		process_put(process);
	}
	return 0;
}

const struct inode_ops proc_root_ops = { .lookup = lookup_pid, .iterate = iterate_pids };

static long readlink_self(struct inode *inode, char *buf, size_t size)
{
	char path[16];
	int len = ksnprintf(path, sizeof(path), "%d", current->process->pid);
	size_t n = min((size_t)len, size);

	(void)inode;
	memcpy(buf, path, n);
	return (long)n;
}

static long readlink_thread_self(struct inode *inode, char *buf, size_t size)
{
	char path[32];
	int len = ksnprintf(path, sizeof(path), "%d/task/%d", current->process->pid, current->tid);
	size_t n = min((size_t)len, size);

	(void)inode;
	memcpy(buf, path, n);
	return (long)n;
}

static const struct inode_ops self_ops = { .readlink = readlink_self };
static const struct inode_ops thread_self_ops = { .readlink = readlink_thread_self };

static const struct proc_entry self_entries[] = {
	{ .name = "self", .mode = S_IFLNK | 0777, .ops = &self_ops },
	{ .name = "thread-self", .mode = S_IFLNK | 0777, .ops = &thread_self_ops },
};

void proc_pid_create(struct dentry *proc)
{
	proc_add_files(proc, self_entries, ARRAY_SIZE(self_entries), 0);
}
