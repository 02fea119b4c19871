/* SPDX-License-Identifier: MIT */
/*
 * Swap: areas on devices, their slots, and the swap cache.
 *
 * A slot is one page of an area. It counts the entries that name it (fork shares them), and may hold a page of memory,
 * or be claimed by a thread that reads it without the swap cache. It is free when none of these is the case. So a slot
 * in use cannot be given to another page (W1), and an area with slots in use cannot be removed.
 *
 * A page in the swap cache has PG_SWAPCACHE set, its slot in `private`, and one reference held by the slot. It enters
 * and leaves under its page lock, so a thread that waited for that lock must check again that the page is still the one
 * that the entry named (W2).
 *
 * Mirrors: Linux, mm/swapfile.c, mm/swap_state.c, mm/page_io.c.
 */
#ifndef MM_SWAP_H
#define MM_SWAP_H

#include "mm/table/pgtable.h"

#define MAX_SWAP_AREAS SWAP_DEVICE_SPECIAL
#define SWAP_PRIORITY_NEXT (-1) /* below all areas so far: swapon without a priority */

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

struct swap_request;

/* The device of an area. None of these functions sleeps. */
struct swap_device_ops {
	/* True if the calling thread itself copies the data. It may change at any time. */
	bool (*is_synchronous)(void *device);
	/* Reads a page synchronously: 0 or -EIO; -EAGAIN if the device is not synchronous. */
	int (*read_now)(void *device, u64 page_nr, struct page *page);
	/* Starts the request; request->done(request, 0 or -EIO) follows, or was called already, from any context. */
	void (*start)(struct swap_request *request);
};

struct swap_request {
	const struct swap_device_ops *ops; /* this and the next four: constant while it is in flight */
	void *device;
	u64 page_nr;
	struct page *page;
	bool write;
	void (*done)(struct swap_request *request, int error);
	struct list_head free; /* the pool's lock: its list of free requests */
	u64 driver[24];	       /* private to the driver */
};

/* ---- Areas ------------------------------------------------------------------------------------------------------- */

/* Initializes the areas and the pool of requests. Context: boot. */
void swap_init(void);

/*
 * Starts swapping to a device.
 * @nr_pages: its size. Page 0 is never used.
 * @bad, @nr_bad: pages that are never used either.
 * @priority: or SWAP_PRIORITY_NEXT.
 *
 * Context: thread. Sleeps only for memory. One call at a time.
 * Returns: the number of the area; -ENOMEM; -EPERM when there are too many areas.
 */
int swap_area_add(const struct swap_device_ops *ops, void *device, u64 nr_pages, const u32 *bad, u32 nr_bad,
		  int priority);
/* The area on that device. Context: any. Returns: its number, or -1. */
int swap_area_on(const void *device);
/*
 * Reads all pages of the area back in and removes it. One call at a time.
 *
 * Context: no lock from RANK_MMAP_LOCK on held. Sleeps.
 * Returns: 0; -ENOMEM, -EINTR, -EIO when a page cannot be read: then the area is in use as before.
 */
int swap_area_remove(unsigned area);

/* The pages of all areas, and how many of them are in use. Unlocked: approximate. */
struct swap_figures {
	u64 total, used, cached;
};
/* Sums over all areas. Unlocked: approximate. Context: thread. Does not sleep. Returns: the sums. */
struct swap_figures swap_figures(void);
/* The figures of one area; false if there is none. Sizes in pages. */
struct swap_area_figures {
	void *device;
	u64 size, used;
	int priority;
};
/* The figures of one area. Context: thread. Does not sleep. Returns: false if there is no such area. */
bool swap_area_figures(unsigned area, struct swap_area_figures *figures);
/* Is there swap, full or not? Unlocked: a hint. Context: any. Returns: true if there is. */
bool swap_is_on(void);
/* Is more than half of it used? Then a page that is swapped in gives up its slot. Context: any. Returns: true if so. */
bool swap_is_half_full(void);

/* A fault reads 1 << this many pages at once: /proc/sys/vm/page-cluster. */
extern u8 sysctl_page_cluster;

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

/* ---- Slots. Context: thread. Does not sleep. --------------------------------------------------------------------- */
/*
 * Pins the area of the slot until swap_area_put() (W3). Needed for entries that were read without their lock; an entry
 * whose PTE lock is held pins its area by itself.
 *
 * Returns: false: the area was removed, and so was every entry that named the slot.
 */
bool swap_area_get(swap_slot_t slot);
/* Unpins it. */
void swap_area_put(swap_slot_t slot);
/*
 * For asserts, in debug builds.
 *
 * Returns: true if the area cannot be removed, since it is pinned or an entry names the slot.
 */
bool swap_area_is_held(swap_slot_t slot);
#define assert_area_held(slot) ASSERT(swap_area_is_held(slot), "the swap area is held")

/*
 * Counts one more entry, or slot of a mapping, that names it. An entry names it already, or it holds a page.
 *
 * Context: a spinlock held: of that.
 */
void swap_dup(swap_slot_t slot);
/* Counts one fewer. The last one also drops the page that the slot still holds, unless it is locked. */
void swap_put(swap_slot_t slot);
/*
 * The number of entries that name it. Stable if the caller has locked all of them, and the page.
 *
 * Returns: the number.
 */
u32 swap_count(swap_slot_t slot);

/*
 * Claims a slot that holds no page and has one entry, so that it can be read without the swap cache.
 *
 * Returns: false: another thread was faster, or more entries name it.
 */
bool swap_claim(swap_slot_t slot);
/* Gives up the claim. */
void swap_unclaim(swap_slot_t slot);
/* For asserts. Returns: true if a thread has claimed it. */
bool swap_is_claimed(swap_slot_t slot);
#define assert_slot_claimed(slot) ASSERT(swap_is_claimed(slot), "the swap slot is claimed")
/* Spins until the slot is unclaimed; the claimant neither sleeps nor waits for us. */
void swap_wait_unclaimed(swap_slot_t slot);

/* ---- The swap cache ---------------------------------------------------------------------------------------------- */

/*
 * The page that the slot holds.
 *
 * Context: the area held. Does not sleep.
 * Returns: the page, with a reference, or NULL.
 */
struct page *swap_cache_find(swap_slot_t slot);
/*
 * Allocates a slot for the page, which is in none, and puts it there.
 *
 * Context: the page locked. Does not sleep.
 * Returns: false: no slot is free.
 */
bool swap_cache_alloc(struct page *page);
enum swap_add {
	SWAP_ADDED,
	SWAP_BUSY,   /* another thread was faster: look up again */
	SWAP_UNUSED, /* no entry names the slot any more */
};
/*
 * Puts a page into the slot, to be read in from it.
 *
 * Context: the page locked; the area held. Does not sleep.
 * Returns: SWAP_ADDED, or why not.
 */
enum swap_add swap_cache_add(swap_slot_t slot, struct page *page);
/*
 * Is the page in this slot? Once true, it stays true while the page lock is held.
 *
 * Context: a reference. Does not sleep.
 */
static inline bool swap_cache_holds(const struct page *page, swap_slot_t slot)
{
	assert_referenced(page);
	return page_test(page, PG_SWAPCACHE) && READ_ONCE(page->private) == slot.val;
}
/*
 * Removes the page from its slot; it is not under write-back. If writing it failed, the slot is retired: it is never
 * used again. The contents of the slot are no longer needed: no entry names it, or the page was not filled.
 *
 * Context: the page locked. Does not sleep.
 */
void swap_cache_delete(struct page *page);
/*
 * The same if the page is in a slot that no entry names, and not under write-back.
 *
 * Context: the page locked. Does not sleep.
 * Returns: true if removed.
 */
bool swap_cache_delete_unused(struct page *page);
/*
 * The same if the caller's reference and the slot's are the only ones, and the device has its contents.
 *
 * Context: the page locked. Does not sleep.
 * Returns: true if removed.
 */
bool swap_cache_delete_clean(struct page *page);
/* Drops clean pages that are not mapped and have no other references. Context: thread. Sleeps. Returns: how many. */
u64 swap_cache_shrink(void);
/*
 * Drops the pages of slots that no entry names any more. Waits until write-back of them has ended.
 *
 * Context: thread. Sleeps.
 */
void swap_cache_trim(void);

/* ---- Transfers (swap_io.c) --------------------------------------------------------------------------------------- */

/*
 * Starts to write the page to its slot; page_end_writeback() follows. It is mapped nowhere.
 *
 * Context: PG_SWAPCACHE; the page locked. Sleeps until a request is free.
 */
void swap_write_start(struct page *page);
/*
 * Reads the page of the slot synchronously.
 *
 * Context: the slot claimed. Does not sleep.
 * Returns: 0; -EIO; -EAGAIN: the device is not synchronous.
 */
int swap_read_now(swap_slot_t slot, struct page *page);
/* Is the slot's device synchronous at present? Context: the area held. Does not sleep. Returns: true if it is. */
bool swap_is_synchronous(swap_slot_t slot);
/*
 * Reads the page of the slot; also starts reading its neighbours on the device.
 *
 * Context: the area held. Does not sleep.
 * Returns: the page, filled or being filled, with a reference; NULL: no entry names the slot any more;
 *          err_ptr(-ENOMEM); err_ptr(-EAGAIN): all requests are in flight, see below.
 */
struct page *swap_read_ahead(swap_slot_t slot);
/*
 * Wait until a request is free; another thread may have taken it by the time they return.
 *
 * Context: thread. Sleep.
 * Returns: the killable form: 0; -EINTR if the thread is killed first.
 */
void swap_request_wait(void);
int __must_check swap_request_wait_killable(void);

/* ---- Out (swap_out.c) -------------------------------------------------------------------------------------------- */

struct tlb_batch;

enum swap_out {
	SWAP_OUT_STAYS, /* in memory, unchanged */
	SWAP_OUT_GONE,	/* only the caller's reference is left */
	SWAP_OUT_BEGUN, /* keep it locked, flush the batch, then call swap_out_finish() */
};
/*
 * First step of swapping out an anonymous page: replaces its entries in every address space by its slot; the batch
 * collects the translations to flush.
 *
 * Context: the page locked; a reference. Does not sleep.
 * Returns: what the caller does with the page: enum swap_out.
 */
enum swap_out swap_out_begin(struct page *page, struct tlb_batch *batch);
/*
 * Second step, after the flush, with the page locked since swap_out_begin(): writes the page if it is dirty, and frees
 * it if the write has already ended.
 *
 * Context: the page locked. Sleeps.
 * Returns: true when only the caller's reference is left.
 */
bool swap_out_finish(struct page *page);

#endif
