/* SPDX-License-Identifier: MIT */
/* COM1, receiving, without interrupts: the first program's standard input. No locks: the caller has one. */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "kernel/base.h"

/* Boot: 115200 8N1, FIFOs on, ready to receive. */
void serial_init(void);
/* The next byte received, or -1 when there is none (yet). */
int serial_read(void);

#endif
