/* SPDX-License-Identifier: MIT */
/*
 * The end of threads and processes, and the power-off of the machine when the first process ends.
 *
 * A thread releases all that it holds; the last one makes the process a zombie and notifies the parent. Nothing here
 * allocates memory. Locks: process_tree_lock, then process->lock.
 */
#include "drivers/power.h"
#include "kernel/debug/fault_dump.h"
#include "kernel/debug/panic.h"
#include "kernel/fs/fs.h"
#include "kernel/fs/share.h"
#include "kernel/fs/console.h"
#include "kernel/kswapd.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/oom.h"
#include "kernel/process/wait4.h"
#include "kernel/sched/sched.h"
#include "kernel/swap.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/uaccess.h"
#include "kernel/x86/kstack.h"
#include "mm/check/check.h"
#include "mm/table/tlb.h"
#include "mm/vma/mm.h"

#define TOO_LONG_MS 5000

static bool shutting_down; /* process_tree_lock: children of pid 1 are released without a wait */
u8 machine_exit_status;

/* ---- The address space ------------------------------------------------------------------------------------------- */

static struct mm *change_mm(struct mm *next, struct mm *home)
{
	struct task *task = current;
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	struct mm *prev = task->mm;

	task->mm = next;
	task->home_mm = home;
	mm_switch_cpu(prev, next);
	spin_unlock_irqrestore(&task->process->lock, flags);
	return prev;
}

struct mm *task_switch_mm(struct mm *next)
{
	return change_mm(next, NULL);
}

void task_visit_mm(struct mm *other)
{
	(void)change_mm(other, current->mm);
}

void task_leave_visited_mm(void)
{
	(void)change_mm(current->home_mm, NULL);
}

static void note_max_rss(struct process *process, const struct mm *mm)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	u64 kib = max(mm_rss_total(mm), READ_ONCE(mm->hiwater_rss)) * (PAGE_SIZE / 1024);

	process->dead_usage.max_rss = max(process->dead_usage.max_rss, kib);
	spin_unlock_irqrestore(&process->lock, flags);
}

/* Releases what user mode waits for when the thread leaves this address space. */
void task_release_user(void)
{
	struct task *task = current;
	vaddr_t tid = task->clear_child_tid;

	assert_may_sleep();
	futex_exit(task);
	task->robust_list = 0;
	task->clear_child_tid = 0;
	if (tid && !put_user(0, tid))
		futex_wake_exit(tid);
	vfork_release(task);
}

static void leave_mm(void)
{
	struct mm *mm = current->mm;

	if (!mm)
		return;
	fault_dump_address_space();
	task_release_user();
	note_max_rss(current->process, mm);
	mmput(task_switch_mm(NULL));
}

/* ---- The thread group -------------------------------------------------------------------------------------------- */

/*
 * Sets `exiting`, and hands signals of the process that this thread would have taken to another. Takes process->lock.
 */
static void stop_taking_signals(struct task *task)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);

	task->exiting = true;
	signal_retarget(task->process);
	spin_unlock_irqrestore(&task->process->lock, flags);
}

/*
 * Removes the task from its process. Returns true if it was the last thread. Sets *stopped to the stop signal if all
 * remaining threads are stopped, or to 0. => process_tree_lock held.
 */
static bool leave_group(struct task *task, s32 exit_code, int *stopped)
{
	struct process *process = task->process;
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool last;

	assert_spin_held(&process_tree_lock);
	task_add_usage(task, &process->dead_usage);
	list_del(&task->thread_link);
	last = --process->nr_threads == 0;
	if (task->tid == process->pid && !process->group_exit)
		process->exit_code = exit_code;
	if (process->exec_task && process->nr_threads == 1)
		sched_wake(process->exec_task, ANY_SLEEP);
	*stopped = 0;
	if (process->stop_signal && !last && process->nr_stopped == process->nr_threads) {
		*stopped = process->stop_signal;
		process->stop_report = true;
		process->continue_report = false;
	}
	sigpending_flush(&task->pending);
	spin_unlock_irqrestore(&process->lock, flags);
	return last;
}

static void free_process_parts(struct process *process)
{
	struct sighand *sighand = process->sighand;
	unsigned long flags;

	itimers_exit(process);
	posix_timers_exit(process);
	flags = spin_lock_irqsave(&process->lock);
	sigpending_flush(&process->pending);
	process->sighand = NULL;
	spin_unlock_irqrestore(&process->lock, flags);
	sighand_put(sighand);
}

/* ---- Parents and children ---------------------------------------------------------------------------------------- */

/* => process_tree_lock held. */
static struct process *find_reaper(struct process *process)
{
	struct process *p;

	assert_spin_held(&process_tree_lock);
	for (p = process->parent; p; p = p->parent)
		if (p->child_subreaper && !p->zombie && p->sighand)
			return p;
	return init_process;
}

/* => process_tree_lock held. */
static bool parent_ignores_children(const struct process *process)
{
	struct process *parent = process->parent;
	unsigned long flags;
	bool ignored = false;

	assert_spin_held(&process_tree_lock);
	if (!parent || (shutting_down && parent == init_process))
		return true; /* a kernel thread has no parent */
	if (process->exit_signal != SIGCHLD)
		return false;
	flags = spin_lock_irqsave(&parent->lock);
	if (parent->sighand) {
		const struct sigaction *action = &parent->sighand->action[SIGCHLD - 1];

		ignored = READ_ONCE(action->handler) == SIG_IGN || (READ_ONCE(action->flags) & SA_NOCLDWAIT);
	}
	spin_unlock_irqrestore(&parent->lock, flags);
	return ignored;
}

void process_release(struct process *process)
{
	assert_spin_held(&process_tree_lock);
	list_del(&process->sibling);
	list_del(&process->all_link);
	list_del(&process->group_link);
	list_del(&process->session_link);
	process_forget(process);
	if (process->parent)
		process_put(process->parent);
	process_put(process);
}

/* => process_tree_lock held. */
static void tell_parent_of_end(struct process *process)
{
	bool ignored = parent_ignores_children(process);
	s32 code = process->exit_code;

	assert_spin_held(&process_tree_lock);
	signal_parent(process, code & 0x7f ? CLD_KILLED : CLD_EXITED, code & 0x7f ? code & 0x7f : code >> 8);
	if (ignored)
		process_release(process);
}

/* => process_tree_lock held. */
static void give_children_away(struct process *process)
{
	struct process *child, *next, *reaper = find_reaper(process);

	assert_spin_held(&process_tree_lock);
	list_for_each_safe (child, next, &process->children, sibling) {
		list_del(&child->sibling);
		list_add_tail(&reaper->children, &child->sibling);
		process_get(reaper);
		child->parent = reaper;
		process_put(process);
		group_left_by_parent(child, process);
		child->exit_signal = SIGCHLD; /* the creator chose the signal for itself, not for the reaper */
		s32 sig = READ_ONCE(child->parent_death_signal); /* the child may change it at any time */
		if (sig)
			signal_process_kernel(child, sig);
		if (child->zombie)
			tell_parent_of_end(child);
	}
}

static void become_zombie(struct process *process)
{
	spin_lock(&process_tree_lock);
	if (process->sid == process->pid)
		tty_session_ends(process);
	give_children_away(process);
	group_left_by_member(process);
	WRITE_ONCE(process->zombie, true);
	wake_up_all(&process->end_wait);
	tell_parent_of_end(process);
	spin_unlock(&process_tree_lock);
}

/* ---- Power-off --------------------------------------------------------------------------------------------------- */

void machine_end(void)
{
	unsigned long flags = spin_lock_irqsave(&init_process->lock);

	process_kill_locked(init_process, READ_ONCE(machine_exit_status) << 8);
	spin_unlock_irqrestore(&init_process->lock, flags);
}

static bool kill_all_others(void)
{
	struct process *process;
	bool any = false;

	spin_lock(&process_tree_lock);
	shutting_down = true;
	list_for_each (process, &all_processes, all_link) {
		unsigned long flags;

		if (process == init_process || process->is_kernel)
			continue;
		any = true;
		flags = spin_lock_irqsave(&process->lock);
		process_kill_locked(process, SIGKILL);
		spin_unlock_irqrestore(&process->lock, flags);
	}
	spin_unlock(&process_tree_lock);
	return any;
}

/* Releases the zombies that pid 1 never waited for. */
static void reap_all(void)
{
	struct process *process, *next;

	spin_lock(&process_tree_lock);
	list_for_each_safe (process, next, &init_process->children, sibling)
		if (process->zombie)
			process_release(process);
	spin_unlock(&process_tree_lock);
}

static void pause_ns(u64 ns)
{
	thread_prepare_sleep(SLEEP_UNINTERRUPTIBLE);
	sleep_until(ktime_ns() + ns);
}

/* A thread that has left the table still runs on its stack until another CPU's scheduler has switched away from it. */
static void wait_until_alone(void)
{
	for (unsigned ms = 0; nr_tasks_in_memory() > 1; ms++) {
		if (ms == TOO_LONG_MS)
			klog("shutdown waits for %llu tasks that are not freed",
			     (unsigned long long)nr_tasks_in_memory() - 1);
		pause_ns(1000000);
	}
}

/* Runs on the last thread of pid 1, which holds only its kernel stack. */
static void __noreturn shut_down(struct process *process)
{
	bool ok;

	while (kill_all_others()) {
		reap_all();
		pause_ns(1000000);
	}
	share_copy_out();
	console_stop();
	kswapd_stop();
	oom_stop();
	sysv_shm_quiet_release();
	swap_leave_files();
	fs_quiet_release(); /* which also ends the threads of file systems */
	wait_until_alone();
	rcu_barrier();
	kstack_drain();
	ok = fs_quiet_check();
	ok &= swap_off_all();
	ok &= mm_quiet_check();
	fault_dump_events();
	klog("FAULTLINE-EXIT status=%d check=%s", process->exit_code, ok ? "ok" : "failed");
	power_off();
}

/* ---- Exit -------------------------------------------------------------------------------------------------------- */

void task_exit(s32 exit_code)
{
	struct task *task = current;
	struct process *process = task->process;
	int stopped;
	bool last;

	assert_may_sleep();
	fault_dump_thread(task);
	stop_taking_signals(task);
	leave_mm();
	task_set_files(task, NULL);
	task_set_fs(task, NULL);
	assert_no_locks_held("a thread ends");

	spin_lock(&process_tree_lock);
	last = leave_group(task, exit_code, &stopped);
	if (stopped)
		signal_parent(process, CLD_STOPPED, stopped);
	task_forget(task);
	spin_unlock(&process_tree_lock);
	if (last) {
		free_process_parts(process);
		if (process == init_process)
			shut_down(process);
		become_zombie(process);
	}
	sched_exit();
}

void process_exit(s32 exit_code)
{
	struct process *process = current->process;
	unsigned long flags = spin_lock_irqsave(&process->lock);

	process_kill_locked(process, exit_code);
	exit_code = process->exit_code;
	spin_unlock_irqrestore(&process->lock, flags);
	task_exit(exit_code);
}

/* Only one exec or exit_group runs at a time: a second exec fails, and its thread is about to be killed. */
int process_become_single(void)
{
	struct task *self = current, *task;
	struct process *process = self->process;
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool refused = process->group_exit || process->exec_task;

	if (!refused)
		process->exec_task = self;
	list_for_each (task, &process->threads, thread_link) {
		if (refused || task == self)
			continue;
		signal_kill_thread(task);
	}
	spin_unlock_irqrestore(&process->lock, flags);
	if (refused)
		return -EAGAIN;

	for (;;) {
		thread_prepare_sleep(SLEEP_KILLABLE);
		if (READ_ONCE(process->nr_threads) == 1 || thread_killed())
			break;
		thread_sleep();
	}
	thread_cancel_sleep();
	flags = spin_lock_irqsave(&process->lock);
	process->exec_task = NULL;
	spin_unlock_irqrestore(&process->lock, flags);
	return thread_killed() ? -EINTR : 0;
}

SYSCALL(exit)
{
	task_exit((s32)(a0 & 0xff) << 8);
}

SYSCALL(exit_group)
{
	process_exit((s32)(a0 & 0xff) << 8);
}
