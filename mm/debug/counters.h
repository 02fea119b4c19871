/* SPDX-License-Identifier: MIT */
/*
 * Counters of the fault path: per CPU, written only by their CPU, summed on demand. Linux's names where Linux has one.
 */
#ifndef MM_COUNTERS_H
#define MM_COUNTERS_H

#include "mm/machine.h"
#include "mm/reasons.h"

/* The counters besides those of the rows of reasons.h: X(name, sentence). */
#define FAULT_COUNTERS(X)                                                                                              \
	X(pgfault, "faults, each counted once")                                                                        \
	X(pgmajfault, "faults that began a read, or waited for one")                                                   \
	X(speculative_pgfault, "faults resolved speculatively")                                                        \
	X(vma_lock_success, "faults resolved under the per-VMA lock")                                                  \
	X(vma_lock_abort, "attempts under the per-VMA lock that gave up")                                              \
	X(vma_lock_retry, "attempts under the per-VMA lock that dropped it to wait")                                   \
	X(pswpin, "pages read from swap, without an error")                                                            \
	X(pswpout, "pages written to swap, without an error")                                                          \
	X(pgactivate, "pages that reclaim found used again, and made active")                                          \
	X(pgdeactivate, "active pages that became inactive: by age, or because a program said so")                     \
	X(pgrefill, "active pages that were scanned")                                                                  \
	X(pageoutrun, "attempts of kswapd to make room")                                                               \
	X(allocstall_normal, "times that a thread found no memory, and began to make room")                            \
	X(pgscan_kswapd, "inactive pages scanned by kswapd")                                                           \
	X(pgscan_direct, "inactive pages scanned by threads that found no memory")                                     \
	X(pgscan_anon, "... of both, memory that goes to swap")                                                        \
	X(pgscan_file, "... and pages of files")                                                                       \
	X(pgsteal_kswapd, "pages freed by kswapd")                                                                     \
	X(pgsteal_direct, "pages freed by threads that found no memory")                                               \
	X(pgsteal_anon, "... of both, memory that went to swap")                                                       \
	X(pgsteal_file, "... and pages of files")                                                                      \
	X(oom_kill, "processes killed because memory was out")                                                         \
	X(tlb_shootdowns, "shootdowns sent")                                                                           \
	X(tlb_shootdown_targets, "CPUs they were sent to")                                                             \
	X(pgtable_allocs, "page tables built")                                                                         \
	X(pgtable_frees, "page tables freed")                                                                          \
	X(cow_copies, "copy-on-write: copied")                                                                         \
	X(cow_reuses, "copy-on-write: the last owner kept its page")                                                   \
	X(zero_page_maps, "reads answered by the shared zero page")                                                    \
	X(fault_around_pages, "pages mapped around a faulting one, which will need no fault")                          \
	X(fault_around_skipped, "pages that were not: locked, not up to date, or just taken out")                      \
	X(fault_around_stopped, "attempts that looked for no neighbours, because their object missed too often")       \
	X(spurious_faults, "faults that found nothing to do, proved benign")

/* ... and those that each strategy has. X(prefix, name, sentence) */
#define STRATEGY_COUNTERS(X, prefix)                                                                                   \
	X(prefix, attempts, "attempts of the strategy")                                                                \
	X(prefix, answered, "... that answered")                                                                       \
	X(prefix, completed, "... that completed with the lock already dropped")                                       \
	X(prefix, would_block, "... whose caller did not want to wait")                                                \
	X(prefix, answered_cached, "... that answered with cached pages alone (map_pages)")                            \
	X(prefix, answered_swap, "... that answered with a page from swap")

enum counter {
#define X(name, sentence) COUNT_##name,
	FAULT_COUNTERS(X)
#undef X
#define X(prefix, name, sentence) COUNT_##prefix##_##name,
#define OF_STRATEGY(id, name, prefix) STRATEGY_COUNTERS(X, prefix)
		FAULT_STRATEGIES(OF_STRATEGY)
#undef OF_STRATEGY
#undef X
			COUNT_FIRST_REASON,
	NR_COUNTERS = COUNT_FIRST_REASON + NR_FAULT_REASONS
};

struct fault_event; /* mm/debug/events.h */

/* A ring of one CPU's latest events. Positions are in bytes, so that one `and` finds the slot of a position. */
struct event_ring {
	u32 head; /* where the next event goes, unmasked; written by its CPU alone, interrupt handlers included */
	u32 mask; /* store-release, after `events` */
	struct fault_event *events;
};

/* Written only by its CPU; any CPU reads it, without a lock, a moment late. The ring is beside the counters: cheap. */
struct counters_cpu {
	struct event_ring ring;
	u64 value[NR_COUNTERS];
};
DECLARE_PER_CPU(struct counters_cpu, counters);

/* Of this CPU: valid until the caller sleeps. Context: any. */
static inline struct counters_cpu *my_counters(void)
{
	return (struct counters_cpu *)machine_counters();
}

/*
 * Adds nr to a counter of this CPU.
 * @mine: my_counters().
 *
 * Context: any.
 */
static inline void count_nr_here(struct counters_cpu *mine, unsigned counter, u64 nr)
{
	machine_local_add(&mine->value[counter], nr);
}
/* Adds nr to a counter of this CPU. Context: any. */
static inline void count_nr(unsigned counter, u64 nr)
{
	count_nr_here(my_counters(), counter, nr);
}
#define count(name) count_nr(COUNT_##name, 1)

/* The sum over all CPUs. Unlocked: exact at a quiet moment. Context: any. Returns: the count. */
u64 counter_sum(unsigned counter);
/* "pgfault", … and the rows of reasons.h. Context: any. Returns: the name; NULL for REASON_NONE's place. */
const char *counter_name(unsigned counter);
/* As counter_sum(), for a reason. Context: any. Returns: the count. */
u64 reason_sum(enum fault_reason reason);

/*
 * Checks the counting identity of one strategy; logs the figures when it does not hold.
 *
 * Context: the machine is quiet. Does not sleep.
 * Returns: true if it holds.
 */
bool counters_identity_holds(enum fault_strategy_id strategy);
/*
 * Checks the identities between the other counters: each fault has one end; the counter of a part of an end does not
 * exceed that of the end; what is counted in two ways is equal. Logs each violation.
 *
 * Context: the machine is quiet. Does not sleep.
 * Returns: true if all hold.
 */
bool counters_agree(void);

#endif
