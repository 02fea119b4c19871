/* SPDX-License-Identifier: MIT */
/*
 * The command-line option `explain`: logs one sentence about each signal of a fault or exception that ends a program.
 */
#ifndef KERNEL_EXPLAIN_H
#define KERNEL_EXPLAIN_H

#include "mm/fault.h"

extern bool explain_signals; /* constant after boot */

/*
 * Logs one line (FAULTLINE-EXPLAIN) about a fault of the current thread that becomes a signal which the thread does not
 * catch: the address, the mappings around it, and how each strategy ended. Takes mmap_lock; sleeps. => no lock held.
 */
void explain_fault(u64 ip, u64 addr, enum fault_access access, enum fault_answer answer, struct fault_signal sig);
/*
 * The same for an exception for which the CPU reports no address, such as one of a pointer that is not canonical: logs
 * the registers that hold such addresses.
 */
struct trap_frame;
void explain_exception(const struct trap_frame *frame, const char *exception, int signo);

#endif
