/* SPDX-License-Identifier: MIT */
/*
 * The system calls that change, take and send signals. Each takes process->lock and sighand->lock where it needs them.
 */
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"

#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2
#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define SS_AUTODISARM (1u << 31)
#define MINSIGSTKSZ 2048

static bool valid_signal(s64 sig)
{
	return sig > 0 && sig <= NSIG;
}

/* ---- Actions and masks ------------------------------------------------------------------------------------------- */

static void set_action(struct process *process, int sig, const struct sigaction *action)
{
	struct sigaction *slot = &process->sighand->action[sig - 1];
	unsigned long flags = spin_lock_irqsave(&process->lock);
	bool ignores;

	spin_lock(&process->sighand->lock);
	*slot = *action;
	slot->mask &= ~SIG_UNBLOCKABLE;
	spin_unlock(&process->sighand->lock);
	ignores = action->handler == SIG_IGN || (action->handler == SIG_DFL && signal_default_ignored(sig));
	if (ignores) /* pending ones are discarded */
		process_remove_signals(process, sigmask(sig));
	spin_unlock_irqrestore(&process->lock, flags);
}

SYSCALL(rt_sigaction)
{
	struct process *process = current->process;
	struct sigaction action, old;
	int sig = (int)a0;
	unsigned long flags;

	if (a3 != sizeof(u64))
		return -EINVAL;
	if (a1 && copy_from_user(&action, a1, sizeof(action)))
		return -EFAULT;
	if (!valid_signal(sig) || (a1 && (sigmask(sig) & SIG_UNBLOCKABLE)))
		return -EINVAL;
	flags = spin_lock_irqsave(&process->sighand->lock);
	old = process->sighand->action[sig - 1];
	spin_unlock_irqrestore(&process->sighand->lock, flags);
	if (a1)
		set_action(process, sig, &action);
	return a2 && copy_to_user(a2, &old, sizeof(old)) ? -EFAULT : 0;
}

SYSCALL(rt_sigprocmask)
{
	u64 old = current->blocked, mask;

	if (a3 != sizeof(u64))
		return -EINVAL;
	if (a1) {
		if (get_user(&mask, a1))
			return -EFAULT;
		switch ((int)a0) {
		case SIG_BLOCK:
			signal_set_blocked(old | mask);
			break;
		case SIG_UNBLOCK:
			signal_set_blocked(old & ~mask);
			break;
		case SIG_SETMASK:
			signal_set_blocked(mask);
			break;
		default:
			return -EINVAL;
		}
	}
	return a2 && put_user(old, a2) ? -EFAULT : 0;
}

SYSCALL(rt_sigpending)
{
	struct task *task = current;
	unsigned long flags;
	u64 set;

	if (a1 > sizeof(u64))
		return -EINVAL;
	flags = spin_lock_irqsave(&task->process->lock);
	set = (task->pending.set | task->process->pending.set) & task->blocked;
	spin_unlock_irqrestore(&task->process->lock, flags);
	return copy_to_user(a0, &set, a1) ? -EFAULT : 0;
}

SYSCALL(rt_sigsuspend)
{
	u64 mask;

	if (a1 != sizeof(u64))
		return -EINVAL;
	if (get_user(&mask, a0))
		return -EFAULT;
	signal_set_temporary_mask(mask);
	for (;;) {
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		if (signal_pending())
			break;
		thread_sleep();
	}
	thread_cancel_sleep();
	return -ERESTARTNOHAND;
}

/* struct sigstack has the layout of Linux's stack_t. */
static int set_altstack(struct sigstack *new, u64 sp)
{
	struct task *task = current;
	u32 mode = new->flags & ~SS_AUTODISARM;

	if (on_signal_stack(sp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == SS_DISABLE)
		new->sp = new->size = 0;
	else if (new->size < MINSIGSTKSZ)
		return -ENOMEM;
	new->pad = 0;
	new->flags &= ~SS_ONSTACK;
	task->altstack = *new;
	return 0;
}

SYSCALL(sigaltstack)
{
	u64 sp = task_frame(current)->rsp;
	struct sigstack new, old = current->altstack;
	int error = 0;

	if (a0 && copy_from_user(&new, a0, sizeof(new)))
		return -EFAULT;
	if (on_signal_stack(sp))
		old.flags |= SS_ONSTACK;
	if (a0)
		error = set_altstack(&new, sp);
	return !error && a1 && copy_to_user(a1, &old, sizeof(old)) ? -EFAULT : error;
}

/* ---- Taking signals without a handler ---------------------------------------------------------------------------- */

static int take_now(struct task *task, u64 set, struct siginfo *info)
{
	unsigned long flags = spin_lock_irqsave(&task->process->lock);
	int sig = sigpending_take(&task->pending, set, info);

	if (!sig)
		sig = sigpending_take(&task->process->pending, set, info);
	task->sigwait = sig ? 0 : set;
	signal_recalculate(task);
	spin_unlock_irqrestore(&task->process->lock, flags);
	return sig;
}

static int wait_and_take(struct task *task, u64 set, u64 deadline, struct siginfo *info)
{
	bool over = false;
	int sig;

	for (;;) {
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
		sig = take_now(task, set, info);
		if (sig || over || signal_pending())
			break;
		over = !sleep_until(deadline);
	}
	thread_cancel_sleep();
	task->sigwait = 0;
	return sig ? sig : over ? -EAGAIN : -EINTR;
}

static int signal_put_siginfo(vaddr_t addr, const struct siginfo *info)
{
	if (copy_to_user(addr, info, sizeof(*info)))
		return -EFAULT;
	return clear_user(addr + sizeof(*info), 128 - sizeof(*info)) ? -EFAULT : 0;
}

SYSCALL(rt_sigtimedwait)
{
	u64 set, ns, deadline = TIME_NEVER;
	struct siginfo info;
	int sig, error;

	if (a3 != sizeof(u64))
		return -EINVAL;
	if (get_user(&set, a0))
		return -EFAULT;
	if (a2) {
		error = get_timespec(&ns, a2);
		if (error)
			return error;
		deadline = time_add(ktime_ns(), ns);
	}
	sig = wait_and_take(current, set & ~SIG_UNBLOCKABLE, deadline, &info);
	if (sig > 0 && a1 && signal_put_siginfo(a1, &info))
		return -EFAULT;
	return sig;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

struct siginfo signal_from_caller(int sig, int code)
{
	struct siginfo info = { .signo = sig, .code = code };

	info.pid = current->process->pid;
	info.uid = current->process->users.user.real;
	return info;
}

int signal_if_permitted(struct process *process, const struct siginfo *info)
{
	if (!may_signal(process) && !(info->signo == SIGCONT && process->sid == current->process->sid))
		return -EPERM;
	return info->signo ? signal_process(process, info) : 0;
}

/* Signals one of many processes: *answer is 0 if at least one was reached. => process_tree_lock held. */
static void kill_one_of(struct process *process, const struct siginfo *info, long *answer)
{
	long one = signal_if_permitted(process, info);

	assert_spin_held(&process_tree_lock);
	if (*answer)
		*answer = one;
}

/* Signals every process except init and the caller's. => process_tree_lock held. */
static long kill_all(const struct siginfo *info)
{
	struct process *process;
	long answer = -ESRCH;

	assert_spin_held(&process_tree_lock);
	list_for_each (process, &all_processes, all_link)
		if (process != current->process && process != init_process && !process->is_kernel)
			kill_one_of(process, info, &answer);
	return answer;
}

/* => process_tree_lock held. */
static long kill_group(s32 pgid, const struct siginfo *info)
{
	struct process *process;
	long answer = -ESRCH;

	assert_spin_held(&process_tree_lock);
	for_each_in_group (process, pgid)
		kill_one_of(process, info, &answer);
	return answer;
}

/* Signals every process (-1), the caller's process group (0), or that group. */
static long kill_many(s32 pgid, const struct siginfo *info)
{
	long answer;

	spin_lock(&process_tree_lock);
	answer = pgid == -1 ? kill_all(info) : kill_group(pgid ? pgid : current->process->pgid, info);
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(kill)
{
	s32 pid = (s32)a0;
	struct siginfo info = signal_from_caller((int)a1, SI_USER);
	struct process *process;
	struct task *task;
	long answer;

	if (info.signo && !valid_signal(info.signo))
		return -EINVAL;
	if (pid == (s32)0x80000000)
		return -ESRCH;
	if (pid <= 0)
		return kill_many(pid == -1 ? -1 : -pid, &info);
	process = process_find(pid);
	if (process) {
		answer = signal_if_permitted(process, &info);
		process_put(process);
		return answer;
	}
	task = task_find(pid); /* the number of any thread names its process */
	if (!task)
		return -ESRCH;
	answer = signal_if_permitted(task->process, &info);
	task_put(task);
	return answer;
}

/* tgid 0: of any process. */
static long send_to_thread(s32 tgid, s32 tid, const struct siginfo *info)
{
	struct task *task;
	long answer = -ESRCH;

	if (info->signo && !valid_signal(info->signo))
		return -EINVAL;
	task = task_find(tid);
	if (!task)
		return -ESRCH;
	if ((!tgid || task->process->pid == tgid) && !may_signal(task->process))
		answer = -EPERM;
	else if (!tgid || task->process->pid == tgid)
		answer = info->signo ? signal_task(task, info) : 0;
	task_put(task);
	return answer;
}

SYSCALL(tkill)
{
	struct siginfo info = signal_from_caller((int)a1, SI_TKILL);

	return (s32)a0 <= 0 ? -EINVAL : send_to_thread(0, (s32)a0, &info);
}

SYSCALL(tgkill)
{
	struct siginfo info = signal_from_caller((int)a2, SI_TKILL);

	if ((s32)a0 <= 0 || (s32)a1 <= 0)
		return -EINVAL;
	return send_to_thread((s32)a0, (s32)a1, &info);
}

/* A program may not claim to be the kernel, except towards itself. */
static int get_queue_info(vaddr_t addr, int sig, s32 pid, struct siginfo *info)
{
	if (copy_from_user(info, addr, sizeof(*info)))
		return -EFAULT;
	info->signo = sig;
	if ((info->code >= 0 || info->code == SI_TKILL) && pid != current->process->pid)
		return -EPERM;
	return 0;
}

SYSCALL(rt_sigqueueinfo)
{
	struct siginfo info;
	struct process *process;
	int error = get_queue_info(a2, (int)a1, (s32)a0, &info);

	if (error)
		return error;
	if (info.signo && !valid_signal(info.signo))
		return -EINVAL;
	process = process_find((s32)a0);
	if (!process)
		return -ESRCH;
	error = signal_if_permitted(process, &info);
	process_put(process);
	return error;
}

SYSCALL(rt_tgsigqueueinfo)
{
	struct siginfo info;
	int error = get_queue_info(a3, (int)a2, (s32)a0, &info);

	if (error)
		return error;
	if ((s32)a0 <= 0 || (s32)a1 <= 0)
		return -EINVAL;
	return send_to_thread((s32)a0, (s32)a1, &info);
}
