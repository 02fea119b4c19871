/* SPDX-License-Identifier: MIT */
/* The serial port COM1. One thread reads; the interrupt only tells it that a byte has arrived. Any context may send. */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "kernel/lib/base.h"

/* Sets up the port: 115200 8N1, no interrupts. */
void serial_set_up(void);
/* Sends text, each \n as \r\n if `lines` is set. Waits for the line, which takes 12 bytes per millisecond. */
void serial_write(const char *text, size_t size, bool lines);

/*
 * Sets up the port for receiving too: 115200 8N1, FIFOs on. `arrived` is called from the interrupt, once for each
 * serial_listen(); NULL: never.
 */
void serial_init(void (*arrived)(void));
/* Returns the next byte received, or -1 if there is none (yet). */
int serial_read(void);
/* Requests one interrupt when a byte arrives. Returns true if one is there already: the caller must not wait then. */
bool serial_listen(void);
#define SERIAL_GSI 4 /* its interrupt number at the I/O APIC */
/* The interrupt handler. */
void serial_interrupt(void);

#endif
