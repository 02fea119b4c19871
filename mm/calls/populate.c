/* SPDX-License-Identifier: MIT */
/*
 * Faults pages in before they are touched. No lock is held: fault_in() takes the locks it needs, page by page. Only the
 * check whether a page is already mapped takes the PTE lock here.
 */
#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/fault.h"
#include "mm/reclaim/reclaim.h"
#include "mm/vma/vma_change.h"

/*
 * The errors of Linux's MADV_POPULATE_*: for a missing VMA, missing rights (or a protection key), an address beyond the
 * end of the object, a dying thread.
 */
static long error_of(enum fault_answer answer)
{
	switch (answer) {
	case FAULT_DONE:
		return 0;
	case FAULT_NO_ACCESS:
	case FAULT_NO_KEY:
	case FAULT_NO_PROGRESS:
		return -EINVAL;
	case FAULT_BEYOND_END:
	case FAULT_IO_ERROR:
		return -EFAULT;
	case FAULT_KILLED:
		return -EINTR;
	default:
		return -ENOMEM;
	}
}

static bool is_usable(pte_t pte, bool write)
{
	return pte_present(pte) && (!write || pte_write(pte));
}

/*
 * True if the page is mapped with the rights needed. Reclaim checks whether the memory is locked and takes the page,
 * both under the entry's lock. So a check under the same lock finds the page gone, or reclaim finds the memory locked
 * (W5), and mlock can rely on what is found here. An entry that looks empty without the lock is left to the fault.
 */
static bool is_present(struct mm *mm, vaddr_t addr, bool write)
{
	struct pt_walk walk;
	bool present = false;

	rcu_read_lock();
	walk = pt_walk(mm, addr);
	if (walk.state == PT_TABLE && is_usable(pte_read(pte_offset(walk.pmd, addr)), write)) {
		spin_lock(pte_lockptr(walk.pmd));
		present = pmd_same(pmd_read(walk.pmdp), walk.pmd) &&
			  is_usable(pte_read(pte_offset(walk.pmd, addr)), write);
		spin_unlock(pte_lockptr(walk.pmd));
	}
	rcu_read_unlock();
	return present;
}

/*
 * No lock is held, so memory can be reclaimed here. FAULT_DONE says that the access is to be retried, not that the page
 * is mapped: another thread may have removed it first, for example reclaim, while it was being copied.
 */
static long populate_page(struct mm *mm, vaddr_t addr, bool write)
{
	enum fault_answer answer;

	if (thread_killed())
		return -EINTR;
	do {
		answer = fault_in(mm, addr, write ? ACCESS_WRITE : ACCESS_READ, 0);
	} while (answer == FAULT_OUT_OF_MEMORY && make_room());
	if (answer == FAULT_DONE)
		thread_count_fault(); /* as on Linux: for the calling thread */
	cond_resched();
	return error_of(answer);
}

/*
 * The inner loop ends: a fault that is done has installed an entry that permits the access, so the next check finds it,
 * unless another thread removed it in between; and a dying thread returns -EINTR.
 */
long mm_populate(struct mm *mm, vaddr_t start, vaddr_t end, bool write)
{
	assert_no_lock_from(RANK_MMAP_LOCK);
	for (vaddr_t addr = start; addr < end; addr += PAGE_SIZE) {
		long error = 0;

		while (!error && !is_present(mm, addr, write))
			error = populate_page(mm, addr, write);
		if (error)
			return error;
	}
	return 0;
}

void mm_populate_flags(struct mm *mm, vaddr_t start, vaddr_t end, u64 vm_flags)
{
	if (vm_flags & VM_ACCESS && !(vm_flags & VM_LOCKONFAULT))
		(void)mm_populate(mm, start, end, (vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE);
}
