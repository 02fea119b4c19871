/* SPDX-License-Identifier: MIT */
/*
 * The first process, pid 1, which runs the program that the initramfs names, or /init. As on Linux, /init is immune to
 * signals without a handler. When the first process ends, the machine powers off.
 */
#include "kernel/fs/fs.h"
#include "kernel/kswapd.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/print.h"
#include "kernel/lib/random.h"
#include "kernel/oom.h"
#include "kernel/process/exec.h"
#include "kernel/sched/sched.h"
#include "kernel/swap.h"
#include "mm/check/check.h"

/* Runs as pid 1, in the kernel, with interrupts on. */
static void first_thread(void *arg __maybe_unused)
{
	struct task *task = current;
	int error;

	mm_check_baseline();
	swap_on_at_boot();
	fs_init();
	kswapd_start();
	oom_start();
	initramfs_unpack();
	task->fs = fs_context_create();
	init_process->unkillable = !boot_names_program();
	task->files = files_create_console();
	if (!task->fs || !task->files)
		panic("No memory for the first process");
	error = exec_first();
	if (error) {
		klog("The first program cannot be executed: error %d", -error);
		process_exit((error == -ENOENT ? 127 : 126) << 8);
	}
	enter_user_mode();
}

void start_first_process(void)
{
	struct process *process = process_alloc();
	struct task *task = task_alloc();

	if (!process || !task)
		panic("No memory for the first process");
	random_init();
	task->process = process;
	task->affinity = ~0UL;
	process->sighand = sighand_alloc();
	if (!process->sighand)
		panic("No memory for the first process");
	rlimits_init(process);
	init_process = process;

	spin_lock(&process_tree_lock);
	if (task_number(task, process))
		panic("No number for the first process");
	process_set_group(process, process->pid);
	process_set_session(process, process->pid);
	process->nr_threads = 1;
	list_add_tail(&process->threads, &task->thread_link);
	process_get(process);
	list_add_tail(&all_processes, &process->all_link);
	spin_unlock(&process_tree_lock);

	task_prepare_kernel(task, first_thread, NULL);
	sched_start(task);
}
