/* SPDX-License-Identifier: MIT */
/* The backtrace that panic and hang reports log. */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "kernel/lib/base.h"

/* Logs the function at `rip` and its callers, following the frame pointers from `rbp`. Any context. */
void log_backtrace(u64 rip, u64 rbp);

#endif
