/* SPDX-License-Identifier: MIT */
/*
 * Drives the I/O APIC, which assigns a vector to each device's interrupt. The kernel uses only the edge-triggered
 * interrupts of legacy devices.
 */
#include "kernel/x86/setup.h"

#define SELECT 0x00 /* byte offsets of its two registers */
#define WINDOW 0x10
#define REDIRECTION(gsi) (0x10 + 2 * (gsi)) /* two words: vector and mode, then the target's APIC ID */

static volatile u32 *ioapic; /* constant once mapped, at boot */

static void ioapic_write(unsigned reg, u32 value)
{
	ioapic[SELECT / 4] = reg;
	ioapic[WINDOW / 4] = value;
}

void ioapic_route(unsigned gsi, unsigned vector)
{
	if (!ioapic)
		ioapic = map_device_page(acpi_info.ioapic_base);
	ioapic_write(REDIRECTION(gsi) + 1, cpus[0].apic_id << 24);
	ioapic_write(REDIRECTION(gsi), vector);
}
