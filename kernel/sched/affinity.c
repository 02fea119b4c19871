/* SPDX-License-Identifier: MIT */
/* The system calls about the CPU that a thread runs on. Takes no lock. */
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "mm/machine.h"

/* As Linux's check_same_owner(), or CAP_SYS_NICE. */
static bool may_schedule(const struct task *task)
{
	return process_is_privileged(current->process) || owns_process(task->process);
}

SYSCALL(sched_yield)
{
	sched_yield();
	return 0;
}

SYSCALL(sched_setaffinity)
{
	struct task *task;
	u64 cpus = 0;
	int error;

	if (copy_from_user(&cpus, a2, min(a1, (u64)sizeof(cpus))))
		return -EFAULT;
	task = task_find_or_self((s32)a0);
	if (!task)
		return -ESRCH;
	error = may_schedule(task) ? sched_set_affinity(task, cpus) : -EPERM;
	task_put(task);
	return error;
}

SYSCALL(sched_getaffinity)
{
	u64 online = nr_cpus() == MAX_CPUS ? ~0UL : (1UL << nr_cpus()) - 1, cpus;
	struct task *task;

	if ((u32)a1 * 8 < nr_cpus() || a1 % sizeof(u64))
		return -EINVAL;
	task = task_find_or_self((s32)a0);
	if (!task)
		return -ESRCH;
	cpus = READ_ONCE(task->affinity) & online;
	task_put(task);
	return copy_to_user(a2, &cpus, sizeof(cpus)) ? -EFAULT : (long)sizeof(cpus);
}

SYSCALL(getcpu)
{
	u32 cpu = cpu_id(), node = 0;

	if (a0 && put_user(cpu, a0))
		return -EFAULT;
	return a1 && put_user(node, a1) ? -EFAULT : 0;
}
