/* SPDX-License-Identifier: MIT */
/*
 * The user and group ids of processes, the set*id calls, and capabilities: root has all of them, other users have none.
 * A process has a single set of ids, as C libraries present it; the calls change it under users_lock, and readers read
 * single ids without it.
 *
 * Mirrors: Linux, kernel/sys.c, in the rules and in the order of errors.
 */
#include "kernel/linux/users.h"
#include "kernel/lib/errno.h"
#include "kernel/linux_hooks.h"
#include "kernel/sched/sched.h"
#include "kernel/sync/spinlock.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

#define CAPABILITIES_V3 0x20080522u
#define UNCHANGED (~0u)

static spinlock_t users_lock = SPINLOCK_INIT(LEAF);

bool process_is_privileged(const struct process *process)
{
	return READ_ONCE(process->users.user.effective) == 0;
}

bool may_signal(const struct process *target)
{
	const struct ids *own = &current->process->users.user, *other = &target->users.user;
	u32 real = READ_ONCE(other->real), saved = READ_ONCE(other->saved);

	return target == current->process || process_is_privileged(current->process) ||
	       READ_ONCE(own->effective) == real || READ_ONCE(own->effective) == saved ||
	       READ_ONCE(own->real) == real || READ_ONCE(own->real) == saved;
}

static bool has_all_of(const struct ids *own, const struct ids *other, enum own_ids which)
{
	u32 id = which == OWN_REAL_IDS ? READ_ONCE(own->real) : READ_ONCE(own->fs);

	return id == READ_ONCE(other->real) && id == READ_ONCE(other->effective) && id == READ_ONCE(other->saved);
}

static bool has_ids_of(const struct process *target, enum own_ids which)
{
	const struct users *own = &current->process->users;

	return has_all_of(&own->user, &target->users.user, which) &&
	       has_all_of(&own->group, &target->users.group, which);
}

bool may_access(const struct process *target, enum own_ids which)
{
	if (target == current->process || process_is_privileged(current->process))
		return true;
	return has_ids_of(target, which) && !READ_ONCE(target->no_dump);
}

bool may_limit(const struct process *target)
{
	return target == current->process || process_is_privileged(current->process) ||
	       has_ids_of(target, OWN_REAL_IDS);
}

bool owns_process(const struct process *target)
{
	u32 own = READ_ONCE(current->process->users.user.effective);

	return own == READ_ONCE(target->users.user.real) || own == READ_ONCE(target->users.user.effective);
}

/* ---- Setting ----------------------------------------------------------------------------------------------------- */

/* The roles in which a process must have an id already so that it may request it (`roles`); root may request any. */
enum role {
	REAL = 1,
	EFFECTIVE = 2,
	SAVED = 4,
	FS = 8,
};

static bool may_have(const struct ids *ids, u32 id, unsigned roles)
{
	return id == UNCHANGED || process_is_privileged(current->process) || (roles & REAL && id == ids->real) ||
	       (roles & EFFECTIVE && id == ids->effective) || (roles & SAVED && id == ids->saved) ||
	       (roles & FS && id == ids->fs);
}

static u32 or_old(u32 id, u32 old)
{
	return id == UNCHANGED ? old : id;
}

/*
 * Called when the effective or file-system id changes: cancels the parent-death signal and makes the process not
 * dumpable, so that its new user cannot read memory that it filled before.
 */
static void act_as_another(void)
{
	WRITE_ONCE(current->process->parent_death_signal, 0);
	WRITE_ONCE(current->process->no_dump, true);
}

static void store_ids(struct ids *to, const struct ids *ids)
{
	if (ids->effective != to->effective || ids->fs != to->fs)
		act_as_another();
	WRITE_ONCE(to->real, ids->real);
	WRITE_ONCE(to->effective, ids->effective);
	WRITE_ONCE(to->saved, ids->saved);
	WRITE_ONCE(to->fs, ids->fs);
}

static long set_id(struct ids *ids, u32 id)
{
	struct ids new = *ids;

	if (id == UNCHANGED)
		return -EINVAL;
	if (process_is_privileged(current->process))
		new.real = new.saved = id;
	else if (!may_have(ids, id, REAL | SAVED))
		return -EPERM;
	new.effective = new.fs = id;
	store_ids(ids, &new);
	return 0;
}

static long set_real_effective(struct ids *ids, u32 real, u32 effective)
{
	struct ids new = *ids;

	if (!may_have(ids, real, REAL | EFFECTIVE) || !may_have(ids, effective, REAL | EFFECTIVE | SAVED))
		return -EPERM;
	new.real = or_old(real, ids->real);
	new.effective = new.fs = or_old(effective, ids->effective);
	if (real != UNCHANGED || (effective != UNCHANGED && effective != ids->real))
		new.saved = new.effective;
	store_ids(ids, &new);
	return 0;
}

static long set_three(struct ids *ids, u32 real, u32 effective, u32 saved)
{
	const unsigned any = REAL | EFFECTIVE | SAVED;
	struct ids new;

	if (!may_have(ids, real, any) || !may_have(ids, effective, any) || !may_have(ids, saved, any))
		return -EPERM;
	new.real = or_old(real, ids->real);
	new.effective = new.fs = or_old(effective, ids->effective);
	new.saved = or_old(saved, ids->saved);
	store_ids(ids, &new);
	return 0;
}

/* Never fails: returns the old id. */
static long set_fs(struct ids *ids, u32 id)
{
	u32 old = ids->fs;

	if (id == UNCHANGED || id == old || !may_have(ids, id, REAL | EFFECTIVE | SAVED | FS))
		return old;
	act_as_another();
	WRITE_ONCE(ids->fs, id);
	return old;
}

#define SET_CALL(name, kind, call, ...)                                                                                \
	SYSCALL(name)                                                                                                  \
	{                                                                                                              \
		long answer;                                                                                           \
                                                                                                                       \
		spin_lock(&users_lock);                                                                                \
		answer = call(&current->process->users.kind, __VA_ARGS__);                                             \
		spin_unlock(&users_lock);                                                                              \
		return answer;                                                                                         \
	}
SET_CALL(setuid, user, set_id, (u32)a0)
SET_CALL(setgid, group, set_id, (u32)a0)
SET_CALL(setreuid, user, set_real_effective, (u32)a0, (u32)a1)
SET_CALL(setregid, group, set_real_effective, (u32)a0, (u32)a1)
SET_CALL(setresuid, user, set_three, (u32)a0, (u32)a1, (u32)a2)
SET_CALL(setresgid, group, set_three, (u32)a0, (u32)a1, (u32)a2)
SET_CALL(setfsuid, user, set_fs, (u32)a0)
SET_CALL(setfsgid, group, set_fs, (u32)a0)

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static long put_three(const struct ids *ids, vaddr_t real, vaddr_t effective, vaddr_t saved)
{
	if (put_user(ids->real, real) || put_user(ids->effective, effective) || put_user(ids->saved, saved))
		return -EFAULT;
	return 0;
}

SYSCALL(getresuid)
{
	return put_three(&current->process->users.user, a0, a1, a2);
}

SYSCALL(getresgid)
{
	return put_three(&current->process->users.group, a0, a1, a2);
}

/* There are no supplementary groups; root may set them, without effect. */
SYSCALL(getgroups)
{
	return (s32)a0 < 0 ? -EINVAL : 0;
}

SYSCALL(setgroups)
{
	return process_is_privileged(current->process) ? 0 : -EPERM;
}

/* ---- Capabilities ------------------------------------------------------------------------------------------------ */

struct cap_header {
	u32 version;
	s32 pid;
};

u64 effective_capabilities(const struct process *process)
{
	return process_is_privileged(process) ? ALL_CAPABILITIES : 0;
}

/* A process that is root in any role may become root again. */
u64 permitted_capabilities(const struct process *process)
{
	const struct ids *ids = &process->users.user;

	return !READ_ONCE(ids->real) || !READ_ONCE(ids->effective) || !READ_ONCE(ids->saved) ? ALL_CAPABILITIES : 0;
}

SYSCALL(capget)
{
	u64 may = permitted_capabilities(current->process), now = effective_capabilities(current->process);
	u32 data[6] = { (u32)now, (u32)may, 0, (u32)(now >> 32), (u32)(may >> 32), 0 };
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

/* Has no effect: root keeps all capabilities. */
SYSCALL(capset)
{
	struct cap_header header;

	if (copy_from_user(&header, a0, sizeof(header)))
		return -EFAULT;
	return header.version == CAPABILITIES_V3 ? 0 : -EINVAL;
}
