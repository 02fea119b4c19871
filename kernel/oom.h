/* SPDX-License-Identifier: MIT */
/* The out-of-memory killer, as faults use it. Calls use out_of_memory() (mm/services.h). */
#ifndef KERNEL_OOM_H
#define KERNEL_OOM_H

#include "kernel/lib/base.h"

/*
 * Start (at boot) and stop (at shut-down) the killer; without it no process is killed, and no thread waits for memory.
 * Sleep.
 */
void oom_start(void);
void oom_stop(void);

/*
 * Makes room for a fault that found no memory: by reclaim, or by killing the process that uses the most, which may be
 * the current one. Returns false if it is, or if only pid 1 is left; otherwise the caller tries again. Sleeps.
 * => no lock from RANK_LAZYFREE on held.
 */
bool oom_make_room(void);
/* The same for user mode, which has no way to fail: if no other process is left, pid 1 is killed. => no lock held. */
void oom_kill(void);

#endif
