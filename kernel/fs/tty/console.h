/* SPDX-License-Identifier: MIT */
/* The line to the outside, and what it is to programs: a terminal (tty.h) or three streams (stream.h). */
#ifndef KERNEL_FS_CONSOLE_H
#define KERNEL_FS_CONSOLE_H

#include "kernel/lib/base.h"

struct file_ops;

/*
 * What /dev/console, /dev/tty and the ttySn are: a terminal with `tty` on the command line (of which `stderr=stream` takes
 * ttyS2 out), else streams. The same answer from boot on.
 */
const struct file_ops *console_ops(u32 rdev);
/* Boot, in a context that may sleep: sets the serial line up and tells the host that input may come. */
void console_start(void);
/* Shut-down: nobody reads any more. Sleeps. */
void console_stop(void);

#endif
