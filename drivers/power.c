/* SPDX-License-Identifier: MIT */
/*
 * Switches the machine off by ACPI soft-off (sleep type 0 is S5 on QEMU's machines), or else by QEMU's isa-debug-exit,
 * or else halts. Any context.
 */
#include "drivers/power.h"
#include "kernel/x86/cpu.h"

#define PM1_SLEEP_ENABLE 0x2000
#define ISA_DEBUG_EXIT 0xf4

static u16 acpi_port = 0x604; /* QEMU's q35 and pc */

void power_set_acpi_port(u16 port)
{
	acpi_port = port;
}

void power_off(void)
{
	irq_disable();
	outw(acpi_port, PM1_SLEEP_ENABLE);
	outb(ISA_DEBUG_EXIT, 0);
	for (;;)
		__asm__ volatile("hlt");
}
