/* SPDX-License-Identifier: MIT */
/*
 * /proc/sysrq-trigger, as Linux's: a letter written there makes the kernel tell something about itself, or end.
 *	c	a panic, to see what one prints
 *	w	who waits for whom, as for a hang
 */
#include "kernel/fs/procfs.h"
#include "kernel/hang.h"
#include "kernel/print.h"

static int trigger(u64 id, char *buf, size_t len)
{
	(void)id, (void)len;
	switch (buf[0]) {
	case 'c':
		panic("Somebody asked for a panic, by writing c to /proc/sysrq-trigger");
	case 'w':
		hang_report("Somebody asked who waits for whom");
		return 0;
	default:
		return 0; /* as Linux: unknown letters are no error */
	}
}

static const struct proc_entry entries[] = {
	{ .name = "sysrq-trigger", .mode = S_IFREG | 0200, .write = trigger },
};

void proc_sysrq_create(struct dentry *proc)
{
	proc_add_files(proc, entries, ARRAY_SIZE(entries), 0);
}
