/* SPDX-License-Identifier: MIT */
/*
 * QEMU's debug console ports: bytes written here appear on the host. Where a machine has no such port, as with an image that
 * is booted by hand, the first serial port takes its place. Any context; no locks.
 */
#ifndef DRIVERS_DEBUGCON_H
#define DRIVERS_DEBUGCON_H

#include "kernel/lib/base.h"

enum debugcon_port {
	DEBUGCON_LOG = 0xe9,	/* the kernel log and its control records */
	DEBUGCON_STDOUT = 0xea, /* the first program's output */
	DEBUGCON_STDERR = 0xeb,
	DEBUGCON_TRACE = 0xec,	/* kernel/debug/fault_dump.c; nothing takes its place, nor that of the next */
	DEBUGCON_SHARE = 0xed,	/* kernel/fs/share.c */
};

/* Boot, before the first line of the log: finds out which ports are there. */
void debugcon_init(void);
/* Bytes as they are: what a terminal is told. */
void debugcon_write(enum debugcon_port port, const char *text, size_t size);
/* Lines that end with \n, on a serial line with \r\n. */
void debugcon_write_lines(enum debugcon_port port, const char *text, size_t size);

#endif
