/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper's part in mm/: frees a victim's private memory even while the victim itself waits for a lock.
 *
 * mm->unstable is set first, then the entries are cleared, each under its table's lock. A fault commits to an empty
 * entry under the same lock, and checks mm->unstable there (fault_lock_pte()): either the entry was written before,
 * and is cleared; or the fault sees the flag. This also holds for a table that the fault links concurrently: the fault
 * links the table and then reads the flag, the reaper sets the flag and then reads the tables. As each executes a
 * locked instruction in between, either the fault sees the flag or the reaper sees the table.
 *
 * Shared memory stays: other processes use it too.
 *
 * Locks: mmap_lock for reading, tried only; PTE locks.
 * Mirrors: Linux, mm/oom_kill.c: oom_reap_task_mm(), __oom_reap_task_mm(); MMF_UNSTABLE, MMF_OOM_SKIP.
 */
#include "mm/debug/race.h"
#include "mm/reclaim/oom_reap.h"
#include "mm/table/tlb.h"
#include "mm/table/zap.h"
#include "mm/vma/vma.h"

/* Context: mmap_lock held. */
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
