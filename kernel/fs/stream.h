/* SPDX-License-Identifier: MIT */
/* The console as three plain streams of bytes: what it is when standard input or output of the machine is no terminal. */
#ifndef KERNEL_FS_STREAM_H
#define KERNEL_FS_STREAM_H

#include "kernel/fs/file.h"

extern const struct file_ops stream_ops;

/* From the line: a byte, or the end of the input. The first sleeps until there is room, or the console's thread is to end. */
void stream_receive(u8 byte);
void stream_end(void);

#endif
