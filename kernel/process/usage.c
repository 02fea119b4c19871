/* SPDX-License-Identifier: MIT */
/* The resources that processes have used, page faults among them: getrusage and times. */
#include "kernel/process/usage.h"
#include "kernel/lib/errno.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/time.h"
#include "kernel/uaccess.h"
#include "mm/vma/mm.h"

#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN -1
#define RUSAGE_THREAD 1

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
