/* SPDX-License-Identifier: MIT */
/*
 * The numbers of a thread and of its process, and the ids of its user. kernel/linux/users.c changes the ids of users,
 * kernel/linux/identity.c has process groups and sessions.
 */
#include "kernel/linux_hooks.h"
#include "kernel/process/task.h"
#include "kernel/sched/thread.h"
#include "kernel/syscall.h"

SYSCALL(getpid)
{
	return current->process->pid;
}

SYSCALL(gettid)
{
	return current->tid;
}

/*
 * The parent may be exiting, but its memory stays for a grace period, and this code is an RCU reader
 * (kernel/sync/rcu.h).
 */
SYSCALL(getppid)
{
	struct process *parent = READ_ONCE(current->process->parent);

	return parent ? parent->pid : 0;
}

#define GET_CALL(name, kind, role)                                                                                     \
	SYSCALL(name)                                                                                                  \
	{                                                                                                              \
		return READ_ONCE(current->process->users.kind.role);                                                   \
	}
GET_CALL(getuid, user, real)
GET_CALL(geteuid, user, effective)
GET_CALL(getgid, group, real)
GET_CALL(getegid, group, effective)

/* ---- What mm/ asks: kernel/sched/thread.h ------------------------------------------------------------------------ */

bool thread_may_lock_memory(void)
{
	return process_is_privileged(current->process);
}

bool thread_may_map_low(void)
{
	return process_is_privileged(current->process);
}
