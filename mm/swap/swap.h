/* SPDX-License-Identifier: MIT */
/*
 * Swap: areas on devices, their slots, and the swap cache.
 *
 * A slot is one page of an area. It counts the entries that name it (fork shares them), and may hold a page of memory, or
 * be claimed by somebody who reads it past the swap cache. It is free when neither is the case. So a slot that is in
 * anybody's hands cannot be given to another page (W1), and an area with slots in use cannot go away.
 *
 * A page in the swap cache has PG_SWAPCACHE, its slot in `private`, and one reference of the slot's. It enters and leaves
 * under its page lock, so whoever waited for that lock asks again whether the page is still what the entry named (W2).
 *
 * Mirrors: Linux, mm/swapfile.c, mm/swap_state.c, mm/page_io.c.
 */
#ifndef MM_SWAP_H
#define MM_SWAP_H

#include "mm/table/pgtable.h"

#define MAX_SWAP_AREAS SWAP_DEVICE_SPECIAL
#define SWAP_PRIORITY_NEXT (-1) /* below all others so far: swapon without a priority */

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

struct swap_request;

/* What an area lies on. None of these sleeps. */
struct swap_device_ops {
	/* Transfers are copied by whoever asks. It may change at any time. */
	bool (*is_synchronous)(void *device);
	/* Reads a page here and now: 0 or -EIO; -EAGAIN on a device that would take time. */
	int (*read_now)(void *device, u64 page_nr, struct page *page);
	/* Starts the request; request->done(request, 0 or -EIO) follows, or has come already, from whatever context. */
	void (*start)(struct swap_request *request);
};

struct swap_request {
	const struct swap_device_ops *ops; /* these five: constant while the request is under way */
	void *device;
	u64 page_nr;
	struct page *page;
	bool write;
	void (*done)(struct swap_request *request, int error);
	struct list_head free;		      /* of the pool: its lock */
	u64 driver[24];			      /* the device's own */
};

/* ---- Areas ------------------------------------------------------------------------------------------------------- */

void swap_init(void); /* boot */

/*
 * Begins to swap to a device of nr_pages pages. Page 0 and the nr_bad listed ones are never used. The number of the area,
 * -ENOMEM, -EPERM when there are too many.
 */
int swap_area_add(const struct swap_device_ops *ops, void *device, u64 nr_pages, const u32 *bad, u32 nr_bad, int priority);
/* The area on that device, or -1. */
int swap_area_on(const void *device);
/*
 * Brings everything back from the area and forgets it. 0; -ENOMEM, -EINTR, -EIO when a page cannot be read: then the
 * area is in use as before. One at a time. Sleeps. => no lock from RANK_MMAP_LOCK on held.
 */
int swap_area_remove(unsigned area);

/* Pages of all areas, and those of them that hold something. Unlocked: near. */
struct swap_figures {
	u64 total, used, cached;
};
struct swap_figures swap_figures(void);
/* One area's; false where there is none. Sizes in pages. */
struct swap_area_figures {
	void *device;
	u64 size, used;
	int priority;
};
bool swap_area_figures(unsigned area, struct swap_area_figures *figures);
/* There is swap, full or not. Unlocked: a look in advance. */
bool swap_is_on(void);
/* More than half of it is used: what comes back gives its slot up. */
bool swap_is_half_full(void);

/* Pages that a fault reads at once are 1 << this: /proc/sys/vm/page-cluster. */
extern u8 sysctl_page_cluster;

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

/*
 * The area of the slot stays until swap_area_put() (W3). False: it is gone, and so is every entry that named the slot.
 * Entries read without their lock need this; an entry under its PTE lock keeps its area by itself.
 */
bool swap_area_get(swap_slot_t slot);
void swap_area_put(swap_slot_t slot);
/* For asserts, in debug builds: the area of the slot cannot go away, since somebody uses it or names the slot. */
bool swap_area_is_held(swap_slot_t slot);
#define assert_area_held(slot) ASSERT(swap_area_is_held(slot), "the swap area is held")

/*
 * One more, one fewer entry, or slot of a mapping, names it. It is named already, or holds a page. => a spinlock held:
 * of that.
 */
void swap_dup(swap_slot_t slot);
/* The last one also drops the page that the slot still holds, if nobody has it locked. */
void swap_put(swap_slot_t slot);
/* Entries that name it. Stable if all of them, and the page, are locked by the caller. */
u32 swap_count(swap_slot_t slot);

/*
 * Claims a slot that holds no page and has one entry, so that it can be read past the swap cache. False: somebody was
 * faster, or others want it too.
 */
bool swap_claim(swap_slot_t slot);
void swap_unclaim(swap_slot_t slot);
bool swap_is_claimed(swap_slot_t slot);
#define assert_slot_claimed(slot) ASSERT(swap_is_claimed(slot), "the swap slot is claimed")
/* Waits, pausing, until nobody has it claimed: who has neither sleeps nor waits for us. */
void swap_wait_unclaimed(swap_slot_t slot);

/* ---- The swap cache ---------------------------------------------------------------------------------------------- */

/* The page that the slot holds, with a reference, or NULL. => the area held. */
struct page *swap_cache_find(swap_slot_t slot);
/* Gives the page a slot, which holds it from now on. False: all are full. It is in no slot. => the page locked. */
bool swap_cache_alloc(struct page *page);
enum swap_add {
	SWAP_ADDED,
	SWAP_BUSY, /* somebody was faster: look again */
	SWAP_UNUSED, /* no entry names the slot any more */
};
/* Puts a page that is to be read into the slot. => the page locked; the area held. */
enum swap_add swap_cache_add(swap_slot_t slot, struct page *page);
/* Under the page lock the answer stays true. => a reference. */
static inline bool swap_cache_holds(const struct page *page, swap_slot_t slot)
{
	assert_referenced(page);
	return page_test(page, PG_SWAPCACHE) && READ_ONCE(page->private) == slot.val;
}
/*
 * Takes the page out of its slot. One that could not be written takes the slot with it: it is never used again. It is
 * not under write-back. What is written in the slot need not last: nobody names it, or the page was not filled. => the
 * page locked.
 */
void swap_cache_delete(struct page *page);
/* The same if the page is in a slot that no entry names, and not under write-back. => the page locked. */
bool swap_cache_delete_unused(struct page *page);
/*
 * The same if the caller's reference and the slot's are the only ones, and the device has its contents. => the page
 * locked.
 */
bool swap_cache_delete_clean(struct page *page);
/* Drops the pages that their devices have too, and nobody maps or reads; how many. Sleeps. */
u64 swap_cache_shrink(void);
/* Drops the pages of slots that no entry names any more. Sleeps until write-back of them has ended. */
void swap_cache_trim(void);

/* ---- Transfers (swap_io.c) --------------------------------------------------------------------------------------- */

/*
 * Begins to write the page to its slot; page_end_writeback() follows. It is mapped nowhere. May sleep. => PG_SWAPCACHE;
 * the page locked.
 */
void swap_write_start(struct page *page);
/* 0, -EIO; -EAGAIN: the device would take time. Does not sleep. => the slot claimed. */
int swap_read_now(swap_slot_t slot, struct page *page);
/* Is the slot's device synchronous just now? => the area held. */
bool swap_is_synchronous(swap_slot_t slot);
/*
 * The page of the slot, being filled or filled, with a reference, together with its neighbours on the device. NULL: no
 * entry names the slot any more; err_ptr(-ENOMEM); err_ptr(-EAGAIN): all requests are under way, see below. Does not
 * sleep. => the area held.
 */
struct page *swap_read_ahead(swap_slot_t slot);
/* Sleep until a request is free; another thread may have taken it by the time they return. Killable: 0 or -EINTR. */
void swap_request_wait(void);
int __must_check swap_request_wait_killable(void);

/* ---- Out (swap_out.c) -------------------------------------------------------------------------------------------- */

struct tlb_batch;

enum swap_out {
	SWAP_OUT_STAYS, /* in memory, untouched */
	SWAP_OUT_GONE,	/* but for the caller's reference */
	SWAP_OUT_BEGUN, /* it stays locked until the batch is flushed and swap_out_finish() has come */
};
/*
 * Begins to take an anonymous page out of every address space: entries name its slot, the batch has what is to be
 * flushed. Does not sleep. => the page locked; a reference.
 */
enum swap_out swap_out_begin(struct page *page, struct tlb_batch *batch);
/*
 * Writes it if it must be, and frees it if that is done already. True when it is gone but for the caller's reference.
 * It is begun, flushed, and was locked all the time. Sleeps. => the page locked.
 */
bool swap_out_finish(struct page *page);

#endif
