/* SPDX-License-Identifier: MIT */
/*
 * The resource limits that a process begins with, and the copies of them that mm/ reads. kernel/linux/rlimit.c has the
 * calls that change them.
 */
#include "kernel/process/task.h"
#include "mm/page/page_alloc.h"
#include "mm/vma/mm.h"

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
