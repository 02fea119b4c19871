/* SPDX-License-Identifier: MIT */
/* Resource limits and resource usage: getrlimit, setrlimit and prlimit64, getrusage, times. */
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/process/wait4.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "mm/page/page_alloc.h"
#include "mm/vma/mm.h"

#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN -1
#define RUSAGE_THREAD 1
#define NR_OPEN_MAX (1024 * 1024UL)

static spinlock_t rlimit_lock = SPINLOCK_INIT(LEAF); /* cur and max change together */

/* Sets what Linux gives pid 1; values that depend on the size of memory are computed as there. */
void rlimits_init(struct process *process)
{
	u64 max_tasks = max(20UL, nr_managed_pages() / (8 * 4));

	for (int i = 0; i < NR_RLIMITS; i++)
		process->rlimit[i] = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	process->rlimit[RLIMIT_STACK].cur = 8UL << 20;
	process->rlimit[RLIMIT_CORE].cur = 0;
	process->rlimit[RLIMIT_NPROC] = (struct rlimit){ max_tasks / 2, max_tasks / 2 };
	process->rlimit[RLIMIT_NOFILE] = (struct rlimit){ 1024, 4096 };
	process->rlimit[RLIMIT_MEMLOCK] = (struct rlimit){ 8UL << 20, 8UL << 20 };
	process->rlimit[RLIMIT_SIGPENDING] = (struct rlimit){ max_tasks / 2, max_tasks / 2 };
	process->rlimit[RLIMIT_MSGQUEUE] = (struct rlimit){ 819200, 819200 };
	process->rlimit[RLIMIT_NICE] = process->rlimit[RLIMIT_RTPRIO] = (struct rlimit){ 0, 0 };
}

void rlimits_to_mm(struct process *process, struct mm *mm)
{
	WRITE_ONCE(mm->rlimit_stack, READ_ONCE(process->rlimit[RLIMIT_STACK].cur));
	WRITE_ONCE(mm->rlimit_as, READ_ONCE(process->rlimit[RLIMIT_AS].cur));
	WRITE_ONCE(mm->rlimit_data, READ_ONCE(process->rlimit[RLIMIT_DATA].cur));
	WRITE_ONCE(mm->rlimit_data_max, READ_ONCE(process->rlimit[RLIMIT_DATA].max));
	WRITE_ONCE(mm->rlimit_memlock, READ_ONCE(process->rlimit[RLIMIT_MEMLOCK].cur));
}

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

/* ---- Usage ------------------------------------------------------------------------------------------------------- */

struct rusage {
	struct timeval utime, stime;
	s64 maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw,
		nivcsw;
};

static struct timeval to_timeval(u64 ns)
{
	return (struct timeval){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC / 1000) };
}

int put_rusage(vaddr_t addr, const struct usage *usage)
{
	struct rusage rusage = {
		.utime = to_timeval(usage->user_time),
		.stime = to_timeval(usage->kernel_time),
		.maxrss = (s64)usage->max_rss,
		.minflt = (s64)usage->min_flt,
		.majflt = (s64)usage->maj_flt,
		.inblock = (s64)(usage->io.read_bytes >> 9), /* in units of 512 bytes */
		.oublock = (s64)(usage->io.write_bytes >> 9),
		.nvcsw = (s64)usage->nr_voluntary,
		.nivcsw = (s64)usage->nr_involuntary,
	};

	return copy_to_user(addr, &rusage, sizeof(rusage)) ? -EFAULT : 0;
}

static u64 current_max_rss(void)
{
	const struct mm *mm = current->mm;
	u64 kib = max(mm_rss_total(mm), READ_ONCE(mm->hiwater_rss)) * (PAGE_SIZE / 1024);

	return max(kib, current->process->dead_usage.max_rss);
}

SYSCALL(getrusage)
{
	struct process *process = current->process;
	struct usage usage = { 0 };

	switch ((int)a0) {
	case RUSAGE_SELF:
		process_usage(process, &usage);
		usage.max_rss = current_max_rss();
		break;
	case RUSAGE_THREAD:
		task_add_usage(current, &usage);
		usage.max_rss = current_max_rss();
		break;
	case RUSAGE_CHILDREN:
		spin_lock(&process_tree_lock);
		usage = process->children_usage;
		spin_unlock(&process_tree_lock);
		break;
	default:
		return -EINVAL;
	}
	return put_rusage(a1, &usage);
}

SYSCALL(times)
{
	const u64 tick = NSEC_PER_SEC / USER_HZ;
	struct process *process = current->process;
	struct usage own, children;
	u64 tms[4];

	process_usage(process, &own);
	spin_lock(&process_tree_lock);
	children = process->children_usage;
	spin_unlock(&process_tree_lock);
	tms[0] = own.user_time / tick;
	tms[1] = own.kernel_time / tick;
	tms[2] = children.user_time / tick;
	tms[3] = children.kernel_time / tick;
	if (a0 && copy_to_user(a0, tms, sizeof(tms)))
		return -EFAULT;
	return (long)(ktime_ns() / tick);
}
