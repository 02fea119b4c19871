/* SPDX-License-Identifier: MIT */
/*
 * User and group numbers, capabilities, priorities and scheduling classes: kept as Linux keeps them for root, obeyed by
 * nobody. Any thread of a process may set its numbers; each is written whole, and no rule depends on two of them.
 */
#include "kernel/errno.h"
#include "kernel/syscall.h"
#include "kernel/task.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"

#define NO_CHANGE ((u32)-1)

static struct ids *uids(void)
{
	return &current->process->uid;
}

static struct ids *gids(void)
{
	return &current->process->gid;
}

static void set_ids(struct ids *ids, u32 real, u32 effective, u32 saved)
{
	if (real != NO_CHANGE)
		WRITE_ONCE(ids->real, real);
	if (effective != NO_CHANGE)
		WRITE_ONCE(ids->effective, effective);
	if (saved != NO_CHANGE)
		WRITE_ONCE(ids->saved, saved);
	WRITE_ONCE(ids->fs, ids->effective);
}

/* setuid(2) of root: all of them. */
static long set_all(struct ids *ids, u32 id)
{
	if (id == NO_CHANGE)
		return -EINVAL;
	set_ids(ids, id, id, id);
	return 0;
}

/* setreuid(2): the saved one follows the effective one when either is given. */
static long set_real_effective(struct ids *ids, u32 real, u32 effective)
{
	u32 new_effective = effective != NO_CHANGE ? effective : ids->effective;

	set_ids(ids, real, effective, real != NO_CHANGE || effective != NO_CHANGE ? new_effective : NO_CHANGE);
	return 0;
}

static long get_three(const struct ids *ids, vaddr_t real, vaddr_t effective, vaddr_t saved)
{
	if (put_user(ids->real, real) || put_user(ids->effective, effective) || put_user(ids->saved, saved))
		return -EFAULT;
	return 0;
}

static long set_fs(struct ids *ids, u32 id)
{
	u32 old = ids->fs;

	if (id != NO_CHANGE)
		WRITE_ONCE(ids->fs, id);
	return old;
}

SYSCALL(getuid)
{
	return READ_ONCE(uids()->real);
}

SYSCALL(geteuid)
{
	return READ_ONCE(uids()->effective);
}

SYSCALL(getgid)
{
	return READ_ONCE(gids()->real);
}

SYSCALL(getegid)
{
	return READ_ONCE(gids()->effective);
}

SYSCALL(getresuid)
{
	return get_three(uids(), a0, a1, a2);
}

SYSCALL(getresgid)
{
	return get_three(gids(), a0, a1, a2);
}

SYSCALL(setuid)
{
	return set_all(uids(), (u32)a0);
}

SYSCALL(setgid)
{
	return set_all(gids(), (u32)a0);
}

SYSCALL(setreuid)
{
	return set_real_effective(uids(), (u32)a0, (u32)a1);
}

SYSCALL(setregid)
{
	return set_real_effective(gids(), (u32)a0, (u32)a1);
}

SYSCALL(setresuid)
{
	set_ids(uids(), (u32)a0, (u32)a1, (u32)a2);
	return 0;
}

SYSCALL(setresgid)
{
	set_ids(gids(), (u32)a0, (u32)a1, (u32)a2);
	return 0;
}

SYSCALL(setfsuid)
{
	return set_fs(uids(), (u32)a0);
}

SYSCALL(setfsgid)
{
	return set_fs(gids(), (u32)a0);
}

/* ---- Supplementary groups: there are none ------------------------------------------------------------------------ */

#define NGROUPS_MAX 65536

SYSCALL(getgroups)
{
	return (s32)a0 < 0 ? -EINVAL : 0;
}

SYSCALL(setgroups)
{
	if (a0 > NGROUPS_MAX)
		return -EINVAL;
	return a0 ? -EPERM : 0; /* what would not be kept is refused */
}

/* ---- Capabilities: root has all ---------------------------------------------------------------------------------- */

#define CAPABILITY_V1 0x19980330
#define CAPABILITY_V2 0x20071026
#define CAPABILITY_V3 0x20080522
#define CAP_LAST 40
#define ALL_CAPABILITIES ((1UL << (CAP_LAST + 1)) - 1)

struct cap_header {
	u32 version;
	s32 pid;
};
struct cap_data {
	u32 effective, permitted, inheritable;
};

/* Words of 32 capabilities that the caller's version has; -EINVAL tells it the version to use. */
static long capability_words(struct cap_header *header, vaddr_t user)
{
	if (copy_from_user(header, user, sizeof(*header)))
		return -EFAULT;
	switch (header->version) {
	case CAPABILITY_V1:
		return 1;
	case CAPABILITY_V2:
	case CAPABILITY_V3:
		return 2;
	}
	return put_user((u32)CAPABILITY_V3, user) ? -EFAULT : -EINVAL;
}

SYSCALL(capget)
{
	struct cap_data data[2] = {
		{ (u32)ALL_CAPABILITIES, (u32)ALL_CAPABILITIES, 0 },
		{ ALL_CAPABILITIES >> 32, ALL_CAPABILITIES >> 32, 0 },
	};
	struct cap_header header;
	long words = capability_words(&header, a0);

	if (words < 0)
		return words == -EINVAL && !a1 ? 0 : words;
	if (header.pid < 0)
		return -EINVAL;
	return copy_to_user(a1, data, words * sizeof(data[0])) ? -EFAULT : 0;
}

SYSCALL(capset)
{
	struct cap_header header;
	struct cap_data data[2];
	long words = capability_words(&header, a0);

	if (words < 0)
		return words;
	if (header.pid && header.pid != current->tid)
		return -EPERM;
	return copy_from_user(data, a1, words * sizeof(data[0])) ? -EFAULT : 0;
}

/* ---- Priorities and scheduling classes --------------------------------------------------------------------------- */

#define PRIO_PROCESS 0
#define PRIO_USER 2
#define NICE_MIN -20
#define NICE_MAX 19

/* 0 names the caller. With a reference, or NULL. */
static struct task *named_task(s32 tid)
{
	if (tid)
		return task_find(tid);
	task_get(current);
	return current;
}

/* A priority of a group or a user is that of the caller: all of them are kept alike, and none is obeyed. */
static struct task *priority_task(u64 which, u64 who)
{
	return named_task(which == PRIO_PROCESS ? (s32)who : 0);
}

SYSCALL(getpriority)
{
	struct task *task;
	long result;

	if (a0 > PRIO_USER)
		return -EINVAL;
	task = priority_task(a0, a1);
	if (!task)
		return -ESRCH;
	result = 20 - READ_ONCE(task->nice);
	task_put(task);
	return result;
}

SYSCALL(setpriority)
{
	struct task *task;

	if (a0 > PRIO_USER)
		return -EINVAL;
	task = priority_task(a0, a1);
	if (!task)
		return -ESRCH;
	WRITE_ONCE(task->nice, max(min((s32)a2, NICE_MAX), NICE_MIN));
	task_put(task);
	return 0;
}

enum {
	SCHED_OTHER,
	SCHED_FIFO,
	SCHED_RR,
	SCHED_BATCH,
	SCHED_IDLE = 5,
	SCHED_RESET_ON_FORK = 0x40000000,
};

static bool is_policy(u32 policy)
{
	return policy <= SCHED_BATCH || policy == SCHED_IDLE;
}

static bool is_realtime(u32 policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

/* Everybody is scheduled alike, as SCHED_OTHER; asking for that succeeds. */
SYSCALL(sched_setscheduler)
{
	u32 policy = (u32)a1 & ~(u32)SCHED_RESET_ON_FORK;
	struct task *task;
	s32 priority;

	if (!a2 || (s32)a0 < 0 || !is_policy(policy))
		return -EINVAL;
	if (get_user(&priority, a2))
		return -EFAULT;
	if (is_realtime(policy) ? priority < 1 || priority > 99 : priority != 0)
		return -EINVAL;
	task = named_task((s32)a0);
	if (!task)
		return -ESRCH;
	task_put(task);
	return is_realtime(policy) ? -EPERM : 0;
}

SYSCALL(sched_getscheduler)
{
	struct task *task = (s32)a0 < 0 ? NULL : named_task((s32)a0);

	if (!task)
		return (s32)a0 < 0 ? -EINVAL : -ESRCH;
	task_put(task);
	return SCHED_OTHER;
}

SYSCALL(sched_setparam)
{
	struct task *task;
	s32 priority;

	if (!a1 || (s32)a0 < 0)
		return -EINVAL;
	if (get_user(&priority, a1))
		return -EFAULT;
	task = named_task((s32)a0);
	if (!task)
		return -ESRCH;
	task_put(task);
	return priority ? -EINVAL : 0;
}

SYSCALL(sched_getparam)
{
	struct task *task;

	if (!a1 || (s32)a0 < 0)
		return -EINVAL;
	task = named_task((s32)a0);
	if (!task)
		return -ESRCH;
	task_put(task);
	return put_user((s32)0, a1) ? -EFAULT : 0;
}

SYSCALL(sched_get_priority_max)
{
	return !is_policy((u32)a0) ? -EINVAL : is_realtime((u32)a0) ? 99 : 0;
}

SYSCALL(sched_get_priority_min)
{
	return !is_policy((u32)a0) ? -EINVAL : is_realtime((u32)a0) ? 1 : 0;
}

SYSCALL(sched_rr_get_interval)
{
	struct task *task = (s32)a0 < 0 ? NULL : named_task((s32)a0);

	if (!task)
		return (s32)a0 < 0 ? -EINVAL : -ESRCH;
	task_put(task);
	return put_timespec(a1, NSEC_PER_SEC / 100) ? -EFAULT : 0;
}
