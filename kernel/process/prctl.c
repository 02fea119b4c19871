/* SPDX-License-Identifier: MIT */
/* prctl and arch_prctl: attributes that a thread or process reads and sets for itself, among them the fault policy. */
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "kernel/process/task.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "mm/fault/policy.h"

enum {
	PR_SET_PDEATHSIG = 1,
	PR_GET_PDEATHSIG = 2,
	PR_GET_DUMPABLE = 3,
	PR_SET_DUMPABLE = 4,
	PR_GET_KEEPCAPS = 7,
	PR_SET_NAME = 15,
	PR_GET_NAME = 16,
	PR_GET_SECCOMP = 21,
	PR_CAPBSET_READ = 23,
	PR_SET_TIMERSLACK = 29,
	PR_GET_TIMERSLACK = 30,
	PR_SET_CHILD_SUBREAPER = 36,
	PR_GET_CHILD_SUBREAPER = 37,
	PR_SET_NO_NEW_PRIVS = 38,
	PR_GET_NO_NEW_PRIVS = 39,
	PR_GET_TID_ADDRESS = 40,
	PR_SET_THP_DISABLE = 41,
	PR_GET_THP_DISABLE = 42,
	PR_SET_FAULT_POLICY = 0x464c5450, /* "FLTP": Faultline's own */
	PR_GET_FAULT_POLICY = 0x464c5451,
};

#define CAP_LAST 40
#define DEFAULT_TIMER_SLACK_NS 50000

static long prctl_set_name(vaddr_t from)
{
	char name[TASK_COMM_LEN];
	long len = strncpy_from_user(name, from, TASK_COMM_LEN - 1);

	if (len < 0)
		return len;
	name[min(len, (long)TASK_COMM_LEN - 1)] = '\0';
	memset(current->comm, 0, TASK_COMM_LEN);
	memcpy(current->comm, name, strlen(name));
	return 0;
}

/* Sets a flag as Linux does: the second argument is 0 or 1, and the others must be 0. */
static long set_flag(bool *flag, u64 value, u64 a2, u64 a3, u64 a4)
{
	if (value > 1 || a2 || a3 || a4)
		return -EINVAL;
	WRITE_ONCE(*flag, value);
	return 0;
}

static long about_process(struct process *process, u64 option, u64 value, u64 a2, u64 a3, u64 a4)
{
	switch (option) {
	case PR_SET_PDEATHSIG:
		if (value > NSIG)
			return -EINVAL;
		WRITE_ONCE(process->parent_death_signal, (s32)value);
		return 0;
	case PR_GET_PDEATHSIG:
		return put_user(process->parent_death_signal, value);
	case PR_GET_DUMPABLE:
		return !READ_ONCE(process->no_dump);
	case PR_SET_DUMPABLE:
		if (value > 1)
			return -EINVAL;
		WRITE_ONCE(process->no_dump, !value);
		return 0;
	case PR_SET_CHILD_SUBREAPER:
		WRITE_ONCE(process->child_subreaper, value != 0);
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return put_user((s32)READ_ONCE(process->child_subreaper), value);
	case PR_SET_NO_NEW_PRIVS:
		return value != 1 ? -EINVAL : set_flag(&process->no_new_privs, value, a2, a3, a4);
	case PR_GET_NO_NEW_PRIVS:
		return value || a2 || a3 || a4 ? -EINVAL : READ_ONCE(process->no_new_privs);
	default:
		return -EINVAL;
	}
}

SYSCALL(prctl)
{
	switch (a0) {
	case PR_SET_NAME:
		return prctl_set_name(a1);
	case PR_GET_NAME:
		return copy_to_user(a1, current->comm, TASK_COMM_LEN) ? -EFAULT : 0;
	case PR_SET_FAULT_POLICY:
		return a2 || a3 || a4 ? -EINVAL : mm_set_policy(current->mm, a1);
	case PR_GET_FAULT_POLICY:
		return a1 || a2 || a3 || a4 ? -EINVAL : READ_ONCE(current->mm->policy);
	case PR_CAPBSET_READ:
		return a1 <= CAP_LAST ? 1 : -EINVAL;
	case PR_GET_KEEPCAPS:
	case PR_GET_SECCOMP:
		return 0;
	case PR_GET_TIMERSLACK:
		return DEFAULT_TIMER_SLACK_NS;
	case PR_SET_TIMERSLACK: /* timers are always as exact as possible */
		return 0;
	case PR_SET_THP_DISABLE: /* there are no huge pages to disable */
		return a2 || a3 || a4 ? -EINVAL : 0;
	case PR_GET_THP_DISABLE:
		return a1 || a2 || a3 || a4 ? -EINVAL : 0;
	case PR_GET_TID_ADDRESS:
		return put_user(current->clear_child_tid, a1);
	default:
		return about_process(current->process, a0, a1, a2, a3, a4);
	}
}

/* ---- The FS and GS bases ----------------------------------------------------------------------------------------- */

enum {
	ARCH_SET_GS = 0x1001,
	ARCH_SET_FS = 0x1002,
	ARCH_GET_FS = 0x1003,
	ARCH_GET_GS = 0x1004,
};

SYSCALL(arch_prctl)
{
	switch (a0) {
	case ARCH_SET_FS:
		if (a1 >= USER_END)
			return -EPERM;
		set_user_fs_base(a1);
		return 0;
	case ARCH_SET_GS:
		if (a1 >= USER_END)
			return -EPERM;
		set_user_gs_base(a1);
		return 0;
	case ARCH_GET_FS:
		save_user_segments(current);
		return put_user(current->fs_base, a1);
	case ARCH_GET_GS:
		save_user_segments(current);
		return put_user(current->gs_base, a1);
	default:
		return -EINVAL;
	}
}
