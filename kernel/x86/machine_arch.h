/* SPDX-License-Identifier: MIT */
/*
 * The parts of mm/machine.h that an x86-64 PC implements as inline functions and macros. mm/machine.h documents them.
 */
#ifndef MACHINE_ARCH_H
#define MACHINE_ARCH_H

#include "kernel/lib/base.h"

struct page;

#define DIRECT_MAP_BASE 0xffff888000000000UL
#define MEM_MAP_BASE 0xffffea0000000000UL
#define KSTACK_AREA_BASE 0xffffc90000000000UL
#define KERNEL_IMAGE_BASE 0xffffffff80000000UL

#define mem_map ((struct page *)MEM_MAP_BASE)
extern pfn_t max_pfn;
extern unsigned nr_cpus_online;

/* Offsets into struct cpu (kernel/x86/cpu.h), which the gs base points to in kernel mode. */
#define CPU_CURRENT_OFFSET 8
#define CPU_ID_OFFSET 32
#define CPU_COUNTERS_OFFSET 40
/*
 * Offsets into struct task (kernel/process/task.h). The last one counts down from the top of the task's kernel stack.
 */
#define TASK_STACK_TOP_OFFSET 24
#define TASK_TID_OFFSET 56
#define TASK_FAULT_OFFSET 64
#define STACK_USER_IP_OFFSET 40

/* Volatile: a thread that slept may wake on another CPU, so the answer must be read again each time. */
static inline unsigned cpu_id(void)
{
	u64 id;

	__asm__ volatile("movl %%gs:%c1, %k0" : "=r"(id) : "i"(CPU_ID_OFFSET));
	if (id >= MAX_CPUS)
		__builtin_unreachable(); /* so that an array index needs no zero extension */
	return (unsigned)id;
}

static inline unsigned nr_cpus(void)
{
	return READ_ONCE(nr_cpus_online);
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#define X86_EFLAGS_IF 0x200UL

static inline void irq_enable(void)
{
	__asm__ volatile("sti" ::: "memory");
}

static inline void irq_disable(void)
{
	__asm__ volatile("cli" ::: "memory");
}

static inline unsigned long irq_flags(void)
{
	unsigned long flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory");
	return flags;
}

static inline bool irqs_enabled(void)
{
	return irq_flags() & X86_EFLAGS_IF;
}

static inline unsigned long irq_save(void)
{
	unsigned long flags = irq_flags();

	irq_disable();
	return flags;
}

static inline void irq_restore(unsigned long flags)
{
	if (flags & X86_EFLAGS_IF)
		irq_enable();
}

extern bool cpu_has_keys; /* constant after boot (xsave.c) */

static inline unsigned nr_keys(void)
{
	return cpu_has_keys ? 16 : 1;
}

static inline u32 keys_read(void)
{
	u32 pkru, high;

	__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(pkru), "=d"(high) : "c"(0) : "memory"); /* rdpkru */
	return pkru;
}

static inline void keys_write(u32 pkru)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef" ::"a"(pkru), "c"(0), "d"(0) : "memory"); /* wrpkru */
}

/* Returns the running task, for code that does not know struct task. Not NULL once the scheduler is set up. */
static inline char *current_bytes(void)
{
	char *task;

	__asm__("movq %%gs:%c1, %0" : "=r"(task) : "i"(CPU_CURRENT_OFFSET));
	return task;
}

static inline u32 machine_tid(void)
{
	return READ_ONCE(*(u32 *)(current_bytes() + TASK_TID_OFFSET));
}

static inline u64 machine_user_ip(void)
{
	return *(u64 *)(*(char **)(current_bytes() + TASK_STACK_TOP_OFFSET) - STACK_USER_IP_OFFSET);
}

struct fault;
static inline void machine_set_fault(const struct fault *fault)
{
	WRITE_ONCE(*(const struct fault **)(current_bytes() + TASK_FAULT_OFFSET), fault);
}

static inline const struct fault *machine_fault(void)
{
	return *(const struct fault **)(current_bytes() + TASK_FAULT_OFFSET); /* only this thread writes it */
}

static inline u32 machine_local_fetch_add(u32 *value, u32 nr)
{
	/* One instruction, so no interrupt can come in between. */
	__asm__ volatile("xaddl %0, %1" : "+r"(nr), "+m"(*value));
	return nr;
}

static inline void machine_local_add(u64 *value, u64 nr)
{
	__asm__ volatile("addq %1, %0" : "+m"(*value) : "er"(nr));
}

static inline void *machine_counters(void)
{
	void *mine;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(mine) : "i"(CPU_COUNTERS_OFFSET));
	return mine;
}

static inline u64 cycles(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

static inline void *phys_to_virt(paddr_t paddr)
{
	return (void *)(paddr + DIRECT_MAP_BASE);
}

/* Takes an address in the direct map or in the kernel image. */
static inline paddr_t virt_to_phys(const void *virt)
{
	u64 addr = (u64)virt;

	return addr >= KERNEL_IMAGE_BASE ? addr - KERNEL_IMAGE_BASE : addr - DIRECT_MAP_BASE;
}

static inline void clear_page(void *page)
{
	u64 count = PAGE_SIZE / 8;

	__asm__ volatile("rep stosq" : "+D"(page), "+c"(count) : "a"(0UL) : "memory");
}

static inline void copy_page(void *dst, const void *src)
{
	u64 count = PAGE_SIZE / 8;

	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(count)::"memory");
}

static inline void clear_shared(void *start, size_t bytes)
{
	__asm__ volatile("rep stosb" : "+D"(start), "+c"(bytes) : "a"(0) : "memory");
}

static inline void copy_shared_page(void *dst, const void *src)
{
	copy_page(dst, src);
}

#endif
