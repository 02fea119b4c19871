/* SPDX-License-Identifier: MIT */
/*
 * Faults on a page of a mapping, that is, of shared anonymous memory or of a file. Three short functions: a read maps
 * the page itself (and its cached neighbours, fault_around.c), a private write maps a copy of it, a shared write maps
 * the page itself, writable.
 *
 * The commit builds the page table, once there is a page to map.
 * Mirrors: seed 004, do_read_fault(), do_cow_fault(), do_shared_fault() over alloc_set_pte().
 */
#include "kernel/lib/errno.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/swap/shmem_swap.h"

/* ---- The page ---------------------------------------------------------------------------------------------------- */

/* A page beyond the file system's quota is treated as beyond the end of the file. */
static enum fault_answer answer_to(long error)
{
	return error == -ENOSPC ? FAULT_BEYOND_END : FAULT_OUT_OF_MEMORY;
}

/* The page is missing, or must be read in or marked used first. */
static __noinline enum fault_end find_missed_page(struct fault *f, struct page *page)
{
	swap_slot_t slot;

	mapping_note_miss(f->vma.mapping);
	if (!page) {
		if (shmem_in_swap(f->vma.mapping, fault_pgoff(f), &slot))
			return fault_swapped_shmem(f);
		page = mapping_create_within(f->vma.mapping, fault_pgoff(f));
	}
	if (!page)
		return fault_answered(f, FAULT_BEYOND_END);
	if (is_err(page) && ptr_err(page) == -EAGAIN)
		return f->strategy->wait_removal(f); /* or it was just swapped out: the next fault finds it in swap */
	if (is_err(page))
		return fault_answered(f, answer_to(ptr_err(page)));
	f->page = page;
	page_use(page);
	return page_is_uptodate(page) ? END_CONTINUE : fault_make_uptodate(f);
}

/* A page that truncation removes after the look-up is not mapped: the commit sees PG_CACHE clear. */
static enum fault_end find_page_of_mapping(struct fault *f)
{
	struct page *page;

	if (unlikely(!mapping_is_within(f->vma.mapping, fault_pgoff(f))))
		return fault_answered(f, FAULT_BEYOND_END);
	page = mapping_find(f->vma.mapping, fault_pgoff(f));
	if (unlikely(!page || !page_is_in_use(page)))
		return find_missed_page(f, page);
	mapping_note_hits(f->vma.mapping, 1);
	f->page = page;
	return END_CONTINUE;
}

const struct vma_ops mapping_vma_ops = {
	.fault = find_page_of_mapping,
	.map_pages = mapping_map_pages,
	.without_mmap_lock = true,
	.speculative = true,
};

const struct vma_ops shared_anon_ops = {
	.fault = find_page_of_mapping,
	.map_pages = mapping_map_pages,
	.without_mmap_lock = true,
	.speculative = true,
	.name = "/dev/zero (deleted)",
};

/* ---- What the access asks for ------------------------------------------------------------------------------------ */

/* Calls the fault operation, which finds f->page, if the strategy may. */
static enum fault_end find_page(struct fault *f)
{
	enum fault_end end;

	if (!f->vma.ops->fault)
		return fault_answered(f, FAULT_BEYOND_END);
	end = f->vma.ops->fault(f);
	if (end)
		return end;
	race_point(mapping_page_found);
	return END_CONTINUE;
}

static enum fault_end read_fault(struct fault *f)
{
	enum fault_end end = fault_map_around(f);

	if (end)
		return end;
	end = f->strategy->may_call_ops(f);
	if (end)
		return end;
	end = find_page(f);
	if (end)
		return end;
	return fault_map_page(f, fault_read_prot(f));
}

static enum fault_end cow_fault(struct fault *f)
{
	enum fault_end end = f->strategy->may_call_ops(f);
	struct page *copy;

	if (end)
		return end;
	end = f->strategy->need_anon_vma(f);
	if (end)
		return end;
	end = find_page(f);
	if (end)
		return end;
	copy = fault_page_get(f, false);
	if (!copy)
		return f->strategy->no_memory(f);
	copy_shared_page(page_to_virt(copy), page_to_virt(f->page));
	race_point(anon_page_ready);
	return fault_map_own_page(f, copy);
}

static enum fault_end map_page_writable(struct fault *f)
{
	return fault_map_page(f, f->vma.page_prot | PTE_WRITE | PTE_DIRTY);
}

static enum fault_end shared_fault(struct fault *f)
{
	enum fault_end end = f->strategy->may_call_ops(f);

	if (end)
		return end;
	end = find_page(f);
	if (end)
		return end;
	if (f->vma.mapping->ops)
		return fault_page_mkwrite(f, map_page_writable);
	page_set(f->page, PG_DIRTY);
	mapping_note_write(f->vma.mapping, f->started);
	return map_page_writable(f);
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
