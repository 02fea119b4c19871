/* SPDX-License-Identifier: MIT */
/*
 * Which kind of fault is it? The entry and the snapshot of the VMA decide; which strategy runs does not.
 *
 *	entry		VMA		access		kind
 *	none		anonymous	any		fault_anon
 *	none		of a mapping	any		fault_mapping
 *	maps a page	any		write, and the entry is read-only	fault_write_protect
 *	maps a page	any		otherwise	nothing to do: proved benign
 *	a swap slot	any		any		fault_swap
 */
#include "mm/counters.h"
#include "mm/fault.h"

/* Does the entry let the CPU do it by now? */
static bool pte_permits(pte_t pte, enum fault_access access)
{
	if (!pte_present(pte))
		return false;
	return access == ACCESS_WRITE ? pte_write(pte) : access == ACCESS_EXEC ? !(pte.val & PTE_NX) : true;
}

/*
 * Somebody was faster, or a CPU used a translation that had not been refreshed. Both are benign exactly if the entry now
 * permits the access; otherwise the access would fault for ever (K3), which is a bug of ours.
 */
static enum fault_end nothing_to_do(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end != END_GO_ON)
		return end;
	BUG_ON(!pte_permits(f->orig_pte, f->access),
	       "a fault at %lx finds nothing to do, but entry %lx forbids the access", (unsigned long)f->address,
	       (unsigned long)f->orig_pte.val);
	fault_unlock_pte(f);
	count(spurious_faults);
	return fault_answered(f, FAULT_DONE);
}

/*
 * What the walk has read may be of two entries, where entries are wider than a word: before anything is made of it, it is
 * compared under the lock. As seed 000, and pte_unmap_same() before it. An empty or present one is compared later anyway, before
 * anything is committed to.
 */
static enum fault_end verify_entry(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end == END_GO_ON)
		fault_unlock_pte(f);
	return end;
}

enum fault_end fault_handle(struct fault *f)
{
	enum fault_end end = f->strategy->walk(f);

	if (end == END_GO_ON && machine_entries_tear() && !pte_none(f->orig_pte) && !pte_present(f->orig_pte))
		end = verify_entry(f);
	if (end != END_GO_ON)
		return end;
	if (unlikely(f->flags & FAULT_SWAPOFF) && pte_kind(f->orig_pte) != PTE_KIND_SWAP)
		return fault_answered(f, FAULT_DONE);
	switch (pte_kind(f->orig_pte)) {
	case PTE_KIND_NONE:
		if (f->vma.ops) {
			f->kind = KIND_MAPPING;
			return fault_mapping(f);
		}
		f->kind = KIND_ANON;
		return fault_anon(f);
	case PTE_KIND_PAGE:
		if (f->access == ACCESS_WRITE && pte_present(f->orig_pte) && !pte_write(f->orig_pte)) {
			f->kind = KIND_WRITE_PROTECT;
			return fault_write_protect(f);
		}
		f->kind = KIND_NOTHING;
		return nothing_to_do(f);
	case PTE_KIND_SWAP:
		f->kind = KIND_SWAP;
		return fault_swap(f);
	default:
		panic("entry %lx at %lx is of a kind that nothing writes yet", (unsigned long)f->orig_pte.val,
		      (unsigned long)f->address);
	}
}

enum fault_end fault_lock_pte(struct fault *f)
{
	switch (f->strategy->lock_pte(f)) {
	case PTE_LOCKED:
		if (likely(!READ_ONCE(f->mm->unstable)) || !pte_none(f->orig_pte))
			return END_GO_ON;
		fault_unlock_pte(f);
		return fault_answered(f, FAULT_KILLED);
	case PTE_CHANGED:
		return fault_answered(f, FAULT_DONE); /* somebody was faster: that is success (K4) */
	default:
		return f->vanished;
	}
}
