/* SPDX-License-Identifier: MIT */
/* The text screen that a BIOS leaves. Under UEFI, or without a display, there is none, and nothing happens. Any context. */
#ifndef DRIVERS_SCREEN_H
#define DRIVERS_SCREEN_H

#include "kernel/lib/base.h"

/* Boot, on the boot page tables: finds out whether there is one. */
void screen_init(void);
/* Clears the screen and writes a text there, broken into lines where it must be. */
enum screen_colour {
	SCREEN_PLAIN = 0x07,
	SCREEN_ALARM = 0x4f, /* white on red */
};
void screen_show(enum screen_colour colour, const char *text);
/* Before the machine is switched off: time to read what the screen shows, if there is one. Works with interrupts off. */
void screen_hold(void);

#endif
