/* SPDX-License-Identifier: MIT */
/*
 * A page of a mapping: shared anonymous memory, or a file's.
 *
 * First the mapping is asked for its page, then one of three short functions decides what to map: the page itself for
 * reading, a private copy of it, or the page itself for shared writing.
 * Mirrors: seed 004, do_read_fault(), do_cow_fault(), do_shared_fault(); the table is built by the commit, when there is a
 * page to map.
 */
#include "mm/counters.h"
#include "mm/fault.h"
#include "mm/race.h"

/*
 * The page may have been truncated away since it was found. It is counted first and asked second; truncation clears PG_CACHE
 * first and looks at the count second. So one of the two sees the other.
 */
static bool count_unless_truncated(struct page *page)
{
	rmap_dup(page);
	if (likely(page_test(page, PG_CACHE)))
		return true;
	rmap_remove(page);
	return false;
}

/* The one commit step: f->page's reference becomes the entry's. */
static enum fault_end map_mapping_page(struct fault *f, u64 extra)
{
	enum fault_end end = fault_lock_pte(f);
	enum rss_kind kind;

	if (end != END_GO_ON)
		return end;
	if (!count_unless_truncated(f->page)) {
		fault_unlock_pte(f);
		return fault_answered(f, FAULT_DONE); /* the access faults again, and finds what is there now */
	}
	kind = page_rss_kind(f->page); /* now: once the entry is unlocked, the page may be unmapped and freed */
	race_point(commit_before_set);
	pte_set(f->ptep, pte_make(f->page, f->vma.page_prot | extra));
	fault_unlock_pte(f);
	mm_rss_add(f->mm, kind, 1);
	f->page = NULL;
	return fault_answered(f, FAULT_DONE);
}

static enum fault_end read_fault(struct fault *f)
{
	return map_mapping_page(f, PTE_ACCESSED);
}

static enum fault_end shared_write_fault(struct fault *f)
{
	page_set(f->page, PG_DIRTY);
	return map_mapping_page(f, PTE_ACCESSED | PTE_WRITE | PTE_DIRTY);
}

static enum fault_end cow_fault(struct fault *f)
{
	struct page *copy = fault_page_get(f, false);

	if (!copy)
		return f->strategy->no_memory(f);
	copy_shared_page(page_to_virt(copy), page_to_virt(f->page));
	race_point(anon_page_ready);
	return fault_map_own_page(f, copy);
}

/* With f->page in hand. */
static enum fault_end map_by_access(struct fault *f)
{
	if (f->access != ACCESS_WRITE)
		return read_fault(f);
	return f->vma.flags & VM_SHARED ? shared_write_fault(f) : cow_fault(f);
}

enum fault_end fault_mapping(struct fault *f)
{
	enum fault_end end = f->strategy->may_call_ops(f);

	if (end == END_GO_ON && f->access == ACCESS_WRITE && !(f->vma.flags & VM_SHARED))
		end = f->strategy->need_anon_vma(f);
	if (end == END_GO_ON)
		end = f->vma.ops->fault(f);
	if (end == END_GO_ON) {
		race_point(mapping_page_found);
		end = map_by_access(f);
	}
	if (f->page)
		page_put(f->page);
	return end;
}
