/* SPDX-License-Identifier: MIT */
/*
 * Finds the process, thread and address space for the numbers that /proc's inodes hold. Inodes hold numbers instead of
 * references, so an open file of a process that has exited answers ESRCH. Takes process->lock briefly.
 */
#include "kernel/fs/proc/procfs.h"
#include "mm/vma/mm.h"

int proc_target_get(u64 id, struct proc_target *target)
{
	s32 tid = proc_id_tid(id);

	*target = (struct proc_target){ .process = process_find(proc_id_pid(id)) };
	if (!target->process)
		return -ESRCH;
	target->task = tid ? task_find(tid) : process_thread(target->process);
	if (tid && (!target->task || target->task->process != target->process)) {
		proc_target_put(target);
		return -ESRCH;
	}
	target->mm = process_mm(target->process);
	return 0;
}

void proc_target_put(struct proc_target *target)
{
	if (target->mm)
		mmput(target->mm);
	if (target->task)
		task_put(target->task);
	process_put(target->process);
}

int proc_show_target(struct text *text, u64 id, proc_show_target_t *show)
{
	struct proc_target target;
	int ret = proc_target_get(id, &target);

	if (ret)
		return ret;
	show(text, &target, id);
	proc_target_put(&target);
	return 0;
}

const char *proc_comm(const struct proc_target *target)
{
	return target->task ? target->task->comm : "";
}
