/* SPDX-License-Identifier: MIT */
/*
 * The command-line option `fault_dump`: writes the data that tools/faultline trace and report read to a debug console
 * port, at the end of the run. docs/tracing.md has the format.
 */
#ifndef KERNEL_FAULT_DUMP_H
#define KERNEL_FAULT_DUMP_H

#include "kernel/lib/base.h"

struct task;

void fault_dump_init(void); /* boot */
/* Dumps a thread that exits: its process and its name. => no lock from RANK_LEAF on held. */
void fault_dump_thread(const struct task *task);
/*
 * Dumps the address space of the first process, when the first of its threads exits for good: VMAs, and the state of
 * each page. Takes mmap_lock; sleeps. The current thread still has the address space. => no lock held.
 */
void fault_dump_address_space(void);
/* Dumps all events in the rings. Called at the very end, or in a panic: takes no lock, needs no memory. */
void fault_dump_events(void);

#endif
