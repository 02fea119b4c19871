/* SPDX-License-Identifier: MIT */
/* Noticing that something makes no progress, and saying who waits for whom. */
#ifndef KERNEL_HANG_H
#define KERNEL_HANG_H

#include "kernel/lib/base.h"

/* Boot: `hang=SECONDS` on the command line; default HANG_SECONDS, 0 never looks. */
#define HANG_SECONDS 10
void hang_init(void);
/* From each CPU, after that and before it is idle for the first time. => interrupts off. */
void hang_watch(void);
/*
 * Logs, behind a headline, each CPU that is in the kernel, each thread that sleeps until somebody lets it go on, what it
 * waits for and who has that, and where each is. Any context but NMI; skips what is locked just now.
 */
void hang_report(const char *headline);
/* From the tick, which interrupted user mode or the kernel. => interrupts off. */
void hang_note_tick(bool user);
/* From the NMI: notes where this CPU is, if hang_report() on another CPU wants to know. False: nobody here has sent the NMI. */
struct trap_frame;
bool hang_nmi(const struct trap_frame *frame);

#endif
