/* SPDX-License-Identifier: MIT */
/*
 * QEMU's debug console ports: bytes written to them appear on the host. On a machine without such a port, such as one
 * that boots an image by hand, the first serial port is used instead. Any context; no locks.
 */
#ifndef DRIVERS_DEBUGCON_H
#define DRIVERS_DEBUGCON_H

#include "kernel/lib/base.h"

enum debugcon_port {
	DEBUGCON_LOG = 0xe9,	/* the kernel log and its control records */
	DEBUGCON_STDOUT = 0xea, /* the first program's output */
	DEBUGCON_STDERR = 0xeb,
	DEBUGCON_TRACE = 0xec, /* kernel/debug/fault_dump.c; neither this one nor the next is replaced */
	DEBUGCON_SHARE = 0xed, /* kernel/fs/share.c */
};

/* Boot, before the first line of the log: finds out which ports exist. */
void debugcon_init(void);
/* Writes the bytes unchanged, as a terminal needs them. */
void debugcon_write(enum debugcon_port port, const char *text, size_t size);
/* Writes lines that end with \n; on a serial line they end with \r\n. */
void debugcon_write_lines(enum debugcon_port port, const char *text, size_t size);

#endif
