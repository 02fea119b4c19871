/* SPDX-License-Identifier: MIT */
/*
 * mprotect: changes the access rights of a range, VMA by VMA. As on Linux, a call that fails at a hole or at a refused
 * VMA has already changed what lies before it.
 *
 * Per VMA: the flags change first, in the bracket, then the entries, each by compare and exchange, because the CPU sets
 * accessed and dirty bits at the same time (K8). All translations that lost rights are flushed before mmap_lock is
 * released, and so before any fault can act on an entry that looks read-only (rule 5). Entries never gain the write bit
 * here: the next write faults, and the write-protect fault (fault_wp.c) decides whether the page is shared.
 */
#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/debug/race.h"
#include "mm/table/tlb.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/pkey.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma_change.h"

/* True if a CPU may hold a translation that permits more than the new entry. */
static bool loses_rights(pte_t old, pte_t new)
{
	if (!pte_present(old))
		return false;
	if (!pte_present(new) || (pte_write(old) && !pte_write(new)))
		return true;
	return (pte_exec(old) && !pte_exec(new)) || pte_pkey(old) != pte_pkey(new);
}

static void change_entry(struct tlb_gather *tlb, pte_t *ptep, vaddr_t addr, u64 prot)
{
	pte_t old, new;

	do {
		old = pte_read(ptep);
		if (!pte_maps_page(old))
			return;
		new = pte_modify(old, prot);
		if (pte_same(old, new))
			return;
		race_point(mprotect_entry_read);
	} while (!pte_cas(ptep, old, new));
	if (loses_rights(old, new))
		tlb_remove_tlb_entry(tlb, addr);
}

static void change_entries(struct tlb_gather *tlb, struct mm *mm, vaddr_t start, vaddr_t end, u64 prot)
{
	struct pt_iter it;

	pt_for_each_table (&it, mm, start, end)
		for (; it.addr < it.stop; it.addr += PAGE_SIZE, it.pte++)
			change_entry(tlb, it.pte, it.addr, prot);
}

/*
 * Charges memory when it first becomes private and writable; stops charging anonymous memory that becomes unwritable
 * and was never touched. Returns 0 or -ENOMEM.
 */
static long mprotect_charge(struct mm *mm, const struct vma *vma, u64 nr_pages, u64 *flags)
{
	if (!(*flags & VM_WRITE)) {
		if (vma->flags & VM_ACCOUNT && vma_is_anonymous(vma) && !vma->anon_vma)
			*flags &= ~VM_ACCOUNT;
		return 0;
	}
	if (!mm_may_grow(mm, *flags, nr_pages) && mm_may_grow(mm, vma->flags, nr_pages))
		return -ENOMEM;
	if (vma->flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE))
		return 0;
	if (!mm_may_commit(nr_pages))
		return -ENOMEM;
	*flags |= VM_ACCOUNT;
	return 0;
}

struct protection {
	u64 prot; /* PROT_*, without the directions of growth */
	int key;  /* a protection key, or -1 */
};

/* The ranges in which private copies must be made once mmap_lock is released. */
#define MAX_COPIES 8
struct copies {
	unsigned nr;
	struct {
		vaddr_t start, end;
	} range[MAX_COPIES];
};

/*
 * Adds a range; ranges arrive in ascending order. If there are too many, the last one is extended over the gap, whose
 * pages are then faulted in a little early.
 */
static void note_copies(struct copies *copies, vaddr_t start, vaddr_t end)
{
	unsigned last = copies->nr - 1;

	if (copies->nr && (copies->range[last].end == start || copies->nr == MAX_COPIES)) {
		copies->range[last].end = end;
		return;
	}
	copies->range[copies->nr].start = start;
	copies->range[copies->nr].end = end;
	copies->nr++;
}

/*
 * True if locked, unwritable, private memory becomes writable: its private copies must be made now, as if it had been
 * locked writable.
 */
static bool wants_copies(u64 old, u64 new)
{
	return (old & (VM_WRITE | VM_SHARED | VM_LOCKED)) == VM_LOCKED && (new &VM_WRITE);
}

/* [start, end) is a part of vma. */
static long protect_part(struct tlb_gather *tlb, struct vma *vma, vaddr_t start, vaddr_t end,
			 const struct protection *to, struct copies *copies)
{
	u64 access = to->prot & VM_ACCESS, key = vma_key_flags(vma, to->prot, to->key);
	u64 flags = (vma->flags & ~(VM_ACCESS | VM_PKEY)) | access | key, old_flags;
	long error;

	if (access & ~(vma->flags >> 4) & VM_ACCESS) /* VM_MAYREAD is VM_READ << 4, and so on */
		return -EACCES;
	if (flags == vma->flags)
		return 0;
	old_flags = vma->flags;
	error = mprotect_charge(vma->mm, vma, (end - start) >> PAGE_SHIFT, &flags);
	if (error)
		return error;
	vma = vma_modify_flags(vma, start, end, flags);
	if (is_err(vma))
		return ptr_err(vma);
	race_point(mprotect_after_vma);
	change_entries(tlb, vma->mm, start, end, vma->page_prot);
	if (wants_copies(old_flags, flags)) {
		/*
		 * Linux makes the copies here. So the anon_vma must exist before the next part changes, which may
		 * then be able to merge with this one.
		 */
		if (!(flags & VM_LOCKONFAULT))
			(void)anon_vma_prepare(vma);
		note_copies(copies, start, end);
	}
	return 0;
}

static long protect_range(struct mm *mm, vaddr_t start, vaddr_t end, const struct protection *to, struct copies *copies)
{
	struct tlb_gather tlb;
	long error = 0;

	tlb_gather_begin(&tlb, mm);
	while (!error && start < end) {
		struct vma *vma = vma_tree_find(&mm->tree, start);
		vaddr_t stop = vma ? min(vma->end, end) : end;

		error = vma ? protect_part(&tlb, vma, start, stop, to, copies) : -ENOMEM;
		start = stop;
	}
	tlb_gather_finish(&tlb);
	return error;
}

/* PROT_GROWSDOWN: the change reaches down to the start of the stack that contains it. */
static long extend_down(struct mm *mm, vaddr_t *start, vaddr_t end)
{
	const struct vma *vma = vma_tree_find_from(&mm->tree, *start);

	if (!vma || vma->start >= end)
		return -ENOMEM;
	*start = vma->start;
	return vma->flags & VM_GROWSDOWN ? 0 : -EINVAL;
}

/* PROT_GROWSUP: no VMA grows upwards on this machine. */
static long refuse_up(struct mm *mm, vaddr_t start)
{
	return vma_tree_find(&mm->tree, start) ? -EINVAL : -ENOMEM;
}

/* Adjusts the range for PROT_GROWSDOWN and PROT_GROWSUP, then changes it. Context: mmap_lock held for writing. */
static long protect_locked(struct mm *mm, vaddr_t start, vaddr_t end, u64 grows, const struct protection *to,
			   struct copies *copies)
{
	long error = 0;

	assert_mmap_write_locked(mm);
	if (to->key != -1 && !mm_key_in_use(mm, to->key))
		return -EINVAL;
	if (grows == PROT_GROWSDOWN)
		error = extend_down(mm, &start, end);
	else if (grows == PROT_GROWSUP)
		error = refuse_up(mm, start);
	return error ? error : protect_range(mm, start, end, to, copies);
}

long mm_mprotect(struct mm *mm, vaddr_t addr, u64 len, u64 prot, int key)
{
	u64 grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	const struct protection to = { .prot = prot & ~grows, .key = key };
	vaddr_t end = addr + align_up(len, PAGE_SIZE);
	struct copies copies = { 0 };
	long error;

	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || addr & ~PAGE_MASK)
		return -EINVAL;
	if (!len)
		return 0;
	if (end <= addr)
		return -ENOMEM;
	if (to.prot & ~(u64)(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
		return -EINVAL;
	error = mmap_write_lock_killable(mm);
	if (error)
		return error;
	error = protect_locked(mm, addr, end, grows, &to, &copies);
	mmap_write_unlock(mm);
	for (unsigned i = 0; i < copies.nr; i++)
		mm_populate_locked(mm, copies.range[i].start, copies.range[i].end);
	return error;
}
