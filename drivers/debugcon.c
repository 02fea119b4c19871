/* SPDX-License-Identifier: MIT */
/* See debugcon.h. */
#include "drivers/debugcon.h"

void debugcon_write(enum debugcon_port port, const char *text, size_t size)
{
	__asm__ volatile("rep outsb" : "+S"(text), "+c"(size) : "d"((u16)port) : "memory");
}
