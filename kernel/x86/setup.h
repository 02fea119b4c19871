/* SPDX-License-Identifier: MIT */
/*
 * Declares the steps that set up the machine, in the order of kernel/main.c. Each runs once, on the boot CPU, unless
 * noted.
 */
#ifndef KERNEL_X86_SETUP_H
#define KERNEL_X86_SETUP_H

#include "kernel/x86/cpu.h"

enum boot_protocol { BOOT_MULTIBOOT2, BOOT_PVH };

/* Reads the boot loader's structures. Needs the boot page tables. */
void boot_info_read(enum boot_protocol protocol, paddr_t info_paddr);

/* Sets up the calling CPU: GDT, TSS, IDT, control registers, SYSCALL. cpu_id() works from the first call on. */
void cpu_init(unsigned id);
/*
 * Gives a CPU its own stacks for #DF, NMI and #MC. Needs the page allocator. The boot CPU calls it for itself, and then
 * for each other CPU before that starts, since all CPUs share the IDT.
 */
void cpu_init_ist(unsigned id);

/* Finds the CPUs and devices in the ACPI tables. Needs the boot page tables. */
void acpi_init(void);

/*
 * Memory before the page allocator exists. boot_memory_init() finds the free memory. boot_alloc() returns cleared
 * memory that is never freed; it panics if there is not enough. boot_memory_finish() gives the rest to the page
 * allocator.
 */
void boot_memory_init(void);
paddr_t boot_alloc(u64 size, u64 align);
void boot_memory_finish(void);

/* Builds the final kernel page tables and switches to them; max_pfn and mem_map are valid afterwards. */
void paging_init(void);
/* Maps one page of device registers, uncached. */
void *map_device_page(paddr_t paddr);

/*
 * Local APIC. lapic_init() maps the registers and enables the boot CPU's APIC; every other CPU enables its own by
 * lapic_init_cpu().
 */
void lapic_init(void);
void lapic_init_cpu(void);
u32 lapic_id(void);
void lapic_eoi(void);
void lapic_send(u32 apic_id, u32 command);
/* Requests one interrupt after `ticks` of the timer; 0 disables it. */
void lapic_timer_arm(u32 ticks);
u32 lapic_timer_read(void);
#define LAPIC_NMI 0x4400u
#define LAPIC_INIT 0x4500u
#define LAPIC_STARTUP 0x4600u
#define LAPIC_FIXED 0x4000u

/*
 * I/O APIC: routes the device interrupt with this global number to the boot CPU, as that vector. The first call maps
 * the registers.
 */
void ioapic_route(unsigned gsi, unsigned vector);

/* Calibrates the TSC and the LAPIC timer, and reads the wall clock. */
void clock_init(void);
void delay_us(u64 us);

/* Starts the other CPUs. Returns when all are online. */
void smp_init(void);

/* The CPUs and interrupt controllers that the ACPI tables list. Constant after acpi_init(). */
struct acpi_info {
	u32 apic_ids[MAX_CPUS]; /* the boot CPU is not necessarily the first */
	unsigned nr_cpus;
	paddr_t lapic_base, ioapic_base;
};
extern struct acpi_info acpi_info;

#endif
