/* SPDX-License-Identifier: MIT */
/* Who a process is: numbers, process groups, sessions; users, of which there is one, root, who may do everything. */
#include "kernel/errno.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

#define CAPABILITIES_V3 0x20080522u
#define NR_CAPABILITIES 41

SYSCALL(getpid)
{
	return current->process->pid;
}

SYSCALL(gettid)
{
	return current->tid;
}

/* The parent may be going, but its memory stays for a grace period, and we are in its RCU section. */
SYSCALL(getppid)
{
	struct process *parent = READ_ONCE(current->process->parent);

	return parent ? parent->pid : 0;
}

/* ---- Process groups and sessions --------------------------------------------------------------------------------- */

/* => process_tree_lock. pid 0: the caller. */
static struct process *find_locked(s32 pid)
{
	struct process *process;

	if (pid == 0)
		return current->process;
	list_for_each (process, &all_processes, all_link)
		if (process->pid == pid)
			return process;
	return NULL;
}

/* => process_tree_lock */
static bool group_exists(s32 pgid, s32 sid)
{
	struct process *process;

	list_for_each (process, &all_processes, all_link)
		if (process->pgid == pgid && process->sid == sid)
			return true;
	return false;
}

/* => process_tree_lock */
static long set_group(s32 pid, s32 pgid)
{
	struct process *self = current->process, *process = find_locked(pid);

	if (!process || (process != self && process->parent != self))
		return -ESRCH;
	if (process->parent == self && process->sid != self->sid)
		return -EPERM;
	if (process->parent == self && process != self && process->did_exec)
		return -EACCES;
	if (process->sid == process->pid)
		return -EPERM;
	if (pgid == 0)
		pgid = process->pid;
	if (pgid != process->pid && !group_exists(pgid, self->sid))
		return -EPERM;
	process->pgid = pgid;
	return 0;
}

SYSCALL(setpgid)
{
	long answer;

	if ((s32)a1 < 0)
		return -EINVAL;
	spin_lock(&process_tree_lock);
	answer = set_group((s32)a0, (s32)a1);
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(getpgid)
{
	struct process *process;
	long answer;

	spin_lock(&process_tree_lock);
	process = find_locked((s32)a0);
	answer = process ? process->pgid : -ESRCH;
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(getpgrp)
{
	return current->process->pgid;
}

SYSCALL(getsid)
{
	struct process *process;
	long answer;

	spin_lock(&process_tree_lock);
	process = find_locked((s32)a0);
	answer = process ? process->sid : -ESRCH;
	spin_unlock(&process_tree_lock);
	return answer;
}

SYSCALL(setsid)
{
	struct process *self = current->process, *process;
	long answer = self->pid;

	spin_lock(&process_tree_lock);
	list_for_each (process, &all_processes, all_link)
		if (process->pgid == self->pid)
			answer = -EPERM;
	if (answer > 0) {
		self->sid = self->pgid = self->pid;
		WRITE_ONCE(self->tty, NULL);
	}
	spin_unlock(&process_tree_lock);
	return answer;
}

/* ---- Users: setting an identity succeeds for root's own only ----------------------------------------------------- */

#define ALWAYS_ROOT(name)                                                                                              \
	SYSCALL(name)                                                                                                  \
	{                                                                                                              \
		return 0;                                                                                              \
	}
ALWAYS_ROOT(getuid)
ALWAYS_ROOT(geteuid)
ALWAYS_ROOT(getgid)
ALWAYS_ROOT(getegid)
ALWAYS_ROOT(setfsuid)
ALWAYS_ROOT(setfsgid)
ALWAYS_ROOT(getgroups)
ALWAYS_ROOT(setgroups)

static bool root_or_same(u64 id)
{
	return (u32)id == 0 || (u32)id == ~0u;
}

#define SET_IDENTITY(name, condition)                                                                                  \
	SYSCALL(name)                                                                                                  \
	{                                                                                                              \
		return (condition) ? 0 : -EINVAL;                                                                      \
	}
SET_IDENTITY(setuid, (u32)a0 == 0)
SET_IDENTITY(setgid, (u32)a0 == 0)
SET_IDENTITY(setreuid, root_or_same(a0) && root_or_same(a1))
SET_IDENTITY(setregid, root_or_same(a0) && root_or_same(a1))
SET_IDENTITY(setresuid, root_or_same(a0) && root_or_same(a1) && root_or_same(a2))
SET_IDENTITY(setresgid, root_or_same(a0) && root_or_same(a1) && root_or_same(a2))

static long put_three_zeros(vaddr_t a, vaddr_t b, vaddr_t c)
{
	return put_user(0u, a) || put_user(0u, b) || put_user(0u, c) ? -EFAULT : 0;
}

SYSCALL(getresuid)
{
	return put_three_zeros(a0, a1, a2);
}

SYSCALL(getresgid)
{
	return put_three_zeros(a0, a1, a2);
}

struct cap_header {
	u32 version;
	s32 pid;
};

SYSCALL(capget)
{
	const u64 all = (1UL << NR_CAPABILITIES) - 1;
	u32 data[6] = { (u32)all, (u32)all, 0, (u32)(all >> 32), (u32)(all >> 32), 0 };
	struct cap_header header;

	if (copy_from_user(&header, a0, sizeof(header)))
		return -EFAULT;
	if (header.version != CAPABILITIES_V3) {
		header.version = CAPABILITIES_V3;
		if (copy_to_user(a0, &header, sizeof(header)))
			return -EFAULT;
		return a1 ? -EINVAL : 0;
	}
	if (header.pid < 0)
		return -EINVAL;
	return a1 && copy_to_user(a1, data, sizeof(data)) ? -EFAULT : 0;
}

/* Accepted without effect: root keeps all. */
SYSCALL(capset)
{
	struct cap_header header;

	if (copy_from_user(&header, a0, sizeof(header)))
		return -EFAULT;
	return header.version == CAPABILITIES_V3 ? 0 : -EINVAL;
}
