/* SPDX-License-Identifier: MIT */
/*
 * The lists of active and inactive pages; lru.h says which pages are on them.
 *
 * A page's flags tell which list it is on: PG_ANON and PG_SHMEM, of which at most one is set while the page has an
 * owner; PG_UNEVICTABLE, which is constant; PG_ACTIVE and PG_MLOCKED, which change under lru.lock.
 *
 * While a page is isolated, lru_gather() may take it for a new page and list it again. That is harmless: lru_put_back()
 * finds it listed, and the page lock serialises two threads that scan the same page.
 *
 * Rejected: listing a page at its first access, as Linux does. Linux's batches cost the fault some ten instructions,
 * and a reference that keeps the page from being freed, or reused for writing, until the batch is full; and each page
 * that is freed then takes the lock, or waits in another batch. Measured in Linux 6.12: 314 instructions of a first
 * write.
 *
 * Locks: lru.lock (RANK_LRU), below every lock that may be held when the last reference to a page is dropped. Nothing
 * sleeps under it.
 */
#include "mm/reclaim/lru.h"
#include "mm/debug/counters.h"
#include "mm/page/page_alloc.h"

static struct {
	spinlock_t lock;
	struct list_head lists[NR_LRU_LISTS]; /* lock: struct page.lru; the young end first */
	u64 nr[NR_LRU_LISTS];		      /* lock; unlocked reads are estimates, or statistics */
	u64 hand;			      /* atomic: the page frame lru_gather() visits next, modulo max_pfn */
} lru = {
	.lock = SPINLOCK_INIT(LRU),
	.lists = { LIST_HEAD_INIT(lru.lists[0]), LIST_HEAD_INIT(lru.lists[1]), LIST_HEAD_INIT(lru.lists[2]),
		   LIST_HEAD_INIT(lru.lists[3]), LIST_HEAD_INIT(lru.lists[4]) },
};
_Static_assert(NR_LRU_LISTS == 5, "each list head is initialised");

#define BIT(flag) (1u << (flag))

static enum lru_list list_of(u32 flags)
{
	enum lru_list list = flags & (BIT(PG_ANON) | BIT(PG_SHMEM)) ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE;

	if (flags & (BIT(PG_UNEVICTABLE) | BIT(PG_MLOCKED)))
		return LRU_UNEVICTABLE;
	return flags & BIT(PG_ACTIVE) ? list + LRU_ACTIVE : list;
}

/* Context: lru.lock held. The page is on no list. */
static void lru_add(struct page *page)
{
	enum lru_list list = list_of(READ_ONCE(page->flags));

	assert_spin_held(&lru.lock);
	page_set(page, PG_LRU);
	list_add(&lru.lists[list], &page->lru);
	WRITE_ONCE(lru.nr[list], lru.nr[list] + 1);
}

/* Context: lru.lock held. The page is on a list. */
static void del(struct page *page)
{
	enum lru_list list = list_of(READ_ONCE(page->flags));

	assert_spin_held(&lru.lock);
	list_del(&page->lru);
	page_clear(page, PG_LRU);
	WRITE_ONCE(lru.nr[list], lru.nr[list] - 1);
}

void lru_forget(struct page *page)
{
	ASSERT(page_test(page, PG_LRU), "a page that leaves its list is on one");
	ASSERT(!READ_ONCE(page->refcount), "a page leaves its list for good when its last reference is gone");
	spin_lock(&lru.lock);
	del(page);
	spin_unlock(&lru.lock);
}

/* ---- New pages --------------------------------------------------------------------------------------------------- */

/* Anonymous, or in a mapping, but on no list. */
static bool is_newcomer(u32 flags)
{
	return flags & (BIT(PG_ANON) | BIT(PG_CACHE)) && !(flags & BIT(PG_LRU));
}

/* Lists a new page. Its type is stable only while a reference is held, so it is checked again once we have one. */
static bool welcome(struct page *page)
{
	bool added = false;

	if (!is_newcomer(READ_ONCE(page->flags)) || !page_try_get(page))
		return false;
	spin_lock(&lru.lock);
	if (is_newcomer(load_acquire(&page->flags))) {
		lru_add(page);
		added = true;
	}
	spin_unlock(&lru.lock);
	page_put(page);
	return added;
}

u64 lru_gather(u64 nr_frames)
{
	u64 first = __atomic_fetch_add(&lru.hand, nr_frames, __ATOMIC_RELAXED), found = 0;

	assert_may_sleep();
	for (u64 i = 0; i < nr_frames; i++) {
		found += welcome(pfn_to_page((first + i) % max_pfn));
		if (i % 256 == 255)
			cond_resched();
	}
	return found;
}

/* ---- Off the list, and on again ---------------------------------------------------------------------------------- */

/*
 * Takes the oldest page that is not being freed, with a reference; moves others to the young end.
 *
 * Context: lru.lock held.
 */
static struct page *take_oldest(enum lru_list list)
{
	assert_spin_held(&lru.lock);
	for (u64 left = lru.nr[list]; left; left--) {
		struct page *page = list_entry(lru.lists[list].prev, struct page, lru);

		if (page_try_get(page)) {
			del(page);
			return page;
		}
		list_del(&page->lru);
		list_add(&lru.lists[list], &page->lru);
	}
	return NULL;
}

unsigned lru_isolate(enum lru_list list, struct page **pages, unsigned nr)
{
	unsigned taken = 0;

	spin_lock(&lru.lock);
	while (taken < nr && (pages[taken] = take_oldest(list)) != NULL)
		taken++;
	spin_unlock(&lru.lock);
	return taken;
}

static void lru_set_place(struct page *page, enum lru_verdict verdict)
{
	page_clear(page, PG_ACTIVE);
	page_clear(page, PG_MLOCKED);
	if (verdict == LRU_TO_ACTIVE)
		page_set(page, PG_ACTIVE);
	if (verdict == LRU_TO_UNEVICTABLE)
		page_set(page, PG_MLOCKED);
}

/*
 * Moves the page as the verdict says. Without an owner it is about to be freed: it joins no list.
 *
 * Context: lru.lock held.
 */
static void lru_move_to(struct page *page, enum lru_verdict verdict)
{
	assert_spin_held(&lru.lock);
	if (page_test(page, PG_LRU))
		del(page);
	lru_set_place(page, verdict);
	if (is_newcomer(READ_ONCE(page->flags)))
		lru_add(page);
}

void lru_put_back(struct page *page, enum lru_verdict verdict)
{
	spin_lock(&lru.lock);
	lru_move_to(page, verdict);
	spin_unlock(&lru.lock);
	page_put(page);
}

/* Moves a page with this flag to its inactive list. Returns: true if it was on a list and had the flag. */
static bool move_from(struct page *page, enum page_flag flag)
{
	bool there;

	/* A first check without the lock: most pages are on no list, or on the right one already. */
	if (!page_test(page, PG_LRU) || !page_test(page, flag))
		return false;
	spin_lock(&lru.lock);
	there = page_test(page, PG_LRU) && page_test(page, flag);
	if (there)
		lru_move_to(page, LRU_TO_INACTIVE);
	spin_unlock(&lru.lock);
	return there;
}

void lru_deactivate(struct page *page)
{
	assert_referenced(page);
	page_clear(page, PG_REFERENCED);
	if (move_from(page, PG_ACTIVE))
		count(pgdeactivate);
}

void lru_rescue(struct page *page)
{
	assert_referenced(page);
	(void)move_from(page, PG_MLOCKED);
}

/* ---- Figures ----------------------------------------------------------------------------------------------------- */

u64 lru_size(enum lru_list list)
{
	return READ_ONCE(lru.nr[list]);
}
