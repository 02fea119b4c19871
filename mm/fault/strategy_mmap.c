/* SPDX-License-Identifier: MIT */
/*
 * The classic strategy: holds mmap_lock for reading during the whole fault.
 *
 * Holds	mmap_lock for reading. As long as it is held, no VMA of the address space changes, no page table goes
 *		away.
 * May		sleep for memory, build page tables, signal, grow a stack (after taking mmap_lock again, for
 *		writing).
 * Costs	one shared cache line written by every fault (the lock); every mmap, munmap and mprotect of any thread
 *		waits for the fault, and the fault waits for them.
 * Gives up	never: it is the last resort. It retries after growing a stack, and after waiting for a page with the
 *		lock dropped; the second time it waits for a page it keeps the lock.
 *
 *	1. lock_address_space	killable
 *	2. find the VMA; for the thread's own access, grow a stack down to the address if none contains it
 *	3. check that the VMA permits the access; otherwise SIGSEGV
 *	4. snapshot
 *
 * Rejected: growing the stack under mmap_lock for reading, as Linux did until 6.5. Another reader without RCU may be
 * walking the node that growth replaces (V5, "StackRot").
 *
 * Mirrors: Linux 6.1, do_user_addr_fault(); stacks as Linux 6.5, lock_mm_and_find_vma().
 */
#include "kernel/lib/errno.h"
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/vma/access.h"
#include "mm/vma/stack.h"

static enum fault_reason mmap_skip(const struct fault *f)
{
	(void)f;
	return REASON_NONE;
}

static void mmap_leave(struct fault *f)
{
	mmap_read_unlock(f->mm);
	f->held = HELD_NOTHING;
}

/* Step 1. */
static __always_inline bool lock_address_space(struct fault *f)
{
	int error;

	f->sleep = FAULT_SLEEP_mmap_lock;
	error = down_read_killable(&f->mm->mmap_lock);
	f->sleep = FAULT_SLEEP_none;
	if (!error)
		f->held = HELD_MMAP;
	return !error;
}

static bool is_below_stack(const struct fault *f, const struct vma *vma)
{
	return vma && f->address < vma->start && (vma->flags & VM_GROWSDOWN);
}

/* Returns 0, -EINTR: killed, or -ENOMEM. */
static int lock_and_expand(struct fault *f)
{
	struct vma *vma;
	int error;

	f->sleep = FAULT_SLEEP_mmap_lock;
	error = mmap_write_lock_killable(f->mm);
	if (error)
		return error;
	f->sleep = FAULT_SLEEP_stack_growth;
	vma = vma_tree_find_from(&f->mm->tree, f->address);
	error = is_below_stack(f, vma) ? vma_expand_stack(f->mm, vma, f->address) : 0;
	mmap_write_unlock(f->mm);
	return error;
}

/* Step 2, the rare case: drops the lock, grows the stack under mmap_lock for writing, and retries the strategy. */
static enum fault_end grow_stack(struct fault *f)
{
	int error;

	mmap_leave(f);
	error = lock_and_expand(f);
	f->sleep = FAULT_SLEEP_none;
	if (error)
		return fault_answered(f, error == -EINTR ? FAULT_KILLED : FAULT_NO_MAPPING);
	return fault_retry(f, REASON_mmap_retry_stack);
}

static __always_inline enum fault_end mmap_find_and_lock(struct fault *f)
{
	struct vma *vma;

	if (!lock_address_space(f))
		return fault_answered(f, FAULT_KILLED);
	race_point(mmap_locked);
	vma = vma_tree_find_from(&f->mm->tree, f->address);
	if (f->flags & FAULT_OWN && is_below_stack(f, vma))
		return grow_stack(f);
	if (!vma || f->address < vma->start)
		return fault_answered(f, FAULT_NO_MAPPING);
	f->locked_vma = vma;
	fault_snapshot(f, vma);
	return END_CONTINUE;
}

static enum fault_end mmap_enter(struct fault *f)
{
	enum fault_end end = mmap_find_and_lock(f);
	enum fault_answer refusal;

	if (end)
		return end;
	refusal = fault_check_access(f->vma.flags, f->access);
	return refusal ? fault_answered(f, refusal) : END_CONTINUE;
}

static enum fault_end mmap_need_anon_vma(struct fault *f)
{
	if (likely(f->vma.anon_vma))
		return END_CONTINUE;
	if (anon_vma_prepare(f->locked_vma))
		return fault_no_memory_locked(f);
	f->vma.anon_vma = load_acquire(&f->locked_vma->anon_vma);
	return END_CONTINUE;
}

static enum fault_end mmap_may_call_ops(struct fault *f)
{
	(void)f;
	return END_CONTINUE;
}

static enum fault_end mmap_wait(struct fault *f, enum fault_wait what)
{
	return fault_wait_locked(f, what,
				 what == WAIT_SWAP_REQUEST ? REASON_mmap_retry_swap_request : REASON_mmap_retry_page);
}

/* ---- Swapping in for swapoff ------------------------------------------------------------------------------------- */

static enum fault_end swap_in_enter(struct fault *f)
{
	return mmap_find_and_lock(f);
}

static enum fault_end swap_in_walk(struct fault *f)
{
	enum fault_end end = fault_walk_locked(f);

	if (end)
		return end;
	return pte_kind(f->orig_pte) == PTE_KIND_SWAP ? END_CONTINUE : fault_answered(f, FAULT_DONE);
}

#define MMAP_STEPS                                                                                                     \
	FAULT_STRATEGY(MMAP, mmap, mmap), .skip = mmap_skip, .leave = mmap_leave, .need_anon_vma = mmap_need_anon_vma, \
					  .may_call_ops = mmap_may_call_ops, .lock_table = fault_lock_table_locked,    \
					  .no_memory = fault_no_memory_locked,                                         \
					  .may_read_swap = fault_may_read_swap_locked, .wait = mmap_wait,              \
					  .wait_removal = fault_wait_removal_locked, .throttle = fault_throttle_locked

const struct fault_strategy strategy_mmap = { MMAP_STEPS, .enter = mmap_enter, .walk = fault_walk_locked };
const struct fault_strategy strategy_mmap_swap_in = { MMAP_STEPS, .enter = swap_in_enter, .walk = swap_in_walk };
