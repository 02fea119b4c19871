/* SPDX-License-Identifier: MIT */
/* The calls that read and set resource limits, and the enforcement of RLIMIT_CPU. */
#include "kernel/lib/errno.h"
#include "kernel/linux/users.h"
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "mm/vma/mm.h"

#define NR_OPEN_MAX (1024 * 1024UL)

static spinlock_t rlimit_lock = SPINLOCK_INIT(LEAF); /* cur and max change together */

static void set_limit(struct process *process, u32 resource, const struct rlimit *limit)
{
	struct mm *mm;

	spin_lock(&rlimit_lock);
	WRITE_ONCE(process->rlimit[resource].cur, limit->cur);
	WRITE_ONCE(process->rlimit[resource].max, limit->max);
	spin_unlock(&rlimit_lock);
	mm = process_mm(process);
	if (mm) {
		rlimits_to_mm(process, mm);
		mmput(mm);
	}
}

/* Sends SIGXCPU once a second beyond the soft limit, and SIGKILL beyond the hard one. */
void rlimit_cpu_tick(struct process *process)
{
	const u64 ticks_per_second = NSEC_PER_SEC / TICK_NS;
	u64 ticks = atomic_add_return(&process->cpu_ticks, 1), seconds = ticks / ticks_per_second;

	assert_irqs_off();
	if (ticks % ticks_per_second || seconds < READ_ONCE(process->rlimit[RLIMIT_CPU].cur))
		return;
	signal_process_kernel(process, seconds >= READ_ONCE(process->rlimit[RLIMIT_CPU].max) ? SIGKILL : SIGXCPU);
}

/* Only root raises a hard limit. */
static bool may_set(const struct rlimit *wanted, const struct rlimit *was)
{
	return wanted->max <= was->max || process_is_privileged(current->process);
}

/* `new` and `old` are user addresses of limits, or 0. */
static long do_prlimit(struct process *process, u32 resource, vaddr_t new, vaddr_t old)
{
	struct rlimit wanted, was;

	if (resource >= NR_RLIMITS)
		return -EINVAL;
	if (new &&copy_from_user(&wanted, new, sizeof(wanted)))
		return -EFAULT;
	spin_lock(&rlimit_lock);
	was = process->rlimit[resource];
	spin_unlock(&rlimit_lock);
	if (new &&wanted.cur > wanted.max)
		return -EINVAL;
	if (new &&resource == RLIMIT_NOFILE && wanted.max > NR_OPEN_MAX)
		return -EPERM;
	if (new && !may_set(&wanted, &was))
		return -EPERM;
	if (new)
		set_limit(process, resource, &wanted);
	return old && copy_to_user(old, &was, sizeof(was)) ? -EFAULT : 0;
}

SYSCALL(getrlimit)
{
	long answer = do_prlimit(current->process, (u32)a0, 0, a1);

	return answer || a1 ? answer : -EFAULT;
}

SYSCALL(setrlimit)
{
	return a1 ? do_prlimit(current->process, (u32)a0, a1, 0) : -EFAULT;
}

SYSCALL(prlimit64)
{
	struct process *process = current->process;
	struct task *task = NULL;
	long answer;

	if ((s32)a0) {
		task = task_find((s32)a0);
		if (!task)
			return -ESRCH;
		process = task->process;
	}
	answer = may_limit(process) ? do_prlimit(process, (u32)a1, a2, a3) : -EPERM;
	if (task)
		task_put(task);
	return answer;
}
