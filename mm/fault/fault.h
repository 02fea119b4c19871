/* SPDX-License-Identifier: MIT */
/*
 * The page-fault entry point, and the interface between the kinds of fault (fault_*.c) and the locking strategies
 * (strategy_*.c).
 *
 * fault_in() is the only entry: from the #PF stub, from kernel copies to user memory, from MAP_POPULATE, from tests.
 * It tries the strategies of the policy in order. An attempt ends in exactly one way (enum fault_end). fault.held says
 * what is held at each boundary, and is asserted.
 */
#ifndef MM_FAULT_H
#define MM_FAULT_H

#include "mm/cache/mapping.h"
#include "mm/fault/fault_sleep.h"
#include "mm/fault/reasons.h"
#include "mm/vma/pkey.h"
#include "mm/vma/rmap.h"

enum fault_access {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_EXEC,
};

enum fault_flag {
	FAULT_USER = 1,	   /* user mode faulted; otherwise the kernel did */
	FAULT_TRIED = 2,   /* this strategy has dropped its lock and waited once already */
	FAULT_NO_RETRY = 4, /* no lock may be dropped: a fault that waits keeps its lock */
	FAULT_NO_WAIT = 8,  /* ... nor may it wait for a page or a request: it answers "would block" (fault_sleep.h) */
	FAULT_SWAPOFF = 16, /* swaps a page in, whatever the VMA permits, and does nothing else */
	FAULT_UACCESS = 32, /* the kernel faulted while copying to or from the memory of the program that it runs for */
};
/*
 * An access by the running thread itself. Only such an access grows a stack: not another thread's (process_vm_readv),
 * and not a fault that the kernel makes up (populate, swapoff, a futex's address), as in Linux's faultin_page() and
 * fixup_user_fault(). So a caller that passes neither flag grows no stack.
 */
#define FAULT_OWN (FAULT_USER | FAULT_UACCESS)

/* The result of fault_in(). fault_signal() is the one place that maps it to a signal. */
enum fault_answer {
	FAULT_DONE,	    /* the access will succeed, or it faults again and that fault decides */
	FAULT_NO_MAPPING,   /* SIGSEGV, SEGV_MAPERR */
	FAULT_NO_ACCESS,    /* SIGSEGV, SEGV_ACCERR */
	FAULT_NO_KEY,	    /* SIGSEGV, SEGV_PKUERR: the thread's rights to the VMA's protection key forbid it */
	FAULT_NO_PROGRESS,  /* SIGSEGV, SEGV_ACCERR: the entry permits the access, yet it faults again and again */
	FAULT_BEYOND_END,   /* SIGBUS, BUS_ADRERR: beyond the end of the object, or the object has no pages to give */
	FAULT_IO_ERROR,	    /* SIGBUS, BUS_ADRERR: the page could not be read, or not be made writable */
	FAULT_OUT_OF_MEMORY, /* the caller may reclaim memory and retry */
	FAULT_WOULD_BLOCK,  /* the fault must wait for a page or a request, and the caller passed FAULT_NO_WAIT */
	FAULT_KILLED,	    /* a fatal signal is pending; nothing was done */
};

/* How an attempt of one strategy, or a step of it, ended. */
enum fault_end {
	END_GO_ON = 0,	 /* not ended: the next step follows */
	END_ANSWERED,	 /* fault.answer is the result */
	END_COMPLETED,	 /* done, and the lock is already dropped */
	END_GAVE_UP,	 /* fault.reason says why; the next strategy tries */
	END_RETRY,	 /* fault.reason says why; lock dropped and waited; the same strategy tries again */
	END_WOULD_BLOCK, /* the caller asked not to wait; the lock is still held */
	NR_FAULT_ENDS
};

enum fault_held {
	HELD_NOTHING,
	HELD_RCU,  /* speculation: an RCU section, and no lock */
	HELD_VMA,  /* one VMA, shared */
	HELD_MMAP, /* the whole address space, shared */
};

enum fault_reason {
	REASON_NONE,
#define X(name, strategy, kind, sentence, mirrors) REASON_##name,
	FAULT_REASONS(X)
#undef X
	NR_FAULT_REASONS
};

enum fault_strategy_id {
	STRATEGY_MMAP,
	STRATEGY_VMA,
	STRATEGY_SPEC,
	NR_STRATEGIES
};

/* The kind of a fault, as the entry and the VMA determine it (fault_kind.c). */
enum fault_kind {
	KIND_UNKNOWN, /* the attempt ended before its kind was determined */
	KIND_ANON,
	KIND_MAPPING,
	KIND_SWAP,
	KIND_WRITE_PROTECT,
	KIND_NOTHING, /* nothing to do */
	NR_FAULT_KINDS
};

/*
 * What a fault is, and how its last attempt ended, in 8 bytes, which the event of an attempt (mm/debug/events.h) copies
 * with one store.
 */
#define FAULT_STORY                                                                                                    \
	enum fault_access access : 8;                                                                                  \
	unsigned flags : 8; /* enum fault_flag; TRIED is added between attempts */                                     \
	enum fault_kind kind : 8;                                                                                      \
	enum fault_strategy_id tried : 8;                                                                              \
	enum fault_end end : 8;                                                                                        \
	enum fault_answer answer : 8;                                                                                  \
	enum fault_reason reason : 8;  /* only if it gave up or retries */                                             \
	enum fault_reason skipped : 8; /* why the strategy skipped last was skipped, or REASON_NONE */

union fault_story {
	struct {
		FAULT_STORY
	};
	u64 bits;
};
_Static_assert(sizeof(union fault_story) == 8 && NR_FAULT_REASONS < 256, "each part has a byte");

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

/* The result of lock_pte. */
enum pte_lock_result {
	PTE_LOCKED,   /* the entry is locked and still equals f->orig_pte */
	PTE_CHANGED,  /* another thread changed the entry: its result counts; nothing is locked */
	PTE_VANISHED, /* the table or the VMA has changed, or cannot be obtained: f->vanished is the end */
};

/*
 * The counters of a strategy; the reasons have counters of their own. 0: not counted, since counter 0 is pgfault, which
 * belongs to no strategy.
 */
struct fault_tally {
	unsigned attempts, ends[NR_FAULT_ENDS], success, gave_up, retry;
};

/*
 * A strategy, as the dispatcher and the kinds of fault see it. Each is one file: strategy_mmap.c, strategy_vma.c,
 * strategy_spec.c.
 */
struct fault_strategy {
	const char *name;
	enum fault_strategy_id id;
	struct fault_tally tally;
	unsigned answered_cached; /* the counter of faults that map_pages() alone has answered, */
	unsigned answered_swap;	  /* ... and of those that brought a page back from swap */
	/* Returns the reason to skip this strategy, or REASON_NONE: try it. */
	enum fault_reason (*skip)(const struct fault *f);
	/* Finds the VMA, locks or samples it, and fills the snapshot. END_GO_ON: holds what `held` says. */
	enum fault_end (*enter)(struct fault *f);
	/* Releases what enter took. Not called after an end that has released it. */
	void (*leave)(struct fault *f);
	/* Finds the page table of f->address and reads the entry: fills pmdp, orig_pmd, ptep, orig_pte. */
	enum fault_end (*walk)(struct fault *f);
	/* Makes sure that the VMA has an anon_vma. */
	enum fault_end (*need_anon_vma)(struct fault *f);
	/* May the operations of f's mapping be called under this strategy? END_GO_ON: yes. */
	enum fault_end (*may_call_ops)(struct fault *f);
	/* Locks the entry for the commit, after building a page table that is still missing, where that is allowed. */
	enum pte_lock_result (*lock_pte)(struct fault *f);
	/* How the attempt ends when the allocator has no page. */
	enum fault_end (*no_memory)(struct fault *f);
	/* May a page that is not in the swap cache be read? END_GO_ON, or a reason. */
	enum fault_end (*may_read_swap)(struct fault *f);
	/*
	 * Drops the lock and waits (END_RETRY); the second time, waits and keeps the lock (END_GO_ON: look again). Ends
	 * otherwise if the caller does not want to wait, or a fatal signal arrives. Speculation gives up. => no page
	 * lock, and nothing claimed; a reference to f->page, if that is waited for.
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
	struct mm *mm; /* never "current's": the fault may be in another process's memory */
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

	/* Written by walk, then constant; if there is no page table, ptep is NULL and lock_pte may still build one. */
	pmd_t *pmdp;
	pmd_t orig_pmd;
	pte_t *ptep;
	pte_t orig_pte;
	spinlock_t *ptl; /* held between PTE_LOCKED and fault_unlock_pte() */

	/* Written by the kinds of fault. */
	struct page *page; /* from the mapping's fault operation or the swap cache; holds a reference */
	enum fault_means means;
	bool page_locked;  /* ... and this fault holds its lock: it must not allocate (F1) */
	bool page_waited;  /* it has started a read, or waited for one: a major fault, and a read error is its answer */
	enum fault_sleep sleep; /* what it is sleeping for, or is about to */
	struct page *prealloc_table; /* allocated in advance, for a commit that must not allocate; see pt_prealloc() */

	enum fault_end vanished; /* after PTE_VANISHED: the end to return */
};

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

/*
 * Resolves one fault at addr (any byte of the page) in mm. The only entry. Sleeps. => no lock from RANK_MMAP_LOCK on
 * held; interrupts on.
 */
enum fault_answer fault_in(struct mm *mm, vaddr_t addr, enum fault_access access, unsigned flags);

/* The signal and si_code of an answer. Returns false if the answer is no signal. */
struct fault_signal {
	int signo, code;
};
bool fault_signal(enum fault_answer answer, struct fault_signal *sig);

/* Does a VMA with these flags permit the access? As on x86 Linux: what can be written or executed can be read. */
static inline bool vma_permits(u64 vm_flags, enum fault_access access)
{
	switch (access) {
	case ACCESS_WRITE:
		return vm_flags & VM_WRITE;
	case ACCESS_EXEC:
		return vm_flags & VM_EXEC;
	default:
		return vm_flags & VM_ACCESS;
	}
}

/*
 * Do the rights of the running thread permit a data access under the VMA's protection key? Keys restrict neither
 * instruction fetches nor foreign accesses: a thread that accesses another address space opens all keys while it
 * does (process_vm.c). As in seed 003 and in Linux.
 */
static inline bool arch_vma_access_permitted(u64 vm_flags, enum fault_access access)
{
	if (access == ACCESS_EXEC || nr_keys() == 1)
		return true;
	return key_permits(keys_read(), vma_flags_key(vm_flags), access == ACCESS_WRITE);
}

/* The access check of every strategy. Returns FAULT_DONE, or the refusal. The key is checked first, as in Linux. */
static inline enum fault_answer fault_check_access(u64 vm_flags, enum fault_access access)
{
	if (unlikely(!arch_vma_access_permitted(vm_flags, access)))
		return FAULT_NO_KEY;
	return likely(vma_permits(vm_flags, access)) ? FAULT_DONE : FAULT_NO_ACCESS;
}

/* The kinds of fault: one file each, written once for all strategies. */
enum fault_end fault_handle(struct fault *f);	     /* which kind is it? (fault_kind.c) */
enum fault_end fault_anon(struct fault *f);	     /* private memory never touched before (fault_anon.c) */
enum fault_end fault_mapping(struct fault *f);	     /* a page of a mapping (fault_mapping.c) */
enum fault_end fault_map_around(struct fault *f);	     /* ... cached, with its neighbours (fault_around.c) */
enum fault_end fault_make_uptodate(struct fault *f); /* ... that must be read first: f->page (fault_page_io.c) */
enum fault_end fault_swap(struct fault *f);	     /* a page that was swapped out (fault_swap.c) */
/*
 * The slot's page is not in the swap cache: starts to read it, or has the strategy wait for a free request. END_GO_ON:
 * f->page, with a reference; NULL: no entry refers to the slot any more (fault_swap.c). => the area held.
 */
enum fault_end fault_read_swap(struct fault *f, swap_slot_t slot);

enum fault_end fault_write_protect(struct fault *f); /* a write to a page that is mapped read-only (fault_wp.c) */

/*
 * Allocate and free pages of private memory: the only two calls from the fault code to the page allocator. NULL if
 * there is no memory. fault_page_put() frees a page that was not mapped.
 */
struct page *fault_page_get(struct fault *f, bool zero);
void fault_page_put(struct fault *f, struct page *page);

/* Steps that the kinds share (fault_kind.c, fault_anon.c). */
enum fault_end fault_lock_pte(struct fault *f); /* END_GO_ON: locked; otherwise how the attempt ends */
static inline void fault_unlock_pte(struct fault *f)
{
	spin_unlock(f->ptl);
}
/* Maps a new page, initialized and not yet shared, writable into an empty entry; consumes its reference. */
enum fault_end fault_map_own_page(struct fault *f, struct page *page);
/*
 * Makes a shared page, f->page, writable: notifies the file system (page_mkwrite), then calls `commit` to write the
 * entry, with the page locked (fault_page_io.c).
 */
enum fault_end fault_page_mkwrite(struct fault *f, enum fault_end (*commit)(struct fault *f));
/*
 * The page may have been truncated since it was found. This raises the mapcount first and tests PG_CACHE second;
 * truncation clears PG_CACHE first and reads the mapcount second. So one of the two sees the other. => a PTE lock held.
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

/* Copies every field of the VMA that a fault uses, reading each once. */
void fault_snapshot(struct fault *f, const struct vma *vma);

/* Steps shared by the strategies that hold a lock, which keeps page tables where they are (fault_locked.c). */
enum fault_end fault_walk_locked(struct fault *f);
enum pte_lock_result fault_lock_pte_locked(struct fault *f);
enum fault_end fault_no_memory_locked(struct fault *f);
enum fault_end fault_may_read_swap_locked(struct fault *f);
enum fault_end fault_wait_locked(struct fault *f, enum fault_wait what, enum fault_reason retry);
enum fault_end fault_throttle_locked(struct fault *f);
enum fault_end fault_wait_removal_locked(struct fault *f);
/*
 * Allocates a page table for a commit that must not allocate. Returns END_GO_ON, or the end of no_memory. The second
 * function frees the table if it was not used.
 */
enum fault_end fault_prealloc_table(struct fault *f);
void fault_free_prealloc(struct fault *f);
/* The bytes around a faulting address in which cached pages are mapped too: a power of two. */
#define DEFAULT_FAULT_AROUND_BYTES 65536
extern u64 sysctl_fault_around_bytes;
/* Rounds as Linux: down to a power of two, and up to a page. Returns 0, or -EINVAL: more than a page table maps. */
int fault_around_set(u64 bytes);

extern const struct fault_strategy strategy_mmap, strategy_vma, strategy_spec;

#endif
