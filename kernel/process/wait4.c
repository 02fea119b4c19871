/* SPDX-License-Identifier: MIT */
/*
 * Waiting for children: wait4 and waitid. Children are examined under process_tree_lock, and their stops also under
 * process->lock: nothing sleeps under these.
 */
#include "kernel/process/wait4.h"

#include "kernel/fs/file.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/usage.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

#define WNOHANG 1u
#define WSTOPPED 2u /* wait4's WUNTRACED */
#define WEXITED 4u
#define WCONTINUED 8u
#define WNOWAIT 0x01000000u
#define __WNOTHREAD 0x20000000u
#define __WALL 0x40000000u
#define __WCLONE 0x80000000u

#define P_PID 1
#define P_PGID 2
#define P_PIDFD 3

enum wait_for { FOR_ALL, FOR_PID, FOR_PGID };

struct wait_request {
	enum wait_for which;
	s32 id;
	u32 options;
};

struct wait_result {
	s32 pid;
	u32 uid;
	int code;   /* CLD_* */
	int status; /* as siginfo has it: exit status or signal */
	s32 raw;    /* as wait4 has it */
	struct usage usage;
};

static bool is_meant(const struct process *child, const struct wait_request *request)
{
	bool clone_child = child->exit_signal != SIGCHLD;

	if (request->which == FOR_PGID && child->pgid != request->id)
		return false;
	return (request->options & __WALL) || clone_child == !!(request->options & __WCLONE);
}

static void take_zombie(struct process *child, const struct wait_request *request, struct wait_result *result)
{
	s32 raw = child->exit_code;

	result->raw = raw;
	result->code = raw & 0x7f ? CLD_KILLED : CLD_EXITED;
	result->status = raw & 0x7f ? raw & 0x7f : raw >> 8 & 0xff;
	process_usage(child, &result->usage);
	usage_add(&result->usage, &child->children_usage);
	if (request->options & WNOWAIT)
		return;
	usage_add(&child->parent->children_usage, &result->usage);
	process_release(child);
}

/* As take_child(), for a child that was stopped or continued. Takes child->lock. */
static bool take_stopped(struct process *child, const struct wait_request *request, struct wait_result *result)
{
	bool keep = request->options & WNOWAIT, found = true;
	unsigned long flags = spin_lock_irqsave(&child->lock);

	if (child->stop_report && (request->options & WSTOPPED)) {
		result->code = CLD_STOPPED;
		result->status = child->stop_signal;
		result->raw = child->stop_signal << 8 | 0x7f;
		child->stop_report = keep;
	} else if (child->continue_report && (request->options & WCONTINUED)) {
		result->code = CLD_CONTINUED;
		result->status = SIGCONT;
		result->raw = 0xffff;
		child->continue_report = keep;
	} else {
		found = false;
	}
	spin_unlock_irqrestore(&child->lock, flags);
	return found;
}

/* Returns true if the child has a change to report. */
static bool take_child(struct process *child, const struct wait_request *request, struct wait_result *result)
{
	result->pid = child->pid;
	result->uid = READ_ONCE(child->users.user.real);
	if (child->zombie && (request->options & WEXITED)) {
		take_zombie(child, request, result);
		return true;
	}
	if (!take_stopped(child, request, result))
		return false;
	process_usage(child, &result->usage);
	return true;
}

/* As look(). => process_tree_lock held. */
static int look_at_one(const struct wait_request *request, struct wait_result *result)
{
	struct process *child = process_numbered(request->id);

	assert_spin_held(&process_tree_lock);
	if (!child || child->parent != current->process || !is_meant(child, request))
		return -ECHILD;
	return take_child(child, request, result);
}

/* As look(). => process_tree_lock held. */
static int look_at_all(const struct wait_request *request, struct wait_result *result)
{
	struct process *self = current->process, *child;
	int answer = -ECHILD;

	assert_spin_held(&process_tree_lock);
	list_for_each (child, &self->children, sibling) {
		if (!is_meant(child, request))
			continue;
		answer = take_child(child, request, result);
		if (answer)
			break;
	}
	return answer;
}

/* Returns: 1: found; 0: there are children, but none has a change to report; or -ECHILD. */
static int look(const struct wait_request *request, struct wait_result *result)
{
	int answer;

	spin_lock(&process_tree_lock);
	answer = request->which == FOR_PID ? look_at_one(request, result) : look_at_all(request, result);
	spin_unlock(&process_tree_lock);
	return answer;
}

/* Returns the same as look(), or -ERESTARTSYS. */
static int do_wait(const struct wait_request *request, struct wait_result *result)
{
	struct wait_queue *queue = &current->process->child_wait;
	struct waiter waiter = WAITER_INIT(waiter, NULL);
	int answer;

	for (;;) {
		wait_prepare(queue, &waiter, SLEEP_INTERRUPTIBLE);
		answer = look(request, result);
		if (answer || (request->options & WNOHANG))
			break;
		if (signal_pending()) {
			answer = -ERESTARTSYS;
			break;
		}
		thread_sleep();
	}
	wait_finish(queue, &waiter);
	return answer;
}

SYSCALL(wait4)
{
	struct wait_request request = { .options = (u32)a2 | WEXITED };
	struct wait_result result;
	s32 pid = (s32)a0;
	int answer;

	if ((u32)a2 & ~(WNOHANG | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (pid == (s32)0x80000000)
		return -ESRCH;
	if (pid > 0)
		request.which = FOR_PID;
	else if (pid != -1)
		request.which = FOR_PGID;
	request.id = pid > 0 ? pid : pid == 0 ? current->process->pgid : -pid;
	answer = do_wait(&request, &result);
	if (answer <= 0)
		return answer;
	if (a1 && put_user(result.raw, a1))
		return -EFAULT;
	if (a3 && put_rusage(a3, &result.usage))
		return -EFAULT;
	return result.pid;
}

static int wait4_put_siginfo(vaddr_t addr, const struct wait_result *result, bool found)
{
	struct siginfo info = { 0 };

	if (found) {
		info.signo = SIGCHLD;
		info.code = result->code;
		info.pid = result->pid;
		info.uid = result->uid;
		info.status = result->status;
	}
	return copy_to_user(addr, &info, 32) ? -EFAULT : 0;
}

/* Replaces the pidfd in request->id by the pid of its process. With PIDFD_NONBLOCK, the call is to return EAGAIN. */
static int wait_for_pidfd(struct wait_request *request, bool *nonblocking)
{
	struct process *process;
	u32 flags;

	if (request->id < 0)
		return -EINVAL;
	process = pidfd_process(request->id, &flags);
	if (is_err(process))
		return ptr_err(process);
	request->id = process->pid;
	process_put(process);
	*nonblocking = (flags & O_NONBLOCK) && !(request->options & WNOHANG);
	if (*nonblocking)
		request->options |= WNOHANG;
	return 0;
}

SYSCALL(waitid)
{
	static const enum wait_for which[] = { FOR_ALL, FOR_PID, FOR_PGID, FOR_PID };
	struct wait_request request = { .id = (s32)a1, .options = (u32)a3 };
	struct wait_result result;
	bool nonblocking = false;
	int answer;

	if ((u32)a3 & ~(WNOHANG | WSTOPPED | WEXITED | WCONTINUED | WNOWAIT | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (!((u32)a3 & (WSTOPPED | WEXITED | WCONTINUED)) || a0 > P_PIDFD)
		return -EINVAL;
	if (a0 == P_PIDFD) {
		answer = wait_for_pidfd(&request, &nonblocking);
		if (answer)
			return answer;
	}
	request.which = which[a0];
	if ((a0 == P_PID && request.id <= 0) || (a0 == P_PGID && request.id < 0))
		return -EINVAL;
	if (a0 == P_PGID && request.id == 0)
		request.id = current->process->pgid;
	answer = do_wait(&request, &result);
	if (!answer && nonblocking)
		return -EAGAIN;
	if (answer < 0)
		return answer;
	if (a4 && answer && put_rusage(a4, &result.usage))
		return -EFAULT;
	return a2 ? wait4_put_siginfo(a2, &result, answer) : 0;
}
