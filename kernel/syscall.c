/* SPDX-License-Identifier: MIT */
/* The table of system calls, and the handler of calls that are not implemented. */
#include "kernel/syscall.h"

#include "kernel/lib/errno.h"
#include "kernel/lib/print.h"
#include "kernel/process/task.h"
#include "kernel/syscall_table.h"

#define CALL(number, name) SYSCALL(name);
#define NONE(number, name)
SYSCALL_TABLE(CALL, NONE)
#undef CALL
#undef NONE

static const char *const names[NR_SYSCALL_SLOTS] = {
#define ENTRY(number, name) [number] = #name,
	SYSCALL_TABLE(ENTRY, ENTRY)
#undef ENTRY
};

static u64 reported[NR_SYSCALL_SLOTS / 64]; /* atomic bits */

static SYSCALL(unknown)
{
	u32 number = (u32)task_frame(current)->orig_rax;
	u64 bit = 1UL << number % 64;

	if (number < NR_SYSCALL_SLOTS && !(atomic_or(&reported[number / 64], bit) & bit))
		klog("%s (%d): system call %u, %s, is not implemented", current->comm, current->tid, number,
		     names[number] ? names[number] : "unknown to Linux too");
	return -ENOSYS;
}

#define CALL(number, name) [number] = sys_##name,
#define NONE(number, name) [number] = sys_unknown,
const system_call_t system_call_table[NR_SYSCALL_SLOTS] = {
	SYSCALL_TABLE(CALL, NONE)
		/* Numbers that Linux does not use. */
		[335 ... 423] = sys_unknown,
	[459 ... 461] = sys_unknown,
	[463 ... 511] = sys_unknown,
};
