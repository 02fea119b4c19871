/* SPDX-License-Identifier: MIT */
/*
 * The text screen that a BIOS sets up. Under UEFI, or without a display, there is none, and these functions do nothing.
 * Any context.
 */
#ifndef DRIVERS_SCREEN_H
#define DRIVERS_SCREEN_H

#include "kernel/lib/base.h"

/* Boot, on the boot page tables: finds out whether there is a text screen. */
void screen_init(void);
/* Clears the screen and writes a text there, broken into lines where necessary. */
enum screen_colour {
	SCREEN_PLAIN = 0x07,
	SCREEN_ALARM = 0x4f, /* white on red */
};
void screen_show(enum screen_colour colour, const char *text);
/*
 * Waits before the machine is switched off, so that the screen can be read, if there is one. Works with interrupts off.
 */
void screen_hold(void);

#endif
