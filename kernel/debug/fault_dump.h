/* SPDX-License-Identifier: MIT */
/*
 * The word `fault_dump` on the command line: what tools/faultline trace and report read is written to a debug console port
 * of its own when it is over. docs/tracing.md has the format.
 */
#ifndef KERNEL_FAULT_DUMP_H
#define KERNEL_FAULT_DUMP_H

#include "kernel/lib/base.h"

struct task;

void fault_dump_init(void); /* boot */
/* A thread ends: which process it was of, and its name. => no lock from RANK_LEAF on held. */
void fault_dump_thread(const struct task *task);
/*
 * The address space of the first process, as it is when the first of its threads ends for good: VMAs, and what each
 * page is. Takes mmap_lock; sleeps. The current thread still has the address space. => no lock held.
 */
void fault_dump_address_space(void);
/* All events that the rings hold. At the very end, or in a panic: takes no lock, needs no memory. */
void fault_dump_events(void);

#endif
