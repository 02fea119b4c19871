/* SPDX-License-Identifier: MIT */
/*
 * Speculation: resolves a fault without a lock, and writes the entry only if a sequence count says that nothing that it
 * read has changed since.
 *
 * Holds	nothing. The whole attempt is one RCU section, which keeps VMAs, page tables and the locks in them
 *		readable.
 * May not	sleep, build a page table (S6), signal (S15), or wait for anything.
 * Costs	no shared cache line, unless two faults meet in one page table. Delays no other thread.
 * Gives up	in every case but the simple ones: see the `spf_abort_` rows of reasons.h.
 *
 *	1. sample	the count: of the VMA (an unrelated mmap does no harm) or of the mm (the VMA is not touched
 *			after the snapshot)
 *	2. snapshot	the VMA's fields, then validate: they are consistent
 *	3. check that this VMA may be handled here at all. Of a mapping, only cached pages are mapped, only for
 *			reading, and only by a map_pages() that is declared fit for this (`speculative`)
 *	4. walk		down to the entry, building nothing
 *	   ... the kind of fault prepares its page ...
 *	5. lock_pte	validate › compare the PMD › try the PTE lock › compare the PMD › validate ›
 *			compare the entry. From then on the lock excludes unmap, so the entry may be written.
 *
 * Rejected: waiting for the PTE lock. Its holder may be waiting for this CPU to acknowledge a shootdown (S3); so the
 * lock is tried a few times, with interrupts on, before the strategy gives up. Rejected: a reference count or SRCU for
 * the VMA. One shared atomic for each fault is what this strategy exists to avoid.
 *
 * Mirrors: seed 003, __handle_speculative_fault(), pte_map_lock(), vma_has_changed(); the mm-wide count is that of
 * Lespinasse's series (seed 000).
 */
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/fault/policy.h"
#include "mm/vma/access.h"

#define PTE_LOCK_TRIES 16

static enum fault_reason spec_skip(const struct fault *f)
{
	if (!(f->flags & FAULT_USER))
		return REASON_spf_skip_not_user;
	/* A stale count is harmless: it only changes which strategy answers. */
	if (READ_ONCE(f->mm->users) == 1 && !READ_ONCE(spf_single_thread))
		return REASON_spf_skip_single_thread;
	return REASON_NONE;
}

static void spec_leave(struct fault *f)
{
	rcu_read_unlock();
	f->held = HELD_NOTHING;
}

/* True if nothing that the count covers has changed since it was sampled. */
static bool unchanged(const struct fault *f)
{
	schedule_point();
	return load_acquire(f->count) == f->sequence;
}

/* Step 1, per VMA. The VMA is write-locked while its count equals the mm's, and gone for good once it is detached. */
static enum fault_end sample_vma(struct fault *f, const struct vma *vma)
{
	f->count = &vma->vm_lock_seq;
	f->sequence = load_acquire(f->count);
	if (f->sequence == load_acquire(&f->mm->mm_lock_seq))
		return fault_gave_up(f, REASON_spf_abort_odd_count);
	if (!READ_ONCE(vma->vm_refcnt)) /* ordered after the counts by their acquire */
		return fault_gave_up(f, REASON_spf_abort_no_vma);
	return END_CONTINUE;
}

/* Step 1, mm-wide: before the look-up, so that the count covers the tree too. */
static enum fault_end sample_mm(struct fault *f)
{
	f->count = &f->mm->mm_lock_seq;
	f->sequence = load_acquire(f->count);
	return f->sequence & 1 ? fault_gave_up(f, REASON_spf_abort_odd_count) : END_CONTINUE;
}

static enum fault_end find_and_sample(struct fault *f, const struct vma **vma)
{
	bool mm_wide = READ_ONCE(spf_validate) == SPF_VALIDATE_MM; /* read once: the attempt keeps its mode */
	enum fault_end end = mm_wide ? sample_mm(f) : END_CONTINUE;

	if (end)
		return end;
	*vma = vma_tree_find(&f->mm->tree, f->address);
	if (!*vma)
		return fault_gave_up(f, REASON_spf_abort_no_vma);
	race_point(spec_after_find);
	return mm_wide ? END_CONTINUE : sample_vma(f, *vma);
}

/* Step 3, on the snapshot. */
static enum fault_end may_speculate(struct fault *f)
{
	if (f->vma.ops && !f->vma.ops->speculative)
		return fault_gave_up(f, REASON_spf_abort_file_ops);
	if (f->vma.ops && f->access == ACCESS_WRITE)
		return fault_gave_up(f, REASON_spf_abort_file_write); /* before the walk: it nearly always ends so */
	if (f->vma.flags & VM_GROWSDOWN)
		return fault_gave_up(f, REASON_spf_abort_growing);
	if (f->address < f->vma.start || f->address >= f->vma.end)
		return fault_gave_up(f, REASON_spf_abort_outside);
	if (fault_check_access(f->vma.flags, f->access) != FAULT_DONE)
		return fault_gave_up(f, REASON_spf_abort_access);
	return END_CONTINUE;
}

static enum fault_end spec_enter(struct fault *f)
{
	const struct vma *vma;
	enum fault_end end;

	rcu_read_lock();
	f->held = HELD_RCU;
	end = find_and_sample(f, &vma);
	if (end)
		return end;
	race_point(spec_after_sample);
	fault_snapshot(f, vma);
	race_point(spec_after_snapshot);
	if (!unchanged(f))
		return fault_gave_up(f, REASON_spf_abort_changed_reading);
	return may_speculate(f);
}

static enum fault_end spec_walk(struct fault *f)
{
	struct pt_walk walk;

	race_point(spec_before_walk);
	walk = pt_walk(f->mm, f->address);
	if (walk.state == PT_NONE)
		return fault_gave_up(f, REASON_spf_abort_pmd_none);
	if (walk.state != PT_TABLE)
		return fault_gave_up(f, REASON_spf_abort_upper_table);
	f->pmdp = walk.pmdp;
	f->orig_pmd = walk.pmd;
	f->ptep = pte_offset(walk.pmd, f->address);
	f->orig_pte = pte_read(f->ptep);
	race_point(spec_after_walk);
	return END_CONTINUE;
}

static enum fault_end spec_need_anon_vma(struct fault *f)
{
	return f->vma.anon_vma ? END_CONTINUE : fault_gave_up(f, REASON_spf_abort_no_anon_vma);
}

/* Never: a fault operation may sleep, and allocate pages. Speculation maps only what map_pages() can map. */
static enum fault_end spec_may_call_ops(struct fault *f)
{
	return fault_gave_up(f, REASON_spf_abort_page_not_cached);
}

/* Seed 000: "abort if the desired page is not found in swap cache". No I/O, and so no read-ahead (S2). */
static enum fault_end spec_may_read_swap(struct fault *f)
{
	return fault_gave_up(f, REASON_spf_abort_swap_not_cached);
}

/*
 * Seed 000: "only use trylock": speculation holds no lock that it could drop while it waits (S16). It can only meet a
 * locked page: it starts no read, and of a mapping it sees no page that is being written to swap.
 */
static enum fault_end spec_wait(struct fault *f, enum fault_wait what)
{
	ASSERT(what == WAIT_PAGE, "speculation begins nothing that it would have to wait for");
	return fault_gave_up(f, REASON_spf_abort_swap_page_locked);
}

static bool try_pte_lock(spinlock_t *ptl)
{
	for (unsigned tries = 0; tries < PTE_LOCK_TRIES; tries++) {
		if (likely(spin_trylock(ptl)))
			return true;
		cpu_relax();
	}
	return false;
}

/* Step 5, with the lock held: repeats the checks. */
static enum fault_end check_under_lock(struct fault *f)
{
	if (!pmd_same(pmd_read(f->pmdp), f->orig_pmd))
		return fault_gave_up(f, REASON_spf_abort_pmd_changed);
	return unchanged(f) ? END_CONTINUE : fault_gave_up(f, REASON_spf_abort_changed_after_ptl);
}

static enum fault_end spec_lock_table(struct fault *f)
{
	enum fault_end end;

	if (!unchanged(f))
		return fault_gave_up(f, REASON_spf_abort_changed_before_ptl);
	race_point(spec_before_ptl);
	if (!pmd_same(pmd_read(f->pmdp), f->orig_pmd))
		return fault_gave_up(f, REASON_spf_abort_pmd_changed);
	f->ptl = pte_lockptr(f->orig_pmd);
	race_point(spec_before_trylock);
	if (!try_pte_lock(f->ptl))
		return fault_gave_up(f, REASON_spf_abort_ptl_busy);
	race_point(spec_after_ptl);
	end = check_under_lock(f);
	if (end)
		fault_unlock_pte(f);
	return end;
}

static enum fault_end spec_no_memory(struct fault *f)
{
	return fault_gave_up(f, REASON_spf_abort_no_memory);
}

const struct fault_strategy strategy_spec = {
	FAULT_STRATEGY(SPEC, spec, spf, .success = COUNT_speculative_pgfault),
	.skip = spec_skip,
	.enter = spec_enter,
	.leave = spec_leave,
	.walk = spec_walk,
	.need_anon_vma = spec_need_anon_vma,
	.may_call_ops = spec_may_call_ops,
	.lock_table = spec_lock_table,
	.no_memory = spec_no_memory,
	.may_read_swap = spec_may_read_swap,
	.wait = spec_wait,
};
