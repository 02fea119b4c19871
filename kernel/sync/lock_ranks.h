/* SPDX-License-Identifier: MIT */
/*
 * The lock order, in one place: a lock may be waited for only while every lock already held has a lower rank (a
 * trylock may be out of order). Debug builds check it. docs/locks.md is generated from this list.
 *
 *	X(name, why it stands here)
 */
#ifndef KERNEL_LOCK_RANKS_H
#define KERNEL_LOCK_RANKS_H

#define LOCK_RANKS(X)                                                                                                  \
	X(NONE, "not ordered: never held while another lock is waited for")                                            \
	X(FILE, "the position of one open file; held across a whole read or write through it")                         \
	X(FILES, "descriptor tables and path look-up; may allocate and copy nothing from user memory below mmap_lock") \
	X(WATCHES, "which files each epoll watches; held across calls into those files")                               \
	X(INODE, "contents and size of one file, or a pipe's buffer")                                                  \
	X(REMOVAL,                                                                                                     \
	  "one truncation or hole of a mapping; the next waits until no translation of the removed pages is left")     \
	X(LAZYFREE, "frees lazily freed memory; the next thread waits until it is done")                               \
	X(MMAP_LOCK, "the whole address space; the outermost lock of a fault")                                         \
	X(VMA, "one VMA; only tried, never waited for, before mmap_lock; writers wait for it under mmap_lock")         \
	X(RECLAIM,                                                                                                     \
	  "no lock: an allocation that may have to make room, and so wait for write-back, comes before page locks")    \
	X(PAGE, "the contents of one page of a mapping, until I/O ends; no allocation that may reclaim below it (F1)") \
	X(FS_BLOCKS, "the block map of a mounted faultfs; held while that is read in, under a page lock")              \
	X(I_MMAP, "the VMAs that map a mapping; truncation looks for address spaces under it")                         \
	X(ANON_VMA, "the VMAs that may map an anonymous page; rmap walks take PTE locks below it")                     \
	X(PMD, "upper page-table levels of one mm")                                                                    \
	X(PTE, "one page table; held across a shootdown, so never waited for with interrupts off")                     \
	X(MAPPING, "page slots of one mapping")                                                                        \
	X(SWAP, "slots of one swap area: counts, and which page each holds; taken under PTE locks")                    \
	X(PROCESS_TREE, "parents, children, sessions; taken before any one process is touched")                        \
	X(SIGNAL, "signal state of one process")                                                                       \
	X(FUTEX, "one futex hash bucket; user words are read by the nofault copy")                                     \
	X(WAIT_QUEUE, "one wait queue; wake-ups are called from under any lock above")                                 \
	X(EPOLL, "the ready list and the waiters of one epoll; taken by wake-ups of the files that it watches")        \
	X(RUN_QUEUE, "one CPU's run queue")                                                                            \
	X(TIMER, "one CPU's timers")                                                                                   \
	X(SLAB, "one object cache")                                                                                    \
	X(LRU, "active and inactive pages; a page leaves its list when it is freed, under any lock")                   \
	X(ZONE, "free pages")                                                                                          \
	X(RCU_BARRIER, "call-backs on their way from one CPU to another")                                              \
	X(RCU, "one CPU's call-backs")                                                                                 \
	X(LEAF, "takes no further lock: log, console, small tables")

enum lock_rank {
#define X(name, why) RANK_##name,
	LOCK_RANKS(X) NR_LOCK_RANKS
};
#undef X

#endif
