/* SPDX-License-Identifier: MIT */
/*
 * Steps that the mmap and the vma strategy share. Both hold a lock under which no page table of the address can go away,
 * so both may build what is missing, and wait for the PTE lock.
 */
#include "mm/fault.h"

void fault_snapshot(struct fault *f, const struct vma *vma)
{
	/* Acquire, so that a count read afterwards is not read before (speculation); free on x86. */
	f->vma.start = load_acquire(&vma->start);
	f->vma.end = load_acquire(&vma->end);
	f->vma.flags = load_acquire(&vma->flags);
	f->vma.page_prot = load_acquire(&vma->page_prot);
	f->vma.pgoff = load_acquire(&vma->pgoff);
	f->vma.anon_vma = load_acquire(&vma->anon_vma);
	f->vma.mapping = load_acquire(&vma->mapping);
	f->vma.ops = load_acquire(&vma->ops);
}

static void take_table(struct fault *f, const struct pt_walk *walk)
{
	f->pmdp = walk->pmdp;
	f->orig_pmd = walk->pmd;
	f->ptep = pte_offset(walk->pmd, f->address);
}

enum fault_end fault_walk_locked(struct fault *f)
{
	struct pt_walk walk = pt_walk(f->mm, f->address);

	f->ptep = NULL;
	f->orig_pte = (pte_t){ 0 };
	if (walk.state == PT_TABLE) {
		take_table(f, &walk);
		f->orig_pte = pte_read(f->ptep);
	} else if (unlikely(walk.state == PT_HUGE || walk.state == PT_BAD)) {
		pt_dump_walk(f->mm, f->address);
		panic("page tables hold what nobody put there, at %lx", (unsigned long)f->address);
	}
	return END_GO_ON;
}

/* Builds the table now that there is a page to map. */
static bool have_table(struct fault *f)
{
	struct pt_walk walk;

	if (likely(f->ptep))
		return true;
	walk = pt_build(f->mm, f->address);
	if (walk.state != PT_TABLE)
		return false;
	take_table(f, &walk);
	return true;
}

enum pte_lock_result fault_lock_pte_locked(struct fault *f)
{
	if (unlikely(!have_table(f))) {
		f->vanished = f->strategy->no_memory(f);
		return PTE_VANISHED;
	}
	f->ptl = pte_lockptr(f->orig_pmd);
	spin_lock(f->ptl);
	if (likely(pte_same(pte_read(f->ptep), f->orig_pte)))
		return PTE_LOCKED;
	spin_unlock(f->ptl);
	return PTE_CHANGED;
}

enum fault_end fault_no_memory_locked(struct fault *f)
{
	return fault_answered(f, FAULT_OUT_OF_MEMORY);
}
