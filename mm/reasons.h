/* SPDX-License-Identifier: MIT */
/*
 * The lists of the fault code: its strategies, the policies that order them, and the reasons for which a strategy does
 * not answer a fault. Names, counters, traces and GDB commands are made from these rows.
 */
#ifndef MM_REASONS_H
#define MM_REASONS_H

#include "mm/fault.h"

/*
 * Each strategy is one file, strategy_*.c, and one row.
 *
 *	X(id, name, prefix of its counters and reasons)
 */
#define FAULT_STRATEGIES(X)                                                                                            \
	X(MMAP, mmap, mmap)                                                                                            \
	X(VMA, vma, vma_lock)                                                                                          \
	X(SPEC, spec, spf)

/*
 * The strategies that a policy tries, in order. Every policy ends with mmap, which never gives up.
 *
 *	X(id, name, strategies)
 */
#define FAULT_POLICIES(X)                                                                                              \
	X(MMAP, mmap, &strategy_mmap)                                                                                  \
	X(VMA, vma, &strategy_vma, &strategy_mmap)                                                                     \
	X(SPEC, spec, &strategy_spec, &strategy_mmap)                                                                  \
	X(FULL, full, &strategy_spec, &strategy_vma, &strategy_mmap)

/*
 * The one list of the reasons why a strategy does not answer a fault, or looks again first. It is the source of the
 * counters in /proc/vmstat, the names in traces and in GDB, docs/reasons.md and the coverage test. A row is added
 * together with the code and the named test that reach it.
 *
 *	X(name, strategy, kind, sentence, mirrors)
 *
 * Kinds: SKIP   the strategy was not attempted
 *	  EVENT  the strategy looked again; the attempt goes on
 *	  REASON the attempt ended: the strategy gave up, or dropped its lock to wait and retries
 * For each strategy, at any quiet moment: attempts = answered + completed + would_block + the sum of its reasons.
 */
#define FAULT_REASONS(X)                                                                                               \
	X(spf_skip_not_user, SPEC, SKIP, "the access came from the kernel on a user's behalf",                         \
	  "seed 003: handle_speculative_fault(), FAULT_FLAG_USER")                                                     \
	X(spf_skip_single_thread, SPEC, SKIP, "only one thread uses the mm; speculation is for threads",               \
	  "seed 003: handle_speculative_fault(), mm_users == 1")                                                       \
	X(vma_lock_skip_not_user, VMA, SKIP, "the access came from the kernel on a user's behalf",                     \
	  "Linux 6.4: do_user_addr_fault(), FAULT_FLAG_USER")                                                          \
	X(spf_abort_odd_count, SPEC, REASON, "the count was odd, or the VMA was being changed, on entry",              \
	  "seed 003: vm_sequence & 1")                                                                                 \
	X(spf_abort_no_vma, SPEC, REASON, "no VMA covers the address", "seed 003: get_vma()")                          \
	X(spf_abort_changed_reading, SPEC, REASON, "the VMA changed while its fields were read",                       \
	  "seed 003: vma_has_changed() before handle_pte_fault()")                                                     \
	X(spf_abort_changed_before_ptl, SPEC, REASON, "the VMA changed before the PTE lock was tried",                 \
	  "seed 003: pte_spinlock(), first vma_has_changed()")                                                         \
	X(spf_abort_changed_after_ptl, SPEC, REASON, "the VMA changed before the PTE lock was won",                    \
	  "seed 003: pte_spinlock(), second vma_has_changed()")                                                        \
	X(spf_abort_file_ops, SPEC, REASON, "the mapping has fault operations that did not consent to speculation",    \
	  "seed 003: vma->vm_ops")                                                                                     \
	X(spf_abort_page_not_cached, SPEC, REASON, "a page of a mapping that map_pages() could not map as it is",      \
	  "Linux SPF v11: filemap_map_pages() under FAULT_FLAG_SPECULATIVE, else VM_FAULT_RETRY")                      \
	X(spf_abort_file_write, SPEC, REASON, "a write to a page of a mapping: its fault operation must be called",    \
	  "Linux SPF v11: do_cow_fault() and do_shared_fault() are not speculative")                                   \
	X(spf_abort_no_anon_vma, SPEC, REASON, "the VMA has no anon_vma yet, and making one needs mmap_lock",          \
	  "seed 003: !vma->anon_vma")                                                                                  \
	X(spf_abort_growing, SPEC, REASON, "the VMA grows, so its bounds are not to be relied on",                     \
	  "seed 003: VM_GROWSDOWN | VM_GROWSUP")                                                                       \
	X(spf_abort_outside, SPEC, REASON, "the address lies outside the VMA that was found",                          \
	  "seed 003: address < vm_start || vm_end <= address")                                                         \
	X(spf_abort_access, SPEC, REASON,                                                                              \
	  "the VMA does not permit the access; the locked path decides about a signal",                                \
	  "seed 003: arch_vma_access_permitted() and VM_WRITE checks, which signalled (S15)")                          \
	X(spf_abort_upper_table, SPEC, REASON, "an upper page table is missing, huge or bad",                          \
	  "seed 003: pgd/p4d/pud_none() || *_bad()")                                                                   \
	X(spf_abort_pmd_none, SPEC, REASON, "there is no page table, and speculation builds none (S6)",                \
	  "seed 003: pmd_none() in handle_pte_fault()")                                                                \
	X(spf_abort_pmd_changed, SPEC, REASON, "the PMD is not the saved one (S7)",                                    \
	  "seed 003: pmd_same() in pte_spinlock()")                                                                    \
	X(spf_abort_ptl_busy, SPEC, REASON, "the PTE lock was contended: it is tried, never waited for (S3)",          \
	  "seed 003: spin_trylock() in pte_spinlock()")                                                                \
	X(spf_abort_swap_not_cached, SPEC, REASON,                                                                     \
	  "a swapped-out page is not in the swap cache: it would have to be read (S2)",                                \
	  "seed 000: do_swap_page(), !page")                                                                           \
	X(spf_abort_swap_page_locked, SPEC, REASON,                                                                    \
	  "the page in the swap cache is locked: tried, never waited for (S16)",                                       \
	  "seed 000: do_swap_page(), trylock_page()")                                                                  \
	X(spf_abort_no_memory, SPEC, REASON, "no page at hand; a page would have to be reclaimed",                     \
	  "Linux SPF v11: mem_cgroup and allocation failures under speculation")                                       \
	X(vma_lock_miss, VMA, REASON, "no VMA covers the address", "Linux 6.4: lock_vma_under_rcu(), mas_walk()")      \
	X(vma_lock_abort_write_locked, VMA, REASON, "a writer holds the VMA, or seems to",                             \
	  "Linux 6.4: vma_start_read()")                                                                               \
	X(vma_lock_detached, VMA, EVENT, "the VMA was detached while we looked; look again",                           \
	  "Linux 6.4: VMA_LOCK_MISS, vma->detached")                                                                   \
	X(vma_lock_abort_outside, VMA, REASON, "after locking, the address lies outside the VMA",                      \
	  "Linux 6.4: lock_vma_under_rcu(), range check")                                                              \
	X(vma_lock_abort_stack, VMA, REASON, "a stack must grow, which needs mmap_lock for writing (V4, V5)",          \
	  "Linux 6.4: do_user_addr_fault() falls back to lock_mm_and_find_vma()")                                      \
	X(vma_lock_abort_anon_vma, VMA, REASON, "an anon_vma is needed, and mmap_lock was contended",                  \
	  "Linux 6.12: vmf_anon_prepare()")                                                                            \
	X(vma_lock_abort_file_ops, VMA, REASON, "the mapping's fault operation needs mmap_lock",                       \
	  "Linux 6.7: vmf_can_call_fault()")                                                                           \
	X(vma_lock_retry_page, VMA, REASON,                                                                            \
	  "a page must be read, written or unlocked first: dropped the VMA lock and waited (V19)",                     \
	  "Linux 6.6: __folio_lock_or_retry() under FAULT_FLAG_VMA_LOCK")                                              \
	X(vma_lock_retry_swap_request, VMA, REASON,                                                                    \
	  "all requests for swap were under way: dropped the VMA lock and waited for one (V19)",                       \
	  "Linux has none: its block layer waits for a request with the lock held")                                    \
	X(mmap_retry_page, MMAP, REASON,                                                                               \
	  "a page must be read, written or unlocked first: dropped mmap_lock and waited",                              \
	  "Linux: lock_folio_maybe_drop_mmap(), __folio_lock_or_retry()")                                              \
	X(mmap_retry_swap_request, MMAP, REASON,                                                                       \
	  "all requests for swap were under way: dropped mmap_lock and waited for one",                                \
	  "Linux has none: its block layer waits for a request with the lock held")                                    \
	X(mmap_retry_stack, MMAP, REASON, "the stack must grow: mmap_lock is taken again, for writing",                \
	  "Linux 6.5: lock_mm_and_find_vma(), upgrade_mmap_lock_carefully()")

/* How an attempt of one strategy, or a step of it, ended. */
enum fault_end {
	END_CONTINUE = 0, /* not ended: the next step follows */
	END_ANSWERED,	  /* fault.answer is the result */
	END_COMPLETED,	  /* done, and the lock is already dropped */
	END_GAVE_UP,	  /* fault.reason says why; the next strategy tries */
	END_RETRY,	  /* fault.reason says why; lock dropped and waited; the same strategy tries again */
	END_WOULD_BLOCK,  /* the caller asked not to wait; the lock is still held */
	NR_FAULT_ENDS
};

enum fault_reason {
	REASON_NONE,
#define X(name, strategy, kind, sentence, mirrors) REASON_##name,
	FAULT_REASONS(X) NR_FAULT_REASONS
};
#undef X

enum fault_strategy_id {
#define X(id, name, prefix) STRATEGY_##id,
	FAULT_STRATEGIES(X) NR_STRATEGIES
};
#undef X

enum fault_policy {
	POLICY_DEFAULT, /* the process uses the system's policy */
#define X(id, name, ...) POLICY_##id,
	FAULT_POLICIES(X) NR_POLICIES
};
#undef X

/* "mmap", "vma", "spec". */
extern const char *const fault_strategy_names[NR_STRATEGIES];

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

#endif
