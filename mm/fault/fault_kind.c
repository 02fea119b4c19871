/* SPDX-License-Identifier: MIT */
/*
 * Finds out the kind of a fault and calls its handler: the entry and the VMA snapshot decide, not the strategy.
 *
 *	entry		VMA		access		kind
 *	none		anonymous	any		fault_anon
 *	none		of a mapping	any		fault_mapping
 *	maps a page	any		write, and the entry is read-only	fault_write_protect
 *	maps a page	any		otherwise	nothing to do: proved benign
 *	a swap slot	any		any		fault_swap
 */
#include "mm/debug/counters.h"
#include "mm/fault/core.h"

#define SAME_FAULTS_MAX 10000

static bool key_of_entry_permits(pte_t pte, enum fault_access access)
{
	if (nr_keys() == 1 || access == ACCESS_EXEC)
		return true;
	return key_permits(keys_read(), pte_pkey(pte), access == ACCESS_WRITE);
}

/* Does the entry now permit this access, for the thread and in the CPU mode that made it? */
static bool entry_permits(const struct fault *f)
{
	pte_t pte = f->orig_pte;

	if (!pte_present(pte) || ((f->flags & FAULT_USER) && !pte_user(pte)) || !key_of_entry_permits(pte, f->access))
		return false;
	return f->access == ACCESS_WRITE ? pte_write(pte) : f->access == ACCESS_EXEC ? pte_exec(pte) : true;
}

/*
 * A benign fault is over when its instruction has run again. If the same fault repeats this often, with no other fault
 * of the thread in between and no wait, then the CPU refuses the access for a reason that is not in the entry. Another
 * thread that keeps unmapping and touching the page cannot cause this: some of the faults would find the entry empty.
 * Faults on behalf of other callers are not followed by an access of this thread, and not counted as its own.
 */
static bool makes_no_progress(const struct fault *f)
{
	struct fault_repeat *last = thread_fault_repeat();
	struct fault_repeat now = {
		.ip = machine_user_ip(), .address = f->address, .nr_faults = thread_nr_faults(), .access = f->access
	};
	bool same = last->ip == now.ip && last->address == now.address && last->access == now.access &&
		    now.nr_faults == last->nr_faults + 1 && !(f->flags & FAULT_TRIED);

	now.times = same ? last->times + 1 : 0;
	*last = now;
	return now.times >= SAME_FAULTS_MAX;
}

/* For an access by the kernel this is a bug; a program gets a signal, and may continue elsewhere. */
static enum fault_end no_progress(struct fault *f)
{
	BUG_ON(!(f->flags & FAULT_USER), "kernel access to %lx faults again and again, though entry %lx permits it",
	       (unsigned long)f->address, (unsigned long)f->orig_pte.val);
	*thread_fault_repeat() = (struct fault_repeat){ 0 };
	return fault_answered(f, FAULT_NO_PROGRESS);
}

/*
 * Another CPU resolved the fault first, or this CPU used a stale translation. Both are benign exactly if the entry now
 * permits the access; otherwise the access would fault for ever (K3), which is a kernel bug.
 * Not inlined into fault_handle(), so that other faults need not save the registers that this one uses.
 */
static enum fault_end __noinline nothing_to_do(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end)
		return end;
	BUG_ON(!entry_permits(f), "a fault at %lx finds nothing to do, but entry %lx forbids the access",
	       (unsigned long)f->address, (unsigned long)f->orig_pte.val);
	fault_unlock_pte(f);
	count(spurious_faults);
	return makes_no_progress(f) ? no_progress(f) : fault_answered(f, FAULT_DONE);
}

/*
 * Where entries are wider than a word, the walk may have read parts of two different entries: compares the entry under
 * the lock before its contents are used. As in seed 000, and in pte_unmap_same() before it. An empty or present entry
 * is compared later anyway, before the commit.
 */
static enum fault_end verify_entry(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end)
		return end;
	fault_unlock_pte(f);
	return END_CONTINUE;
}

enum fault_end fault_handle(struct fault *f)
{
	enum fault_end end = f->strategy->walk(f);

	if (end)
		return end;
	if (machine_entries_tear() && !pte_none(f->orig_pte) && !pte_present(f->orig_pte)) {
		end = verify_entry(f);
		if (end)
			return end;
	}
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
