/* SPDX-License-Identifier: MIT */
/*
 * The interface between mm/ and the machine it runs on. Two machines implement it: the real one
 * (kernel/x86/machine_arch.h and .c files) and a simulated one on the host (tests/host/), whose CPUs are threads with
 * TLBs that really go stale.
 *
 * machine_arch.h provides, as inline functions or macros:
 *	unsigned cpu_id(void)			this CPU, 0 … nr_cpus()-1; stable until the caller sleeps
 *	unsigned nr_cpus(void)			CPUs brought up; constant after boot
 *	void cpu_relax(void)			a `pause`: every spin loop has one (on the host it polls for IPIs)
 *	unsigned long irq_save(void), void irq_restore(unsigned long), bool irqs_enabled(void), void irq_enable(void),
 *	void irq_disable(void)
 *	u64 cycles(void)			the TSC
 *	u32 machine_local_fetch_add(u32 *value, u32 nr)	adds nr and returns the old value; for data that
 *						only this CPU writes, its interrupt handlers included
 *	void machine_local_add(u64 *value, u64 nr)	likewise, without a result
 *	void *machine_counters(void)		this CPU's counters (mm/debug/counters.h), faster than by cpu_id()
 *	u32 machine_tid(void)			the running thread's id, 0 where there is none
 *	u64 machine_user_ip(void)		where the thread resumes in user mode; meaningless for kernel threads
 *	void machine_set_fault(const struct fault *)	records the fault being resolved (NULL: none), for
 *						debuggers and panics
 *	const struct fault *machine_fault(void)	the last argument of machine_set_fault()
 *	void *phys_to_virt(paddr_t), paddr_t virt_to_phys(const void *)		the direct map
 *	void clear_page(void *), void copy_page(void *dst, const void *src)	whole 4 KiB pages
 *	void clear_shared(void *start, size_t bytes), void copy_shared_page(void *dst, const void *src)
 *						for memory that programs may write concurrently: the race is theirs
 *	unsigned nr_keys(void)			protection keys: 16, 1 if the CPU has none; constant after boot
 *	u32 keys_read(void), void keys_write(u32)	PKRU of the running thread: two bits per key, KEY_* below;
 *						only on a CPU with keys
 *	struct page *mem_map			one struct page per page frame, indexed by pfn
 *	pfn_t max_pfn				one past the last page frame in mem_map
 */
#ifndef MM_MACHINE_H
#define MM_MACHINE_H

#include "kernel/lib/base.h"
#include "kernel/lib/print.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include <machine_arch.h>

struct fault;
struct mm;

/* The accesses that a key can deny; as Linux's PKEY_DISABLE_*. */
#define KEY_NO_ACCESS 1u
#define KEY_NO_WRITE 2u
#define KEYS_DEFAULT 0x55555554u /* initial rights of a program and of each signal handler: only key 0 is open */

/* A set of CPUs; bits change by atomic operations only. */
struct cpumask {
	u64 bits;
};

/*
 * One value per CPU, each on cache lines of its own: DECLARE_PER_CPU in a header and DEFINE_PER_CPU in one file, or
 * STATIC_PER_CPU for a value that one file keeps to itself.
 */
#define PER_CPU_TYPE(type, name)                                                                                       \
	struct per_cpu_##name {                                                                                        \
		type v;                                                                                                \
	} __cacheline_aligned
#define DECLARE_PER_CPU(type, name)                                                                                    \
	PER_CPU_TYPE(type, name);                                                                                      \
	extern struct per_cpu_##name name[MAX_CPUS]
#define DEFINE_PER_CPU(name) struct per_cpu_##name name[MAX_CPUS]
#define STATIC_PER_CPU(type, name)                                                                                     \
	PER_CPU_TYPE(type, name);                                                                                      \
	static struct per_cpu_##name name[MAX_CPUS]
#define this_cpu(name) (name[cpu_id()].v)
#define per_cpu(name, cpu) (name[cpu].v)

/* Drops this CPU's translations of the user range [start, end) and its paging-structure caches. Context: any. */
void machine_tlb_flush_local(vaddr_t start, vaddr_t end);
/* Makes this CPU walk the tables below pgd (0: the kernel's own) and drops every user translation. Context: any. */
void machine_load_pgd(paddr_t pgd);
/* Fills the kernel's half of a new top-level table; it never changes afterwards. Context: any. */
void machine_init_pgd(u64 *pgd);
/*
 * Makes every CPU of `targets` (this one excluded) do the same flush and waits until all have.
 * @targets: one bit for each CPU.
 * @end: ~0: each CPU drops everything.
 *
 * Context: interrupts on. Does not sleep. No lock is held that another CPU waits for with interrupts off.
 */
void machine_tlb_shootdown(u64 targets, vaddr_t start, vaddr_t end);

/*
 * Whether this allocation must fail. A machine that injects a failure into one allocation after the other (the
 * simulated one) defines it in machine_arch.h.
 */
#ifndef machine_fails_allocation
#define machine_fails_allocation() false
#endif

/*
 * Read one page-table entry without its lock, and write one into an empty slot: as a whole. On a machine whose entries
 * are wider than one memory access (x86 with PAE), a read may combine two values and a write may be visible half done:
 * it defines these in machine_arch.h. machine_entries_tear() is constant here, so the compiler removes the tests of it.
 */
#ifndef machine_read_entry
#define machine_read_entry(entry) load_acquire(entry)
#define machine_write_entry(entry, value) store_release((entry), (value))
#define machine_entries_tear() false
#endif

/*
 * Mark memory as free, and as in use again. A machine that can catch accesses to poisoned memory (the simulated one)
 * defines these in machine_arch.h. Whole pages, or objects in steps of 8 bytes.
 */
#ifndef machine_poison
#define machine_poison(start, size) ((void)0)
#define machine_unpoison(start, size) ((void)0)
#endif

#endif
