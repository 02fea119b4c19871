/* SPDX-License-Identifier: MIT */
/*
 * Processes and threads in /proc. Their directories are made when somebody looks for them, and vanish with the last
 * reference; they hold numbers, not processes, so an open file of a dead process answers ESRCH.
 *
 * Locks: process_tree_lock to list processes, process->lock to look at one; both without sleeping.
 */
#include "kernel/clock.h"
#include "kernel/fs/files.h"
#include "kernel/fs/procfs.h"
#include "kernel/fs/ramfs.h"
#include "kernel/string.h"
#include "kernel/time.h"
#include "mm/mm.h"
#include "mm/slab.h"
#include "mm/vma.h"

#define KIB(pages) ((pages) << (PAGE_SHIFT - 10))
#define NS_PER_TICK (NSEC_PER_SEC / USER_HZ)
#define ALL_CAPABILITIES 0x1ffffffffffUL
#define OOM_SCORE_ADJ_MIN (-1000)
#define OOM_SCORE_ADJ_MAX 1000

/* --- finding --- */

int proc_target_get(u64 id, struct proc_target *target)
{
	s32 tid = proc_id_tid(id);

	*target = (struct proc_target){ .process = process_find(proc_id_pid(id)) };
	if (!target->process)
		return -ESRCH;
	target->task = tid ? task_find(tid) : process_thread(target->process);
	if (tid && (!target->task || target->task->process != target->process)) {
		proc_target_put(target);
		return -ESRCH;
	}
	target->mm = process_mm(target->process);
	return 0;
}

void proc_target_put(struct proc_target *target)
{
	if (target->mm)
		mm_put(target->mm);
	if (target->task)
		task_put(target->task);
	process_put(target->process);
}

/* A file that is written with a target in hand. */
typedef void show_target_t(struct text *text, const struct proc_target *target, u64 id);

static int show_with(struct text *text, u64 id, show_target_t *show)
{
	struct proc_target target;
	int ret = proc_target_get(id, &target);

	if (ret)
		return ret;
	show(text, &target, id);
	proc_target_put(&target);
	return 0;
}

static char state_letter(const struct proc_target *target)
{
	return target->task ? task_state_letter(target->task) : 'Z';
}

static const char *comm_of(const struct proc_target *target)
{
	return target->task ? target->task->comm : "";
}

static s32 number_of(const struct proc_target *target, u64 id)
{
	return proc_id_tid(id) ? proc_id_tid(id) : target->process->pid;
}

static s32 parent_of(struct process *process)
{
	spin_lock(&process_tree_lock);
	s32 pid = process->parent ? process->parent->pid : 0;
	spin_unlock(&process_tree_lock);
	return pid;
}

/* --- status --- */

struct signal_sets {
	u64 pending, shared_pending, blocked, ignored, caught;
};

static struct signal_sets signal_sets(const struct proc_target *target)
{
	struct process *process = target->process;
	struct signal_sets sets = {};

	unsigned long flags = spin_lock_irqsave(&process->lock);
	sets.shared_pending = process->pending.set;
	if (target->task) {
		sets.pending = target->task->pending.set;
		sets.blocked = target->task->blocked;
	}
	for (int sig = 1; process->sighand && sig <= NSIG; sig++) {
		u64 handler = READ_ONCE(process->sighand->action[sig - 1].handler); /* old or new: both are true just now */
		sets.ignored |= handler == SIG_IGN ? sigmask(sig) : 0;
		sets.caught |= handler != SIG_IGN && handler != SIG_DFL ? sigmask(sig) : 0;
	}
	spin_unlock_irqrestore(&process->lock, flags);
	return sets;
}

static void kib_row(struct text *text, const char *name, u64 pages)
{
	text_printf(text, "%s:\t%8lu kB\n", name, KIB(pages));
}

/* Sizes may change while they are read: each row is right by itself. */
static void show_memory(struct text *text, const struct mm *mm)
{
	u64 anon = mm_rss(mm, RSS_ANON), file = mm_rss(mm, RSS_FILE), shmem = mm_rss(mm, RSS_SHMEM);
	u64 total = READ_ONCE(mm->total_pages), rss = anon + file + shmem;
	u64 code = (align_up(mm->end_code, PAGE_SIZE) - align_down(mm->start_code, PAGE_SIZE)) >> PAGE_SHIFT;
	u64 exec = READ_ONCE(mm->exec_pages);

	kib_row(text, "VmPeak", max(READ_ONCE(mm->hiwater_vm), total));
	kib_row(text, "VmSize", total);
	kib_row(text, "VmLck", READ_ONCE(mm->locked_pages));
	kib_row(text, "VmPin", 0);
	kib_row(text, "VmHWM", max(READ_ONCE(mm->hiwater_rss), rss));
	kib_row(text, "VmRSS", rss);
	kib_row(text, "RssAnon", anon);
	kib_row(text, "RssFile", file);
	kib_row(text, "RssShmem", shmem);
	kib_row(text, "VmData", READ_ONCE(mm->data_pages));
	kib_row(text, "VmStk", READ_ONCE(mm->stack_pages));
	kib_row(text, "VmExe", min(code, exec));
	kib_row(text, "VmLib", exec - min(code, exec));
	kib_row(text, "VmPTE", READ_ONCE(mm->nr_tables));
	kib_row(text, "VmSwap", 0);
	text_printf(text, "HugetlbPages:\t%8d kB\nCoreDumping:\t0\nTHP_enabled:\t0\n", 0);
}

static const char *state_name(char letter)
{
	static const char *const names[] = { "R (running)", "S (sleeping)", "D (disk sleep)", "T (stopped)", "Z (zombie)" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i][0] == letter)
			return names[i];
	}
	return "X (dead)";
}

static void show_signals(struct text *text, const struct proc_target *target)
{
	struct signal_sets sets = signal_sets(target);

	text_printf(text, "SigQ:\t0/%d\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
		    PID_MAX, sets.pending, sets.shared_pending, sets.blocked, sets.ignored, sets.caught);
}

/* "0-3,5": the bits of a set as ranges. */
static void show_cpu_list(struct text *text, u64 cpus)
{
	const char *comma = "";

	for (unsigned first = 0; first < nr_cpus(); first++) {
		unsigned last = first;

		if (!(cpus >> first & 1))
			continue;
		while (last + 1 < nr_cpus() && (cpus >> (last + 1) & 1))
			last++;
		text_printf(text, first == last ? "%s%u" : "%s%u-%u", comma, first, last);
		comma = ",";
		first = last;
	}
	text_printf(text, "\n");
}

static void show_cpus(struct text *text, u64 affinity)
{
	u64 online = nr_cpus() < 64 ? (1UL << nr_cpus()) - 1 : ~0UL, cpus = affinity & online;

	if (nr_cpus() > 32)
		text_printf(text, "Cpus_allowed:\t%08lx,%08lx\nCpus_allowed_list:\t", cpus >> 32, cpus & 0xffffffff);
	else
		text_printf(text, "Cpus_allowed:\t%lx\nCpus_allowed_list:\t", cpus);
	show_cpu_list(text, cpus);
}

static void show_status_of(struct text *text, const struct proc_target *target, u64 id)
{
	struct process *p = target->process;
	struct fs_context *fs = target->task ? task_fs(target->task) : NULL;
	struct files *files = target->task ? task_files(target->task) : NULL;
	s32 number = number_of(target, id);

	text_printf(text, "Name:\t%s\nUmask:\t%04o\nState:\t%s\n", comm_of(target), fs ? READ_ONCE(fs->umask) : 0,
		    state_name(state_letter(target)));
	text_printf(text, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", p->pid, number, parent_of(p));
	text_printf(text, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"); /* everybody is root */
	text_printf(text, "FDSize:\t%u\nGroups:\t \nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n",
		    files ? READ_ONCE(files->capacity) : 0, p->pid, number, READ_ONCE(p->pgid), READ_ONCE(p->sid));
	if (target->mm)
		show_memory(text, target->mm);
	text_printf(text, "Threads:\t%u\n", max(READ_ONCE(p->nr_threads), 1U));
	show_signals(text, target);
	text_printf(text, "CapInh:\t%016x\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016x\n", 0,
		    ALL_CAPABILITIES, ALL_CAPABILITIES, ALL_CAPABILITIES, 0);
	text_printf(text, "NoNewPrivs:\t0\nSeccomp:\t0\n");
	show_cpus(text, target->task ? READ_ONCE(target->task->affinity) : 0);
	text_printf(text, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		    target->task ? READ_ONCE(target->task->nr_voluntary) : 0,
		    target->task ? READ_ONCE(target->task->nr_involuntary) : 0);
	if (fs)
		fs_context_put(fs);
	if (files)
		files_put(files);
}

static int show_status(struct text *text, u64 id)
{
	return show_with(text, id, show_status_of);
}

/* --- stat and statm --- */

static void show_stat_of(struct text *text, const struct proc_target *target, u64 id)
{
	struct process *p = target->process;
	const struct mm *mm = target->mm;
	struct usage usage = {};

	if (proc_id_tid(id))
		task_add_usage(target->task, &usage);
	else
		process_usage(p, &usage);
	text_printf(text, "%d (%s) %c %d %d %d 0 -1 4194304 %lu %lu %lu %lu", number_of(target, id), comm_of(target),
		    state_letter(target), parent_of(p), READ_ONCE(p->pgid), READ_ONCE(p->sid), usage.min_flt,
		    p->children_usage.min_flt, usage.maj_flt, p->children_usage.maj_flt);
	text_printf(text, " %lu %lu %lu %lu %d %d %u 0 %lu", usage.user_time / NS_PER_TICK, usage.kernel_time / NS_PER_TICK,
		    p->children_usage.user_time / NS_PER_TICK, p->children_usage.kernel_time / NS_PER_TICK,
		    20 + (target->task ? target->task->nice : 0), target->task ? target->task->nice : 0,
		    max(READ_ONCE(p->nr_threads), 1U), p->start_ns / NS_PER_TICK);
	text_printf(text, " %lu %lu %lu", mm ? READ_ONCE(mm->total_pages) << PAGE_SHIFT : 0, mm ? mm_rss_total(mm) : 0,
		    READ_ONCE(p->rlimit[RLIMIT_RSS].cur));
	text_printf(text, " %lu %lu %lu 0 0", mm ? mm->start_code : 0, mm ? mm->end_code : 0, mm ? mm->start_stack : 0);
	struct signal_sets sets = signal_sets(target);
	text_printf(text, " %lu %lu %lu %lu 0 0 0 %d %u 0 0 0 0 0", sets.pending, sets.blocked, sets.ignored, sets.caught,
		    p->exit_signal, target->task ? READ_ONCE(target->task->cpu) : 0);
	if (mm)
		text_printf(text, " %lu %lu %lu %lu %lu %lu %lu", mm->start_data, mm->end_data, mm->start_brk, mm->arg_start,
			    mm->arg_end, mm->env_start, mm->env_end);
	else
		text_printf(text, " 0 0 0 0 0 0 0");
	text_printf(text, " %d\n", target->task ? 0 : p->exit_code);
}

static int show_stat(struct text *text, u64 id)
{
	return show_with(text, id, show_stat_of);
}

static void show_statm_of(struct text *text, const struct proc_target *target, u64 id)
{
	const struct mm *mm = target->mm;

	(void)id;
	if (!mm) {
		text_printf(text, "0 0 0 0 0 0 0\n");
		return;
	}
	u64 shared = mm_rss(mm, RSS_FILE) + mm_rss(mm, RSS_SHMEM);
	u64 code = (align_up(mm->end_code, PAGE_SIZE) - align_down(mm->start_code, PAGE_SIZE)) >> PAGE_SHIFT;
	text_printf(text, "%lu %lu %lu %lu 0 %lu 0\n", READ_ONCE(mm->total_pages), mm_rss_total(mm), shared, code,
		    READ_ONCE(mm->data_pages) + READ_ONCE(mm->stack_pages));
}

static int show_statm(struct text *text, u64 id)
{
	return show_with(text, id, show_statm_of);
}

/* --- arguments and names --- */

static void show_user_range(struct text *text, struct mm *mm, u64 start, u64 end)
{
	char buf[256];

	while (mm && start < end) {
		size_t n = proc_peek(mm, start, buf, min(end - start, sizeof(buf)));

		if (!n)
			return;
		text_append(text, buf, n);
		start += n;
	}
}

static void show_cmdline_of(struct text *text, const struct proc_target *target, u64 id)
{
	(void)id;
	if (target->mm)
		show_user_range(text, target->mm, target->mm->arg_start, target->mm->arg_end);
}

static int show_cmdline(struct text *text, u64 id)
{
	return show_with(text, id, show_cmdline_of);
}

static void show_environ_of(struct text *text, const struct proc_target *target, u64 id)
{
	(void)id;
	if (target->mm)
		show_user_range(text, target->mm, target->mm->env_start, target->mm->env_end);
}

static int show_environ(struct text *text, u64 id)
{
	return show_with(text, id, show_environ_of);
}

static void show_auxv_of(struct text *text, const struct proc_target *target, u64 id)
{
	unsigned nr = 0;

	(void)id;
	if (!target->mm)
		return;
	while (nr + 2 < ARRAY_SIZE(target->mm->auxv) && target->mm->auxv[nr])
		nr += 2;
	text_append(text, target->mm->auxv, (nr + 2) * sizeof(target->mm->auxv[0]));
}

static int show_auxv(struct text *text, u64 id)
{
	return show_with(text, id, show_auxv_of);
}

static void show_comm_of(struct text *text, const struct proc_target *target, u64 id)
{
	(void)id;
	text_printf(text, "%s\n", comm_of(target));
}

static int show_comm(struct text *text, u64 id)
{
	return show_with(text, id, show_comm_of);
}

/* Linux lets a process name its own threads only. */
static int write_comm(u64 id, char *buf, size_t len)
{
	struct proc_target target;
	int ret = proc_target_get(id, &target);

	if (ret)
		return ret;
	if (target.process == current->process && target.task) {
		len = min(len, (size_t)TASK_COMM_LEN - 1);
		memcpy(target.task->comm, buf, len);
		target.task->comm[len] = 0;
	} else {
		ret = -EINVAL;
	}
	proc_target_put(&target);
	return ret;
}

static void show_oom_score_adj_of(struct text *text, const struct proc_target *target, u64 id)
{
	(void)id;
	text_printf(text, "%d\n", READ_ONCE(target->process->oom_score_adj));
}

static int show_oom_score_adj(struct text *text, u64 id)
{
	return show_with(text, id, show_oom_score_adj_of);
}

static int write_oom_score_adj(u64 id, char *buf, size_t len)
{
	struct proc_target target;
	bool negative = *buf == '-';
	u64 value;
	int ret = proc_parse_number(buf + negative, &value);

	(void)len;
	if (ret || value > OOM_SCORE_ADJ_MAX)
		return -EINVAL;
	ret = proc_target_get(id, &target);
	if (ret)
		return ret;
	WRITE_ONCE(target.process->oom_score_adj, negative ? -(s32)value : (s32)value);
	proc_target_put(&target);
	return 0;
}

/* --- limits --- */

static void show_limit(struct text *text, u64 value)
{
	if (value == ~0UL)
		text_printf(text, "%-20s ", "unlimited");
	else
		text_printf(text, "%-20lu ", value);
}

static void show_limits_of(struct text *text, const struct proc_target *target, u64 id)
{
	static const struct {
		const char *name, *unit;
	} limits[NR_RLIMITS] = {
		{ "Max cpu time", "seconds" },	  { "Max file size", "bytes" },	      { "Max data size", "bytes" },
		{ "Max stack size", "bytes" },	  { "Max core file size", "bytes" },  { "Max resident set", "bytes" },
		{ "Max processes", "processes" }, { "Max open files", "files" },      { "Max locked memory", "bytes" },
		{ "Max address space", "bytes" }, { "Max file locks", "locks" },      { "Max pending signals", "signals" },
		{ "Max msgqueue size", "bytes" }, { "Max nice priority", "" },	      { "Max realtime priority", "" },
		{ "Max realtime timeout", "us" },
	};

	(void)id;
	text_printf(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (unsigned i = 0; i < NR_RLIMITS; i++) {
		text_printf(text, "%-25s ", limits[i].name);
		show_limit(text, READ_ONCE(target->process->rlimit[i].cur));
		show_limit(text, READ_ONCE(target->process->rlimit[i].max));
		text_printf(text, *limits[i].unit ? "%-10s\n" : "\n", limits[i].unit);
	}
}

static int show_limits(struct text *text, u64 id)
{
	return show_with(text, id, show_limits_of);
}

/* --- links --- */

/* The object that a link of a process leads to, with a reference, or an error pointer. */
typedef struct dentry *target_dentry_t(const struct proc_target *target);

static struct dentry *dentry_with(u64 id, target_dentry_t *find)
{
	struct proc_target target;
	int ret = proc_target_get(id, &target);

	if (ret)
		return err_ptr(ret);
	struct dentry *dentry = find(&target);
	proc_target_put(&target);
	return dentry;
}

static struct dentry *exe_of(const struct proc_target *target)
{
	return target->mm && target->mm->exe_file ? dentry_get(target->mm->exe_file->dentry) : err_ptr(-ENOENT);
}

static struct dentry *cwd_of(const struct proc_target *target)
{
	struct fs_context *fs = target->task ? task_fs(target->task) : NULL;

	if (!fs)
		return err_ptr(-ENOENT);
	struct dentry *cwd = fs_cwd(fs);
	fs_context_put(fs);
	return cwd;
}

/* Writes the path of the dentry, whose reference it drops; or hands an error pointer through. */
static long put_path(struct dentry *dentry, char *buf, size_t size)
{
	char *room, *path;
	long n = -ENAMETOOLONG;

	if (is_err(dentry))
		return ptr_err(dentry);
	room = kmalloc(PATH_MAX, 0);
	path = room ? dentry_path(dentry, room, PATH_MAX) : NULL;
	if (path) {
		n = (long)min(strlen(path), size);
		memcpy(buf, path, (size_t)n);
	}
	kfree(room);
	dentry_put(dentry);
	return n;
}

static struct dentry *jump_exe(struct inode *inode)
{
	return dentry_with(inode->private_id, exe_of);
}

static long readlink_exe(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_exe(inode), buf, size);
}

static struct dentry *jump_cwd(struct inode *inode)
{
	return dentry_with(inode->private_id, cwd_of);
}

static long readlink_cwd(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_cwd(inode), buf, size);
}

static struct dentry *jump_root(struct inode *inode)
{
	(void)inode;
	return dentry_get(fs_root);
}

static long readlink_root(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_root(inode), buf, size);
}

static const struct inode_ops exe_ops = { .readlink = readlink_exe, .jump = jump_exe };
static const struct inode_ops cwd_ops = { .readlink = readlink_cwd, .jump = jump_cwd };
static const struct inode_ops root_link_ops = { .readlink = readlink_root, .jump = jump_root };

/* --- /proc/PID/fd --- */

static struct files *files_of(u64 id)
{
	struct proc_target target;
	struct files *files = NULL;

	if (proc_target_get(id, &target))
		return NULL;
	if (target.task)
		files = task_files(target.task);
	proc_target_put(&target);
	return files;
}

/* The file behind a link of /proc/PID/fd: the number is the entry's place in the id space below. */
struct fd_link {
	u64 id;
	unsigned fd;
};

static struct dentry *jump_fd(struct inode *inode)
{
	const struct fd_link *link = inode->private;
	struct files *files = files_of(link->id);
	struct file *file = files ? files_get_file(files, link->fd) : NULL;
	struct dentry *dentry = file ? dentry_get(file->dentry) : err_ptr(-ENOENT);

	if (file)
		file_put(file);
	if (files)
		files_put(files);
	return dentry;
}

static long readlink_fd(struct inode *inode, char *buf, size_t size)
{
	return put_path(jump_fd(inode), buf, size);
}

static void evict_fd(struct inode *inode)
{
	kfree(inode->private);
}

static const struct inode_ops fd_link_ops = { .readlink = readlink_fd, .jump = jump_fd, .evict = evict_fd };

/* The number that a name is, or -1. */
static s64 parse_name(const char *name, size_t len)
{
	s64 value = 0;

	if (!len || len > 9 || (len > 1 && *name == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		value = value * 10 + (name[i] - '0');
	}
	return value;
}

static struct dentry *make_fd_link(struct dentry *dir, const char *name, size_t len, unsigned fd, u32 mode)
{
	struct inode *inode = inode_alloc(FS_DEV_PROC, S_IFLNK | mode, &fd_link_ops, NULL);
	struct fd_link *link = kmalloc(sizeof(*link), 0);
	struct dentry *dentry;

	if (!inode || !link) {
		kfree(link);
		if (inode)
			inode_put(inode);
		return err_ptr(-ENOMEM);
	}
	*link = (struct fd_link){ .id = dir->inode->private_id, .fd = fd };
	inode->private = link;
	inode->size = 64; /* what Linux says of every such link */
	dentry = dentry_alloc(dir, name, len, inode);
	return dentry ? dentry : err_ptr(-ENOMEM);
}

static struct dentry *lookup_fd(struct dentry *dir, const char *name, size_t len)
{
	s64 fd = parse_name(name, len);
	struct files *files = fd >= 0 ? files_of(dir->inode->private_id) : NULL;
	struct file *file = files ? files_get_file(files, (unsigned)fd) : NULL;
	struct dentry *dentry = err_ptr(-ENOENT);

	if (file) {
		u32 mode = (file->mode & FMODE_READ ? 0500 : 0) | (file->mode & FMODE_WRITE ? 0300 : 0);
		dentry = make_fd_link(dir, name, len, (unsigned)fd, mode);
		file_put(file);
	}
	if (files)
		files_put(files);
	return dentry;
}

static int iterate_fd(struct inode *dir, struct dir_context *ctx)
{
	struct files *files = files_of(dir->private_id);
	char name[16];
	int fd;

	if (!files)
		return -ENOENT;
	while ((fd = files_next_open(files, (unsigned)(ctx->pos - DIR_POS_COMPUTED))) >= 0) {
		u64 next = DIR_POS_COMPUTED + (u64)fd + 1;
		int len = ksnprintf(name, sizeof(name), "%d", fd);

		if (!ctx->emit(ctx, name, (size_t)len, dir->ino + (u64)fd + 1, S_IFLNK, next))
			break;
		ctx->pos = next;
	}
	files_put(files);
	return 0;
}

const struct inode_ops proc_fd_ops = { .lookup = lookup_fd, .iterate = iterate_fd };

/* --- /proc/PID --- */

static const struct inode_ops task_dir_ops;

static const struct proc_entry pid_entries[] = {
	{ .name = "auxv", .mode = S_IFREG | 0400, .show = show_auxv },
	{ .name = "cmdline", .mode = S_IFREG | 0444, .show = show_cmdline },
	{ .name = "comm", .mode = S_IFREG | 0644, .show = show_comm, .write = write_comm },
	{ .name = "cwd", .mode = S_IFLNK | 0777, .ops = &cwd_ops },
	{ .name = "environ", .mode = S_IFREG | 0400, .show = show_environ },
	{ .name = "exe", .mode = S_IFLNK | 0777, .ops = &exe_ops },
	{ .name = "fd", .mode = S_IFDIR | 0500, .ops = &proc_fd_ops },
	{ .name = "limits", .mode = S_IFREG | 0444, .show = show_limits },
	{ .name = "maps", .mode = S_IFREG | 0444, .show = proc_show_maps },
	{ .name = "oom_score_adj", .mode = S_IFREG | 0644, .show = show_oom_score_adj, .write = write_oom_score_adj },
	{ .name = "pagemap", .mode = S_IFREG | 0400, .fops = &proc_pagemap_ops },
	{ .name = "root", .mode = S_IFLNK | 0777, .ops = &root_link_ops },
	{ .name = "smaps", .mode = S_IFREG | 0444, .show = proc_show_smaps },
	{ .name = "smaps_rollup", .mode = S_IFREG | 0444, .show = proc_show_smaps_rollup },
	{ .name = "stat", .mode = S_IFREG | 0444, .show = show_stat },
	{ .name = "statm", .mode = S_IFREG | 0444, .show = show_statm },
	{ .name = "status", .mode = S_IFREG | 0444, .show = show_status },
	{ .name = "task", .mode = S_IFDIR | 0555, .ops = &task_dir_ops }, /* the last: threads have none */
};

#define INO_BASE 0x100000000UL /* beyond those that inode_alloc() hands out */

static u64 entry_ino(u64 id, unsigned index)
{
	return INO_BASE + ((u64)(proc_id_tid(id) ? proc_id_tid(id) : proc_id_pid(id)) << 8) + index;
}

static unsigned nr_entries(u64 id)
{
	return ARRAY_SIZE(pid_entries) - (proc_id_tid(id) ? 1 : 0);
}

static struct dentry *make_dentry(struct dentry *dir, const char *name, size_t len, const struct proc_entry *entry, u64 id,
				  u64 ino)
{
	struct inode *inode = proc_inode(entry, id);
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
	s64 tid = parse_name(name, len);
	u64 id = proc_id(proc_id_pid(dir->inode->private_id), (s32)tid);
	struct proc_target target;

	if (tid <= 0 || proc_target_get(id, &target))
		return err_ptr(-ENOENT);
	proc_target_put(&target);
	return make_dentry(dir, name, len, &pid_dir_entry, id, entry_ino(id, 0));
}

/* The thread with the lowest number ≥ tid, or 0. */
static s32 next_thread(struct process *process, s32 tid)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct task *task;
	s32 best = 0;

	list_for_each(task, &process->threads, thread_link) {
		if (task->tid >= tid && (!best || task->tid < best))
			best = task->tid;
	}
	spin_unlock_irqrestore(&process->lock, flags);
	return best;
}

static int iterate_tasks(struct inode *dir, struct dir_context *ctx)
{
	s32 pid = proc_id_pid(dir->private_id), tid;
	struct process *process = process_find(pid);

	if (!process)
		return -ENOENT;
	while ((tid = next_thread(process, (s32)(ctx->pos - DIR_POS_COMPUTED))) != 0) {
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
	s64 pid = parse_name(name, len);
	struct process *process = pid > 0 ? process_find((s32)pid) : NULL;
	u64 id = proc_id((s32)pid, 0);

	if (!process)
		return err_ptr(-ENOENT);
	process_put(process);
	return make_dentry(dir, name, len, &pid_dir_entry, id, entry_ino(id, 0));
}

/* The process with the lowest number ≥ pid, or 0. */
static s32 next_process(s32 pid)
{
	struct process *process;
	s32 best = 0;

	spin_lock(&process_tree_lock);
	list_for_each(process, &all_processes, all_link) {
		if (process->pid >= pid && (!best || process->pid < best))
			best = process->pid;
	}
	spin_unlock(&process_tree_lock);
	return best;
}

static int iterate_pids(struct inode *dir, struct dir_context *ctx)
{
	s32 pid;

	(void)dir;
	while ((pid = next_process((s32)(ctx->pos - DIR_POS_COMPUTED))) != 0) {
		if (!emit_number(ctx, (u64)pid, entry_ino(proc_id(pid, 0), 0)))
			break;
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
	proc_add_files(proc, self_entries, ARRAY_SIZE(self_entries));
}
