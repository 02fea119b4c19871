/* SPDX-License-Identifier: MIT */
/* The console, which is a terminal (kernel/linux/tty/) or three streams (stream.h) for programs. */
#ifndef KERNEL_FS_CONSOLE_H
#define KERNEL_FS_CONSOLE_H

#include "kernel/lib/base.h"

struct file_ops;

/*
 * Returns the operations of /dev/console, /dev/tty and the ttySn: a terminal's with `tty` on the command line (ttyS2 is
 * not part of it with `stderr=stream`), else a stream's. The answer does not change after boot.
 */
const struct file_ops *console_ops(u32 rdev);
/* Called at boot, in a context that may sleep: sets up the serial line, and tells the host that it may send input. */
void console_start(void);
/* Called at shut-down: ends the thread that reads the line. Sleeps. */
void console_stop(void);

#endif
