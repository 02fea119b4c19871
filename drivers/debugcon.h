/* SPDX-License-Identifier: MIT */
/* QEMU's debug console ports: bytes written here appear on the host. No device state, no locks, any context. */
#ifndef DRIVERS_DEBUGCON_H
#define DRIVERS_DEBUGCON_H

#include "kernel/base.h"

enum debugcon_port {
	DEBUGCON_LOG = 0xe9,	/* the kernel log and its control records */
	DEBUGCON_STDOUT = 0xea, /* the first program's output */
	DEBUGCON_STDERR = 0xeb,
	DEBUGCON_TRACE = 0xec,	/* kernel/fault_dump.c */
};

void debugcon_write(enum debugcon_port port, const char *text, size_t size);

#endif
