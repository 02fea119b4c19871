/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine, as tests see it: CPUs that run functions, user-mode accesses through TLBs that really go stale,
 * and system calls. Thread n of a test is CPU n, with thread number SIM_TID(n); the test itself runs on CPU 0.
 */
#ifndef HOST_SIM_H
#define HOST_SIM_H

#include "mm/fault/fault.h"
#include "mm/machine.h"
#include "mm/vma/mm.h"

/* A page is missing at the end, so that the last ones have no buddies. */
#define SIM_MEMORY_BYTES ((64UL << 20) - PAGE_SIZE)
#define SIM_TID(cpu) (100 + (int)(cpu))

/* Builds the machine: this POSIX thread becomes CPU 0. Once in a process. */
void sim_boot(unsigned nr_cpus, u64 seed);
u64 sim_seed(void);

/* ---- CPUs -------------------------------------------------------------------------------------------------------- */
typedef void sim_func(void *arg);
/* Runs func(arg) on a CPU that has nothing to do (not CPU 0), and does not wait for its end. */
void sim_start(unsigned cpu, sim_func *func, void *arg);
bool sim_running(unsigned cpu);
/* Waits until that CPU has nothing to do, or all have, answering interrupts meanwhile. */
void sim_join(unsigned cpu);
void sim_join_all(void);
/* A fatal signal for the thread of that CPU: from now on it is dying. */
void sim_kill(unsigned cpu);
bool sim_is_sleeping(unsigned cpu);
/* The lock that the thread of that CPU says it waits for, or NULL. */
const void *sim_waits_for(unsigned cpu);
/* Major faults of the calling CPU's thread; and how often it has waited for a device. */
u64 sim_major_faults(void);
u64 sim_io_waits(void);

/* Random numbers of this CPU: reproducible from the seed. */
u64 sim_random(void);
static inline u64 sim_random_below(u64 bound)
{
	return sim_random() % bound;
}

/* ---- User mode --------------------------------------------------------------------------------------------------- */
/* This CPU's thread joins (leaves) the address space: one of its users. Leaving may destroy it. */
void sim_use_mm(struct mm *mm);
void sim_leave_mm(void);

/*
 * One aligned 8-byte access of user mode, with page faults resolved as the kernel's #PF handler does. FAULT_DONE: it was
 * done; everything else: what the signal would be.
 */
enum fault_answer sim_read(vaddr_t addr, u64 *value);
enum fault_answer sim_write(vaddr_t addr, u64 value);
enum fault_answer sim_exec(vaddr_t addr);
/* The same without a fault handler: false where the CPU raises a page fault. */
bool sim_try_read(vaddr_t addr, u64 *value);
bool sim_try_write(vaddr_t addr, u64 value);
bool sim_try_exec(vaddr_t addr);
/* A compare-and-exchange of user mode: as sim_write, and *old is what was found. */
enum fault_answer sim_cmpxchg(vaddr_t addr, u64 expect, u64 value, u64 *old);

/* The CPU walks to addr for itself, as any CPU may at any time: its caches learn what is there, nothing faults. */
void sim_look_ahead(vaddr_t addr);

/* What is done between two instructions of user mode: interrupts, RCU. Every access ends with it. */
void sim_user_boundary(void);

#define ALWAYS 1024
/* Chances in 1024 that the CPU behaves unusually, though as the architecture allows. */
struct sim_mmu_quirks {
	unsigned evict;	      /* a translation is dropped for no reason */
	unsigned look_ahead;  /* after an access the CPU looks ahead at a page nearby */
	unsigned stale_fault; /* a stale translation that permits less than the entry faults at once, without a walk */
	unsigned refill;      /* having flushed, the CPU learns again at once what the entry holds now */
	unsigned late;	      /* between two instructions an interrupt is not taken yet */
};
extern struct sim_mmu_quirks sim_quirks;

/*
 * A CPU that reads and writes page-table entries in two halves. Between those of one entry it stops once, until it is let go. Set sim_tearing at a quiet moment; NULL: entries are whole.
 */
struct sim_tearing {
	unsigned low_bits;	     /* of the lower half */
	const u64 *entry;	     /* where to stop, or NULL */
	unsigned cpu;		     /* who, */
	bool writes;		     /* ... and at what: else it reads */
	bool stopped;		     /* by store_release: it stands between the halves, */
	bool go_on;		     /* ... until this is set */
	u64 nr_torn;		     /* atomic: reads that were neither what was there before nor after */
};
/* This CPU's TLB holds a translation of addr; its paging-structure caches lead to the page table of addr. */
bool sim_tlb_holds(vaddr_t addr);
bool sim_knows_table(vaddr_t addr);
/* The entry of addr as it stands in the page tables of mm; none if there is no table. No lock: for a quiet moment. */
pte_t sim_pte(struct mm *mm, vaddr_t addr);
/* For a test that knows that nobody changes the address space meanwhile: looks as the owner of a lock may. */
struct pt_walk sim_walk(struct mm *mm, vaddr_t addr);
struct vma *sim_vma(struct mm *mm, vaddr_t addr);
pte_t *sim_pte_lock(struct mm *mm, vaddr_t addr, spinlock_t **ptl);
u64 sim_check_tree(struct mm *mm);

/* ---- Allocations that fail ------------------------------------------------------------------------------------------ */
/* This CPU's n-th allocation from now on fails, counted from 1; with `onwards` all after it, too. */
void sim_fail_allocation(u64 n, bool onwards);
/* From now on none does. Has one failed? */
bool sim_allocation_failed(void);

/* ---- Protection keys ---------------------------------------------------------------------------------------------- */
/* From here on the CPUs have 16 keys; a thread starts with the right to all of them. */
void sim_have_keys(void);

/* The threads have CAP_SYS_RAWIO, unless a test takes it away: they map memory below mmap_min_addr. */
extern bool sim_may_map_low;
/* ... and CAP_IPC_LOCK: RLIMIT_MEMLOCK does not hold for them. */
extern bool sim_may_lock_memory;

/* ---- Files -------------------------------------------------------------------------------------------------------- */
/* What mm/ has asked of a file that a VMA shows, which is any address: vma_file_sync(), vma_file_punch_hole(). */
struct sim_file_call {
	unsigned nr; /* so often, and at last of */
	struct file *file;
	u64 first, last; /* or offset and length */
	long refs;	 /* what sim_file_refs() was then */
	long answer;	 /* of all calls to come; set by the test */
};
extern struct sim_file_call sim_file_call;

/* ---- Ends -------------------------------------------------------------------------------------------------------- */
/* Writes down why, where every CPU is, and ends the process. */
void sim_fail(const char *fmt, ...) __printf(1, 2) __noreturn;
void sim_dump(void);
extern bool sim_verbose;
/* What the kernel has logged so far contains this. */
bool sim_log_says(const char *text);
/* References that VMAs hold on files, for leak checks. */
long sim_file_refs(void);

#endif
