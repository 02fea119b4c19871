/* SPDX-License-Identifier: MIT */
/*
 * Faults on a page of a mapping, that is, of shared anonymous memory or of a file. Three short functions: a read maps
 * the page itself (and its cached neighbours, fault_around.c), a private write maps a copy of it, a shared write maps
 * the page itself, writable.
 *
 * The commit builds the page table, once there is a page to map.
 * Mirrors: seed 004, do_read_fault(), do_cow_fault(), do_shared_fault() over alloc_set_pte().
 */
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/fault.h"
#include "mm/table/tlb.h"

/* The one commit step: the reference to f->page passes to the entry. */
static enum fault_end map_page(struct fault *f, u64 prot)
{
	enum fault_end end = fault_lock_pte(f);
	enum rss_kind kind;

	if (end != END_GO_ON)
		return end;
	if (!fault_count_unless_truncated(f->page)) {
		fault_unlock_pte(f);
		return fault_answered(f, FAULT_DONE); /* the access faults again, and finds what is there now */
	}
	kind = page_rss_kind(f->page); /* now: once the entry is unlocked, the page may be unmapped and freed */
	race_point(commit_before_set);
	pte_fill(f->mm, f->address, f->ptep, pte_make(f->page, prot | PTE_ACCESSED));
	fault_unlock_pte(f);
	mm_rss_add(f->mm, kind, 1);
	f->page = NULL;
	return fault_answered(f, FAULT_DONE);
}

static enum fault_end map_writable(struct fault *f)
{
	return map_page(f, f->vma.page_prot | PTE_WRITE | PTE_DIRTY);
}

/* Calls the fault operation, which finds f->page. The strategy has permitted the call (may_call_ops()). */
static enum fault_end ask_mapping(struct fault *f)
{
	enum fault_end end;

	if (!f->vma.ops->fault)
		return fault_answered(f, FAULT_BEYOND_END);
	end = f->vma.ops->fault(f);
	if (end == END_GO_ON)
		race_point(mapping_page_found);
	return end;
}

static enum fault_end read_fault(struct fault *f)
{
	enum fault_end end = fault_map_around(f);

	if (end == END_GO_ON)
		end = f->strategy->may_call_ops(f);
	if (end == END_GO_ON)
		end = ask_mapping(f);
	return end == END_GO_ON ? map_page(f, fault_read_prot(f)) : end;
}

static enum fault_end cow_fault(struct fault *f)
{
	enum fault_end end = f->strategy->may_call_ops(f);
	struct page *copy;

	if (end == END_GO_ON)
		end = f->strategy->need_anon_vma(f);
	if (end == END_GO_ON)
		end = ask_mapping(f);
	if (end != END_GO_ON)
		return end;
	copy = fault_page_get(f, false);
	if (!copy)
		return f->strategy->no_memory(f);
	copy_shared_page(page_to_virt(copy), page_to_virt(f->page));
	race_point(anon_page_ready);
	return fault_map_own_page(f, copy);
}

static enum fault_end shared_fault(struct fault *f)
{
	enum fault_end end = f->strategy->may_call_ops(f);

	if (end == END_GO_ON)
		end = ask_mapping(f);
	if (end != END_GO_ON)
		return end;
	if (f->vma.mapping->ops)
		return fault_page_mkwrite(f, map_writable);
	page_set(f->page, PG_DIRTY);
	mapping_note_write(f->vma.mapping, f->started);
	return map_writable(f);
}

enum fault_end fault_mapping(struct fault *f)
{
	enum fault_end end;

	if (f->access != ACCESS_WRITE)
		end = read_fault(f);
	else
		end = f->vma.flags & VM_SHARED ? shared_fault(f) : cow_fault(f);
	if (f->page)
		page_put(f->page);
	return end;
}
