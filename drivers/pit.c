/* SPDX-License-Identifier: MIT */
/*
 * Runs channel 2 of the PIT, which counts down while its gate (port 0x61) is open and shows its output at that port.
 * Uses no interrupt.
 */
#include "drivers/pit.h"
#include "kernel/x86/cpu.h"

#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CHANNEL2_ONE_SHOT 0xb0 /* channel 2, low then high byte, mode 0, binary */
#define PORT_B 0x61
#define PORT_B_GATE2 0x01
#define PORT_B_SPEAKER 0x02
#define PORT_B_OUT2 0x20

void pit_start(u16 ticks)
{
	outb(PORT_B, (u8)((inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2));
	outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
	outb(PIT_CHANNEL2, (u8)ticks);
	outb(PIT_CHANNEL2, (u8)(ticks >> 8));
}

bool pit_expired(void)
{
	return inb(PORT_B) & PORT_B_OUT2;
}
