/* SPDX-License-Identifier: MIT */
/* What a stopped CPU was about: for the last words of a panic and for the report about a hang. */
#ifndef KERNEL_POST_MORTEM_H
#define KERNEL_POST_MORTEM_H

#include "kernel/base.h"

struct held_locks;
struct task;

/* "PROGRAM[TID]". Any context. */
void task_describe(char *buf, size_t size, const struct task *task);
/*
 * Logs of a CPU that stands still: its thread, the fault that it is resolving, the locks that both hold and wait for, the
 * last fault events. Any context; takes no locks, believes no pointer that it can read by the nofault copy.
 */
void log_cpu_state(unsigned cpu);
/* Logs the page-table walk of the address that each CPU's fault is about, and of `addr` (0: none) in the current mm. */
void log_walks(u64 addr);
/* Logs a list of locks behind `whose`; nothing if it is empty. */
void log_held_locks(const char *whose, const struct held_locks *list);

#endif
