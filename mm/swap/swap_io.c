/* SPDX-License-Identifier: MIT */
/*
 * Transfers between pages and their slots, and reading ahead.
 *
 * Requests come from a static pool, since memory is short when pages are written. The completion interrupt returns the
 * request to the pool. A transfer needs no page reference of its own: the page is locked while it is read, and under
 * write-back while it is written, so it stays in its slot, which holds a reference.
 *
 * Locks: pool.lock (RANK_LEAF, interrupts off). A read does not begin unless a request is free: its caller waits for
 * one with nothing held. Only a write waits for one here, with its page locked, and mmap_lock in MADV_PAGEOUT; never
 * inside a fault.
 *
 * Mirrors: Linux, mm/page_io.c; swap_cluster_readahead().
 */
#include "kernel/lib/errno.h"
#include "kernel/sync/wait.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/swap/swap_internal.h"

#define NR_REQUESTS 128
#define MAX_PAGE_CLUSTER 6 /* more would use up the requests that other threads wait for */

static struct {
	spinlock_t lock;
	bool filled;
	struct list_head free; /* lock: struct swap_request.free */
	struct wait_queue waiters;
	struct swap_request requests[NR_REQUESTS];
} pool = { .lock = SPINLOCK_INIT(LEAF), .free = LIST_HEAD_INIT(pool.free), .waiters = WAIT_QUEUE_INIT(pool.waiters) };

u8 sysctl_page_cluster = 3;

/* ---- The pool ---------------------------------------------------------------------------------------------------- */

static void fill_pool(void)
{
	pool.filled = true;
	for (unsigned i = 0; i < NR_REQUESTS; i++)
		list_add(&pool.free, &pool.requests[i].free);
}

static struct swap_request *try_get(void)
{
	unsigned long flags = spin_lock_irqsave(&pool.lock);
	struct swap_request *request = NULL;

	if (!pool.filled)
		fill_pool();
	if (!list_empty(&pool.free)) {
		request = list_first(&pool.free, struct swap_request, free);
		list_del(&request->free);
	}
	spin_unlock_irqrestore(&pool.lock, flags);
	return request;
}

/* For a write, which must not fail: memory is short, and the page is already locked and in its slot. */
static struct swap_request *request_get(void)
{
	struct swap_request *request = try_get();

	if (!request)
		wait_event(&pool.waiters, (request = try_get()) != NULL);
	return request;
}

/* Wakes all: a single waiter in swap_request_wait() might not take the request, and the wake-up would be lost. */
static void request_put(struct swap_request *request)
{
	unsigned long flags = spin_lock_irqsave(&pool.lock);

	list_add(&pool.free, &request->free);
	spin_unlock_irqrestore(&pool.lock, flags);
	wake_up_all(&pool.waiters);
}

static bool some_free(void)
{
	unsigned long flags = spin_lock_irqsave(&pool.lock);
	bool some = !list_empty(&pool.free);

	spin_unlock_irqrestore(&pool.lock, flags);
	return some;
}

void swap_request_wait(void)
{
	assert_may_sleep();
	wait_event(&pool.waiters, some_free());
}

int swap_request_wait_killable(void)
{
	assert_may_sleep();
	return wait_event_killable(&pool.waiters, some_free());
}

/* ---- One page ---------------------------------------------------------------------------------------------------- */

static void swap_read_done(struct swap_request *request, int error)
{
	struct page *page = request->page;

	request_put(request);
	if (!error)
		count(pswpin);
	page_end_read(page, error);
}

/* A page that could not be written stays dirty, and is never written to that slot again. */
static void swap_write_done(struct swap_request *request, int error)
{
	struct page *page = request->page;

	request_put(request);
	if (error) {
		page_set(page, PG_DIRTY);
		page_set(page, PG_ERROR);
	} else {
		count(pswpout);
	}
	page_end_writeback(page, 0);
}

static void swap_io_start(struct swap_request *request, struct page *page)
{
	swap_slot_t slot = { READ_ONCE(page->private) };

	request->ops = swap_slot_device(slot, &request->device);
	request->page_nr = swap_slot_offset(slot);
	request->page = page;
	request->ops->start(request);
}

/* Context: PG_SWAPCACHE; PG_LOCKED. The page lock was handed over to the I/O: page_end_read() follows. */
static void read_start(struct swap_request *request, struct page *page)
{
	ASSERT(page_test(page, PG_SWAPCACHE) && page_test(page, PG_LOCKED),
	       "a page that is read is in its slot, and locked");
	event_now(EVENT_swap_in, 0, READ_ONCE(page->private));
	request->write = false;
	request->done = swap_read_done;
	swap_io_start(request, page);
}

void swap_write_start(struct page *page)
{
	struct swap_request *request = request_get();

	assert_may_sleep();
	assert_page_locked(page);
	ASSERT(page_test(page, PG_SWAPCACHE), "a page that is written has a slot");
	event_now(EVENT_swap_out, 0, READ_ONCE(page->private));
	page_clear(page, PG_DIRTY);
	page_set(page, PG_WRITEBACK);
	request->write = true;
	request->done = swap_write_done;
	swap_io_start(request, page);
}

bool swap_is_synchronous(swap_slot_t slot)
{
	void *device;

	assert_area_held(slot);
	return swap_slot_device(slot, &device)->is_synchronous(device);
}

int swap_read_now(swap_slot_t slot, struct page *page)
{
	void *device;
	int error = swap_slot_device(slot, &device)->read_now(device, swap_slot_offset(slot), page);

	assert_slot_claimed(slot);
	if (!error)
		count(pswpin); /* its event is the attempt, whose kind is swap: this read takes no longer than that */
	return error;
}

/* ---- Reading ahead ----------------------------------------------------------------------------------------------- */

/* Puts a new page into the slot, and starts reading it with the request. Returns: as swap_cache_add(), or -ENOMEM. */
static int read_slot_by(struct swap_request *request, swap_slot_t slot, struct page **result)
{
	struct page *page = alloc_page(ALLOC_USER);
	int added;

	if (!page)
		return -ENOMEM;
	page_set(page, PG_ANON);
	(void)page_trylock(page); /* succeeds: no other thread can find the page yet */
	added = (int)swap_cache_add(slot, page);
	if (added != SWAP_ADDED) {
		page_unlock(page);
		page_put(page);
		return added;
	}
	page_lock_hand_over(page);
	read_start(request, page);
	*result = page;
	return SWAP_ADDED;
}

/* Likewise; -EAGAIN: no request is free. Takes it first: other threads wait for a page once it is in its slot. */
static int read_slot(swap_slot_t slot, struct page **result)
{
	struct swap_request *request = try_get();
	int added;

	if (!request)
		return -EAGAIN;
	added = read_slot_by(request, slot, result);
	if (added != SWAP_ADDED)
		request_put(request);
	return added;
}

/* Neighbours on the device were often swapped out together. Skips slots that are unused, or in memory already. */
static void read_neighbours(swap_slot_t slot)
{
	u64 window = 1UL << min(READ_ONCE(sysctl_page_cluster), MAX_PAGE_CLUSTER), middle = swap_slot_offset(slot);
	u64 first = align_down(middle, window);

	for (u64 offset = max(first, 1UL); offset < first + window; offset++) {
		swap_slot_t neighbour = swap_slot_make(swap_slot_area(slot), offset);
		struct page *page;

		if (offset == middle || !swap_area_get(neighbour))
			continue;
		if (swap_count(neighbour) && read_slot(neighbour, &page) == SWAP_ADDED)
			page_put(page);
		swap_area_put(neighbour);
	}
}

struct page *swap_read_ahead(swap_slot_t slot)
{
	struct page *page;
	int result;

	assert_area_held(slot);
	for (;;) {
		result = read_slot(slot, &page);
		if (result == SWAP_ADDED)
			break;
		if (result == SWAP_UNUSED)
			return NULL;
		if (result < 0)
			return err_ptr(result);
		page = swap_cache_find(slot);
		if (page)
			return page;
		swap_wait_unclaimed(slot);
	}
	race_point(swap_read_ahead);
	read_neighbours(slot);
	return page;
}
