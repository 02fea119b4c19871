/* SPDX-License-Identifier: MIT */
/* COM1. One thread reads; the interrupt only tells it that there is something. Sending: any context. */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "kernel/lib/base.h"

/* 115200 8N1, no interrupts. */
void serial_set_up(void);
/* Sends; `lines`: a \n as \r\n. Waits for the line, at 12 bytes a millisecond. */
void serial_write(const char *text, size_t size, bool lines);

/*
 * 115200 8N1, FIFOs on, ready to receive. `arrived` is called from the interrupt that serial_listen() asks for, once for each
 * time; NULL: never.
 */
void serial_init(void (*arrived)(void));
/* The next byte received, or -1 when there is none (yet). */
int serial_read(void);
/* Asks for one interrupt when a byte arrives. True if one is there already: then none will come. */
bool serial_listen(void);
#define SERIAL_GSI 4 /* its number at the I/O APIC */
/* The interrupt. */
void serial_interrupt(void);

#endif
