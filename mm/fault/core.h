/* SPDX-License-Identifier: MIT */
/*
 * The inside of the fault code: what a fault carries, and the interface between the kinds of fault (fault_*.c) and the
 * locking strategies (strategy_*.c). The rest of the kernel includes mm/fault.h.
 *
 * fault_in() tries the strategies of the policy in order. An attempt ends in exactly one way (enum fault_end).
 * fault.held says what is held at each boundary, and is asserted.
 */
#ifndef MM_FAULT_CORE_H
#define MM_FAULT_CORE_H

#include "mm/cache/mapping.h"
#include "mm/fault/fault_sleep.h"
#include "mm/page/page_lock.h"
#include "mm/reasons.h"
#include "mm/vma/access.h"
#include "mm/vma/rmap.h"

enum fault_held {
	HELD_NOTHING,
	HELD_RCU,  /* speculation: an RCU section, and no lock */
	HELD_VMA,  /* one VMA, shared */
	HELD_MMAP, /* the whole address space, shared */
};

struct fault;

/* How an attempt obtained the page, for the strategy's counters: counted only once it has answered (note_end()). */
enum fault_means {
	MEANS_OTHER,
	MEANS_CACHED, /* map_pages() alone */
	MEANS_SWAP,   /* swapped in */
};

/* What a fault may have to wait for. */
enum fault_wait {
	WAIT_PAGE,	   /* f->page is locked by another thread, or by the disk that fills it */
	WAIT_WRITEBACK,	   /* f->page is under writeback; this fault has not locked it */
	WAIT_SWAP_REQUEST, /* all swap requests are in flight */
};

/*
 * The counters of a strategy; the reasons have counters of their own. 0: not counted, since counter 0 is pgfault, which
 * belongs to no strategy.
 */
struct fault_tally {
	unsigned attempts, ends[NR_FAULT_ENDS];
	unsigned success, gave_up, retry;	 /* Linux's counters, where it has any */
	unsigned answered_cached, answered_swap; /* how those that answered obtained the page */
};

/* How a strategy's row begins: its name, and the counters of mm/debug/counters.h. Linux's counters, if any, follow. */
#define FAULT_STRATEGY(id_, name_, prefix, ...)                                                                        \
	.name = #name_, .id = STRATEGY_##id_,                                                                          \
	.tally = { .attempts = COUNT_##prefix##_attempts,                                                              \
		   .ends = { [END_ANSWERED] = COUNT_##prefix##_answered,                                               \
			     [END_COMPLETED] = COUNT_##prefix##_completed,                                             \
			     [END_WOULD_BLOCK] = COUNT_##prefix##_would_block },                                       \
		   .answered_cached = COUNT_##prefix##_answered_cached,                                                \
		   .answered_swap = COUNT_##prefix##_answered_swap,                                                    \
		   ##__VA_ARGS__ }

/*
 * A strategy, as the dispatcher and the kinds of fault see it. Each is one file: strategy_mmap.c, strategy_vma.c,
 * strategy_speculative.c.
 */
struct fault_strategy {
	const char *name;
	enum fault_strategy_id id;
	struct fault_tally tally;
	/* Returns the reason to skip this strategy, or REASON_NONE: try it. */
	enum fault_reason (*skip)(const struct fault *f);
	/* Finds the VMA, locks or samples it, and fills the snapshot. END_CONTINUE: holds what `held` says. */
	enum fault_end (*enter)(struct fault *f);
	/* Releases what enter took. Not called after an end that has released it. */
	void (*leave)(struct fault *f);
	/* Finds the page table of f->address and reads the entry: fills pmdp, orig_pmd, ptep, orig_pte. */
	enum fault_end (*walk)(struct fault *f);
	/* Makes sure that the VMA has an anon_vma. */
	enum fault_end (*need_anon_vma)(struct fault *f);
	/* May the operations of f's mapping be called under this strategy? END_CONTINUE: yes. */
	enum fault_end (*may_call_ops)(struct fault *f);
	/* Locks the page table for the commit (f->ptl), after building one that is missing, where that is allowed. */
	enum fault_end (*lock_table)(struct fault *f);
	/* How the attempt ends when the allocator has no page. */
	enum fault_end (*no_memory)(struct fault *f);
	/* May a page that is not in the swap cache be read? END_CONTINUE, or a reason. */
	enum fault_end (*may_read_swap)(struct fault *f);
	/*
	 * Drops the lock and waits (END_RETRY); the second time, waits and keeps the lock (END_CONTINUE: look again).
	 * Ends otherwise if the caller does not want to wait, or a fatal signal arrives. Speculation gives up.
	 *
	 * Context: no page locked, and nothing claimed; a reference to f->page, if that is waited for.
	 */
	enum fault_end (*wait)(struct fault *f, enum fault_wait what);
	/*
	 * The mapping has no page at this index, and the page removed from it is still mapped elsewhere: drops the lock
	 * and waits until it is unmapped (END_COMPLETED). NULL: the strategy gives up before this can happen.
	 */
	enum fault_end (*wait_removal)(struct fault *f);
	/*
	 * The fault is resolved but the writer must be throttled: drops the lock and waits for the mapping
	 * (END_COMPLETED). NULL: the strategy gives up before this can happen.
	 */
	enum fault_end (*throttle)(struct fault *f);
};

/* The fields of the VMA as enter read them. The kinds of fault use only this copy. */
struct vma_snapshot {
	vaddr_t start, end;
	u64 flags;
	u64 page_prot;
	u64 pgoff;
	struct anon_vma *anon_vma;
	struct mapping *mapping;
	const struct vma_ops *ops;
};

struct fault {
	/* Written by fault_in(), constant. */
	struct mm *mm;	 /* never "current's": the fault may be in another process's memory */
	vaddr_t address; /* page aligned */

	/* fault_in() writes access and flags, fault_handle() the kind. The rest: how and why the last attempt ended. */
	union {
		struct {
			FAULT_STORY
		};
		u64 story;
	};
	u64 started; /* cycles: when the attempt began */

	/* Written by the strategy's enter, constant until leave. */
	const struct fault_strategy *strategy;
	struct vma_snapshot vma;
	enum fault_held held;
	struct vma *locked_vma; /* private to the strategies */
	const u64 *count;	/* private to speculation: the count that must not change, */
	u64 sequence;		/* ... and its value when it was sampled */

	/* Written by walk, then constant. If there is no page table, ptep is NULL and lock_table may build one. */
	pmd_t *pmdp;
	pmd_t orig_pmd;
	pte_t *ptep;
	pte_t orig_pte;
	spinlock_t *ptl; /* held between lock_table and fault_unlock_pte() */

	/* Written by the kinds of fault. */
	struct page *page; /* from the mapping's fault operation or the swap cache; holds a reference */
	enum fault_means means;
	bool page_locked; /* ... and this fault holds its lock: it must not allocate (F1) */
	bool page_waited; /* it has started a read, or waited for one: a major fault, and a read error is its answer */
	enum fault_sleep sleep;	     /* what it is sleeping for, or is about to */
	struct page *prealloc_table; /* allocated in advance, for a commit that must not allocate; see pt_prealloc() */
};

/* ---- How a step ends the attempt. Context: the fault's lock held. Do not sleep. Returns: the end. ---------------- */
static inline enum fault_end fault_answered(struct fault *f, enum fault_answer answer)
{
	f->answer = answer;
	return END_ANSWERED;
}
static inline enum fault_end fault_gave_up(struct fault *f, enum fault_reason reason)
{
	f->reason = reason;
	return END_GAVE_UP;
}
static inline enum fault_end fault_retry(struct fault *f, enum fault_reason reason)
{
	f->reason = reason;
	return END_RETRY;
}

/* ---- The kinds of fault. Context: the fault's lock held. Sleep only as the strategy waits. Returns: how it ended.  */
/* One file each, written once for all strategies. END_CONTINUE: the next step follows. */

enum fault_end fault_handle(struct fault *f);	     /* which kind is it? (fault_kind.c) */
enum fault_end fault_anon(struct fault *f);	     /* private memory never touched before (fault_anon.c) */
enum fault_end fault_mapping(struct fault *f);	     /* a page of a mapping (fault_mapping.c) */
enum fault_end fault_map_around(struct fault *f);    /* ... cached, with its neighbours (fault_around.c) */
enum fault_end fault_make_uptodate(struct fault *f); /* ... that must be read first: f->page (fault_page_io.c) */
enum fault_end fault_swapped_shmem(struct fault *f); /* ... of shared memory, that is in swap (fault_shmem.c) */
enum fault_end fault_swap(struct fault *f);	     /* a private page that was swapped out (fault_swap.c) */
enum fault_end fault_write_protect(struct fault *f); /* a write to a page that is mapped read-only (fault_wp.c) */

/* ---- Shared steps. Context: the fault's lock held. Do not sleep. Returns: how the attempt ends. ------------------ */

/*
 * Allocate and free pages of private memory: the only two calls from the fault code to the page allocator.
 * fault_page_put() frees a page that was not mapped.
 *
 * Context: no lock from RANK_RECLAIM on held. Do not sleep.
 * Returns: the page; NULL if there is no memory.
 */
static inline struct page *fault_page_get(struct fault *f, bool zero)
{
	(void)f; /* a charge will need to know on whose behalf the page is allocated */
	assert_may_reclaim();
	return alloc_page(ALLOC_USER | (zero ? ALLOC_ZERO : 0));
}
static inline void fault_page_put(struct fault *f, struct page *page)
{
	(void)f;
	page_put(page);
}

/*
 * The commit (fault_commit.c): locks the entry and compares it with f->orig_pte.
 *
 * Returns: END_CONTINUE if they are equal; else how the attempt ends, with nothing locked.
 */
enum fault_end fault_lock_pte(struct fault *f);
/* Unlocks it. Context: the fault's lock held. Does not sleep. */
static inline void fault_unlock_pte(struct fault *f)
{
	spin_unlock(f->ptl);
}
/* Maps the shared zero page into an empty entry. */
enum fault_end fault_map_zero_page(struct fault *f);
/* Maps a new page, initialized and not yet shared, writable into an empty entry; consumes its reference. */
enum fault_end fault_map_own_page(struct fault *f, struct page *page);
/*
 * Maps f->page, of a mapping, into an empty entry; the reference passes to the entry.
 * @prot: as for pte_make().
 */
enum fault_end fault_map_page(struct fault *f, u64 prot);
/*
 * Maps a page that was swapped in in place of its slot, and stores the entry in f->orig_pte. The entry gets a reference
 * of its own.
 */
enum fault_end fault_map_swapped_page(struct fault *f, struct page *page, swap_slot_t slot);
/*
 * Puts the copy in place of `old`. Consumes both references.
 * @old: the caller has pinned it; NULL: the zero page.
 */
enum fault_end fault_replace_page(struct fault *f, struct page *old, struct page *copy);
/*
 * Makes the entry writable, and unlocks it. Other CPUs may go on using the read-only translation until they fault,
 * which is benign.
 *
 * Context: the entry's lock held.
 * Returns: END_ANSWERED.
 */
enum fault_end fault_make_writable(struct fault *f);
/*
 * The page may have been truncated since it was found. This raises the mapcount first and tests PG_CACHE second;
 * truncation clears PG_CACHE first and reads the mapcount second. So one of the two sees the other.
 *
 * Context: a PTE lock held.
 * Returns: true if the page is counted; false if it was truncated.
 */
static inline bool fault_count_unless_truncated(struct page *page)
{
	assert_in_atomic();
	rmap_dup(page);
	if (likely(page_test(page, PG_CACHE)))
		return true;
	rmap_remove(page);
	return false;
}

/*
 * Locks f->page, or waits for it as the strategy does (fault_page_io.c).
 *
 * Context: a reference: to f->page. Sleeps only in f->strategy->wait().
 * Returns: END_CONTINUE: locked; else how the attempt ends.
 */
enum fault_end fault_lock_page(struct fault *f);
/*
 * Unlocks the page, to which the caller has a reference: f->page, or what was f->page before a commit.
 *
 * Context: thread, the one that locked it. Does not sleep.
 */
static inline void fault_unlock_page(struct fault *f, struct page *page)
{
	f->page_locked = false;
	page_unlock(page);
}
/*
 * Reads the page of the slot, which is not in the swap cache, or has the strategy wait for a free request
 * (fault_swap.c).
 *
 * Context: the area held. Sleeps only in f->strategy->wait().
 * Returns: END_CONTINUE: f->page, with a reference; NULL: no entry refers to the slot any more. Else how the attempt
 *          ends.
 */
enum fault_end fault_read_swap(struct fault *f, swap_slot_t slot);
/*
 * Makes a shared page, f->page, writable: notifies the file system (page_mkwrite), then calls `commit` to write the
 * entry, with the page locked (fault_page_io.c).
 *
 * Context: the fault's lock held. Sleeps only in f->strategy->wait() and in the file system.
 * Returns: how the attempt ends.
 */
enum fault_end fault_page_mkwrite(struct fault *f, enum fault_end (*commit)(struct fault *f));
/*
 * The protection of an entry that maps a page of the mapping for reading: without write permission where the file
 * system must be notified of the first write.
 */
static inline u64 fault_read_prot(const struct fault *f)
{
	return f->vma.mapping->ops ? f->vma.page_prot & ~PTE_WRITE : f->vma.page_prot;
}
/* The page's offset in the VMA's mapping, or in its anonymous address space. */
static inline u64 fault_pgoff(const struct fault *f)
{
	return f->vma.pgoff + ((f->address - f->vma.start) >> PAGE_SHIFT);
}

/* vma_ops.map_pages() of every mapping (fault_around.c). */
enum fault_end mapping_map_pages(struct fault *f, u64 first, u64 last);
/* Counts a page that was not cached, by which fault-around tells whether it pays (fault_around.c). Context: any. */
void mapping_note_miss(struct mapping *mapping);

/* ---- Steps that several strategies share ------------------------------------------------------------------------- */

/*
 * Copies every field of the VMA that a fault uses, reading each once. Acquire, so that a sequence count read after
 * these is not read before them (speculation); free on x86.
 *
 * Context: any. The VMA is locked, or an RCU section keeps it in memory.
 */
static inline void fault_snapshot(struct fault *f, const struct vma *vma)
{
	f->vma.start = load_acquire(&vma->start);
	f->vma.end = load_acquire(&vma->end);
	f->vma.flags = load_acquire(&vma->flags);
	f->vma.page_prot = load_acquire(&vma->page_prot);
	f->vma.pgoff = load_acquire(&vma->pgoff);
	f->vma.anon_vma = load_acquire(&vma->anon_vma);
	f->vma.mapping = load_acquire(&vma->mapping);
	f->vma.ops = load_acquire(&vma->ops);
}

/*
 * Of the strategies that hold a lock, which keeps page tables where they are (fault_locked.c).
 *
 * Context: the fault's lock held. Sleep only in the last three, which wait.
 * Returns: as the operations of struct fault_strategy.
 */
enum fault_end fault_walk_locked(struct fault *f);
enum fault_end fault_lock_table_locked(struct fault *f);
enum fault_end fault_no_memory_locked(struct fault *f);
enum fault_end fault_may_read_swap_locked(struct fault *f);
enum fault_end fault_wait_locked(struct fault *f, enum fault_wait what, enum fault_reason retry);
enum fault_end fault_throttle_locked(struct fault *f);
enum fault_end fault_wait_removal_locked(struct fault *f);
/*
 * Allocates a page table for a commit that must not allocate. The second function frees the table if it was not used.
 *
 * Context: the fault's lock held; no page lock. Do not sleep.
 * Returns: END_CONTINUE, or the end of no_memory.
 */
enum fault_end fault_prealloc_table(struct fault *f);
void fault_free_prealloc(struct fault *f);

#define X(id, name, prefix) extern const struct fault_strategy strategy_##name;
FAULT_STRATEGIES(X)
#undef X
/* strategy_mmap without the access check, and for entries of swap only: fault_swap_in(). */
extern const struct fault_strategy strategy_mmap_swap_in;

#endif
