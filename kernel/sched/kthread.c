/* SPDX-License-Identifier: MIT */
/* Kernel threads: see kthread.h. Takes process_tree_lock when a thread begins and ends. */
#include "kernel/lib/string.h"
#include "kernel/sched/kthread.h"
#include "kernel/sched/sched.h"
#include "mm/page/slab.h"

/* The function that a new thread runs. */
struct kthread_work {
	void (*fn)(void *arg);
	void *arg;
};

static void kthread_main(void *arg)
{
	struct kthread_work work = *(struct kthread_work *)arg;

	kfree(arg);
	work.fn(work.arg);
	task_exit(0);
}

/* Makes a process that consists of the task alone. Returns false if there is no memory or no free number. */
static bool kthread_make_process(struct task *task, struct process *process)
{
	bool numbered;

	process->sighand = sighand_alloc();
	if (!process->sighand)
		return false;
	rlimits_init(process);
	process->is_kernel = true;
	task->process = process;
	task->affinity = ~0UL;
	spin_lock(&process_tree_lock);
	numbered = !task_number(task, process);
	if (numbered) {
		process->nr_threads = 1;
		list_add_tail(&process->threads, &task->thread_link);
		process_get(process);
		list_add_tail(&all_processes, &process->all_link);
	}
	spin_unlock(&process_tree_lock);
	if (!numbered)
		sighand_put(process->sighand);
	return numbered;
}

struct task *kthread_start(const char *name, void (*fn)(void *arg), void *arg)
{
	struct kthread_work *work = kmalloc(sizeof(*work), 0);
	struct process *process = work ? process_alloc() : NULL;
	struct task *task = process ? task_alloc() : NULL;

	if (!task || !kthread_make_process(task, process)) {
		if (task)
			task_put(task); /* this drops the process too, if kthread_make_process() attached it */
		if (process && !(task && task->process))
			process_put(process);
		kfree(work);
		return NULL;
	}
	ksnprintf(task->comm, TASK_COMM_LEN, "%s", name);
	*work = (struct kthread_work){ fn, arg };
	task_prepare_kernel(task, kthread_main, work);
	task_get(task);
	sched_start(task);
	return task;
}

void kthread_stop(struct task *task)
{
	struct process *process = task->process;

	assert_may_sleep();
	WRITE_ONCE(process->stop_wanted, true);
	thread_wake((struct thread *)task);
	wait_event(&process->end_wait, READ_ONCE(process->zombie));
	task_put(task);
}

bool kthread_should_stop(void)
{
	return READ_ONCE(current->process->stop_wanted);
}
