/* SPDX-License-Identifier: MIT */
/* The three streams of the first program. */
#ifndef KERNEL_FS_CONSOLE_H
#define KERNEL_FS_CONSOLE_H

#include "kernel/base.h"

/* Boot: sets the serial line up and tells the host that input may come. */
void console_init(void);

#endif
