/* SPDX-License-Identifier: MIT */
/* Writes to QEMU's debug console ports, and to the serial port in place of missing ones (debugcon.h). */
#include "drivers/debugcon.h"
#include "drivers/serial.h"
#include "kernel/x86/cpu.h"

#define READ_BACK 0xe9 /* the value that such a port reads as */

static u32 missing; /* a bit for each port; constant after boot */

/* Output to these is dropped if they are missing. */
#define OPTIONAL (bit_of(DEBUGCON_TRACE) | bit_of(DEBUGCON_SHARE))

static u32 bit_of(enum debugcon_port port)
{
	return 1u << (port - DEBUGCON_LOG);
}

void debugcon_init(void)
{
	for (enum debugcon_port port = DEBUGCON_LOG; port <= DEBUGCON_SHARE; port++)
		if (inb((u16)port) != READ_BACK)
			missing |= bit_of(port);
	if (missing & ~OPTIONAL)
		serial_set_up();
}

static void write(enum debugcon_port port, const char *text, size_t size, bool lines)
{
	if (likely(!(missing & bit_of(port))))
		__asm__ volatile("rep outsb" : "+S"(text), "+c"(size) : "d"((u16)port) : "memory");
	else if (!(bit_of(port) & OPTIONAL))
		serial_write(text, size, lines);
}

void debugcon_write(enum debugcon_port port, const char *text, size_t size)
{
	write(port, text, size, false);
}

void debugcon_write_lines(enum debugcon_port port, const char *text, size_t size)
{
	write(port, text, size, true);
}
