/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/status, stat, statm and io, which show a process in figures. Each figure is correct by itself, but they are
 * not all from the same instant. Takes process_tree_lock and process->lock, one after the other.
 */
#include "kernel/fs/devices.h"
#include "kernel/fs/files.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/linux_hooks.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "mm/vma/mm.h"

#define KIB(pages) ((pages) << (PAGE_SHIFT - 10))
#define NS_PER_TICK (NSEC_PER_SEC / USER_HZ)
#define PF_KTHREAD 0x200000u
#define PF_RANDOMIZE 0x400000u /* Linux sets it for nearly every process */

static char state_letter(const struct proc_target *target)
{
	return target->task ? task_state_letter(target->task) : 'Z';
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
		u64 handler =
			READ_ONCE(process->sighand->action[sig - 1].handler); /* a concurrent change may be missed */
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

/* The sizes may change while they are read: each row is correct by itself. */
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
	kib_row(text, "VmSwap", mm_rss(mm, RSS_SWAP));
	text_printf(text, "HugetlbPages:\t%8d kB\nCoreDumping:\t0\nTHP_enabled:\t0\n", 0);
}

static const char *state_name(char letter)
{
	static const char *const names[] = { "R (running)", "S (sleeping)", "D (disk sleep)", "T (stopped)",
					     "Z (zombie)" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i][0] == letter)
			return names[i];
	}
	return "X (dead)";
}

static void show_signals(struct text *text, const struct proc_target *target)
{
	struct signal_sets sets = signal_sets(target);

	text_printf(
		text,
		"SigQ:\t0/%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
		READ_ONCE(target->process->rlimit[RLIMIT_SIGPENDING].cur), sets.pending, sets.shared_pending,
		sets.blocked, sets.ignored, sets.caught);
}

/* Shows the bits of a set of CPUs as ranges: "0-3,5". */
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

/* Another thread may be changing the IDs: each is correct by itself. */
static void show_ids(struct text *text, const char *kind, const struct ids *ids)
{
	text_printf(text, "%s:\t%u\t%u\t%u\t%u\n", kind, READ_ONCE(ids->real), READ_ONCE(ids->effective),
		    READ_ONCE(ids->saved), READ_ONCE(ids->fs));
}

static void show_status_of(struct text *text, const struct proc_target *target, u64 id)
{
	struct process *p = target->process;
	struct fs_context *fs = target->task ? task_fs(target->task) : NULL;
	struct files *files = target->task ? task_files(target->task) : NULL;
	s32 number = number_of(target, id);

	text_printf(text, "Name:\t%s\nUmask:\t%04o\nState:\t%s\n", proc_comm(target), fs ? READ_ONCE(fs->umask) : 0,
		    state_name(state_letter(target)));
	text_printf(text, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", p->pid, number, parent_of(p));
	show_ids(text, "Uid", &p->users.user);
	show_ids(text, "Gid", &p->users.group);
	text_printf(text, "FDSize:\t%u\nGroups:\t \nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n",
		    files ? READ_ONCE(files->capacity) : 0, p->pid, number, READ_ONCE(p->pgid), READ_ONCE(p->sid));
	if (target->mm)
		show_memory(text, target->mm);
	text_printf(text, "Threads:\t%u\n", max(READ_ONCE(p->nr_threads), 1U));
	show_signals(text, target);
	text_printf(text, "CapInh:\t%016x\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016x\n", 0,
		    permitted_capabilities(p), effective_capabilities(p), ALL_CAPABILITIES, 0);
	text_printf(text, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", READ_ONCE(p->no_new_privs));
	show_cpus(text, target->task ? READ_ONCE(target->task->affinity) : 0);
	text_printf(text, "Mems_allowed:\t1\nMems_allowed_list:\t0\n"); /* there is one memory node */
	text_printf(text, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		    target->task ? READ_ONCE(target->task->nr_voluntary) : 0,
		    target->task ? READ_ONCE(target->task->nr_involuntary) : 0);
	if (fs)
		fs_context_put(fs);
	if (files)
		files_put(files);
}

int proc_show_status(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_status_of);
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
	text_printf(text, "%d (%s) %c %d %d %d %u %d %u %lu %lu %lu %lu", number_of(target, id), proc_comm(target),
		    state_letter(target), parent_of(p), READ_ONCE(p->pgid), READ_ONCE(p->sid),
		    READ_ONCE(p->tty) ? DEV_STDIN : 0, tty_foreground(p), p->is_kernel ? PF_KTHREAD : PF_RANDOMIZE,
		    usage.min_flt, p->children_usage.min_flt, usage.maj_flt, p->children_usage.maj_flt);
	text_printf(text, " %lu %lu %lu %lu %d %d %u 0 %lu", usage.user_time / NS_PER_TICK,
		    usage.kernel_time / NS_PER_TICK, p->children_usage.user_time / NS_PER_TICK,
		    p->children_usage.kernel_time / NS_PER_TICK, 20 + (target->task ? target->task->nice : 0),
		    target->task ? target->task->nice : 0, max(READ_ONCE(p->nr_threads), 1U),
		    p->start_ns / NS_PER_TICK);
	text_printf(text, " %lu %lu %lu", mm ? READ_ONCE(mm->total_pages) << PAGE_SHIFT : 0, mm ? mm_rss_total(mm) : 0,
		    READ_ONCE(p->rlimit[RLIMIT_RSS].cur));
	text_printf(text, " %lu %lu %lu 0 0", mm ? mm->start_code : 0, mm ? mm->end_code : 0, mm ? mm->start_stack : 0);
	struct signal_sets sets = signal_sets(target);
	text_printf(text, " %lu %lu %lu %lu 0 0 0 %d %u 0 0 %lu 0 0", sets.pending, sets.blocked, sets.ignored,
		    sets.caught, p->exit_signal, target->task ? READ_ONCE(target->task->cpu) : 0,
		    target->task ? READ_ONCE(target->task->io_wait_ns) / NS_PER_TICK : 0);
	if (mm)
		text_printf(text, " %lu %lu %lu %lu %lu %lu %lu", mm->start_data, mm->end_data, mm->start_brk,
			    mm->arg_start, mm->arg_end, mm->env_start, mm->env_end);
	else
		text_printf(text, " 0 0 0 0 0 0 0");
	text_printf(text, " %d\n", target->task ? 0 : p->exit_code);
}

int proc_show_stat(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_stat_of);
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

int proc_show_statm(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_statm_of);
}

/* --- io --- */

static void show_io_of(struct text *text, const struct proc_target *target, u64 id)
{
	struct usage usage = {};

	if (proc_id_tid(id))
		task_add_usage(target->task, &usage);
	else
		process_usage(target->process, &usage);
	text_printf(text, "rchar: %lu\nwchar: %lu\nsyscr: %lu\nsyscw: %lu\nread_bytes: %lu\nwrite_bytes: %lu\n",
		    usage.io.read_chars, usage.io.written_chars, usage.io.nr_reads, usage.io.nr_writes,
		    usage.io.read_bytes, usage.io.write_bytes);
	text_printf(text, "cancelled_write_bytes: %d\n", 0);
}

int proc_show_io(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_io_of);
}
