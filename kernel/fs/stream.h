/* SPDX-License-Identifier: MIT */
/* The console as three plain byte streams, used when standard input or output of the machine is not a terminal. */
#ifndef KERNEL_FS_STREAM_H
#define KERNEL_FS_STREAM_H

#include "kernel/fs/file.h"

extern const struct file_ops stream_ops;

/*
 * Add a byte, or the end of the input, from the serial line. stream_receive() sleeps until there is room, or the
 * console's thread must end.
 */
void stream_receive(u8 byte);
void stream_end(void);

#endif
