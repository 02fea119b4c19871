/* SPDX-License-Identifier: MIT */
/*
 * /proc/fault_trace, which lists the fault events that the rings of all CPUs still hold, oldest first, one per line.
 * The text is generated when a thread reads from the beginning; that consumes no event and stops no CPU.
 * docs/tracing.md describes the format.
 */
#include "kernel/debug/fault_trace.h"
#include "kernel/fs/proc/procfs.h"
#include "mm/page/slab.h"

static void show_heads(struct text *text)
{
	text_printf(
		text,
		"# [cpu] start +duration tid=thread event key=value…; times in seconds, durations in nanoseconds\n");
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		text_printf(text, "# cpu %u: %u events recorded since boot\n", cpu, events_recorded(cpu));
}

static int show_fault_trace(struct text *text, u64 id)
{
	struct event_merge *merge = event_merge_new();
	const struct fault_event *event;
	char line[EVENT_TEXT_MAX];
	unsigned cpu;

	(void)id;
	if (!merge)
		return -ENOMEM;
	show_heads(text);
	while ((event = event_merge_next(merge, &cpu)) != NULL) {
		event_format(line, sizeof(line), cpu, event);
		text_printf(text, "%s\n", line);
	}
	kfree(merge);
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "fault_trace", .mode = S_IFREG | 0444, .show = show_fault_trace },
};

void proc_trace_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
