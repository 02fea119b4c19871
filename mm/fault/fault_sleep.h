/* SPDX-License-Identifier: MIT */
/*
 * The list of all places where a fault may sleep. thread_sleep() of either machine checks it in debug builds: it is a
 * bug if a thread sleeps below fault_in() without having announced one of these rows, or with more locks held than the
 * row allows, or not killably where the row says KILLABLE. docs/fault-sleeps.md is generated from this list.
 *
 *	X(name, held, killable, no_wait, what is waited for, and where)
 *
 * held		which locks from mmap_lock down may be held: SLEEP_HOLDS_*. Locks of fault_in()'s caller rank
 *		above it
 * killable	KILLABLE, or UNKILLABLE
 * no_wait	with FAULT_NO_WAIT: WAITS all the same, or NEVER: the fault is answered without this sleep
 *
 * Only one row (stack_growth) waits for memory: any other allocation below fault_in() fails at once if there is none.
 * The fault then answers FAULT_OUT_OF_MEMORY, and its caller reclaims memory with nothing held.
 */
#ifndef MM_FAULT_SLEEP_H
#define MM_FAULT_SLEEP_H

#include "kernel/lib/base.h"
#include "kernel/sync/lock_ranks.h"

#define SLEEP_HOLDS_NOTHING 0u
/* mmap_lock or the VMA lock, for reading: only in a fault that has dropped it once already, or may not drop it. */
#define SLEEP_HOLDS_FAULT_LOCK (1u << RANK_MMAP_LOCK | 1u << RANK_VMA)
/* mmap_lock for writing, and the locks of the pages that reclaim is writing. */
#define SLEEP_HOLDS_MMAP_LOCK_AND_PAGES (1u << RANK_MMAP_LOCK | 1u << RANK_PAGE)
/* mmap_lock or the VMA lock for reading, the page lock, and the file system's own lock. */
#define SLEEP_HOLDS_FILE_SYSTEM (SLEEP_HOLDS_FAULT_LOCK | 1u << RANK_PAGE | 1u << RANK_FS_BLOCKS)

#define FAULT_SLEEPS(X)                                                                                                \
	X(mmap_lock, SLEEP_HOLDS_NOTHING, KILLABLE, WAITS,                                                             \
	  "mmap_lock: for reading, when an attempt of the mmap strategy begins; for writing, to grow a stack "         \
	  "(strategy_mmap.c)")                                                                                         \
	X(stack_growth, SLEEP_HOLDS_MMAP_LOCK_AND_PAGES, UNKILLABLE, WAITS,                                            \
	  "faults in the stack's VMA that are under way, and room for its anon_vma and tree nodes (stack.c); a fatal " \
	  "signal ends the first at once, the second after the pages that are being written")                          \
	X(page, SLEEP_HOLDS_FAULT_LOCK, KILLABLE, NEVER,                                                               \
	  "a page that another thread or a disk has locked, or that is being written: fault_wait_locked(), which "     \
	  "drops the fault's lock first; the second time round it is kept (fault_locked.c)")                           \
	X(swap_request, SLEEP_HOLDS_FAULT_LOCK, KILLABLE, NEVER,                                                       \
	  "a request for swap, when all are under way: fault_wait_locked(), likewise (fault_locked.c)")                \
	X(removal, SLEEP_HOLDS_NOTHING, KILLABLE, NEVER,                                                               \
	  "a page that a truncation or a hole is taking out of its mapping: fault_wait_removal_locked(); where the "   \
	  "lock may not be dropped, the access faults again instead (fault_locked.c)")                                 \
	X(file_system, SLEEP_HOLDS_FILE_SYSTEM, UNKILLABLE, WAITS,                                                     \
	  "page_mkwrite(): the file system reserves a block, for which it takes its lock and may read metadata "       \
	  "(fault_page_io.c)")                                                                                         \
	X(throttle, SLEEP_HOLDS_NOTHING, UNKILLABLE, NEVER,                                                            \
	  "throttle(): the fault is done, and its file has too many dirty pages; faultfs ends it on a fatal signal "   \
	  "(fault_locked.c)")

enum fault_sleep {
	FAULT_SLEEP_none,
#define X(name, held, killable, no_wait, what) FAULT_SLEEP_##name,
	FAULT_SLEEPS(X) NR_FAULT_SLEEPS
};
#undef X

/*
 * For thread_sleep(): panics if the current thread is resolving a fault and must not sleep here. `killable`: a fatal
 * signal ends the sleep. Does nothing in release builds.
 */
#if DEBUG
/*
 * For thread_sleep(): panics if the current thread is resolving a fault and must not sleep here. Does nothing in
 * release builds.
 * @killable: a fatal signal ends the sleep.
 *
 * Context: thread. Does not sleep.
 */
void assert_fault_may_sleep(bool killable);
#else
static inline void assert_fault_may_sleep(bool killable)
{
	(void)killable;
}
#endif

/*
 * For allocations: must the current thread not wait for memory?
 *
 * Context: any.
 * Returns: true if it is resolving a fault under mmap_lock or a VMA lock.
 */
bool fault_forbids_reclaim(void);

#endif
