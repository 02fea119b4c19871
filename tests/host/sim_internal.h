/* SPDX-License-Identifier: MIT */
/* Internals shared by the parts of the simulated machine. Tests use sim.h. */
#ifndef HOST_SIM_INTERNAL_H
#define HOST_SIM_INTERNAL_H

#include "sim.h"

#include "kernel/sync/lockdep.h"

#define TLB_SETS 16
#define TLB_WAYS 4
#define PSC_ENTRIES 4 /* paging-structure cache, for each level */

/* One translation. The frame's generation shows whether the frame was freed since the translation was read. */
struct tlb_entry {
	bool valid, writable, executable, dirty;
	u8 key;
	u64 vpn;
	pfn_t pfn;
	u32 generation;
};

/* An entry of a paging-structure cache: the table that a page-table entry of some level points to. */
struct psc_entry {
	bool valid;
	u64 tag; /* the address bits that this and the upper levels translate */
	pfn_t table;
	u32 generation;
};

struct sim_shootdown {
	vaddr_t start, end;
	u64 waiting_for; /* atomic; CPUs that have not responded yet */
};

struct sim_cpu {
	/* Accessed by the CPU's own POSIX thread only. */
	u64 random;
	u64 relaxed;
	paddr_t pgd; /* CR3 */
	u32 pgd_generation;
	vaddr_t last_access;
	struct mm *mm;
	struct tlb_entry tlb[TLB_SETS][TLB_WAYS];
	struct psc_entry psc[5][PSC_ENTRIES]; /* by level 4 … 2 of the entry that was read */
	struct held_locks held_locks;
	struct lock_wait lock_wait;
	struct fault_repeat fault_repeat;
	u64 minor_faults, major_faults;
	u64 nr_io_waits, io_wait; /* number of waits so far; number of the wait in progress, or 0 */

	/* Atomic. */
	u32 events; /* a futex, incremented to make this CPU check for work */
	bool halted;
	u64 shootdowns; /* mask of the CPUs whose requests await this one */
	bool sleep_announced, asleep, killed;
	u8 sleep_state;

	struct sim_shootdown request; /* the request that this CPU sends; sending it publishes start and end */

	sim_func *func; /* store_release hands arg to the CPU, and back */
	void *arg;
} __cacheline_aligned;

extern struct sim_cpu sim_cpus[MAX_CPUS];
struct sim_cpu *sim_this_cpu(void);

/* Panics if the calling CPU's thread holds a lock or waits for one; the message says what, and `when`. */
void sim_assert_at_rest(const char *when);
void sim_memory_init(void); /* memory.c */
void sim_kernel_init(void); /* mm_setup.c; initialises mm/ as boot does */
/* Returns how often the frame has been freed: a translation of an older generation must not be used. */
u32 sim_frame_generation(pfn_t pfn);

#endif
