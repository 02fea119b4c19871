/* SPDX-License-Identifier: MIT */
/*
 * From the numbers that /proc's inodes hold to what they stand for now. Files hold numbers, not processes, so an open
 * file of a dead process answers ESRCH. Takes process->lock for a moment.
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
		mm_put(target->mm);
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
