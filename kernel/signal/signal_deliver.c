/* SPDX-License-Identifier: MIT */
/*
 * Delivery of signals on the return to user mode: default actions, stops, handlers, and the restart of interrupted
 * system calls. Runs in the task itself; takes process->lock, and process_tree_lock to notify the parent.
 */
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/signal/signal.h"

#define RESTART_SYSCALL_NR 219
#define SYSCALL_INSN_LEN 2

/* ---- Stopping ---------------------------------------------------------------------------------------------------- */

static void tell_parent(struct process *process, int code, int status)
{
	spin_lock(&process_tree_lock);
	signal_parent(process, code, status);
	spin_unlock(&process_tree_lock);
}

/* Stops the thread until SIGCONT or SIGKILL. The last thread to stop notifies the parent. */
static void signal_stop_here(struct process *process)
{
	struct task *task = current;
	unsigned long flags = spin_lock_irqsave(&process->lock);
	int sig = process->stop_signal;
	bool last;

	if (!sig || thread_killed()) {
		spin_unlock_irqrestore(&process->lock, flags);
		return;
	}
	last = ++process->nr_stopped == process->nr_threads;
	if (last) {
		process->stop_report = true;
		process->continue_report = false;
	}
	atomic_xchg(&task->state, TASK_STOPPED);
	spin_unlock_irqrestore(&process->lock, flags);
	if (last)
		tell_parent(process, CLD_STOPPED, sig);
	schedule();

	flags = spin_lock_irqsave(&process->lock);
	process->nr_stopped--;
	signal_recalculate(task);
	spin_unlock_irqrestore(&process->lock, flags);
}

/* The first thread that gets here after a SIGCONT, whether it had stopped or was about to, notifies the parent. */
static void go_on(struct process *process)
{
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool continued = process->continued;

	process->continued = false;
	spin_unlock_irqrestore(&process->lock, flags);
	if (continued)
		tell_parent(process, CLD_CONTINUED, SIGCONT);
}

static void begin_stop(struct process *process, int sig)
{
	bool orphaned;
	unsigned long flags;
	struct task *task;

	spin_lock(&process_tree_lock);
	orphaned = sig != SIGSTOP && group_is_orphaned(process->pgid, NULL);
	spin_unlock(&process_tree_lock);
	if (orphaned)
		return;
	flags = spin_lock_irqsave(&process->lock);
	/* A SIGCONT that was sent after the stop signal was taken found nothing to remove, but cancels the stop. */
	if (!process->group_exit && process->stop_taken) {
		process->stop_signal = sig;
		list_for_each (task, &process->threads, thread_link)
			signal_wake(task, false);
	}
	spin_unlock_irqrestore(&process->lock, flags);
}

/* ---- Choosing a signal ------------------------------------------------------------------------------------------- */

/* Logs the fault for the program's author, as Linux does for segfaults. */
static void signal_log_fault(int sig, const struct siginfo *info)
{
	const struct task *task = current;
	const struct trap_frame *frame = task_frame(current);

	klog("%s[%d]: killed by signal %d, code %d, address %llx, ip %llx sp %llx", task->comm, task->tid, sig,
	     info->code, (unsigned long long)info->addr, (unsigned long long)frame->rip,
	     (unsigned long long)frame->rsp);
}

static void default_action(struct process *process, int sig, const struct siginfo *info)
{
	unsigned long flags;

	if (sigmask(sig) & SIG_STOPPING) {
		begin_stop(process, sig);
		return;
	}
	if ((sigmask(sig) & SIG_SYNCHRONOUS) && info->code != SI_USER && info->code != SI_TKILL)
		signal_log_fault(sig, info);
	flags = spin_lock_irqsave(&process->lock);
	process_kill_locked(process, sig);
	spin_unlock_irqrestore(&process->lock, flags);
}

/* Returns the action of the signal just taken; resets a one-shot handler; sets stop_taken. => process->lock held. */
static struct sigaction take_action(struct process *process, int sig)
{
	struct sigaction *slot = &process->sighand->action[sig - 1];
	struct sigaction action;

	assert_spin_held(&process->lock);
	spin_lock(&process->sighand->lock);
	action = *slot;
	if ((action.flags & SA_RESETHAND) && action.handler > SIG_IGN)
		WRITE_ONCE(slot->handler, SIG_DFL);
	spin_unlock(&process->sighand->lock);
	if (sigmask(sig) & SIG_STOPPING)
		process->stop_taken = true;
	return action;
}

/*
 * Takes the next signal that has a handler. Returns: the signal, or 0 if there is none. Does not return if a signal
 * kills.
 */
static int next_handled(struct process *process, struct siginfo *info, struct sigaction *action)
{
	struct task *task = current;

	for (;;) {
		unsigned long flags;
		int sig;

		if (thread_killed())
			task_exit(READ_ONCE(process->exit_code));
		if (READ_ONCE(process->stop_signal))
			signal_stop_here(process);
		if (READ_ONCE(process->continued))
			go_on(process);
		flags = spin_lock_irqsave(&process->lock);
		sig = sigpending_take(&task->pending, ~task->blocked & ~sigmask(SIGKILL), info);
		if (!sig)
			sig = sigpending_take(&process->pending, ~task->blocked, info);
		if (sig)
			*action = take_action(process, sig);
		signal_recalculate(task);
		spin_unlock_irqrestore(&process->lock, flags);
		if (!sig) {
			if (READ_ONCE(task->work) & WORK_SIGNAL)
				continue;
			return 0;
		}
		if (action->handler > SIG_IGN)
			return sig;
		if (action->handler == SIG_DFL && !process->unkillable && !signal_default_ignored(sig))
			default_action(process, sig, info);
	}
}

/* ---- Running a handler ------------------------------------------------------------------------------------------- */

static void repeat_call(struct trap_frame *frame, u64 number)
{
	frame->rax = number;
	frame->rip -= SYSCALL_INSN_LEN;
}

/* Restarts or ends an interrupted call. restart: no handler runs, or one with SA_RESTART. */
static void finish_call(struct trap_frame *frame, bool handler, bool restart)
{
	u64 number = frame->orig_rax;

	if ((s64)number < 0)
		return;
	switch (-(s64)frame->rax) {
	case ERESTART_BLOCK:
		if (handler)
			frame->rax = -EINTR;
		else
			repeat_call(frame, RESTART_SYSCALL_NR);
		break;
	case ERESTARTNOHAND:
		if (handler)
			frame->rax = -EINTR;
		else
			repeat_call(frame, number);
		break;
	case ERESTARTSYS:
		if (handler && !restart)
			frame->rax = -EINTR;
		else
			repeat_call(frame, number);
		break;
	case ERESTARTNOINTR:
		repeat_call(frame, number);
		break;
	}
	frame->orig_rax = -1UL; /* only once */
}

static void handler_failed(struct process *process, int sig)
{
	unsigned long flags;

	if (sig == SIGSEGV) {
		flags = spin_lock_irqsave(&process->lock);
		process_kill_locked(process, SIGSEGV);
		spin_unlock_irqrestore(&process->lock, flags);
	} else {
		force_signal(SIGSEGV, SI_KERNEL, 0);
	}
}

static void run_handler(struct trap_frame *frame, int sig, const struct siginfo *info, const struct sigaction *action)
{
	struct task *task = current;
	u64 old = READ_ONCE(task->work) & WORK_RESTORE ? task->saved_blocked : task->blocked;
	u64 blocked = task->blocked | action->mask;

	finish_call(frame, true, action->flags & SA_RESTART);
	if (signal_frame_setup(frame, sig, info, action, old)) {
		handler_failed(task->process, sig);
		return;
	}
	atomic_and(&task->work, ~WORK_RESTORE);
	if (!(action->flags & SA_NODEFER))
		blocked |= sigmask(sig);
	signal_set_blocked(blocked);
}

void signal_deliver(struct trap_frame *frame)
{
	struct siginfo info;
	struct sigaction action;
	int sig = next_handled(current->process, &info, &action);

	assert_irqs_on();
	if (sig) {
		run_handler(frame, sig, &info, &action);
	} else {
		finish_call(frame, false, true);
		signal_restore_mask();
	}
}
