/* SPDX-License-Identifier: MIT */
/* The steps by which the machine is set up, in the order of kernel/main.c; each runs once, on the boot CPU, unless noted. */
#ifndef KERNEL_X86_SETUP_H
#define KERNEL_X86_SETUP_H

#include "kernel/x86/cpu.h"

enum boot_protocol { BOOT_MULTIBOOT2, BOOT_PVH };

/* Reads the loader's structures. Needs the boot page tables. */
void boot_info_read(enum boot_protocol protocol, paddr_t info_paddr);

/* GDT, TSS, IDT, control registers, SYSCALL: of the CPU that calls. The first call makes cpu_id() work. */
void cpu_init(unsigned id);
/* Gives the calling CPU its own stacks for #DF, NMI and #MC. Needs the page allocator. */
void cpu_init_ist(void);

/* Finds the CPUs and devices in the ACPI tables. Needs the boot page tables. */
void acpi_init(void);

/*
 * Memory before there is an allocator. boot_alloc never fails (it panics), is cleared, and is never given back.
 * boot_memory_init finds out what is free; boot_memory_finish hands the rest to the page allocator.
 */
void boot_memory_init(void);
paddr_t boot_alloc(u64 size, u64 align);
void boot_memory_finish(void);

/* Builds the final kernel page tables and switches to them; max_pfn and mem_map are valid afterwards. */
void paging_init(void);
/* Maps one page of device registers, uncached. */
void *map_device_page(paddr_t paddr);

/* Local APIC: the base is found, then each CPU switches its own on. */
void lapic_init(void);
void lapic_init_cpu(void);
u32 lapic_id(void);
void lapic_eoi(void);
void lapic_send(u32 apic_id, u32 command);
/* One interrupt after `ticks` of lapic_timer_hz; 0 switches it off. */
void lapic_timer_arm(u32 ticks);
u32 lapic_timer_read(void);
#define LAPIC_NMI 0x4400u
#define LAPIC_INIT 0x4500u
#define LAPIC_STARTUP 0x4600u
#define LAPIC_FIXED 0x4000u

/* I/O APIC: a device's interrupt (by its global number) comes to the boot CPU as that vector. Maps its page the first time. */
void ioapic_route(unsigned gsi, unsigned vector);

/* Calibrates TSC and LAPIC timer; reads the wall clock. */
void clock_init(void);
void delay_us(u64 us);

/* Starts the other CPUs; returns when all are scheduling. */
void smp_init(void);

/* What ACPI said. Constant after acpi_init. */
struct acpi_info {
	u32 apic_ids[MAX_CPUS]; /* the boot CPU is not necessarily the first */
	unsigned nr_cpus;
	paddr_t lapic_base, ioapic_base;
};
extern struct acpi_info acpi_info;

#endif
