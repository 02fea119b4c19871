/* SPDX-License-Identifier: MIT */
/* The last words. */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "kernel/lib/base.h"

/* Logs the functions that called their way to `rip`, following the frame pointers from `rbp`. Any context. */
void log_backtrace(u64 rip, u64 rbp);

#endif
