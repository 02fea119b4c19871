/* SPDX-License-Identifier: MIT */
/*
 * The fault door, and what the kinds of fault and the strategies say to each other.
 *
 * fault_in() is the one way in: from the #PF stub, from kernel copies to user memory, from MAP_POPULATE, from tests. It
 * tries the strategies of the policy in order. An attempt ends in exactly one way (enum fault_end); what is held at each
 * border is said by fault.held and asserted.
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
	FAULT_NO_RETRY = 4, /* no lock may be dropped: a fault that waits holds on */
	FAULT_NO_WAIT = 8,  /* ... nor may the fault wait for a page or a request: the answer is "would block" (fault_sleep.h) */
	FAULT_SWAPOFF = 16, /* brings a swapped-out page back, whatever the VMA permits, and does nothing else */
	FAULT_UACCESS = 32, /* the kernel faulted in a copy to or from the memory of the program that it runs for */
};
/*
 * The running thread's own access. It alone grows a stack: no other thread's (process_vm_readv), no fault that the kernel makes
 * up (populate, swapoff, a futex's address), as Linux's faultin_page() and fixup_user_fault(). So a caller that says nothing
 * of it grows none.
 */
#define FAULT_OWN (FAULT_USER | FAULT_UACCESS)

/* What fault_in() answers. Each maps to a signal in one place: fault_signal(). */
enum fault_answer {
	FAULT_DONE,	    /* the access will succeed, or another fault will tell */
	FAULT_NO_MAPPING,   /* SIGSEGV, SEGV_MAPERR */
	FAULT_NO_ACCESS,    /* SIGSEGV, SEGV_ACCERR */
	FAULT_NO_KEY,	    /* SIGSEGV, SEGV_PKUERR: the thread's rights to the VMA's protection key forbid it */
	FAULT_NO_PROGRESS,  /* SIGSEGV, SEGV_ACCERR: the entry permits the access, yet it faults in the same way for ever */
	FAULT_BEYOND_END,   /* SIGBUS, BUS_ADRERR: beyond the end of the object, or the object has no pages to give */
	FAULT_IO_ERROR,	    /* SIGBUS, BUS_ADRERR: the page could not be read, or not be made writable */
	FAULT_OUT_OF_MEMORY, /* the caller may make room and come again */
	FAULT_WOULD_BLOCK,  /* a page or a request would have to be waited for, and the caller did not want to wait */
	FAULT_KILLED,	    /* a fatal signal is pending; nothing was done */
};

/* How an attempt of one strategy, or a step of it, ended. */
enum fault_end {
	END_GO_ON = 0,	 /* not ended: the next step follows */
	END_ANSWERED,	 /* fault.answer says what */
	END_COMPLETED,	 /* done, and the lock is already gone */
	END_GAVE_UP,	 /* fault.reason says why; the next strategy tries */
	END_RETRY,	 /* fault.reason says why; lock dropped and waited; the same strategy tries again */
	END_WOULD_BLOCK, /* the caller asked not to wait; the lock is still held */
	NR_FAULT_ENDS
};

enum fault_held {
	HELD_NOTHING,
	HELD_RCU,  /* speculation: nothing but the grace period */
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

/* What the entry and the VMA said it was (fault_kind.c). */
enum fault_kind {
	KIND_UNKNOWN, /* it did not come so far */
	KIND_ANON,
	KIND_MAPPING,
	KIND_SWAP,
	KIND_WRITE_PROTECT,
	KIND_NOTHING, /* nothing to do */
	NR_FAULT_KINDS
};

/* What a fault is, and how its last attempt ended, in 8 bytes: the event of an attempt (mm/debug/events.h) copies them at once. */
#define FAULT_STORY                                                                                                    \
	enum fault_access access : 8;                                                                                  \
	unsigned flags : 8; /* enum fault_flag; TRIED is added between attempts */                                     \
	enum fault_kind kind : 8;                                                                                      \
	enum fault_strategy_id tried : 8;                                                                              \
	enum fault_end end : 8;                                                                                        \
	enum fault_answer answer : 8;                                                                                  \
	enum fault_reason reason : 8;  /* only if it gave up or retries */                                             \
	enum fault_reason skipped : 8; /* of the strategy that was not attempted last, or REASON_NONE */

union fault_story {
	struct {
		FAULT_STORY
	};
	u64 bits;
};
_Static_assert(sizeof(union fault_story) == 8 && NR_FAULT_REASONS < 256, "each part has a byte");

struct fault;

/* How an attempt has brought the page, where that is counted by strategy: only once it has answered (note_end()). */
enum fault_means {
	MEANS_OTHER,
	MEANS_CACHED, /* map_pages() alone */
	MEANS_SWAP,   /* brought back from swap */
};

/* What a fault may have to wait for. */
enum fault_wait {
	WAIT_PAGE,	   /* f->page is locked by another thread, or by the disk that fills it */
	WAIT_WRITEBACK,	   /* f->page is being written; we do not have it locked */
	WAIT_SWAP_REQUEST, /* all requests for swap are under way */
};

/* What lock_pte answers. */
enum pte_lock_result {
	PTE_LOCKED,   /* f->pte is locked and still holds f->orig_pte */
	PTE_CHANGED,  /* somebody else changed the entry: their result counts; nothing is locked */
	PTE_VANISHED, /* the table or the VMA is no longer what it was, or can't be had: f->vanished is the end */
};

/* Where a strategy counts; the reasons have rows of their own. 0: nowhere, since counter 0 is pgfault, which is nobody's. */
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
	/* Which row counts that it was not even tried, or REASON_NONE: try. */
	enum fault_reason (*skip)(const struct fault *f);
	/* Finds the VMA, makes sure of it, and fills the snapshot. END_GO_ON: holds what `held` says. */
	enum fault_end (*enter)(struct fault *f);
	/* Releases what enter took. Not called after an end that has released it. */
	void (*leave)(struct fault *f);
	/* Finds the page table of f->address and reads the entry: fills pmd, orig_pmd, pte, orig_pte. */
	enum fault_end (*walk)(struct fault *f);
	/* Makes sure that the VMA has an anon_vma. */
	enum fault_end (*need_anon_vma)(struct fault *f);
	/* May f's mapping be asked for a page under this strategy? */
	enum fault_end (*may_call_ops)(struct fault *f);
	/* Locks the entry for the commit; a table that is still missing is built now, where that is allowed. */
	enum pte_lock_result (*lock_pte)(struct fault *f);
	/* The allocator has no page. */
	enum fault_end (*no_memory)(struct fault *f);
	/* May a page that is not in the swap cache be read? END_GO_ON, or a reason. */
	enum fault_end (*may_read_swap)(struct fault *f);
	/*
	 * Drops the lock and waits (END_RETRY); the second time round, waits and keeps the lock (END_GO_ON: look again). Ends
	 * otherwise when the caller does not want to wait, or a fatal signal comes. Speculation gives up. => no page lock, and
	 * nothing claimed; a reference to f->page, if that is waited for.
	 */
	enum fault_end (*wait)(struct fault *f, enum fault_wait what);
	/*
	 * The mapping has no page there, and one that was removed is still mapped elsewhere: unlock, and wait until it is not
	 * (END_COMPLETED). NULL: the strategy has given up before it comes to this.
	 */
	enum fault_end (*wait_removal)(struct fault *f);
	/*
	 * The fault is done, and who dirties shall be slowed down: let go, and wait for the mapping (END_COMPLETED). NULL: the
	 * strategy has given up before it comes to this.
	 */
	enum fault_end (*throttle)(struct fault *f);
};

/* The VMA as it was when enter looked, field by field. The kinds of fault see no other. */
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
	struct mm *mm; /* never "current's": a fault may be on another's behalf */
	vaddr_t address; /* page aligned */

	/* Access and flags: as above. Kind: by fault_handle(). The rest: how the last attempt ended, and why. */
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
	struct vma *locked_vma; /* the strategy's own: nobody else touches it */
	const u64 *count;	/* speculation's own: the count that must not move, */
	u64 sequence;		/* ... and its value when it was sampled */

	/* Written by walk, constant; where the table is missing, ptep is NULL and lock_pte may still build it. */
	pmd_t *pmdp;
	pmd_t orig_pmd;
	pte_t *ptep;
	pte_t orig_pte;
	spinlock_t *ptl; /* held between PTE_LOCKED and fault_unlock_pte() */

	/* Written by the kinds of fault. */
	struct page *page; /* what the mapping's fault operation, or the swap cache, had: with a reference */
	enum fault_means means;
	bool page_locked;  /* ... and we hold its lock: nothing may be allocated (F1) */
	bool page_waited;  /* this fault has begun a read, or waited for one: a major fault, and an error is its own */
	enum fault_sleep sleep; /* what it is sleeping for, or is about to */
	struct page *prealloc_table; /* a page table of our own, for when it is too late to allocate one; see pt_prealloc() */

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
 * Resolves one fault at addr (any byte of the page) in mm. The only way in. Sleeps. => no lock from RANK_MMAP_LOCK on
 * held; interrupts on.
 */
enum fault_answer fault_in(struct mm *mm, vaddr_t addr, enum fault_access access, unsigned flags);

/* The signal and si_code of an answer; false for those that are none. */
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
 * Do the rights of the running thread permit data accesses under the VMA's protection key? Keys bind neither fetches nor
 * foreign accesses; who works for another address space opens all keys meanwhile (process_vm.c). As seed 003's and Linux's.
 */
static inline bool arch_vma_access_permitted(u64 vm_flags, enum fault_access access)
{
	if (access == ACCESS_EXEC || nr_keys() == 1)
		return true;
	return key_permits(keys_read(), vma_flags_key(vm_flags), access == ACCESS_WRITE);
}

/* What every strategy asks of the VMA, where it has its flags: FAULT_DONE, or why not. As Linux, the key is asked first. */
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
enum fault_end fault_map_around(struct fault *f);	     /* ... that is cached, and its neighbours (fault_around.c) */
enum fault_end fault_make_uptodate(struct fault *f); /* ... that must be read first: f->page (fault_page_io.c) */
enum fault_end fault_swap(struct fault *f);	     /* a page that was swapped out (fault_swap.c) */
/*
 * The slot's page is not in the swap cache: begins to read it, or waits as the strategy can. END_GO_ON: f->page, with a
 * reference; NULL: nothing names the slot any more (fault_swap.c). => the area held.
 */
enum fault_end fault_read_swap(struct fault *f, swap_slot_t slot);

enum fault_end fault_write_protect(struct fault *f); /* a write to a page that is mapped read-only (fault_wp.c) */

/*
 * Pages for private memory: the one pair between this core and the allocator. NULL without memory. A page that was not
 * mapped is given back by fault_page_put.
 */
struct page *fault_page_get(struct fault *f, bool zero);
void fault_page_put(struct fault *f, struct page *page);

/* Steps that the kinds share (fault_kind.c, fault_anon.c). */
enum fault_end fault_lock_pte(struct fault *f); /* END_GO_ON: locked; otherwise how the attempt ends */
static inline void fault_unlock_pte(struct fault *f)
{
	spin_unlock(f->ptl);
}
/* Maps a new page, ready and not yet shared, writable into an entry that is none; takes over its reference. */
enum fault_end fault_map_own_page(struct fault *f, struct page *page);
/*
 * A shared page, f->page, becomes writable: the file system is told (page_mkwrite), then `commit` writes the entry, with the
 * page locked (fault_page_io.c).
 */
enum fault_end fault_page_mkwrite(struct fault *f, enum fault_end (*commit)(struct fault *f));
/*
 * The page may have been truncated away since it was found. It is counted first and asked second; truncation clears
 * PG_CACHE first and looks at the count second. So one of the two sees the other. => a PTE lock held.
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
/* What an entry for reading a page of the mapping has: where a file system must hear of the first write, no write permission. */
static inline u64 fault_read_prot(const struct fault *f)
{
	return f->vma.mapping->ops ? f->vma.page_prot & ~PTE_WRITE : f->vma.page_prot;
}
/* The page's offset in the VMA's mapping, or in its anonymous address space. */
static inline u64 fault_pgoff(const struct fault *f)
{
	return f->vma.pgoff + ((f->address - f->vma.start) >> PAGE_SHIFT);
}

/* Every field of the VMA that a fault looks at, each read once. */
void fault_snapshot(struct fault *f, const struct vma *vma);

/* Steps shared by the strategies that hold a lock, which keeps page tables where they are (fault_locked.c). */
enum fault_end fault_walk_locked(struct fault *f);
enum pte_lock_result fault_lock_pte_locked(struct fault *f);
enum fault_end fault_no_memory_locked(struct fault *f);
enum fault_end fault_may_read_swap_locked(struct fault *f);
enum fault_end fault_wait_locked(struct fault *f, enum fault_wait what, enum fault_reason retry);
enum fault_end fault_throttle_locked(struct fault *f);
enum fault_end fault_wait_removal_locked(struct fault *f);
/* Has a page table at hand for a commit that may not allocate. END_GO_ON, or no_memory's end. And gives back what is left. */
enum fault_end fault_prealloc_table(struct fault *f);
void fault_free_prealloc(struct fault *f);
/* The bytes around a faulting address in which cached pages are mapped too: a power of two. */
#define DEFAULT_FAULT_AROUND_BYTES 65536
extern u64 sysctl_fault_around_bytes;
/* Rounds as Linux: down to a power of two, and up to a page. 0 or -EINVAL: more than a page table maps. */
int fault_around_set(u64 bytes);

extern const struct fault_strategy strategy_mmap, strategy_vma, strategy_spec;

#endif
