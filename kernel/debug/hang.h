/* SPDX-License-Identifier: MIT */
/* The detection of CPUs and threads that make no progress, and the report of what each waits for. */
#ifndef KERNEL_HANG_H
#define KERNEL_HANG_H

#include "kernel/lib/base.h"

/* Boot: reads `hang=SECONDS` from the command line; default HANG_SECONDS, 0 disables the detection. */
#define HANG_SECONDS 10
void hang_init(void);
/* Starts the detection on a CPU, after hang_init() and before it is first idle. => interrupts off. */
void hang_watch(void);
/*
 * Logs, under a headline, each CPU that is in the kernel and each thread in a sleep that is not interruptible, with its
 * position, what it waits for and who holds that. Any context but NMI; skips data that is locked at the moment.
 */
void hang_report(const char *headline);
/* Called by the tick, which interrupted user mode or the kernel. => interrupts off. */
void hang_note_tick(bool user);
/*
 * Called by the NMI handler: notes the position of this CPU if hang_report() on another CPU asks for it. Returns false
 * if hang_report() did not send this NMI.
 */
struct trap_frame;
bool hang_nmi(const struct trap_frame *frame);

#endif
