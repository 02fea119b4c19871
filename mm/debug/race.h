/* SPDX-License-Identifier: MIT */
/*
 * Race points: named places where a test can stop one thread while another runs, to force an order of events. The
 * schedule fuzzer uses the same places.
 *
 * A thread at an armed point spins with `pause`, interrupts as they were, until it is released: a script needs one CPU
 * for each actor. Unarmed, a point costs one predictable branch.
 *
 *	X(name, where)
 */
#ifndef MM_RACE_H
#define MM_RACE_H

#include "mm/machine.h"

#define RACE_POINTS(X)                                                                                                 \
	X(fault_enter, "fault_in() was called; nothing has been read")                                                 \
	X(spec_after_find, "speculation has found the VMA, and has not sampled its count")                             \
	X(spec_after_sample, "speculation has found the VMA and sampled its count")                                    \
	X(spec_after_snapshot, "speculation has read the VMA's fields, and has not validated them")                    \
	X(spec_before_walk, "speculation has validated the VMA's fields; the page tables come next")                   \
	X(spec_after_walk, "speculation has walked to the PMD; nothing is held")                                       \
	X(spec_before_ptl, "speculation is about to try the PTE lock; the count was validated")                        \
	X(spec_before_trylock, "the PMD was compared; the PTE lock has not been tried")                                \
	X(spec_after_ptl, "speculation has taken the PTE lock; the count has not been validated again")                \
	X(vma_after_find, "the look-up for the per-VMA lock has found a VMA, and has not locked it")                   \
	X(vma_between_looks, "the VMA is not being changed; the reader has not incremented its count")                 \
	X(vma_after_lock, "the VMA is read-locked; its bounds have not been checked")                                  \
	X(vma_locked, "the VMA is read-locked and checked; the kind of fault is not known")                            \
	X(mmap_locked, "mmap_lock is held for reading; the kind of fault is not known")                                \
	X(anon_page_ready, "a new page is ready to be mapped; the PTE lock is not held")                               \
	X(mapping_page_found, "the mapping has returned its page; it is not mapped, and the PTE lock is not held")     \
	X(around_pages_found, "fault-around has taken references to cached pages; the PTE lock is not held")           \
	X(page_wait, "the fault must wait for a page; the lock that it may drop is dropped")                           \
	X(mkwrite_before_lock, "the first write to a page is about to lock it; its entry is unlocked")                 \
	X(mkwrite_dirtied, "the file system has permitted a write; the page is dirty and locked, and not mapped")      \
	X(fault_throttled, "a fault is resolved and holds nothing; its thread is about to be throttled")               \
	X(mapping_before_fill, "a page for a hole of a mapping is ready; the size is read again under the lock next")  \
	X(writeback_cleaned, "no entry of the page is writable, which was flushed everywhere; PG_DIRTY is still set")  \
	X(swap_area_held, "a fault holds the area of its slot; the page has not been looked up")                       \
	X(swap_page_found, "a swapped-out page was found in the swap cache, with a reference; it is not locked")       \
	X(swap_page_locked, "a page of the swap cache is locked; it may have left its slot")                           \
	X(swap_claimed, "a slot is claimed, and is about to be read past the swap cache")                              \
	X(swap_before_commit, "a swapped-in page is ready to be mapped; the PTE lock is not held")                     \
	X(swap_read_ahead, "a page is being read from swap; its neighbours come next")                                 \
	X(reclaim_before_clear,                                                                                        \
	  "reclaim holds the PTE lock and has seen that the memory is not locked; the entry is unchanged")             \
	X(reclaim_before_flush,                                                                                        \
	  "reclaim has cleared entries; their pages are locked, and translations may still exist")                     \
	X(shmem_unmapped, "reclaim has unmapped a page of shared memory, and flushed; it may be mapped again, and is " \
			  "still in its mapping")                                                                      \
	X(shmem_uncached,                                                                                              \
	  "PG_CACHE of a page of shared memory is cleared, under its mapping's lock; its mapcount has not been read")  \
	X(shmem_before_write,                                                                                          \
	  "a swap slot has replaced a page of shared memory, which is locked and has not been written")                \
	X(shmem_exchanged,                                                                                             \
	  "reclaim has unlocked a page of shared memory: it is in swap, or was mapped again and stays")                \
	X(shmem_found_in_swap, "a page of shared memory is in swap; its area is not held")                             \
	X(tail_page_found, "truncation is about to clear the end of the last page, which is not locked")               \
	X(swapoff_before_fault, "swapoff has found an entry that names its area; nothing is locked")                   \
	X(reclaim_unmapped, "reclaim has unmapped a page; it is locked, in its slot, and has not been written")        \
	X(cow_before_copy, "the old page is pinned; nothing has been copied")                                          \
	X(cow_before_flush, "the old entry is cleared, under the PTE lock; translations may still exist")              \
	X(commit_before_set, "the PTE lock is held and everything was compared; the entry is about to be written")     \
	X(anon_vma_before_publish, "an anon_vma is complete, and not visible")                                         \
	X(write_bar_set, "a writer has barred new readers of a VMA, and waits for the current ones")                   \
	X(write_marked, "a VMA is marked as being changed; new readers are still barred")                              \
	X(write_locked, "a VMA is marked as being changed")                                                            \
	X(zap_before_flush, "entries are cleared; translations may still exist, and the pages are not freed")          \
	X(tables_before_free, "page tables are unlinked, and not flushed")                                             \
	X(tables_after_flush, "page tables are unlinked and flushed; RCU frees them next")                             \
	X(lazyfree_before_mark, "MADV_FREE is about to mark pages; mmap_lock is held for reading")                     \
	X(lazyfree_entry_read,                                                                                         \
	  "an entry that MADV_FREE has marked was read, under its lock, and is clean; its page is about "              \
	  "to be dropped")                                                                                             \
	X(fork_after_wrprotect, "fork has write-protected one entry of the parent, and has not flushed")               \
	X(fork_before_flush, "fork has copied everything; the parent's translations are not flushed")                  \
	X(munmap_after_detach, "munmap has detached its VMAs; their pages are still mapped")                           \
	X(mprotect_after_vma, "mprotect has changed a VMA's flags; its entries are still the old ones")                \
	X(mprotect_entry_read, "mprotect has read an entry, under its lock, and computed the new one")                 \
	X(mremap_before_move, "mremap has linked the new VMA; no page has moved")                                      \
	X(split_between, "a split has shortened the VMA; the second part is not yet in the tree")                      \
	X(stack_before_grow, "a stack is about to grow: mmap_lock is held for writing, and the VMA is write-locked")   \
	X(reap_begun, "the OOM reaper has marked the address space as unstable; nothing is locked or cleared")         \
	X(kill_before_pending, "a thread that is to be killed has WORK_SIGNAL set; SIGKILL is not pending yet")        \
	X(kswapd_before_wake, "a thread has found too little memory, and is about to wake kswapd, in an RCU section")  \
	X(shootdown_sent, "a shootdown was sent; the sender has not begun to wait")                                    \
	X(switch_mask_set, "this CPU is in the mm's mask; the page tables are not loaded")

enum race_point_id {
#define X(name, where) RACE_##name,
	RACE_POINTS(X) NR_RACE_POINTS
};
#undef X

/* A point is armed, or a schedule is being fuzzed. Read at every point without a lock: arming takes effect soon. */
extern bool race_armed;
/* The slow path of race_point(): stops the thread if the point is armed for it. Context: any. */
void race_hit(enum race_point_id id);
#define race_point(name)                                                                                               \
	do {                                                                                                           \
		if (unlikely(READ_ONCE(race_armed)))                                                                   \
			race_hit(RACE_##name);                                                                         \
	} while (0)

/* ---- Commands of a script. Context: any. ------------------------------------------------------------------------- */
/*
 * Arms the point, so that the next thread stops there.
 * @tid: the thread that shall stop; 0: any.
 * @skip: passes to let through first.
 *
 * Returns: 0; -EINVAL: no such point or thread; -EBUSY: a thread is stopped there.
 */
int race_arm(enum race_point_id id, int tid, unsigned skip);
/* Disarms the point, or all points, and lets a thread that is stopped there continue; harmless if there is none. */
void race_release(enum race_point_id id);
void race_disarm_all(void);
/* Asks which thread is stopped at the point. Returns: its id, or 0. */
int race_stopped_at(enum race_point_id id);
/* Asks about the point. Returns: true if it is armed, and no thread has come yet. */
bool race_is_armed(enum race_point_id id);
/* The name of a point. Returns: the name, as in RACE_POINTS. */
const char *race_point_name(enum race_point_id id);
/* Finds a point by name. Returns: its id, or -1. */
int race_point_by_name(const char *name);
/*
 * Text for /proc/faultline/race: one line for each point with its state.
 * @size: of buf, in bytes.
 *
 * Returns: the length of the whole text, which may exceed size.
 */
size_t race_format(char *buf, size_t size);

/*
 * Schedule fuzzing: every point, lock operation and sequence check yields (pauses) when a generator seeded by `seed`
 * says so. Under -icount a pause switches to the next CPU, so the same seed gives the same schedule. 0 turns it off.
 *
 * Context: any.
 */
void schedule_fuzz_seed(u64 seed);

#endif
