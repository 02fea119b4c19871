/* SPDX-License-Identifier: MIT */
/*
 * The out-of-memory killer. Pages that programs have marked as dispensable (MADV_FREE) are freed first, then pages that
 * were not used lately are swapped out. If none are left, the process that uses the most memory and swap, adjusted by
 * its oom_score_adj, is killed; the thread that needed memory waits, and tries again. There is one victim at a time: no
 * other is chosen while a process is ending, because an exit frees some memory only late (descriptors).
 *
 * A kernel thread, oom_reaper, does the killing in rounds; a thread that needs memory requests a round and waits for
 * its end. So the waiting threads may hold locks, even locks that the victim needs: oom_reaper holds none, waits for
 * none that they may hold, and takes the victim's memory away even if the victim is blocked (mm/reclaim/oom_reap.h). It
 * stops waiting for a victim that has not ended after PATIENCE_NS. So each round frees memory, or removes one of the
 * processes that can still be killed, within bounded time: the system always makes progress.
 *
 * Locks: process_tree_lock, then one process->lock, while choosing; oom.lock by itself. Needs no memory.
 * Mirrors: Linux, mm/oom_kill.c: out_of_memory(), oom_badness(), __oom_kill_process(), oom_reaper(). Rejected: killing
 * in the thread that finds no memory, and leaving only the reaping to a kernel thread. Freeing MADV_FREE's pages, which
 * comes first, takes locks that rank above those that such a thread may hold.
 */
#include "kernel/oom.h"
#include "kernel/fs/files.h"
#include "kernel/lib/print.h"
#include "kernel/process/task.h"
#include "kernel/sched/kthread.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/time/timer.h"
#include "kernel/x86/kstack.h"
#include "mm/debug/counters.h"
#include "mm/page/page_alloc.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/reclaim/oom_reap.h"
#include "mm/reclaim/reclaim.h"
#include "mm/services.h"
#include "mm/swap/swap.h"
#include "mm/vma/mm.h"

#define WAIT_STEP_NS 1000000UL
#define WAIT_STEPS 100
#define PATIENCE_NS (5 * NSEC_PER_SEC)
#define GRACE_PERIODS 3
#define OOM_SCORE_ADJ_NEVER (-1000)

static struct {
	struct task *thread; /* NULL: no killing. Published by store_release; taken back at shut-down */
	struct wait_queue rounds_end;

	spinlock_t lock;
	u64 nr_wanted;		/* rounds requested, */
	u64 nr_begun, nr_ended; /* ... begun and ended; read without the lock to detect an end */
	bool hopeless;		/* the last round found neither memory nor a process to kill */
} oom = { .rounds_end = WAIT_QUEUE_INIT(oom.rounds_end), .lock = SPINLOCK_INIT(LEAF) };

/* ---- Choosing a victim ------------------------------------------------------------------------------------------- */

/* The result of a look at all processes. */
struct look {
	struct process *victim; /* the process with the highest badness */
	u64 points;		/* its badness */
	struct mm *ending;	/* of a process that is ending, with a reference, or NULL */
	bool wait;		/* a process is ending, and is worth waiting for */
};

/*
 * Returns a thread that still has an address space, which is that of all its threads, or NULL. => process->lock held.
 */
static struct task *living_thread(const struct process *process)
{
	struct task *task;

	assert_spin_held(&process->lock);
	list_for_each (task, &process->threads, thread_link)
		if (task_own_mm(task))
			return task;
	return NULL;
}

/* => process->lock held. */
static struct mm *mm_of(const struct process *process)
{
	struct task *task = living_thread(process);

	assert_spin_held(&process->lock);
	return task ? task_own_mm(task) : NULL;
}

static bool is_exempt(const struct process *process)
{
	return process == init_process || process->is_kernel ||
	       READ_ONCE(process->oom_score_adj) == OOM_SCORE_ADJ_NEVER;
}

/*
 * Returns the number of pages that the end of the thread's process would free, adjusted by oom_score_adj in thousandths
 * of `total`. As Linux's oom_badness(), plus what its descriptors keep: otherwise a process that fills pipes would be
 * killed last. => process->lock held.
 */
static u64 badness(const struct task *task, s64 total)
{
	const struct mm *mm = task_own_mm(task);
	s64 pages = (s64)(mm_rss_total(mm) + mm_rss(mm, RSS_SWAP) + READ_ONCE(mm->nr_tables));

	assert_spin_held(&task->process->lock);
	if (task->files)
		pages += (s64)files_kept_pages(task->files);
	return (u64)max(pages + READ_ONCE(task->process->oom_score_adj) * total / 1000, (s64)1);
}

/*
 * Notes a process that is ending already, if it is still worth waiting for. => process_tree_lock held; process->lock
 * held.
 */
static void look_at_ending(struct process *process, struct look *look)
{
	struct mm *mm = mm_of(process);
	u64 now = ktime_ns();

	assert_spin_held(&process->lock);
	assert_spin_held(&process_tree_lock);
	if (!process->oom_since)
		process->oom_since = now;
	if (now - process->oom_since > PATIENCE_NS)
		return;
	look->wait = true;
	if (!mm || look->ending || READ_ONCE(mm->reaped))
		return;
	mmgrab(mm);
	look->ending = mm;
}

/* => process_tree_lock held. */
static void look_at(struct process *process, s64 total, struct look *look)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	const struct task *task = living_thread(process);
	u64 points = 0;

	assert_spin_held(&process_tree_lock);
	if (process->group_exit && !process->zombie && process != init_process) {
		look_at_ending(process, look);
	} else if (task && !is_exempt(process)) {
		points = badness(task, total);
	}
	if (points > look->points) {
		look->victim = process;
		look->points = points;
	}
	spin_unlock_irqrestore(&process->lock, flags);
}

static bool runs_on(struct process *process, const struct mm *mm, bool *ends)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool runs = mm && mm_of(process) == mm;

	*ends = process->group_exit;
	spin_unlock_irqrestore(&process->lock, flags);
	return runs;
}

/* ---- Killing ----------------------------------------------------------------------------------------------------- */

/*
 * Kills the victim and all others that share its address space, which would not be freed otherwise.
 * => process_tree_lock held.
 */
static void kill_with_sharers(struct process *victim, u64 points)
{
	struct process *process;
	unsigned long flags = spin_lock_irqsave(&victim->lock);
	const struct mm *mm = mm_of(victim); /* only compared */
	bool ends;

	assert_spin_held(&process_tree_lock);
	spin_unlock_irqrestore(&victim->lock, flags);
	list_for_each (process, &all_processes, all_link)
		if (process == victim || (runs_on(process, mm, &ends) && !is_exempt(process)))
			signal_process_kernel(process, SIGKILL);
	count(oom_kill);
	klog("out of memory: killed process %d, badness %llu pages", victim->pid, (unsigned long long)points);
}

/*
 * Kills the process with the highest badness, unless one is ending already. Returns the result of the look; its victim
 * may have been freed by then.
 */
static struct look look_and_kill(void)
{
	s64 total = (s64)(nr_managed_pages() + swap_figures().total);
	struct look look = { 0 };
	struct process *process;

	spin_lock(&process_tree_lock);
	list_for_each (process, &all_processes, all_link)
		look_at(process, total, &look);
	if (!look.wait && look.victim) {
		kill_with_sharers(look.victim, look.points);
		look.wait = true;
		look_at(look.victim, total, &look);
	}
	spin_unlock(&process_tree_lock);
	return look;
}

/* Returns true if all processes that run on the mm are dying; no others can join them any more. */
static bool only_dying_run_on(const struct mm *mm)
{
	struct process *process;
	bool ends, dying = true;

	spin_lock(&process_tree_lock);
	list_for_each (process, &all_processes, all_link)
		if (runs_on(process, mm, &ends) && !ends)
			dying = false;
	spin_unlock(&process_tree_lock);
	return dying;
}

/* Consumes the reference. If mmap_lock is busy, the next round tries again. */
static void reap(struct mm *mm)
{
	if (only_dying_run_on(mm))
		(void)mm_reap(mm);
	mmdrop(mm);
}

/* ---- A round ----------------------------------------------------------------------------------------------------- */

/* Waits until memory is free, or until it is time to look again. */
static void wait_for_memory(u64 nr_free_before)
{
	for (int i = 0; i < WAIT_STEPS && nr_free_pages() <= nr_free_before; i++) {
		thread_prepare_sleep(SLEEP_UNINTERRUPTIBLE);
		sleep_until(ktime_ns() + WAIT_STEP_NS);
	}
}

/* Returns true if memory was freed since; or, as in Linux's last attempt, if enough was free before the request. */
static bool has_come(u64 nr_free_before)
{
	return nr_free_pages() > nr_free_before || nr_pages_in_zone() > READ_ONCE(watermarks.high);
}

/*
 * Waits for the page tables and mapped files of processes that have just ended: a grace period frees them, or two for
 * files.
 */
static bool comes_back(u64 nr_free_before)
{
	for (unsigned i = 0; i < GRACE_PERIODS && !has_come(nr_free_before); i++)
		rcu_barrier();
	return has_come(nr_free_before);
}

/* Frees memory for which no process must die. */
static bool find_some(u64 nr_free_before)
{
	kstack_drain();
	return nr_free_pages() > nr_free_before || mm_drop_all_lazy();
}

/* Returns false if there is neither memory nor a process to kill. */
static bool make_memory(void)
{
	u64 nr_free = nr_free_pages();
	struct look look;

	if (find_some(nr_free) || comes_back(nr_free))
		return true;
	look = look_and_kill();
	if (look.ending)
		reap(look.ending);
	page_alloc_drain(); /* no other CPU can use the pages in this CPU's stash */
	if (look.wait)
		wait_for_memory(nr_free);
	return look.wait || has_come(nr_free);
}

static void do_round(void)
{
	bool hopeless;

	spin_lock(&oom.lock);
	oom.nr_begun++;
	spin_unlock(&oom.lock);
	hopeless = !make_memory();
	page_alloc_drain();
	spin_lock(&oom.lock);
	oom.hopeless = hopeless;
	store_release(&oom.nr_ended, oom.nr_begun);
	spin_unlock(&oom.lock);
	wake_up_all(&oom.rounds_end);
}

/* ---- The thread -------------------------------------------------------------------------------------------------- */

static bool is_wanted(void)
{
	bool wanted;

	spin_lock(&oom.lock);
	wanted = oom.nr_wanted > oom.nr_ended;
	spin_unlock(&oom.lock);
	return wanted;
}

/* The sleep is interruptible, since it may be long without being a hang; kernel threads get no signals. */
static void oom_reaper_main(void *arg __maybe_unused)
{
	while (!kthread_should_stop()) {
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		while (!is_wanted() && !kthread_should_stop()) {
			thread_sleep();
			thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		}
		thread_cancel_sleep();
		if (is_wanted())
			do_round();
	}
}

void oom_start(void)
{
	struct task *thread = kthread_start("oom_reaper", oom_reaper_main, NULL);

	assert_may_sleep();
	if (!thread)
		panic("no memory for oom_reaper");
	store_release(&oom.thread, thread);
}

void oom_stop(void)
{
	struct task *thread = atomic_xchg(&oom.thread, NULL);

	assert_may_sleep();
	synchronize_rcu(); /* until no thread is about to wake it */
	kthread_stop(thread);
	wake_up_all(&oom.rounds_end);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

/* Requests a round that has not begun yet. Returns its number, or 0 if there will be none. */
static u64 ask_for_round(void)
{
	struct task *thread;
	u64 round;

	spin_lock(&oom.lock);
	round = oom.nr_begun + 1;
	oom.nr_wanted = round;
	spin_unlock(&oom.lock);
	rcu_read_lock(); /* the thread cannot end in this section */
	thread = load_acquire(&oom.thread);
	if (thread)
		thread_wake((struct thread *)thread);
	rcu_read_unlock();
	return thread ? round : 0;
}

bool out_of_memory(void)
{
	u64 round = thread_killed() ? 0 : ask_for_round();

	assert_no_lock_from(RANK_RECLAIM);
	assert_may_sleep();
	if (!round)
		return false;
	if (wait_event_killable(&oom.rounds_end, load_acquire(&oom.nr_ended) >= round || !load_acquire(&oom.thread)))
		return false;
	return load_acquire(&oom.nr_ended) >= round && !READ_ONCE(oom.hopeless);
}

bool oom_make_room(void)
{
	assert_no_lock_from(RANK_LAZYFREE);
	if (thread_killed())
		return false;
	return find_some(nr_free_pages()) || reclaim_pages(RECLAIM_BATCH) || out_of_memory();
}

void oom_kill(void)
{
	assert_no_lock_held();
	if (oom_make_room() || thread_killed())
		return;
	klog("out of memory: no process left to kill but %d", init_process->pid);
	signal_process_kernel(init_process, SIGKILL);
}
