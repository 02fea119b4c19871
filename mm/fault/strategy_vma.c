/* SPDX-License-Identifier: MIT */
/*
 * The per-VMA lock strategy: holds the lock of one VMA for reading during the whole fault.
 *
 * Holds	one VMA for reading. That VMA does not change, and no page table below it goes away; everything else
 *		may change.
 * May		sleep for memory, build page tables, signal that an access is not permitted.
 * Costs	one shared cache line for each VMA, written by every fault in it. Only writers of this VMA wait for the
 *		fault, and the fault waits for no writer: it gives up if one holds the VMA.
 * Retries	after waiting for a page with the lock dropped (V19); the second time it waits for a page it keeps the
 *		lock.
 * Gives up	when the VMA cannot be locked or the answer needs more than this VMA: see the `vma_lock_` rows of
 *		reasons.h.
 *
 *	1. find_and_lock	look up the VMA without a lock, under RCU; try to lock it; if it has been
 *				detached in between, look up again from the root (V12)
 *	2. check that it still contains the address
 *	3. check that it permits the access. A refusal is final: the VMA is locked, so its flags are current.
 *	4. snapshot
 *
 * Lock order: under a VMA lock, mmap_lock may only be tried, never waited for (V15); anon_vma preparation tries it.
 *
 * Mirrors: Linux 6.15, lock_vma_under_rcu(); vmf_anon_prepare(), vmf_can_call_fault().
 */
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/vma/access.h"

static enum fault_reason vma_skip(const struct fault *f)
{
	return f->flags & FAULT_USER ? REASON_NONE : REASON_vma_lock_skip_not_user;
}

static void vma_leave(struct fault *f)
{
	vma_end_read(f->locked_vma);
	f->held = HELD_NOTHING;
}

/* No VMA contains the address: could a stack grow to it, or is it unmapped? */
static enum fault_end found_nothing(struct fault *f)
{
	const struct vma *above = vma_tree_find_from(&f->mm->tree, f->address);

	/* Read without a lock: a stale flag only selects the other reason; the mmap strategy decides. */
	if (above && (READ_ONCE(above->flags) & VM_GROWSDOWN))
		return fault_gave_up(f, REASON_vma_lock_abort_stack);
	return fault_gave_up(f, REASON_vma_lock_miss);
}

/*
 * Step 1. The loop ends: a VMA is removed from the tree before it is detached, so the same one is not found again.
 *
 * Context: an RCU section.
 */
static enum fault_end vma_find_and_lock(struct fault *f)
{
	assert_in_rcu();
	for (;;) {
		struct vma *vma = vma_tree_find(&f->mm->tree, f->address);

		if (!vma)
			return found_nothing(f);
		race_point(vma_after_find);
		switch (vma_start_read(f->mm, vma)) {
		case VMA_READ_LOCKED:
			f->locked_vma = vma;
			f->held = HELD_VMA;
			return END_CONTINUE;
		case VMA_READ_WRITE_LOCKED:
			return fault_gave_up(f, REASON_vma_lock_abort_write_locked);
		case VMA_READ_DETACHED:
			count_nr(COUNT_FIRST_REASON + REASON_vma_lock_detached, 1);
			event_now(EVENT_look_again, f->address, REASON_vma_lock_detached);
		}
	}
}

static enum fault_end vma_enter(struct fault *f)
{
	enum fault_answer refusal;
	enum fault_end end;

	rcu_read_lock();
	end = vma_find_and_lock(f);
	rcu_read_unlock();
	if (end)
		return end;
	race_point(vma_after_lock);
	fault_snapshot(f, f->locked_vma);
	if (f->address < f->vma.start || f->address >= f->vma.end)
		return fault_gave_up(f, REASON_vma_lock_abort_outside);
	refusal = fault_check_access(f->vma.flags, f->access);
	if (refusal)
		return fault_answered(f, refusal);
	race_point(vma_locked);
	return END_CONTINUE;
}

static enum fault_end vma_need_anon_vma(struct fault *f)
{
	int error;

	if (likely(f->vma.anon_vma))
		return END_CONTINUE;
	if (!mmap_read_trylock(f->mm))
		return fault_gave_up(f, REASON_vma_lock_abort_anon_vma);
	error = anon_vma_prepare(f->locked_vma);
	mmap_read_unlock(f->mm);
	if (error)
		return fault_no_memory_locked(f);
	f->vma.anon_vma = load_acquire(&f->locked_vma->anon_vma);
	return END_CONTINUE;
}

static enum fault_end vma_may_call_ops(struct fault *f)
{
	return f->vma.ops->without_mmap_lock ? END_CONTINUE : fault_gave_up(f, REASON_vma_lock_abort_file_ops);
}

static enum fault_end vma_wait(struct fault *f, enum fault_wait what)
{
	return fault_wait_locked(
		f, what, what == WAIT_SWAP_REQUEST ? REASON_vma_lock_retry_swap_request : REASON_vma_lock_retry_page);
}

const struct fault_strategy strategy_vma = {
	FAULT_STRATEGY(VMA, vma, vma_lock, .success = COUNT_vma_lock_success, .gave_up = COUNT_vma_lock_abort,
		       .retry = COUNT_vma_lock_retry),
	.skip = vma_skip,
	.enter = vma_enter,
	.leave = vma_leave,
	.walk = fault_walk_locked,
	.need_anon_vma = vma_need_anon_vma,
	.may_call_ops = vma_may_call_ops,
	.lock_table = fault_lock_table_locked,
	.no_memory = fault_no_memory_locked,
	.may_read_swap = fault_may_read_swap_locked,
	.wait = vma_wait,
	.wait_removal = fault_wait_removal_locked,
	.throttle = fault_throttle_locked,
};
