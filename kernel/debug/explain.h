/* SPDX-License-Identifier: MIT */
/* The word `explain` on the command line: what ends a program is told in a sentence. */
#ifndef KERNEL_EXPLAIN_H
#define KERNEL_EXPLAIN_H

#include "mm/fault/fault.h"

extern bool explain_signals; /* constant after boot */

/*
 * Logs one line (FAULTLINE-EXPLAIN) about a fault of the current thread that becomes a signal which it does not catch: what
 * was touched, what is mapped around it, how each strategy ended. Takes mmap_lock; sleeps. => no lock held.
 */
void explain_fault(u64 ip, u64 addr, enum fault_access access, enum fault_answer answer, struct fault_signal sig);
/*
 * The same about an exception for which the CPU tells no address, such as that of a pointer that is not canonical: tells the
 * registers that hold none either.
 */
struct trap_frame;
void explain_exception(const struct trap_frame *frame, const char *exception, int signo);

#endif
