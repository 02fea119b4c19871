/* SPDX-License-Identifier: MIT */
/*
 * Sets up a CPU's own tables and control registers: GDT, TSS, IDT, protection features, SYSCALL. Runs on each CPU
 * before anything else, with interrupts off; no locks.
 */
#include "kernel/lib/print.h"
#include "kernel/x86/features.h"
#include "kernel/x86/kstack.h"
#include "kernel/x86/setup.h"
#include "mm/debug/counters.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/xsave.h"
#include "kernel/time/clock.h"

struct cpu cpus[MAX_CPUS];
unsigned nr_cpus_online = 1;

struct idt_gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct trap_stub {
	u64 vector, entry;
};

static struct idt_gate idt[256]; /* constant once the boot CPU has filled it */

extern const u64 trap_stubs[]; /* entry.asm: entries of exceptions, then struct trap_stub of interrupts */
extern char syscall_entry[], syscall_entry_32[];
extern const u64 smap_sites_start[], smap_sites_end[]; /* linker.ld: addresses of stac and clac */

#define GATE_INTERRUPT 0x8e
#define GATE_DPL3 0x60
#define RFLAGS_CLEARED_BY_SYSCALL 0x47700u /* TF IF DF IOPL NT AC */
#define STAR_VALUE ((u64)0x23 << 48 | (u64)KERNEL_CS << 32)

static void fill_gdt(struct cpu *cpu)
{
	u64 tss = (u64)&cpu->tss;

	cpu->gdt[1] = 0x00cf9b000000ffff; /* 0x08: unused, keeps Linux's numbers for the others */
	cpu->gdt[2] = 0x00af9b000000ffff; /* 0x10: kernel code */
	cpu->gdt[3] = 0x00cf93000000ffff; /* 0x18: kernel data */
	cpu->gdt[4] = 0x00cffb000000ffff; /* 0x23: 32-bit user code; the base of the selectors that SYSRET loads */
	cpu->gdt[5] = 0x00cff3000000ffff; /* 0x2b: user data */
	cpu->gdt[6] = 0x00affb000000ffff; /* 0x33: user code */
	cpu->gdt[8] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | 0x89UL << 40 | (tss >> 24 & 0xff) << 56;
	cpu->gdt[9] = tss >> 32;
}

static void load_segments(struct cpu *cpu)
{
	struct table_pointer gdt_pointer = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };
	struct table_pointer idt_pointer = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lgdt %0" ::"m"(gdt_pointer) : "memory");
	__asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" ::"i"(KERNEL_CS) : "rax", "memory");
	__asm__ volatile("movl %0, %%ss; movl %1, %%ds; movl %1, %%es" ::"r"(KERNEL_DS), "r"(0));
	__asm__ volatile("ltr %w0" ::"r"(GDT_TSS));
	__asm__ volatile("lldt %w0" ::"r"(0)); /* after a reset, the LDT is the first 64 KiB of memory: the user's */
	__asm__ volatile("lidt %0" ::"m"(idt_pointer) : "memory");
}

static void set_gate(unsigned vector, u64 entry, u8 ist, u8 dpl)
{
	idt[vector] = (struct idt_gate){
		.offset_low = (u16)entry,
		.offset_middle = (u16)(entry >> 16),
		.offset_high = (u32)(entry >> 32),
		.selector = KERNEL_CS,
		.ist = ist,
		.type = GATE_INTERRUPT | dpl,
	};
}

static void fill_idt(void)
{
	const struct trap_stub *stub = (const void *)(trap_stubs + NR_EXCEPTIONS);

	for (unsigned vector = 0; vector < NR_EXCEPTIONS; vector++)
		set_gate(vector, trap_stubs[vector], 0, vector == TRAP_BP || vector == TRAP_OF ? GATE_DPL3 : 0);
	for (; stub->entry; stub++)
		set_gate((unsigned)stub->vector, stub->entry, 0, 0);
}

/* Makes #DF, NMI and #MC switch to stacks of their own, once the boot CPU has these: the others start with theirs. */
static void use_ist(void)
{
	idt[TRAP_DF].ist = IST_DF;
	idt[TRAP_NMI].ist = IST_NMI;
	idt[TRAP_MC].ist = IST_MC;
}

/* For a CPU without SMAP, which has neither stac nor clac: makes each a 3-byte nop. Text is still writable here. */
static void patch_smap_sites(void)
{
	for (const u64 *site = smap_sites_start; site < smap_sites_end; site++) {
		u8 *text = (u8 *)*site;

		text[0] = 0x0f;
		text[1] = 0x1f;
		text[2] = 0x00;
	}
}

static void protect(void)
{
	u64 cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (cpu_has(FEATURE_pge))
		cr4 |= CR4_PGE;
	if (cpu_has(FEATURE_xsave))
		cr4 |= CR4_OSXSAVE;
	if (cpu_has(FEATURE_smep))
		cr4 |= CR4_SMEP;
	if (cpu_has(FEATURE_smap))
		cr4 |= CR4_SMAP;
	write_cr4(cr4);
	write_cr0((read_cr0() | CR0_MP | CR0_NE | CR0_WP | CR0_AM) & ~(CR0_EM | CR0_TS));
}

static void enable_syscall(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	wrmsr(MSR_STAR, STAR_VALUE);
	wrmsr(MSR_LSTAR, (u64)syscall_entry);
	wrmsr(MSR_CSTAR, (u64)syscall_entry_32); /* SYSCALL from 32-bit code, on AMD's CPUs only */
	wrmsr(MSR_SYSENTER_CS, 0);		 /* SYSENTER raises a general protection fault */
	wrmsr(MSR_FMASK, RFLAGS_CLEARED_BY_SYSCALL);
}

void cpu_init(unsigned id)
{
	struct cpu *cpu = &cpus[id];

	cpu->self = cpu;
	cpu->id = id;
	cpu->counters = &per_cpu(counters, id);
	fill_gdt(cpu);
	cpu->tss.io_map_base = sizeof(struct tss);
	if (id == 0)
		fill_idt();
	load_segments(cpu);
	wrmsr(MSR_GS_BASE, (u64)cpu);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
	features_init(id);
	if (id == 0 && !cpu_has(FEATURE_smap))
		patch_smap_sites();
	protect();
	enable_syscall();
}

static u64 new_stack_top(void)
{
	char *stack = kstack_alloc();

	BUG_ON(!stack, "No memory for a CPU's exception stacks");
	return (u64)stack + KSTACK_SIZE;
}

void cpu_init_ist(unsigned id)
{
	struct cpu *cpu = &cpus[id];

	cpu->tss.ist[IST_DF - 1] = new_stack_top();
	cpu->tss.ist[IST_NMI - 1] = new_stack_top();
	cpu->tss.ist[IST_MC - 1] = new_stack_top();
	if (id == 0)
		use_ist();
}

static bool is_cpu(u64 address)
{
	return address >= (u64)cpus && address < (u64)&cpus[MAX_CPUS] && (address - (u64)cpus) % sizeof(cpus[0]) == 0;
}

void cpu_find_itself(void)
{
	unsigned id = 0; /* until the local APIC is mapped, no other CPU runs */

	if (is_cpu(rdmsr(MSR_GS_BASE)))
		return;
	for (unsigned cpu = 1; cpu < nr_cpus(); cpu++)
		if (cpus[cpu].apic_id == lapic_id())
			id = cpu;
	wrmsr(MSR_GS_BASE, (u64)&cpus[id]);
}
