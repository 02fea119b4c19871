/* SPDX-License-Identifier: MIT */
/* Processes in /proc. */
#include "kernel/fs/procfs.h"

const struct inode_ops proc_root_ops = {};

void proc_pid_create(struct dentry *proc)
{
	(void)proc;
}
