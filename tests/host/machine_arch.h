/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine's half of mm/machine.h, which describes each of these functions. A CPU is a POSIX thread. It
 * polls for interrupts, where a real CPU could be interrupted at any instruction: in cpu_relax(), when interrupts are
 * enabled, while it sleeps, and between two instructions of user mode.
 */
#ifndef MACHINE_ARCH_H
#define MACHINE_ARCH_H

#include "kernel/lib/base.h"

struct fault;
struct page;

extern struct page *mem_map;
extern pfn_t max_pfn;
extern u8 *sim_memory; /* physical address 0 */
extern unsigned sim_nr_cpus;

/* State of the CPU that the calling POSIX thread simulates. */
extern _Thread_local unsigned sim_cpu_id;
extern _Thread_local bool sim_irqs_on;

void sim_poll_interrupts(void);
void sim_relax(void);

static inline unsigned cpu_id(void)
{
	return sim_cpu_id;
}

static inline unsigned nr_cpus(void)
{
	return sim_nr_cpus;
}

static inline void cpu_relax(void)
{
	sim_relax();
}

static inline bool irqs_enabled(void)
{
	return sim_irqs_on;
}

static inline void irq_enable(void)
{
	sim_irqs_on = true;
	sim_poll_interrupts();
}

static inline void irq_disable(void)
{
	sim_irqs_on = false;
}

static inline unsigned long irq_save(void)
{
	unsigned long flags = sim_irqs_on;

	sim_irqs_on = false;
	return flags;
}

static inline void irq_restore(unsigned long flags)
{
	if (flags)
		irq_enable();
}

extern unsigned sim_nr_keys; /* 1: a CPU without protection keys */
extern _Thread_local u32 sim_keys;

static inline unsigned nr_keys(void)
{
	return sim_nr_keys;
}

static inline u32 keys_read(void)
{
	return sim_keys;
}

static inline void keys_write(u32 rights)
{
	sim_keys = rights;
}

/*
 * A simulated CPU runs one thread, whose number is SIM_TID of the CPU. Its user-mode instructions are numbered from 1.
 */
extern _Thread_local const struct fault *sim_fault;
extern _Thread_local u64 sim_user_ip;
u32 machine_tid(void);

static inline u64 machine_user_ip(void)
{
	return sim_user_ip;
}

static inline void machine_set_fault(const struct fault *fault)
{
	sim_fault = fault;
}

static inline const struct fault *machine_fault(void)
{
	return sim_fault;
}

/* Not atomic: interrupts are polled, so none occurs in between. */
static inline u32 machine_local_fetch_add(u32 *value, u32 nr)
{
	u32 before = READ_ONCE(*value);

	WRITE_ONCE(*value, before + nr);
	return before;
}

static inline void machine_local_add(u64 *value, u64 nr)
{
	WRITE_ONCE(*value, READ_ONCE(*value) + nr);
}

void *machine_counters(void);

static inline u64 cycles(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void *phys_to_virt(paddr_t paddr)
{
	return sim_memory + paddr;
}

static inline paddr_t virt_to_phys(const void *virt)
{
	return (paddr_t)((const u8 *)virt - sim_memory);
}

void clear_page(void *page);
void copy_page(void *dst, const void *src);
void clear_shared(void *start, size_t bytes);
void copy_shared_page(void *dst, const void *src);

/* Page-table entries are accessed in two halves when a test asks for it (mmu.c). */
struct sim_tearing;
extern struct sim_tearing *sim_tearing;
u64 sim_read_entry(const u64 *entry);
void sim_write_entry(u64 *entry, u64 value);
#define machine_read_entry(entry) (unlikely(sim_tearing) ? sim_read_entry(entry) : load_acquire(entry))
#define machine_write_entry(entry, value)                                                                              \
	do {                                                                                                           \
		if (unlikely(sim_tearing))                                                                             \
			sim_write_entry((entry), (value));                                                             \
		else                                                                                                   \
			store_release((entry), (value));                                                               \
	} while (0)
#define machine_entries_tear() (sim_tearing != NULL)

/* Makes allocations fail when a test asks for it (memory.c). */
bool machine_fails_allocation(void);
#define machine_fails_allocation machine_fails_allocation

/* Mark memory as free, and as in use again: an access to poisoned memory is reported. */
void machine_poison(const void *start, size_t size);
void machine_unpoison(const void *start, size_t size);
#define machine_poison machine_poison
#define machine_unpoison machine_unpoison

#endif
