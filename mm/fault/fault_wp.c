/* SPDX-License-Identifier: MIT */
/*
 * Write faults on a page that is mapped read-only in a writable VMA: after fork, after mprotect, after a read that
 * mapped the zero page or a file's page.
 *
 *	shared memory		the entry becomes writable, once the file system has been notified
 *	the last owner		the entry becomes writable: nothing else refers to the page
 *	anything else		a copy replaces the page
 *
 * Mirrors: Linux, do_wp_page(), wp_page_copy(), wp_page_reuse(). is_last_owner() is called under the PTE lock: if one
 * reference is left it is the entry's, and no other can be taken without that lock.
 */
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/core.h"
#include "mm/page/page_lock.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"

static enum fault_end lock_and_make_writable(struct fault *f)
{
	enum fault_end end = fault_lock_pte(f);

	if (end)
		return end;
	return fault_make_writable(f);
}

/* The file system must be notified first. That needs a reference: nothing else keeps the page from being freed. */
static enum fault_end notify_file_system(struct fault *f)
{
	enum fault_end end = f->strategy->may_call_ops(f);

	if (end)
		return end;
	end = fault_lock_pte(f);
	if (end)
		return end;
	f->page = pte_page(f->orig_pte);
	page_get(f->page);
	fault_unlock_pte(f);
	end = fault_page_mkwrite(f, lock_and_make_writable);
	page_put(f->page);
	f->page = NULL;
	return end;
}

static enum fault_end shared_write(struct fault *f)
{
	enum fault_end end;

	if (f->vma.mapping->ops)
		return notify_file_system(f);
	end = fault_lock_pte(f);
	if (end)
		return end;
	page_set(pte_page(f->orig_pte), PG_DIRTY);
	return fault_make_writable(f);
}

/* Frees the page's slot if no entry names it any more, and so drops the reference that the slot holds. */
static void wp_free_unused_slot(struct page *page)
{
	if (!page_trylock(page))
		return;
	(void)swap_cache_delete_unused(page);
	page_unlock(page);
}

static bool is_last_owner(struct page *page)
{
	if (!page_test(page, PG_ANON))
		return false;
	if (unlikely(page_test(page, PG_SWAPCACHE)))
		wp_free_unused_slot(page);
	/* Acquire: a thread that has copied the page read it before its put. */
	return load_acquire(&page->refcount) == 1;
}

/*
 * While a page of a file is copied, other threads may write to it: by write(), or through a shared mapping. All entries
 * that share an anonymous page are read-only, so no thread writes to that.
 */
static void copy_old_page(struct page *copy, struct page *old)
{
	if (page_test(old, PG_ANON))
		copy_page(page_to_virt(copy), page_to_virt(old));
	else
		copy_shared_page(page_to_virt(copy), page_to_virt(old));
}

/* `old` is pinned by the caller, or NULL for the zero page. */
static enum fault_end copy_and_replace(struct fault *f, struct page *old)
{
	struct page *copy = fault_page_get(f, !old);

	if (!copy)
		return f->strategy->no_memory(f);
	race_point(cow_before_copy);
	if (old)
		copy_old_page(copy, old);
	race_point(anon_page_ready);
	return fault_replace_page(f, old, copy);
}

/* Reuses or pins the old page: it must not be freed while it is copied. */
static enum fault_end private_write(struct fault *f)
{
	struct page *old = pte_counted_page(f->orig_pte);
	enum fault_end end;

	if (!old)
		return copy_and_replace(f, NULL);
	end = fault_lock_pte(f);
	if (end)
		return end;
	if (is_last_owner(old)) {
		count(cow_reuses);
		return fault_make_writable(f);
	}
	page_get(old);
	fault_unlock_pte(f);
	end = copy_and_replace(f, old);
	page_put(old);
	return end;
}

enum fault_end fault_write_protect(struct fault *f)
{
	enum fault_end end;

	if (f->vma.flags & VM_SHARED)
		return shared_write(f);
	end = f->strategy->need_anon_vma(f);
	if (end)
		return end;
	return private_write(f);
}
