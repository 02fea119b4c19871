/* SPDX-License-Identifier: MIT */
/*
 * Direct reclaim: whoever finds no memory has let go of everything by then, and makes room here before it comes again.
 *
 * A hand goes round over all page frames. An anonymous page that was used since the hand was there last has its accessed
 * bits cleared and stays for another turn; one that was not goes to swap (swap_out.c). A page in the swap cache that nobody
 * maps goes as soon as its device has it. The hand belongs to all: two that reclaim at once share the round.
 *
 * Rejected, so far: lists of active and inactive pages. They would cost each first touch a place on a list, and a lock now
 * and then; the hand costs nothing until memory is short.
 *
 * Locks: see swap_out.c; none is held here. Mirrors: the second chance of Linux's shrink_folio_list(), over the clock of
 * 4.3BSD's pageout daemon.
 */
#include "mm/reclaim.h"
#include "mm/events.h"
#include "mm/page_alloc.h"
#include "mm/page_lock.h"
#include "mm/rmap.h"
#include "mm/swap.h"

#define TURNS 2 /* the first one may find that everything was used */

static u64 hand; /* a page frame number, modulo max_pfn; moved by atomic steps */

/* The CPU may go on using a translation that it has without setting the bit again: then the page looks older than it is. */
static bool test_and_age(struct page *page, struct vma *vma, vaddr_t addr, pte_t *ptep, void *arg)
{
	bool *used = arg;

	(void)page, (void)addr;
	if (atomic_and(&ptep->val, ~PTE_ACCESSED) & PTE_ACCESSED || READ_ONCE(vma->flags) & VM_LOCKED)
		*used = true;
	return true;
}

static bool was_used(struct page *page)
{
	bool used = false;

	if (READ_ONCE(page->mapcount))
		rmap_walk(page, test_and_age, &used);
	return used;
}

/* The page under the hand with a reference, if it is anonymous; otherwise NULL. The hand moves on. */
static struct page *next_page(void)
{
	struct page *page = pfn_to_page(__atomic_fetch_add(&hand, 1, __ATOMIC_RELAXED) % max_pfn);
	bool got;

	if (!page_test(page, PG_ANON))
		return NULL;
	rcu_read_lock();
	got = page_get_unless_free(page);
	rcu_read_unlock();
	if (got && load_acquire(&page->flags) & 1u << PG_ANON) /* acquire: its owner and index are there, too */
		return page;
	if (got)
		page_put(page); /* somebody else's by now */
	return NULL;
}

/* Pages that are on their way out to a device that takes its time. */
struct writing {
	unsigned nr;
	struct page *pages[RECLAIM_BATCH]; /* with references */
};

static u64 wait_and_drop(struct writing *writing)
{
	u64 freed = 0;

	for (unsigned i = 0; i < writing->nr; i++) {
		page_wait_writeback(writing->pages[i]);
		freed += swap_out_page(writing->pages[i]);
		page_put(writing->pages[i]);
	}
	writing->nr = 0;
	return freed;
}

/* Takes the page, or gives it another turn. Its reference is dropped, or `writing` has it. */
static u64 try_page(struct page *page, struct writing *writing)
{
	u64 freed = !was_used(page) && swap_out_page(page);

	if (!freed && page_test(page, PG_WRITEBACK))
		writing->pages[writing->nr++] = page;
	else
		page_put(page);
	return freed;
}

u64 reclaim_pages(u64 wanted)
{
	struct writing writing = { .nr = 0 };
	u64 freed = 0, began = cycles();

	for (u64 seen = 0; freed < wanted && seen < TURNS * max_pfn; seen++) {
		struct page *page = next_page();

		if (page)
			freed += try_page(page, &writing);
		if (writing.nr == RECLAIM_BATCH)
			freed += wait_and_drop(&writing);
		if (seen % 256 == 0)
			cond_resched();
	}
	freed += wait_and_drop(&writing);
	event_ended(EVENT_reclaim, began, 0, freed);
	return freed;
}
