/* SPDX-License-Identifier: MIT */
/*
 * /proc/sysrq-trigger, to which a letter is written to make the kernel print diagnostics or panic. As on Linux, any
 * other letter prints the list of letters, and only the first letter of a write counts, unless it is an underscore:
 * then each letter after it counts.
 */
#include "kernel/debug/hang.h"
#include "kernel/fs/proc/procfs.h"
#include "kernel/lib/print.h"

static void crash(void)
{
	panic("sysrq: panic requested through /proc/sysrq-trigger");
}

static void show_blocked_tasks(void)
{
	hang_report("sysrq: blocked tasks requested");
}

/* The texts are Linux's (drivers/tty/sysrq.c). */
static const struct sysrq {
	char letter;
	const char *help, *announcement;
	void (*handler)(void);
} letters[] = {
	{ 'c', "crash(c)", "Trigger a crash", crash },
	{ 'w', "show-blocked-tasks(w)", "Show Blocked State", show_blocked_tasks },
};

static void log_help(void)
{
	char line[160];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		len += (size_t)ksnprintf(line + len, sizeof(line) - len, "%s ", letters[i].help);
	klog("sysrq: HELP : %s", line);
}

static void handle(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		if (letters[i].letter != letter)
			continue;
		klog("sysrq: %s", letters[i].announcement);
		letters[i].handler();
		return;
	}
	log_help();
}

static int trigger(u64 id, char *buf, size_t len)
{
	bool each = len && buf[0] == '_';

	(void)id;
	for (size_t i = each; i < (each ? len : min(len, (size_t)1)); i++)
		handle(buf[i]);
	return 0;
}

static const struct proc_entry entries[] = {
	{ .name = "sysrq-trigger", .mode = S_IFREG | 0200, .write = trigger },
};

void proc_sysrq_create(struct dentry *proc)
{
	assert_rwsem_write_held(&fs_tree_lock);
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
