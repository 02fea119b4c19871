/* SPDX-License-Identifier: MIT */
/*
 * Drives each CPU's local APIC through its memory-mapped registers (xAPIC): inter-processor interrupts and the timer.
 */
#include "kernel/x86/setup.h"
#include "kernel/x86/trap.h"

enum lapic_register {
	LAPIC_ID = 0x20,
	LAPIC_EOI = 0xb0,
	LAPIC_SPURIOUS = 0xf0,
	LAPIC_COMMAND = 0x300,
	LAPIC_COMMAND_TARGET = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_START = 0x380,
	LAPIC_TIMER_NOW = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED 0x10000u
#define LVT_NMI 0x400u
#define SPURIOUS_ENABLE 0x100u
#define COMMAND_PENDING 0x1000u
#define DIVIDE_BY_1 0xbu
#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_DATA 0xa1

static volatile u32 *lapic; /* the same address refers to each CPU's own */

static u32 lapic_read(enum lapic_register reg)
{
	return lapic[reg / 4];
}

static void lapic_write(enum lapic_register reg, u32 value)
{
	lapic[reg / 4] = value;
}

void lapic_init(void)
{
	outb(PIC_MASTER_DATA, 0xff); /* mask the two 8259 interrupt controllers */
	outb(PIC_SLAVE_DATA, 0xff);
	lapic = map_device_page(acpi_info.lapic_base);
	lapic_init_cpu();
}

void lapic_init_cpu(void)
{
	lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_NMI); /* the NMI button, QEMU's command nmi: see exception_critical() */
	lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
	this_cpu_struct()->apic_id = lapic_id();
}

u32 lapic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

void lapic_send(u32 apic_id, u32 command)
{
	unsigned long flags = irq_save();

	while (lapic_read(LAPIC_COMMAND) & COMMAND_PENDING)
		cpu_relax();
	lapic_write(LAPIC_COMMAND_TARGET, apic_id << 24);
	lapic_write(LAPIC_COMMAND, command);
	irq_restore(flags);
}

void lapic_timer_arm(u32 ticks)
{
	lapic_write(LAPIC_TIMER_START, ticks);
}

u32 lapic_timer_read(void)
{
	return lapic_read(LAPIC_TIMER_NOW);
}
