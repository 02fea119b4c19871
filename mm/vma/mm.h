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
	RSS_SWAP, /* swapped out: not resident, so not part of any total */
	NR_RSS_KINDS
};

/* One CPU's counts: may be negative, only the sum is meaningful. Written by the owning CPU alone, on its own line. */
struct rss_cpu {
	s64 count[NR_RSS_KINDS];
} __cacheline_aligned;

struct mm {
	/* Read by every fault without mmap_lock, written rarely: one read-mostly line. */
	pmd_t *pgd;	      /* constant */
	struct vma_tree tree; /* written in the bracket; read under RCU or mmap_lock */
	u64 mm_lock_seq;      /* odd while mmap_lock is held for writing; written by that holder, store-release */
	s32 users;	      /* atomic: threads that run on it, and other users that keep it alive */
	u8 policy;	      /* enum fault_policy; any thread of the process, WRITE_ONCE; a stale value is valid */
	bool unstable;	      /* set once: its pages are being taken away (oom_reap.c); tested under PTE locks */

	/* Written at every switch of a CPU to or from this mm. */
	u64 cpus __cacheline_aligned; /* atomic: CPUs that may hold translations */
	s32 tlb_pending;	      /* atomic: gathers from begin to finish (K9), batches from add to flush (W6) */
	s32 refs;		      /* atomic: references to the struct itself; all users together hold one */

	/* mmap_lock and what it guards. */
	struct rwsem mmap_lock __cacheline_aligned;
	u64 write_began;	       /* in cycles: when it was last locked for writing */
	struct wait_queue vma_writers; /* writers of VMAs that wait for readers to drain */
	u64 nr_vmas;
	u64 total_pages, data_pages, stack_pages, locked_pages, exec_pages, shared_pages;
	u16 keys;	     /* protection keys in use, one bit each */
	s8 execute_only_key; /* the key that hides execute-only memory from reads; -1: none yet */
	bool reaped;	     /* unstable, nothing left to reap: set once under mmap_lock; a hint without it */
	/* MADV_FREE has marked pages; set under mmap_lock in any mode. Read stale: the memory is found later. */
	bool has_lazy;
	u64 def_flags;		     /* VM_LOCK_FLAGS that new mappings get: mlockall(MCL_FUTURE) */
	u64 hiwater_rss, hiwater_vm; /* hiwater_rss: raised without a lock, a lost update loses a peak */
	vaddr_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	vaddr_t arg_start, arg_end, env_start, env_end;
	vaddr_t mmap_base;     /* constant after exec; mappings grow down from here */
	u64 auxv[48];	       /* constant after exec */
	struct file *exe_file; /* constant after exec and fork; a reference of ours */
	/* In bytes; copied from the process by exec, fork and prlimit. */
	u64 rlimit_stack, rlimit_as, rlimit_data, rlimit_data_max, rlimit_memlock;
	u64 nr_tables; /* atomic: page-table pages, the top one included (VmPTE) */

	struct rss_cpu *rss;  /* one per CPU */
	struct list_head all; /* mm.c: link in the list of all address spaces */
};

/*
 * Creates an empty address space with users = 1.
 *
 * Context: thread. Sleeps.
 * Returns: the address space; NULL without memory.
 */
struct mm *mm_create(void);

/* ---- Users and references. Context: any. ------------------------------------------------------------------------- */
/* Adds a user. The caller is one. */
static inline void mmget(struct mm *mm)
{
	atomic_inc(&mm->users);
}
/*
 * Adds a user to an address space that the caller only has a reference to.
 *
 * Returns: false if the last user has gone: the address space is being torn down.
 */
bool mmget_not_zero(struct mm *mm);
/*
 * Drops a user. The last one unmaps everything; the struct is freed with the last reference.
 *
 * Context: thread. Sleeps only if it is the last user.
 */
void mmput(struct mm *mm);
/* Adds a reference to the struct only, as /proc or an idle CPU needs. The caller has one, or is a user. */
void mmgrab(struct mm *mm);
/* Drops such a reference. Context: thread. Does not sleep. */
void mmdrop(struct mm *mm);
/*
 * Iterates over all address spaces. Drops the reference on mm.
 * @mm: the previous one; NULL: begin.
 *
 * Context: thread. Does not sleep.
 * Returns: the one after it, with a reference; NULL after the last.
 */
struct mm *mm_next(struct mm *mm);

/* ---- Counts of pages. Context: any. ------------------------------------------------------------------------------ */
/*
 * Sum the counts of all CPUs without a lock: exact while no count changes, otherwise approximate.
 *
 * Returns: pages: of one kind; of all that are resident.
 */
u64 mm_rss(const struct mm *mm, enum rss_kind kind);
u64 mm_rss_total(const struct mm *mm);
/* Adds nr_pages (which may be negative) to this CPU's count. Context: thread. Does not sleep. */
void mm_rss_add(struct mm *mm, enum rss_kind kind, long nr_pages);
/*
 * The kind under which a mapped page is counted.
 *
 * Context: any. The page stays mapped, or locked.
 * Returns: RSS_ANON, RSS_FILE or RSS_SHMEM.
 */
enum rss_kind page_rss_kind(const struct page *page);
/*
 * Call before unmapping pages: raises hiwater_rss to the current total if that is higher. The peak so far is the larger
 * of hiwater_rss and the total.
 */
void update_hiwater_rss(struct mm *mm);

/* ---- mmap_lock. Context: thread. Does not sleep. ----------------------------------------------------------------- */
/*
 * Lock for writing, which makes mm_lock_seq odd: VMA brackets may begin.
 *
 * Context: thread. Sleep.
 * Returns: the killable form: 0; -EINTR if the thread is killed first.
 */
void mmap_write_lock(struct mm *mm);
int __must_check mmap_write_lock_killable(struct mm *mm);
/* Locks for writing if no other thread holds mmap_lock. Returns: true if locked. */
bool mmap_write_trylock(struct mm *mm);
/*
 * Makes mm_lock_seq even again, which ends every VMA bracket at once, and unlocks. All TLB flushes of the bracket are
 * complete by then.
 */
void mmap_write_unlock(struct mm *mm);
/* Locks for reading. Context: thread. Sleeps. */
static inline void mmap_read_lock(struct mm *mm)
{
	down_read(&mm->mmap_lock);
}
/* Locks for reading if there is no writer, and none waits. Returns: true if locked. */
static inline bool mmap_read_trylock(struct mm *mm)
{
	return down_read_trylock(&mm->mmap_lock);
}
/*
 * For callers that hold only a reference to the struct. After true, teardown of the address space waits for the unlock.
 *
 * Returns: false if a writer holds mmap_lock, or the last user has gone.
 */
bool mmap_read_trylock_unless_ending(struct mm *mm);
static inline void mmap_read_unlock(struct mm *mm)
{
	up_read(&mm->mmap_lock);
}
/* A reference keeps the struct alive. */
#define assert_mm_referenced(mm) ASSERT(READ_ONCE((mm)->refs) > 0, "the caller has a reference to the address space")
#define assert_mmap_write_locked(mm)                                                                                   \
	ASSERT(rwsem_is_write_locked_by_me(&(mm)->mmap_lock), "mmap_lock is held for writing")
#define assert_mmap_locked(mm) ASSERT(lock_is_held(&(mm)->mmap_lock), "mmap_lock is held")

extern struct slab_cache *mm_cache;
/* Creates the caches of mm/. Context: boot. */
void mm_init(void);

#endif
