/* SPDX-License-Identifier: MIT */
/*
 * The files of /proc/PID that show a process's arguments, environment, name, OOM score and limits. Takes no locks
 * except those of proc_peek().
 */
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/string.h"
#include "mm/page/page_alloc.h"
#include "mm/vma/mm.h"

#define OOM_SCORE_ADJ_MAX 1000

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

int proc_show_cmdline(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_cmdline_of);
}

static void show_environ_of(struct text *text, const struct proc_target *target, u64 id)
{
	(void)id;
	if (target->mm)
		show_user_range(text, target->mm, target->mm->env_start, target->mm->env_end);
}

int proc_show_environ(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_environ_of);
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

int proc_show_auxv(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_auxv_of);
}

static void show_comm_of(struct text *text, const struct proc_target *target, u64 id)
{
	(void)id;
	text_printf(text, "%s\n", proc_comm(target));
}

int proc_show_comm(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_comm_of);
}

/* As on Linux, a process may name only its own threads. */
int proc_write_comm(u64 id, char *buf, size_t len)
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

int proc_show_oom_score_adj(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_oom_score_adj_of);
}

int proc_write_oom_score_adj(u64 id, char *buf, size_t len)
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

/*
 * Linux's formula: an empty process scores two thirds of 1000, so that a negative adjustment can lower the score.
 * Counts resident pages and page tables, adjusted by oom_score_adj.
 */
static void show_oom_score_of(struct text *text, const struct proc_target *target, u64 id)
{
	s64 total = (s64)nr_managed_pages(), adjust = READ_ONCE(target->process->oom_score_adj);
	s64 pages = target->mm ? (s64)(mm_rss_total(target->mm) + READ_ONCE(target->mm->nr_tables)) : 0;
	s64 points = pages + adjust * total / OOM_SCORE_ADJ_MAX;
	bool never = !target->mm || adjust == -OOM_SCORE_ADJ_MAX;

	(void)id;
	text_printf(text, "%ld\n", never ? 0 : (OOM_SCORE_ADJ_MAX + points * OOM_SCORE_ADJ_MAX / total) * 2 / 3);
}

int proc_show_oom_score(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_oom_score_of);
}

/* Only the default execution domain exists. */
int proc_show_personality(struct text *text, u64 id)
{
	(void)id;
	text_printf(text, "%08x\n", 0);
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
		{ "Max cpu time", "seconds" },	   { "Max file size", "bytes" },
		{ "Max data size", "bytes" },	   { "Max stack size", "bytes" },
		{ "Max core file size", "bytes" }, { "Max resident set", "bytes" },
		{ "Max processes", "processes" },  { "Max open files", "files" },
		{ "Max locked memory", "bytes" },  { "Max address space", "bytes" },
		{ "Max file locks", "locks" },	   { "Max pending signals", "signals" },
		{ "Max msgqueue size", "bytes" },  { "Max nice priority", "" },
		{ "Max realtime priority", "" },   { "Max realtime timeout", "us" },
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

int proc_show_limits(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_limits_of);
}
