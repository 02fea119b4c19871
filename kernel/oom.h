/* SPDX-License-Identifier: MIT */
/* When memory is out: the thread that kills, and how faults ask for memory. Calls ask by machine_out_of_memory() (mm/machine.h). */
#ifndef KERNEL_OOM_H
#define KERNEL_OOM_H

#include "kernel/lib/base.h"

/* Boot, and the end: before and afterwards nobody is killed, and memory that is not there is not waited for. Sleep. */
void oom_start(void);
void oom_stop(void);

/*
 * A fault has found no memory. Makes room: by reclaim, or by having the process killed that has most, which may be the
 * current one. False: that is so, or nobody is left but pid 1. The caller then tries again. Sleeps. => no lock from
 * RANK_LAZYFREE on held.
 */
bool oom_make_room(void);
/* The same for user mode, which cannot be told: when nobody else is left, pid 1 is killed. => no lock held. */
void oom_kill(void);

#endif
