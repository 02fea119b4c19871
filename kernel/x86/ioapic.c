/* SPDX-License-Identifier: MIT */
/* The I/O APIC: which vector a device's interrupt has. Edge-triggered ones of the old devices are all we use. */
#include "kernel/x86/setup.h"

#define SELECT 0x00 /* byte offsets of its two registers */
#define WINDOW 0x10
#define REDIRECTION(gsi) (0x10 + 2 * (gsi)) /* two words: vector and mode; the target's APIC number on top */

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
