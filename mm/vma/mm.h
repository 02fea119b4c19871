/* SPDX-License-Identifier: MIT */
/* struct mm: one address space. */
#ifndef MM_MM_H
#define MM_MM_H

#include "kernel/sync/rwsem.h"
#include "mm/table/pgtable.h"
#include "mm/vma/vma_tree.h"

enum rss_kind {
	RSS_ANON,
	RSS_FILE,
	RSS_SHMEM,
	RSS_SWAP, /* swapped out: not resident, so no part of a total */
	NR_RSS_KINDS
};

enum fault_policy {
	POLICY_DEFAULT, /* a process follows the system's */
	POLICY_MMAP,
	POLICY_VMA,
	POLICY_SPEC,
	POLICY_FULL,
	NR_POLICIES
};

/* Of one CPU: may go below zero there, only the sum means something. Written by the owning CPU alone, on its own line. */
struct rss_cpu {
	s64 count[NR_RSS_KINDS];
} __cacheline_aligned;

struct mm {
	/* Read by every fault without mmap_lock, written rarely: one read-mostly line. */
	pmd_t *pgd;	      /* constant */
	struct vma_tree tree; /* written in the bracket; read under RCU or mmap_lock */
	u64 mm_lock_seq;      /* odd while mmap_lock is held for writing; written by that holder, store-release */
	s32 users;	      /* atomic: threads that run on it, and others that keep it alive */
	u8 policy;	      /* enum fault_policy; any thread of the process, by WRITE_ONCE; a stale value is a valid one */
	bool unstable;	      /* set once: what it maps is being taken away (oom_reap.c); asked under PTE locks */

	/* Written at every switch of a CPU to or from this mm. */
	u64 cpus __cacheline_aligned; /* atomic: CPUs that may hold translations */
	s32 tlb_pending;	      /* atomic: gathers between begin and finish (K9), batches between add and flush (W6) */
	s32 refs;		      /* atomic: the struct itself; all users together hold one */

	/* mmap_lock and what it guards. */
	struct rwsem mmap_lock __cacheline_aligned;
	u64 write_began; /* cycles: when it was last taken for writing */
	struct wait_queue vma_writers; /* writers of VMAs that wait for readers to drain */
	u64 nr_vmas;
	u64 total_pages, data_pages, stack_pages, locked_pages, exec_pages, shared_pages;
	u16 keys;		/* protection keys in use, one bit each */
	s8 execute_only_key;	/* the one that hides what may only be executed; -1: none yet */
	bool reaped;		/* unstable, and nothing is left to take: set once by who held mmap_lock; a hint elsewhere */
	bool has_lazy;		/* MADV_FREE has marked pages; any holder of mmap_lock in any mode. Stale: memory is found later */
	u64 def_flags; /* VM_LOCK_FLAGS that new mappings get: mlockall(MCL_FUTURE) */
	u64 hiwater_rss, hiwater_vm; /* hiwater_rss: raised without a lock, a lost update loses a peak */
	vaddr_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	vaddr_t arg_start, arg_end, env_start, env_end;
	vaddr_t mmap_base;	   /* constant after exec; mappings grow down from here */
	u64 auxv[48];		   /* constant after exec */
	struct file *exe_file;	   /* constant after exec and fork; a reference of ours */
	u64 rlimit_stack, rlimit_as, rlimit_data, rlimit_data_max, rlimit_memlock; /* in bytes; copied from the process by exec, fork and prlimit */
	u64 nr_tables;		   /* atomic: page-table pages, the top one included (VmPTE) */

	struct rss_cpu *rss; /* one per CPU */
	struct list_head all; /* mm.c: the list of all */
};

/* A new, empty address space with users = 1; NULL without memory. May not sleep. */
struct mm *mm_create(void);
static inline void mm_get(struct mm *mm)
{
	atomic_inc(&mm->users);
}
/* False: its last user has gone, and it is emptying itself. */
bool mm_get_unless_ending(struct mm *mm);
/* Drops a user; the last one unmaps everything (may sleep). The struct goes with the last reference. */
void mm_put(struct mm *mm);
/* The struct only: what /proc or an idle CPU needs. */
void mm_ref(struct mm *mm);
void mm_unref(struct mm *mm);
/* All of them in turn: the one after mm (NULL: the first), with a reference in exchange for mm's; NULL behind the last. */
struct mm *mm_next(struct mm *mm);

/* Copies parent's address space for fork. 0, -ENOMEM or -EINTR; on error the child is fit for mm_put(). Sleeps. */
int mm_fork(struct mm *child, struct mm *parent);

/* Pages of each kind, summed without a lock: exact at a quiet moment, otherwise near. */
u64 mm_rss(const struct mm *mm, enum rss_kind kind);
u64 mm_rss_total(const struct mm *mm);
void mm_rss_add(struct mm *mm, enum rss_kind kind, long nr_pages);
enum rss_kind page_rss_kind(const struct page *page);
/* Before pages are taken away: the peak was now, if ever. The peak so far is the larger of hiwater_rss and the total. */
void mm_note_peak(struct mm *mm);

/*
 * mmap_lock. Write-locking makes mm_lock_seq odd; unlocking makes it even again and so ends every VMA bracket at once.
 * All TLB flushes of the bracket are done by then.
 */
void mmap_write_lock(struct mm *mm);
int __must_check mmap_write_lock_killable(struct mm *mm);
bool mmap_write_trylock(struct mm *mm);
void mmap_write_unlock(struct mm *mm);
static inline void mmap_read_lock(struct mm *mm)
{
	rwsem_read(&mm->mmap_lock);
}
static inline bool mmap_read_trylock(struct mm *mm)
{
	return rwsem_try_read(&mm->mmap_lock);
}
/*
 * For who has a reference to the struct only: false also if the last user has gone. Where it is held with true, the end of
 * the address space waits.
 */
bool mmap_read_trylock_unless_ending(struct mm *mm);
static inline void mmap_read_unlock(struct mm *mm)
{
	rwsem_read_unlock(&mm->mmap_lock);
}
/* Somebody keeps the struct. */
#define assert_mm_referenced(mm) ASSERT(READ_ONCE((mm)->refs) > 0, "the caller has a reference to the address space")
#define assert_mmap_write_locked(mm)                                                                                   \
	ASSERT(rwsem_is_write_locked_by_me(&(mm)->mmap_lock), "mmap_lock is held for writing")
#define assert_mmap_locked(mm) ASSERT(lock_is_held(&(mm)->mmap_lock), "mmap_lock is held")

/* Takes every page of [start, end) out and gives it back. The VMAs are bracketed or read-locked. => mmap_lock held. */
struct tlb_gather;
void zap_range(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end);
/* The same, but private copies stay. */
void zap_range_shared(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end);
/*
 * Frees the page tables that no VMA can need any more once [start, end) is gone: floor and ceiling are the end of the
 * VMA below and the start of the one above (0 and USER_END where there is none). => mmap_lock held for writing, zapped,
 * VMAs detached.
 */
void free_tables(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end, vaddr_t floor, vaddr_t ceiling);

extern struct slab_cache *mm_cache;
void mm_init(void); /* boot: caches of mm/ */

#endif
