/* SPDX-License-Identifier: MIT */
/*
 * The interface of the simulated machine for tests: CPUs that run functions, user-mode accesses through TLBs that can
 * go stale, and system calls. Thread n of a test is CPU n, with thread number SIM_TID(n); the test itself runs on CPU
 * 0.
 */
#ifndef HOST_SIM_H
#define HOST_SIM_H

#include "mm/fault/core.h"
#include "mm/machine.h"
#include "mm/vma/mm.h"

/* One page is missing at the end, so that the last pages have no buddies. */
#define SIM_MEMORY_BYTES ((64UL << 20) - PAGE_SIZE)
#define SIM_TID(cpu) (100 + (int)(cpu))

/* Builds the machine; the calling POSIX thread becomes CPU 0. Called once per process. */
void sim_boot(unsigned nr_cpus, u64 seed);
u64 sim_seed(void);

/* ---- CPUs -------------------------------------------------------------------------------------------------------- */
typedef void sim_func(void *arg);
/* Runs func(arg) on an idle CPU other than CPU 0, and does not wait for its end. */
void sim_start(unsigned cpu, sim_func *func, void *arg);
bool sim_running(unsigned cpu);
/* Wait until that CPU is idle, or all are, and handle interrupts while waiting. */
void sim_join(unsigned cpu);
void sim_join_all(void);
/* Sends a fatal signal to the thread of that CPU: it is dying from then on. */
void sim_kill(unsigned cpu);
bool sim_is_sleeping(unsigned cpu);
/* Returns the lock that the thread of that CPU is waiting for, or NULL. */
const void *sim_waits_for(unsigned cpu);
/* Return the number of major faults of the calling CPU's thread, and the number of its waits for a device. */
u64 sim_major_faults(void);
u64 sim_io_waits(void);

/* Random numbers of this CPU, reproducible from the seed. */
u64 sim_random(void);
static inline u64 sim_random_below(u64 bound)
{
	return sim_random() % bound;
}

/* ---- User mode --------------------------------------------------------------------------------------------------- */
/* The thread of this CPU becomes a user of the address space, or stops being one. sim_leave_mm() may destroy it. */
void sim_use_mm(struct mm *mm);
void sim_leave_mm(void);

/*
 * Perform one aligned 8-byte access of user mode, and resolve page faults as the kernel's #PF handler does. Return
 * FAULT_DONE if the access was made; any other answer stands for the signal that the thread would get.
 */
enum fault_answer sim_read(vaddr_t addr, u64 *value);
enum fault_answer sim_write(vaddr_t addr, u64 value);
enum fault_answer sim_exec(vaddr_t addr);
/* The same without a fault handler. Return false if the CPU raises a page fault. */
bool sim_try_read(vaddr_t addr, u64 *value);
bool sim_try_write(vaddr_t addr, u64 value);
bool sim_try_exec(vaddr_t addr);
/* Performs a compare-and-exchange in user mode. Returns the answer as sim_write() does, and the value found in *old. */
enum fault_answer sim_cmpxchg(vaddr_t addr, u64 expect, u64 value, u64 *old);

/* Walks to addr speculatively, as any CPU may at any time: fills the caches, and never faults. */
void sim_look_ahead(vaddr_t addr);

/* Runs what happens between two user-mode instructions: interrupts and RCU callbacks. Every access ends with it. */
void sim_user_boundary(void);

#define ALWAYS 1024
/* Probabilities, in 1024ths, of unusual behaviour that the architecture allows. */
struct sim_mmu_quirks {
	unsigned evict;	      /* a cached translation is dropped for no reason */
	unsigned look_ahead;  /* after an access the CPU walks to a page nearby */
	unsigned stale_fault; /* a stale translation that permits less than the entry faults at once, without a walk */
	unsigned refill;      /* after a flush the CPU at once caches again what the entry holds */
	unsigned late;	      /* an interrupt is not taken between two instructions, but later */
};
extern struct sim_mmu_quirks sim_quirks;

/*
 * CPUs that read and write page-table entries in two halves. One CPU stops once, between the two halves of one entry,
 * until the test lets it continue. Set sim_tearing while no CPU accesses entries; NULL: entries are accessed whole.
 */
struct sim_tearing {
	unsigned low_bits; /* of the lower half */
	const u64 *entry;  /* where to stop, or NULL */
	unsigned cpu;	   /* the CPU that stops */
	bool writes;	   /* whether it stops in a write, or else in a read */
	bool stopped;	   /* by store_release: it has stopped between the halves, */
	bool go_on;	   /* ... until this is set */
	u64 nr_torn;	   /* atomic; reads that returned neither the value before nor the one after */
};
/*
 * Return whether this CPU's TLB holds a translation of addr, and whether its paging-structure caches hold the page
 * table of addr.
 */
bool sim_tlb_holds(vaddr_t addr);
bool sim_knows_table(vaddr_t addr);
/*
 * Returns the entry of addr in the page tables of mm, or an empty one if there is no table. Takes no lock: no other CPU
 * may change it.
 */
pte_t sim_pte(struct mm *mm, vaddr_t addr);
/* For a test that knows that no other CPU changes the address space. They take the lock that each lookup needs. */
struct pt_walk sim_walk(struct mm *mm, vaddr_t addr);
struct vma *sim_vma(struct mm *mm, vaddr_t addr);
pte_t *sim_pte_lock(struct mm *mm, vaddr_t addr, spinlock_t **ptl);
u64 sim_check_tree(struct mm *mm);

/* ---- Allocations that fail --------------------------------------------------------------------------------------- */
/* Makes this CPU's n-th allocation from now on fail, counted from 1; with `onwards` all later ones too. */
void sim_fail_allocation(u64 n, bool onwards);
/* Ends this, and returns whether an allocation has failed. */
bool sim_allocation_failed(void);

/* ---- Protection keys --------------------------------------------------------------------------------------------- */
/* Gives the CPUs 16 keys from here on; a thread starts with the rights to all of them. */
void sim_have_keys(void);

/* Threads have CAP_SYS_RAWIO, and so may map memory below mmap_min_addr, unless a test clears this. */
extern bool sim_may_map_low;
/* ... and CAP_IPC_LOCK: RLIMIT_MEMLOCK does not apply to them. */
extern bool sim_may_lock_memory;

/* ---- Files ------------------------------------------------------------------------------------------------------- */
/*
 * Records the calls that mm/ makes for the file of a VMA: vma_file_sync(), vma_file_punch_hole(). Any address can stand
 * for a file.
 */
struct sim_file_call {
	unsigned nr; /* number of calls; the rest describes the last one */
	struct file *file;
	u64 first, last; /* or offset and length */
	long refs;	 /* what sim_file_refs() returned then */
	long answer;	 /* returned by all calls to come; set by the test */
};
extern struct sim_file_call sim_file_call;

/* ---- Failure, and the log ---------------------------------------------------------------------------------------- */
/* Reports the failure and what each CPU is doing, and ends the process. */
void sim_fail(const char *fmt, ...) __printf(1, 2) __noreturn;
void sim_dump(void);
extern bool sim_verbose;
/* Returns whether the kernel has logged this text. */
bool sim_log_says(const char *text);
/* Returns the number of file references that VMAs hold, for leak checks. */
long sim_file_refs(void);

#endif
