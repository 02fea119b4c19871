/* SPDX-License-Identifier: MIT */
/* Writes to the text screen of the BIOS (screen.h). No lock: only a panic writes to the screen. */
#include "drivers/screen.h"
#include "drivers/rtc.h"
#include "kernel/x86/cpu.h"

#define ROWS 25
#define COLUMNS 80
#define TEXT_SCREEN 0xb8000UL
#define BIOS_VIDEO 0x449UL /* the mode, and the number of columns in 2 bytes */
#define TEXT_MODE 0x03
#define HOLD_SECONDS 10		/* boot/features.asm has the same */
#define HOLD_CYCLES (1UL << 37) /* of the TSC, more than HOLD_SECONDS: ends the wait if the RTC stands still */

static bool exists; /* constant after boot */

void screen_init(void)
{
	const u8 *video = phys_to_virt(BIOS_VIDEO);

	exists = video[0] == TEXT_MODE && video[1] == COLUMNS && video[2] == 0;
}

void screen_show(enum screen_colour colour, const char *text)
{
	volatile u16 *cells = phys_to_virt(TEXT_SCREEN);

	if (!exists)
		return;
	for (unsigned i = 0; i < ROWS * COLUMNS; i++)
		cells[i] = SCREEN_PLAIN << 8 | ' ';
	for (unsigned at = 0; *text && at < ROWS * COLUMNS; text++) {
		if (*text == '\n')
			at += COLUMNS - at % COLUMNS;
		else
			cells[at++] = (u16)(colour << 8 | (u8)*text);
	}
}

void screen_hold(void)
{
	u64 start, began = cycles();

	if (!exists)
		return;
	start = rtc_read();
	while (rtc_read() - start < HOLD_SECONDS && cycles() - began < HOLD_CYCLES)
		cpu_relax();
}
