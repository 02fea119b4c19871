/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/wchan, which shows the kernel function in which a thread sleeps. Reads the thread's stack without stopping
 * it. If it runs on, the answer may be wrong, but the walk stays safe: every word is read by kernel_read_nofault() and
 * looked up in the symbol table.
 */
#include "kernel/debug/symbols.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/string.h"

#define MAX_DEPTH 16

/* True for the functions through which every thread sleeps: they do not tell what it waits for. */
static bool is_sleeping_itself(const char *name)
{
	static const char *const names[] = { "schedule", "thread_sleep", "sleep_until" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

static const char *sleeps_in(const struct task *task)
{
	u64 frame[2] = { task_saved_frame(task) }; /* the caller's frame, the return address */
	u64 offset;

	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		const char *name;

		if (frame[0] < DIRECT_MAP_BASE || kernel_read_nofault(frame, (const void *)frame[0], sizeof(frame)))
			return NULL;
		name = symbol_lookup(frame[1], &offset);
		if (!name || !is_sleeping_itself(name))
			return name;
	}
	return NULL;
}

static void show_wchan_of(struct text *text, const struct proc_target *target, u64 id)
{
	const struct task *task = target->task;
	bool sleeps = task && READ_ONCE(task->state) != TASK_RUNNING;
	const char *name = sleeps ? sleeps_in(task) : NULL;

	(void)id;
	text_printf(text, "%s", name ? name : "0");
}

int proc_show_wchan(struct text *text, u64 id)
{
	return proc_show_target(text, id, show_wchan_of);
}
