/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: what programs have said they can do without goes first (MADV_FREE), then what they have not used lately, to
 * swap. If there is nothing of that, the process that has most, in memory and in swap, adjusted by its oom_score_adj, is
 * killed, and whoever needed memory waits for its end, then tries again. One victim at a time: as long as somebody is still
 * ending, nobody else is chosen, for what an end gives back comes last (descriptors).
 *
 * Locks: process_tree_lock, then one process->lock, while choosing; none while waiting. Needs no memory itself.
 */
#include "kernel/oom.h"
#include "kernel/clock.h"
#include "kernel/fs/files.h"
#include "kernel/print.h"
#include "kernel/rcu.h"
#include "kernel/task.h"
#include "kernel/timer.h"
#include "kernel/x86/kstack.h"
#include "mm/lazyfree.h"
#include "mm/mm.h"
#include "mm/page_alloc.h"
#include "mm/reclaim.h"
#include "mm/swap.h"
#include "mm/watermark.h"

#define WAIT_STEP_NS 1000000UL
#define WAIT_STEPS 100
#define GRACE_PERIODS 3
#define OOM_SCORE_ADJ_NEVER (-1000)

struct victim {
	struct process *process; /* a reference */
	u64 points; /* its badness */
};

/*
 * What the end of the thread's process would give back, in pages, adjusted by oom_score_adj in thousandths of `total`. As Linux,
 * oom_badness(); and what its descriptors keep, or who fills pipes would be the last to go. => process->lock
 */
static u64 badness(const struct process *process, const struct task *task, s64 total)
{
	const struct mm *mm = task->mm;
	s64 adjust = READ_ONCE(process->oom_score_adj);
	s64 pages = (s64)(mm_rss_total(mm) + mm_rss(mm, RSS_SWAP) + READ_ONCE(mm->nr_tables));

	if (task->files)
		pages += (s64)files_kept_pages(task->files);

	return adjust == OOM_SCORE_ADJ_NEVER ? 0 : (u64)max(pages + adjust * total / 1000, (s64)1);
}

/* Its badness; 0: it has no address space, or is not to be killed. `ending`: it is, and has not given back everything. */
static u64 badness_of_process(struct process *process, s64 total, bool *ending)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct task *task;
	u64 points = 0;

	*ending = process->group_exit && !process->zombie && process != init_process;
	list_for_each(task, &process->threads, thread_link)
		if (task->mm) {
			points = badness(process, task, total);
			break;
		}
	spin_unlock_irqrestore(&process->lock, flags);
	return points;
}

/* The worst process, with a reference; or, if one is ending, NULL: that is waited for. */
static struct victim choose_victim(void)
{
	s64 total = (s64)(nr_managed_pages() + swap_figures().total);
	struct victim victim = { 0 };
	struct process *process;
	bool wait = false;

	spin_lock(&process_tree_lock);
	list_for_each(process, &all_processes, all_link) {
		bool ending;
		u64 points = badness_of_process(process, total, &ending);

		if (ending)
			wait = true;
		else if (points > victim.points)
			victim = (struct victim){ process, points };
	}
	if (wait)
		victim.process = NULL;
	if (victim.process)
		process_get(victim.process);
	spin_unlock(&process_tree_lock);
	return victim;
}

/* Until memory is there, we are to die ourselves, or it takes too long and another look is due. */
static void wait_for_memory(u64 nr_free_before)
{
	for (int i = 0; i < WAIT_STEPS && !thread_killed(); i++) {
		thread_prepare_sleep(SLEEP_KILLABLE);
		sleep_until(ktime_ns() + WAIT_STEP_NS);
		if (nr_free_pages() > nr_free_before)
			return;
	}
}

/* Memory has come since; or, as Linux's last look, so much is free that it had before we asked. */
static bool has_come(u64 nr_free_before)
{
	return nr_free_pages() > nr_free_before || nr_pages_in_zone() > READ_ONCE(watermarks.high);
}

/* Page tables and mapped files of whoever has just ended come back after a grace period; files maybe after one more. */
static bool comes_back(u64 nr_free_before)
{
	for (unsigned i = 0; i < GRACE_PERIODS && !has_come(nr_free_before); i++)
		rcu_barrier();
	return has_come(nr_free_before);
}

void oom_kill(void)
{
	u64 nr_free = nr_free_pages();
	struct victim victim;

	kstack_drain();
	if (nr_free_pages() > nr_free || mm_drop_all_lazy() || reclaim_pages(RECLAIM_BATCH))
		return;
	if (comes_back(nr_free))
		return;
	victim = choose_victim();
	if (victim.process) {
		klog("out of memory: process %d is killed, of %llu pages with its adjustment", victim.process->pid,
		     (unsigned long long)victim.points);
		signal_process_kernel(victim.process, SIGKILL);
		process_put(victim.process);
	}
	wait_for_memory(nr_free);
}
