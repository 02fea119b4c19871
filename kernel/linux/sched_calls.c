/* SPDX-License-Identifier: MIT */
/* Policies and priorities of the scheduler, which are accepted as on Linux but have no effect. */
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"

#define SCHED_OTHER 0
#define SCHED_FIFO 1
#define SCHED_RR 2
#define SCHED_BATCH 3
#define SCHED_IDLE 5
#define PRIO_PROCESS 0
#define PRIO_USER 2

static u64 sched_limit_of(const struct task *task, enum rlimit_resource resource)
{
	return READ_ONCE(task->process->rlimit[resource].cur);
}

static bool known_policy(s32 policy)
{
	return policy == SCHED_OTHER || policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_BATCH ||
	       policy == SCHED_IDLE;
}

static bool realtime(s32 policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static long task_exists(u64 tid)
{
	struct task *task = (s32)tid < 0 ? NULL : task_find_or_self((s32)tid);

	if (!task)
		return (s32)tid < 0 ? -EINVAL : -ESRCH;
	task_put(task);
	return 0;
}

/* As Linux's user_check_sched_setscheduler(), for tasks of the policy SCHED_OTHER, which all are here. */
static bool may_set_policy(const struct task *task, s32 policy, s32 priority)
{
	if (process_is_privileged(current->process))
		return true;
	return owns_process(task->process) &&
	       (!realtime(policy) || (u64)priority <= sched_limit_of(task, RLIMIT_RTPRIO));
}

static long set_policy(u64 tid, s32 policy, s32 priority)
{
	struct task *task = task_find_or_self((s32)tid);
	long error = 0;

	if (!task)
		return -ESRCH;
	if (!known_policy(policy) || (realtime(policy) ? priority < 1 || priority > 99 : priority != 0))
		error = -EINVAL;
	else if (!may_set_policy(task, policy, priority))
		error = -EPERM;
	task_put(task);
	return error;
}

SYSCALL(sched_setscheduler)
{
	s32 policy = (s32)a1 & ~0x40000000 /* SCHED_RESET_ON_FORK */, priority;

	if (!a2 || (s32)a0 < 0 || (s32)a1 < 0)
		return -EINVAL;
	return get_user(&priority, a2) ? -EFAULT : set_policy(a0, policy, priority);
}

SYSCALL(sched_getscheduler)
{
	return task_exists(a0);
}

SYSCALL(sched_setparam)
{
	s32 priority;

	if (!a1 || (s32)a0 < 0)
		return -EINVAL;
	return get_user(&priority, a1) ? -EFAULT : set_policy(a0, SCHED_OTHER, priority);
}

SYSCALL(sched_getparam)
{
	s32 priority = 0;
	long error = a1 ? task_exists(a0) : -EINVAL;

	if (error)
		return error;
	return put_user(priority, a1) ? -EFAULT : 0;
}

SYSCALL(sched_get_priority_max)
{
	return known_policy((s32)a0) ? (realtime((s32)a0) ? 99 : 0) : -EINVAL;
}

SYSCALL(sched_get_priority_min)
{
	return known_policy((s32)a0) ? (realtime((s32)a0) ? 1 : 0) : -EINVAL;
}

SYSCALL(sched_rr_get_interval)
{
	long error = task_exists(a0);

	return error ? error : put_timespec(a1, TICK_NS);
}

/* Returns 20 - nice, as Linux's kernel does, so that no result looks like an error. */
SYSCALL(getpriority)
{
	struct task *task;
	long answer;

	if ((u32)a0 > PRIO_USER)
		return -EINVAL;
	task = (s32)a0 == PRIO_PROCESS ? task_find_or_self((s32)a1) : task_find_or_self(0);
	if (!task)
		return -ESRCH;
	answer = 20 - task->nice;
	task_put(task);
	return answer;
}

/*
 * Root may set any value. Others may raise the nice value of their own processes, or lower it to what its RLIMIT_NICE
 * allows. As Linux's set_one_prio().
 */
static int may_be_nice(struct task *task, s32 nice)
{
	if (process_is_privileged(current->process))
		return 0;
	if (!owns_process(task->process))
		return -EPERM;
	return nice >= task->nice || (u64)(20 - nice) <= sched_limit_of(task, RLIMIT_NICE) ? 0 : -EACCES;
}

SYSCALL(setpriority)
{
	s32 nice = min(max((s32)a2, -20), 19);
	struct task *task;
	int error;

	if ((u32)a0 > PRIO_USER)
		return -EINVAL;
	task = (s32)a0 == PRIO_PROCESS ? task_find_or_self((s32)a1) : task_find_or_self(0);
	if (!task)
		return -ESRCH;
	error = may_be_nice(task, nice);
	if (!error)
		WRITE_ONCE(task->nice, nice);
	task_put(task);
	return error;
}
