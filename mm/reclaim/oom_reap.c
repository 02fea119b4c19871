/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper's part in mm/: a victim's private memory goes although the victim itself may wait for a lock.
 *
 * mm->unstable is set first, then the entries are cleared, each under its table's lock. A fault commits to an empty entry under
 * the same lock, and asks for mm->unstable there (fault_lock_pte()): either the entry was written before, and is cleared; or the
 * fault sees the flag. A table that the fault makes meanwhile is no way around that: what the fault publishes before it asks, and
 * we read after we have said so, one of the two sees, for both do so with a locked instruction in between.
 *
 * Shared memory stays: it is others' as well.
 *
 * Locks: mmap_lock for reading, tried only; PTE locks.
 * Mirrors: Linux, mm/oom_kill.c: oom_reap_task_mm(), __oom_reap_task_mm(); MMF_UNSTABLE, MMF_OOM_SKIP.
 */
#include "mm/debug/race.h"
#include "mm/reclaim/oom_reap.h"
#include "mm/table/tlb.h"
#include "mm/vma/vma.h"

/* => mmap_lock held. */
static void zap_private(struct mm *mm)
{
	struct tlb_gather tlb;
	struct vma *vma;

	assert_mmap_locked(mm);
	tlb_gather_begin(&tlb, mm);
	vma_tree_for_each (vma, &mm->tree)
		if (!(vma->flags & VM_SHARED))
			zap_range(&tlb, mm, vma->start, vma->end);
	tlb_gather_finish(&tlb);
}

bool mm_reap(struct mm *mm)
{
	assert_mm_referenced(mm);
	assert_no_lock_from(RANK_MMAP_LOCK);
	(void)atomic_xchg(&mm->unstable, true);
	race_point(reap_begun);
	if (!mmap_read_trylock_unless_ending(mm))
		return false;
	zap_private(mm);
	WRITE_ONCE(mm->reaped, true);
	mmap_read_unlock(mm);
	return true;
}
