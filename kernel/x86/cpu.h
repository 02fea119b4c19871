/* SPDX-License-Identifier: MIT */
/*
 * Declares struct cpu (one per CPU, at the gs base in kernel mode), the current task, the context switch, and functions
 * for instructions that C cannot express.
 */
#ifndef KERNEL_X86_CPU_H
#define KERNEL_X86_CPU_H

#include <machine_arch.h>

struct task;

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, io_map_base;
} __attribute__((packed));

enum ist_slot { IST_NONE, IST_DF, IST_NMI, IST_MC, NR_IST };

#define GDT_ENTRIES 10
#define GDT_TSS 0x40

/* Written by its own CPU only, except where noted. entry.asm knows the first five members. */
struct cpu {
	struct cpu *self;
	struct task *task;    /* the running task */
	u64 kernel_stack_top; /* of the current thread: where SYSCALL puts its frame */
	u64 user_rsp;	      /* scratch of the SYSCALL entry */
	u32 id;		      /* constant: 0 … nr_cpus() - 1 */
	u32 apic_id;	      /* constant */
	void *counters;	      /* constant: mm/debug/counters.h */
	struct tss tss;
	u64 gdt[GDT_ENTRIES];
} __cacheline_aligned;

_Static_assert(offsetof(struct cpu, task) == CPU_CURRENT_OFFSET, "machine_arch.h, entry.asm");
_Static_assert(offsetof(struct cpu, kernel_stack_top) == 16, "entry.asm");
_Static_assert(offsetof(struct cpu, user_rsp) == 24, "entry.asm");
_Static_assert(offsetof(struct cpu, id) == CPU_ID_OFFSET, "machine_arch.h");
_Static_assert(offsetof(struct cpu, counters) == CPU_COUNTERS_OFFSET, "machine_arch.h");

extern struct cpu cpus[MAX_CPUS];

static inline struct cpu *this_cpu_struct(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/*
 * Returns the running task. Not volatile: for the code that runs it stays the same, also when the task moves to another
 * CPU.
 */
static inline struct task *current_task(void)
{
	struct task *task;

	__asm__("movq %%gs:%c1, %0" : "=r"(task) : "i"(CPU_CURRENT_OFFSET));
	return task;
}

/* The offsets at which entry.asm accesses struct task (kernel/process/task.h). */
#define TASK_WORK 0
#define TASK_KERNEL_RSP 16

/*
 * Runs `next` on this CPU in place of `prev`, the current task: switches stacks, fs and gs bases, vector registers, and
 * the stack that entries from user mode use. The caller switches page tables (mm_switch_cpu()). => interrupts off.
 * Returns when some CPU switches back to `prev`: the task that ran before it on that CPU.
 */
struct task *switch_context(struct task *prev, struct task *next);

/*
 * Prepare a new task, whose stack_top is set, for the first switch_context() to it. The task first calls
 * task_started(prev), the scheduler's second half of the switch, with interrupts off. A kernel task then calls fn(arg)
 * with interrupts on, which must not return; a user task enters user mode with the registers in its frame.
 */
void task_prepare_kernel(struct task *task, void (*fn)(void *arg), void *arg);
void task_prepare_user(struct task *task);
/*
 * Returns the frame pointer of a task that is switched out, or 0. For a running task it is that of its last switch. Any
 * context.
 */
u64 task_saved_frame(const struct task *task);
/* Likewise the address at which the task resumes, or 0. */
u64 task_saved_return(const struct task *task);
/* Reads kernel memory that may be unmapped. Returns the number of bytes that could not be read. Any context. */
u64 kernel_read_nofault(void *dst, const void *src, u64 size);
/* Implemented by the scheduler. Runs first in every new task, with interrupts off; `prev` ran before it on this CPU. */
void task_started(struct task *prev);

/* Enters user mode with the registers in task_frame(), from the kernel stack of the current task. */
void enter_user_mode(void) __noreturn;

/* Set the user's fs or gs base of the current task, and its selector to 0. */
void set_user_fs_base(u64 base);
void set_user_gs_base(u64 base);
/* Sets the selectors and bases to those with which a program starts. */
void reset_user_segments(void);
/* Stores the CPU's current selectors and fs and gs bases in the task, which must be the current one. */
void save_user_segments(struct task *task);

/* For a panic: repairs cpu_id() and `current` if the gs base is wrong. Interrupts off. */
void cpu_find_itself(void);

/* The kernel's own page table, without a user half. Kernel threads and exiting tasks run on it. */
extern paddr_t kernel_pgd;

/* Waits for an interrupt; called with interrupts off, returns with them on. */
static inline void cpu_idle_wait(void)
{
	__asm__ volatile("sti; hlt" ::: "memory");
}

/* --- instructions --- */

#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_APIC_BASE 0x1bu
#define MSR_SYSENTER_CS 0x174u
#define DR6_STEP (1UL << 14)
#define DR6_CLEARED 0xffff0ff0UL /* its value at reset */
#define EFER_SCE 1UL

#define CR0_MP (1UL << 1)
#define CR0_EM (1UL << 2)
#define CR0_TS (1UL << 3)
#define CR0_NE (1UL << 5)
#define CR0_WP (1UL << 16)
#define CR0_AM (1UL << 18)
#define CR4_PGE (1UL << 7)
#define CR4_OSFXSR (1UL << 9)
#define CR4_OSXMMEXCPT (1UL << 10)
#define CR4_OSXSAVE (1UL << 18)
#define CR4_SMEP (1UL << 20)
#define CR4_SMAP (1UL << 21)
#define CR4_PKE (1UL << 22)

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

#define DEFINE_CR(n)                                                                                                   \
	static inline u64 read_cr##n(void)                                                                             \
	{                                                                                                              \
		u64 value;                                                                                             \
		__asm__ volatile("movq %%cr" #n ", %0" : "=r"(value)::"memory");                                       \
		return value;                                                                                          \
	}                                                                                                              \
	static inline void write_cr##n(u64 value)                                                                      \
	{                                                                                                              \
		__asm__ volatile("movq %0, %%cr" #n ::"r"(value) : "memory");                                          \
	}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#undef DEFINE_CR

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_raw(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

/* Returns zeros for a leaf that the CPU does not have. Intel's CPUs would return the contents of their last leaf. */
static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	u32 first = leaf & 0x80000000, last = cpuid_raw(first, 0).eax;

	return leaf <= last && last - first < 0x10000 ? cpuid_raw(leaf, subleaf) : (struct cpuid){ 0 };
}

static inline void outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outw(u16 port, u16 value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

#endif
