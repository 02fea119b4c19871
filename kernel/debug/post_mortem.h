/* SPDX-License-Identifier: MIT */
/* The state of a stopped CPU, as logged by panic and hang reports. */
#ifndef KERNEL_POST_MORTEM_H
#define KERNEL_POST_MORTEM_H

#include "kernel/lib/base.h"

struct task;
struct trap_frame;

/* Where a CPU was when it was interrupted. */
struct cpu_place {
	u64 rip, rbp;
	bool user;
};
void cpu_place_note(struct cpu_place *place, const struct trap_frame *frame);
/* Logs its backtrace, or that it was in user mode. */
void log_cpu_place(const struct cpu_place *place);

/* "PROGRAM[TID]". Any context. */
void task_describe(char *buf, size_t size, const struct task *task);
/*
 * Logs the state of a stopped CPU: its thread, the fault that it is resolving, the locks that both hold and wait for,
 * and the last fault events. Any context; takes no locks, follows pointers only with the nofault copy.
 */
void log_cpu_state(unsigned cpu);
/* Logs the page-table walk of the address of each CPU's fault, and of `addr` as this CPU sees it. */
#define NO_ADDRESS (~0UL)
void log_walks(u64 addr);

#endif
