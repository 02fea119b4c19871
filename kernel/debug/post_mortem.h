/* SPDX-License-Identifier: MIT */
/* What a stopped CPU was about: for the last words of a panic and for the report about a hang. */
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
 * Logs of a CPU that stands still: its thread, the fault that it is resolving, the locks that both hold and wait for, the
 * last fault events. Any context; takes no locks, believes no pointer that it can read by the nofault copy.
 */
void log_cpu_state(unsigned cpu);
/* Logs the page-table walk of the address that each CPU's fault is about, and of `addr` as this CPU sees it. */
#define NO_ADDRESS (~0UL)
void log_walks(u64 addr);

#endif
