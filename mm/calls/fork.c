/* SPDX-License-Identifier: MIT */
/*
 * Copies an address space for fork. Private pages are shared read-only between parent and child until one of them
 * writes.
 *
 * The rule of this file (5, S1, V1): once an entry is write-protected, no strategy may rely on what it says until every
 * CPU has flushed its writable translation. So each VMA is write-locked before it is copied, and mmap_lock, whose
 * release ends all brackets (the write locks of VMAs), is released only after the flush.
 *
 * Mirrors: Linux, dup_mmap(), copy_page_range(); the VMA locking as in Linux 6.4 and later.
 */
#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/debug/race.h"
#include "mm/services.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"
#include "mm/vma/rmap.h"

struct copy {
	struct mm *child, *parent;
	bool flush; /* some entry of the parent lost its write permission */
};

/* Write-protects the page for both; the CPU may set other bits at the same time (K8). Returns the child's entry. */
static pte_t share_page(struct copy *copy, pte_t *ptep, pte_t old)
{
	struct page *page = pte_counted_page(old);

	if (pte_write(old)) {
		old = pte_clear_bits(ptep, PTE_WRITE);
		copy->flush = true;
		race_point(fork_after_wrprotect);
	}
	if (page) {
		page_get(page);
		rmap_dup(page);
		mm_rss_add(copy->child, page_rss_kind(page), 1);
	}
	return pte_mkold(pte_wrprotect(old)); /* the child has not touched it yet */
}

/* Shares the slot without reading the page: parent and child each fault it in when they touch it. */
static void share_slot(struct copy *copy, pte_t pte)
{
	swap_dup(pte_swap_slot(pte));
	mm_rss_add(copy->child, RSS_SWAP, 1);
}

/* The child's page table exists, and no other thread uses it. Context: the entry's lock held: the parent's. */
static void copy_entry(struct copy *copy, pte_t *from, pte_t *to)
{
	pte_t pte = pte_read(from);

	assert_entry_locked(from);
	switch (pte_kind(pte)) {
	case PTE_KIND_NONE:
		return;
	case PTE_KIND_PAGE:
		pte = share_page(copy, from, pte);
		break;
	case PTE_KIND_SWAP:
		share_slot(copy, pte);
		break;
	case PTE_KIND_SPECIAL:
	case PTE_KIND_MARKER:
		break; /* copied unchanged: nothing is counted for it */
	}
	pte_fill_settled(to, pte);
}

/*
 * Unlocks the parent's page table, because allocating the child's may have to reclaim memory; the iterator visits the
 * parent's table again.
 */
static bool build_unlocked(struct copy *copy, struct pt_iter *it)
{
	pt_iter_again(it);
	return pt_build(copy->child, it->addr).state == PT_TABLE;
}

static int copy_range(struct copy *copy, vaddr_t start, vaddr_t end)
{
	struct pt_iter it;

	pt_for_each_table (&it, copy->parent, start, end) {
		struct pt_walk walk = pt_walk(copy->child, it.addr);
		pte_t *to;

		if (walk.state != PT_TABLE) {
			if (!build_unlocked(copy, &it))
				return -ENOMEM;
			continue;
		}
		for (to = pte_offset(walk.pmd, it.addr); it.addr < it.stop; it.addr += PAGE_SIZE)
			copy_entry(copy, it.pte++, to++);
	}
	return 0;
}

/* Pages that a fault can bring back from the mapping are not copied. */
static bool must_copy_pages(const struct vma *vma)
{
	return !(vma->flags & (VM_SHARED | VM_WIPEONFORK)) && vma->anon_vma;
}

static int copy_vma(struct copy *copy, struct vma *vma)
{
	struct vma *new = vma_dup(vma);
	int error;

	if (!new)
		return -ENOMEM;
	new->mm = copy->child;
	new->flags &= ~VM_LOCK_FLAGS;
	error = vma_tree_reserve(&copy->child->tree, 1);
	if (!error && must_copy_pages(vma))
		error = anon_vma_fork(new, vma);
	if (error) {
		vma_free(new);
		return error;
	}
	vma_attach(copy->child, new);
	return must_copy_pages(vma) ? copy_range(copy, vma->start, vma->end) : 0;
}

static int copy_vmas(struct copy *copy)
{
	struct vma *vma;
	int error;

	vma_tree_for_each (vma, &copy->parent->tree) {
		if (vma->flags & VM_DONTCOPY)
			continue;
		error = vma_start_write_killable(vma);
		if (!error)
			error = copy_vma(copy, vma);
		if (error)
			return error;
		cond_resched();
	}
	return 0;
}

static void copy_layout(struct mm *child, const struct mm *parent)
{
	child->policy = READ_ONCE(parent->policy);
	child->stack_pages = child->locked_pages = 0;
	child->start_code = parent->start_code;
	child->end_code = parent->end_code;
	child->start_data = parent->start_data;
	child->end_data = parent->end_data;
	child->start_brk = parent->start_brk;
	child->brk = parent->brk;
	child->start_stack = parent->start_stack;
	child->arg_start = parent->arg_start;
	child->arg_end = parent->arg_end;
	child->env_start = parent->env_start;
	child->env_end = parent->env_end;
	child->mmap_base = parent->mmap_base;
	child->has_lazy = READ_ONCE(parent->has_lazy);
	child->keys = parent->keys;
	child->execute_only_key = parent->execute_only_key;
	child->rlimit_stack = parent->rlimit_stack;
	child->rlimit_as = parent->rlimit_as;
	child->rlimit_data = parent->rlimit_data;
	child->rlimit_data_max = parent->rlimit_data_max;
	child->rlimit_memlock = parent->rlimit_memlock;
	child->exe_file = parent->exe_file;
	if (child->exe_file)
		vma_file_get(child->exe_file);
	for (unsigned i = 0; i < ARRAY_SIZE(parent->auxv); i++)
		child->auxv[i] = parent->auxv[i];
}

int mm_fork(struct mm *child, struct mm *parent)
{
	struct copy copy = { .child = child, .parent = parent };
	int error = mmap_write_lock_killable(parent);

	if (error)
		return error;
	/*
	 * No thread uses the child yet, but a walk over all address spaces (mm_next()) may hold its mmap_lock for a
	 * moment, and does not wait for another mmap_lock while it does. Blocking on a second mmap_lock would violate
	 * the lock order.
	 */
	while (!mmap_write_trylock(child)) {
		cpu_relax();
		cond_resched();
	}
	copy_layout(child, parent);
	error = copy_vmas(&copy);
	race_point(fork_before_flush);
	/* Pending: reclaim may not yet have flushed a page that the child now shares (W6). */
	if (copy.flush || mm_tlb_flush_pending(parent))
		tlb_flush_range(parent, 0, ~0UL);
	mmap_write_unlock(child);
	mmap_write_unlock(parent);
	return error;
}
