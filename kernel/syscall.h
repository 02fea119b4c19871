/* SPDX-License-Identifier: MIT */
/*
 * System calls: functions that take the six argument registers and return a result or a negative errno.
 * kernel/syscall_table.h lists them all; entry.asm calls them through system_call_table (syscall.c).
 */
#ifndef KERNEL_SYSCALL_H
#define KERNEL_SYSCALL_H

#include "kernel/lib/base.h"

/* The signature of every implementation, whatever number of arguments it uses. */
#define SYSCALL(name)                                                                                                  \
	long sys_##name(u64 a0 __maybe_unused, u64 a1 __maybe_unused, u64 a2 __maybe_unused, u64 a3 __maybe_unused,    \
			u64 a4 __maybe_unused, u64 a5 __maybe_unused)

#endif
