/* SPDX-License-Identifier: MIT */
/* COM1, for input only. Polled: whoever waits for input looks every now and then. */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "kernel/base.h"

/* Boot: 8N1, FIFOs on, no interrupts. */
void serial_init(void);
/* The next received byte, or -1 when there is none now. One caller at a time. Does not sleep. */
int serial_read(void);

#endif
