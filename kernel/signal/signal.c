/* SPDX-License-Identifier: MIT */
/*
 * Sending signals: the choice of the thread that receives one, whether it is dropped, and which sleepers it wakes.
 *
 * All of this happens under process->lock with interrupts off. Records come from a slab cache, which an interrupt must
 * not touch; so a signal that an interrupt sends (a timer's) has its own record or needs none.
 */
#include "kernel/signal/signal.h"

#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/smp.h"
#include "mm/debug/race.h"
#include "mm/page/slab.h"

static struct slab_cache *sigqueue_cache, *sighand_cache;
static u64 nr_queued; /* atomic: signals queued in the whole system */

#define SIG_DEFAULT_IGNORED (1UL << (SIGCHLD - 1) | 1UL << (SIGURG - 1) | 1UL << (SIGWINCH - 1) | 1UL << (SIGCONT - 1))

void signal_init(void)
{
	sigqueue_cache = slab_create("sigqueue", sizeof(struct sigqueue), 8);
	sighand_cache = slab_create("sighand", sizeof(struct sighand), 8);
}

bool signal_default_ignored(int sig)
{
	return sigmask(sig) & SIG_DEFAULT_IGNORED;
}

/* ---- Queues ------------------------------------------------------------------------------------------------------ */

void sigpending_init(struct sigpending *pending)
{
	pending->set = 0;
	list_init(&pending->queue);
}

static void sigqueue_free(struct sigqueue *entry)
{
	list_del(&entry->link);
	if (entry->preallocated)
		return;
	slab_free(sigqueue_cache, entry);
	__atomic_sub_fetch(&nr_queued, 1, __ATOMIC_RELAXED);
}

/* Removes every signal of `mask`. */
static void sigpending_remove(struct sigpending *pending, u64 mask)
{
	struct sigqueue *entry, *next;

	if (!(pending->set & mask))
		return;
	WRITE_ONCE(pending->set, pending->set & ~mask);
	list_for_each_safe (entry, next, &pending->queue, link)
		if (sigmask(entry->info.signo) & mask)
			sigqueue_free(entry);
}

void sigpending_flush(struct sigpending *pending)
{
	sigpending_remove(pending, ~0UL);
}

void process_remove_signals(struct process *process, u64 mask)
{
	struct task *task;

	assert_spin_held(&process->lock);
	sigpending_remove(&process->pending, mask);
	list_for_each (task, &process->threads, thread_link)
		sigpending_remove(&task->pending, mask);
}

/*
 * Takes the first signal of `mask` out of the queue: synchronous signals first, then by number. Fills info and returns
 * the number, or 0. A signal without a record came from the kernel.
 */
int sigpending_take(struct sigpending *pending, u64 mask, struct siginfo *info)
{
	u64 set = pending->set & mask;
	struct sigqueue *entry, *found = NULL;
	bool more = false;
	int sig;

	assert_in_atomic();
	if (!set)
		return 0;
	if (set & SIG_SYNCHRONOUS)
		set &= SIG_SYNCHRONOUS;
	sig = __builtin_ctzl(set) + 1;
	list_for_each (entry, &pending->queue, link) {
		if (entry->info.signo != sig)
			continue;
		more |= found != NULL;
		if (!found)
			found = entry;
	}
	if (!more)
		WRITE_ONCE(pending->set, pending->set & ~sigmask(sig));
	*info = found ? found->info : (struct siginfo){ .signo = sig, .code = SI_KERNEL };
	if (found)
		sigqueue_free(found);
	return sig;
}

/* ---- Waking threads ---------------------------------------------------------------------------------------------- */

void signal_recalculate(struct task *task)
{
	struct process *process = task->process;
	u64 pending = (task->pending.set | process->pending.set) & ~task->blocked;

	assert_spin_held(&process->lock);
	if (pending || (task->pending.set & sigmask(SIGKILL)) || process->stop_signal || process->continued)
		atomic_or(&task->work, WORK_SIGNAL);
	else
		atomic_and(&task->work, ~WORK_SIGNAL);
}

/* Makes a task handle its signals: wakes it from a sleep, or interrupts its user mode on another CPU. */
void signal_wake(struct task *task, bool fatal)
{
	u32 states = 1u << TASK_INTERRUPTIBLE;

	assert_spin_held(&task->process->lock);
	if (fatal)
		states |= 1u << TASK_KILLABLE | 1u << TASK_STOPPED;
	atomic_or(&task->work, WORK_SIGNAL);
	if (!sched_wake(task, states) && task != current)
		smp_send_reschedule(READ_ONCE(task->cpu));
}

/*
 * Sets WORK_SIGNAL first: a thread that finds SIGKILL abandons its work, and must not return to user mode before
 * WORK_SIGNAL stops it there (J5).
 */
void signal_kill_thread(struct task *task)
{
	assert_spin_held(&task->process->lock);
	atomic_or(&task->work, WORK_SIGNAL);
	race_point(kill_before_pending);
	store_release(&task->pending.set, task->pending.set | sigmask(SIGKILL));
	signal_wake(task, true);
}

static bool wants(const struct task *task, int sig)
{
	if (task->exiting)
		return false;
	return !(task->blocked & sigmask(sig)) || (task->sigwait & sigmask(sig));
}

static void wake_for(struct task *task, int sig)
{
	if (task->blocked & sigmask(sig)) /* it sleeps in sigtimedwait, which WORK_SIGNAL would interrupt */
		sched_wake(task, 1u << TASK_INTERRUPTIBLE);
	else
		signal_wake(task, false);
}

static void wake_one(struct process *process, struct task *target, int sig)
{
	struct task *task;

	if (target) {
		if (wants(target, sig))
			wake_for(target, sig);
		return;
	}
	if (current->process == process && !list_empty(&current->thread_link) && wants(current, sig)) {
		wake_for(current, sig);
		return;
	}
	list_for_each (task, &process->threads, thread_link) {
		if (wants(task, sig)) {
			wake_for(task, sig);
			return;
		}
	}
}

void signal_retarget(struct process *process)
{
	assert_spin_held(&process->lock);
	for (u64 waiting = process->pending.set; waiting; waiting &= waiting - 1)
		wake_one(process, NULL, __builtin_ctzl(waiting) + 1);
}

void process_kill_locked(struct process *process, s32 exit_code)
{
	struct task *task;

	assert_spin_held(&process->lock);
	if (process->group_exit)
		return;
	process->group_exit = true;
	process->exit_code = exit_code;
	process->stop_signal = 0;
	process->stop_report = process->continue_report = false;
	list_for_each (task, &process->threads, thread_link)
		signal_kill_thread(task);
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

static bool action_ignores(const struct process *process, int sig)
{
	u64 handler = READ_ONCE(process->sighand->action[sig - 1].handler);

	return handler == SIG_IGN ||
	       (handler == SIG_DFL && (process->unkillable || (sigmask(sig) & SIG_DEFAULT_IGNORED)));
}

static bool is_ignored(const struct process *process, const struct task *target, int sig)
{
	const struct task *task = target;

	if (!task)
		task = list_first(&process->threads, struct task, thread_link);
	return !(task->blocked & sigmask(sig)) && action_ignores(process, sig);
}

/* SIGCONT ends a stop even when it is blocked or ignored; stop signals and SIGCONT cancel each other. */
static void prepare_stop_and_continue(struct process *process, int sig)
{
	struct task *task;

	if (sigmask(sig) & SIG_STOPPING) {
		process_remove_signals(process, sigmask(SIGCONT));
		return;
	}
	if (sig != SIGCONT)
		return;
	process_remove_signals(process, SIG_STOPPING);
	if (process->stop_signal)
		process->continued = process->continue_report = true;
	process->stop_taken = false;
	process->stop_signal = 0;
	process->stop_report = false;
	list_for_each (task, &process->threads, thread_link)
		sched_wake(task, 1u << TASK_STOPPED);
}

static bool queue_is_full(void)
{
	struct task *task = current;

	return task->process && READ_ONCE(nr_queued) >= task->process->rlimit[RLIMIT_SIGPENDING].cur;
}

/* Queues a record for the signal. Returns false if the signal needs one and none can be allocated. */
static bool queue_record(struct sigpending *pending, const struct siginfo *info)
{
	bool standard = info->signo < SIGRTMIN;
	struct sigqueue *entry = NULL;

	if (info->code == SI_KERNEL)
		return true;
	if (standard || !queue_is_full())
		entry = slab_alloc(sigqueue_cache, ALLOC_RESERVE); /* so that SIGSEGV keeps its address */
	if (!entry)
		return standard || info->code == SI_USER;
	entry->info = *info;
	entry->preallocated = false;
	list_add_tail(&pending->queue, &entry->link);
	atomic_inc(&nr_queued);
	return true;
}

static int send_locked(struct process *process, struct task *target, const struct siginfo *info)
{
	struct sigpending *pending = target ? &target->pending : &process->pending;
	int sig = info->signo;

	if (!process->nr_threads || process->group_exit || process->is_kernel)
		return 0;
	if (process->unkillable && (sigmask(sig) & SIG_UNBLOCKABLE))
		return 0;
	if (sig == SIGKILL) {
		process_kill_locked(process, SIGKILL);
		return 0;
	}
	prepare_stop_and_continue(process, sig);
	if (is_ignored(process, target, sig))
		return 0;
	if (sig < SIGRTMIN && (pending->set & sigmask(sig)))
		return 0;
	if (!queue_record(pending, info))
		return -EAGAIN;
	WRITE_ONCE(pending->set, pending->set | sigmask(sig));
	wake_one(process, target, sig);
	return 0;
}

static bool has_record(const struct sigpending *pending, int sig)
{
	const struct sigqueue *entry;

	list_for_each (entry, &pending->queue, link)
		if (entry->info.signo == sig)
			return true;
	return false;
}

bool signal_timer(struct process *process, struct task *task, struct sigqueue *entry)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct sigpending *pending = task ? &task->pending : &process->pending;
	bool queued = !list_empty(&entry->link);
	int sig = entry->info.signo;

	if (!queued && process->nr_threads && !is_ignored(process, task, sig)) {
		entry->joins = (pending->set & sigmask(sig)) && !has_record(pending, sig);
		list_add_tail(&pending->queue, &entry->link);
		WRITE_ONCE(pending->set, pending->set | sigmask(sig));
		wake_one(process, task, sig);
	}
	spin_unlock_irqrestore(&process->lock, flags);
	return !queued;
}

void signal_timer_revoke(struct process *process, struct task *task, struct sigqueue *entry)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct sigpending *pending = task ? &task->pending : &process->pending;
	bool queued = !list_empty(&entry->link);

	list_del(&entry->link);
	if (queued && !entry->joins && !has_record(pending, entry->info.signo))
		WRITE_ONCE(pending->set, pending->set & ~sigmask(entry->info.signo));
	spin_unlock_irqrestore(&process->lock, flags);
}

int signal_task(struct task *task, const struct siginfo *info)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	int error = 0;

	if (!list_empty(&task->thread_link))
		error = send_locked(task->process, task, info);
	spin_unlock_irqrestore(&task->process->lock, flags);
	return error;
}

int signal_process(struct process *process, const struct siginfo *info)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	int error = send_locked(process, NULL, info);

	spin_unlock_irqrestore(&process->lock, flags);
	return error;
}

void signal_process_kernel(struct process *process, int sig)
{
	struct siginfo info = { .signo = sig, .code = SI_KERNEL };

	signal_process(process, &info);
}

void force_signal_info(const struct siginfo *info)
{
	struct task *task = current;
	struct process *process = task->process;
	unsigned long flags = spin_lock_irqsave(&process->lock);
	struct sigaction *action = &process->sighand->action[info->signo - 1];
	u64 mask = sigmask(info->signo);

	process->unkillable = false; /* even an init dies of its own error */
	if ((task->blocked & mask) || READ_ONCE(action->handler) == SIG_IGN) {
		spin_lock(&process->sighand->lock);
		WRITE_ONCE(action->handler, SIG_DFL);
		spin_unlock(&process->sighand->lock);
		task->blocked &= ~mask;
	}
	send_locked(process, task, info);
	signal_recalculate(task);
	spin_unlock_irqrestore(&process->lock, flags);
}

void force_signal(int sig, int code, u64 addr)
{
	struct siginfo info = { .signo = sig, .code = code };

	info.addr = addr;
	force_signal_info(&info);
}

/* ---- Notifying the parent ---------------------------------------------------------------------------------------- */

void signal_parent(struct process *process, int code, int status)
{
	struct process *parent = process->parent;
	struct siginfo info = { .signo = SIGCHLD, .code = code };
	struct usage usage = process->dead_usage;
	unsigned long flags;
	bool silent;

	assert_spin_held(&process_tree_lock);
	if (!parent)
		return;
	info.pid = process->pid;
	info.uid = READ_ONCE(process->users.user.real);
	info.status = status;
	info.utime = (s64)(usage.user_time / 10000000);
	info.stime = (s64)(usage.kernel_time / 10000000);
	flags = spin_lock_irqsave(&parent->lock);
	silent = !parent->sighand || ((code == CLD_STOPPED || code == CLD_CONTINUED) &&
				      (READ_ONCE(parent->sighand->action[SIGCHLD - 1].flags) & SA_NOCLDSTOP));
	if (code != CLD_STOPPED && code != CLD_CONTINUED)
		info.signo = process->exit_signal;
	if (!silent && info.signo)
		send_locked(parent, NULL, &info);
	spin_unlock_irqrestore(&parent->lock, flags);
	wake_up_all(&parent->child_wait);
}

/* ---- Actions ----------------------------------------------------------------------------------------------------- */

struct sighand *sighand_alloc(void)
{
	struct sighand *sighand = slab_alloc(sighand_cache, ALLOC_ZERO | ALLOC_WAIT);

	if (sighand) {
		sighand->refs = 1;
		spin_init(&sighand->lock, RANK_LEAF);
	}
	return sighand;
}

struct sighand *sighand_copy(struct sighand *old)
{
	struct sighand *sighand = sighand_alloc();
	unsigned long flags;

	if (!sighand)
		return NULL;
	flags = spin_lock_irqsave(&old->lock);
	memcpy(sighand->action, old->action, sizeof(old->action));
	spin_unlock_irqrestore(&old->lock, flags);
	return sighand;
}

void sighand_put(struct sighand *sighand)
{
	if (atomic_dec_return(&sighand->refs) == 0)
		slab_free(sighand_cache, sighand);
}

void sighand_reset(struct sighand *sighand)
{
	unsigned long flags = spin_lock_irqsave(&sighand->lock);

	for (int i = 0; i < NSIG; i++) {
		u64 handler = sighand->action[i].handler == SIG_IGN ? SIG_IGN : SIG_DFL;

		sighand->action[i] = (struct sigaction){ .handler = handler };
	}
	spin_unlock_irqrestore(&sighand->lock, flags);
}

/* ---- For sleepers ------------------------------------------------------------------------------------------------ */

bool signal_pending(void)
{
	return READ_ONCE(current->work) & WORK_SIGNAL;
}

bool thread_killed(void)
{
	bool killed = load_acquire(&current->pending.set) & sigmask(SIGKILL);

	ASSERT(!killed || signal_pending(), "a killed thread has WORK_SIGNAL set");
	return killed;
}

void signal_set_blocked(u64 mask)
{
	struct task *task = current;
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	u64 newly_blocked = mask & ~task->blocked;
	u64 waiting;

	task->blocked = mask & ~SIG_UNBLOCKABLE;
	waiting = task->process->pending.set & newly_blocked;
	signal_recalculate(task);
	/* The thread may have been woken for signals that it blocks from here on: another thread must take them. */
	for (; waiting; waiting &= waiting - 1)
		wake_one(task->process, NULL, __builtin_ctzl(waiting) + 1);
	spin_unlock_irqrestore(&task->process->lock, flags);
}

void signal_set_temporary_mask(u64 mask)
{
	current->saved_blocked = current->blocked;
	signal_set_blocked(mask);
	atomic_or(&current->work, WORK_RESTORE);
}

void signal_restore_mask(void)
{
	if (atomic_and(&current->work, ~WORK_RESTORE) & WORK_RESTORE)
		signal_set_blocked(current->saved_blocked);
}
