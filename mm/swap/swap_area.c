/* SPDX-License-Identifier: MIT */
/*
 * Swap areas and their slots, and which slot holds which page (the swap cache).
 *
 * The slot descriptors of an area lie in chunks of one page of memory each, allocated when the area is added. A page
 * gets the next free slot after the last one allocated, so that pages written together are adjacent, and can be read
 * together. Areas of the same priority take turns.
 *
 * Rejected: one radix tree for the cache, as the page cache has. A slot has to be looked up for its count anyway.
 *
 * Locks: area.lock (RANK_SWAP) for everything of one area; taken under page locks and PTE locks; not by interrupts. The
 * areas are a static array: an area is found without a lock, and read under its own.
 */
#include "mm/swap/swap.h"

#include "kernel/lib/errno.h"
#include "kernel/sync/wait.h"
#include "mm/debug/race.h"
#include "mm/page/page_lock.h"
#include "mm/page/slab.h"

#define SLOT_HELD (1u << 31) /* holds a page, or is claimed */
#define SLOT_BAD (1u << 30)  /* never used (again) */
#define SLOT_COUNT (SLOT_BAD - 1)
#define TURN_SHIFT 5 /* areas of the same priority take turns of 32 slots */

struct slot {
	u32 state; /* SLOT_* and the number of entries that refer to it */
	u32 pfn;   /* of the page that it holds; 0 when claimed */
};
#define SLOTS_PER_CHUNK (PAGE_SIZE / sizeof(struct slot))

struct chunk {
	struct slot *slots;
	u32 nr_free;
};

static struct swap_area {
	spinlock_t lock; /* RANK_SWAP, guards what follows. Unlocked reads are repeated under it, or statistics */
	bool present;	 /* entries may refer to its slots */
	bool usable;	 /* slots may be allocated */
	int priority;
	u64 turns;    /* slots allocated so far: the area with the fewest is next */
	u64 nr_free;  /* slots */
	u64 nr_held;  /* slots that hold a page */
	u64 next;     /* where the search for a free slot continues */
	u64 nr_users; /* swap_area_get() without swap_area_put() */

	/* Written while no thread can use the area. */
	u64 nr_slots; /* the header's included */
	u64 nr_pages; /* slots that can hold a page */
	struct chunk *chunks;
	const struct swap_device_ops *ops;
	void *device;
} areas[MAX_SWAP_AREAS];

static struct wait_queue users_gone; /* swap_area_remove() waits for nr_users to be 0 */
static int lowest_priority = -1;     /* areas are added one at a time */

static void chunks_free(struct swap_area *area);

void swap_init(void)
{
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		spin_init(&areas[i].lock, RANK_SWAP);
	wait_queue_init(&users_gone);
}

static struct swap_area *area_of(swap_slot_t slot)
{
	return &areas[swap_slot_area(slot)];
}

/* The slot is within the area. Context: area->lock held, unless the area is not in use yet. */
static struct slot *slot_at(struct swap_area *area, u64 offset)
{
	ASSERT(!READ_ONCE(area->present) || spin_is_locked_by_me(&area->lock),
	       "slots in use are looked at under their lock");
	return &area->chunks[offset / SLOTS_PER_CHUNK].slots[offset % SLOTS_PER_CHUNK];
}

static u64 nr_chunks(const struct swap_area *area)
{
	return (area->nr_slots + SLOTS_PER_CHUNK - 1) / SLOTS_PER_CHUNK;
}

/* ---- Adding ------------------------------------------------------------------------------------------------------ */

static bool chunks_alloc(struct swap_area *area)
{
	area->chunks = kmalloc(nr_chunks(area) * sizeof(struct chunk), ALLOC_ZERO);
	for (u64 i = 0; area->chunks && i < nr_chunks(area); i++) {
		struct page *page = alloc_page(ALLOC_ZERO);

		if (!page) {
			chunks_free(area);
			return false;
		}
		area->chunks[i].slots = page_to_virt(page);
	}
	return area->chunks != NULL;
}

static void chunks_free(struct swap_area *area)
{
	for (u64 i = 0; i < nr_chunks(area); i++)
		if (area->chunks[i].slots)
			page_put(virt_to_page(area->chunks[i].slots));
	kfree(area->chunks);
	area->chunks = NULL;
}

static void mark_bad(struct swap_area *area, u64 offset)
{
	if (offset < area->nr_slots)
		slot_at(area, offset)->state = SLOT_BAD;
}

static void area_count_free(struct swap_area *area)
{
	u64 nr_free = 0;

	for (u64 offset = 0; offset < area->nr_slots; offset++) {
		bool is_free = !slot_at(area, offset)->state;

		area->chunks[offset / SLOTS_PER_CHUNK].nr_free += is_free;
		nr_free += is_free;
	}
	WRITE_ONCE(area->nr_free, nr_free);
	WRITE_ONCE(area->nr_pages, nr_free);
}

/* A new area starts level with those of its priority; with 0 turns it would get every slot until it had caught up. */
static u64 turns_of_equals(int priority)
{
	u64 turns = 0;

	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		if (load_acquire(&areas[i].present) && READ_ONCE(areas[i].priority) == priority)
			turns = max(turns, READ_ONCE(areas[i].turns));
	return turns;
}

static void area_open(struct swap_area *area, int priority)
{
	spin_lock(&area->lock);
	WRITE_ONCE(area->turns, turns_of_equals(priority));
	WRITE_ONCE(area->nr_held, 0);
	area->nr_users = 0;
	area->next = 1;
	WRITE_ONCE(area->priority, priority);
	store_release(&area->present, true);
	store_release(&area->usable, true);
	spin_unlock(&area->lock);
}

int swap_area_add(const struct swap_device_ops *ops, void *device, u64 nr_pages, const u32 *bad, u32 nr_bad,
		  int priority)
{
	struct swap_area *area = areas;

	while (area < areas + MAX_SWAP_AREAS && load_acquire(&area->present))
		area++;
	if (area == areas + MAX_SWAP_AREAS)
		return -EPERM;
	area->ops = ops;
	area->device = device;
	area->nr_slots = nr_pages;
	if (!chunks_alloc(area))
		return -ENOMEM;
	mark_bad(area, 0);
	for (u32 i = 0; i < nr_bad; i++)
		mark_bad(area, bad[i]);
	area_count_free(area);
	area_open(area, priority == SWAP_PRIORITY_NEXT ? --lowest_priority : priority);
	return (int)(area - areas);
}

/* ---- References to an area, and closing it ----------------------------------------------------------------------- */

int swap_area_on(const void *device)
{
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		if (load_acquire(&areas[i].present) && areas[i].device == device)
			return (int)i;
	return -1;
}

bool swap_area_get(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	bool ok;

	spin_lock(&area->lock);
	ok = area->present && swap_slot_offset(slot) < area->nr_slots;
	area->nr_users += ok;
	spin_unlock(&area->lock);
	return ok;
}

void swap_area_put(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	bool last;

	spin_lock(&area->lock);
	ASSERT(area->nr_users > 0, "every reference to a swap area is dropped once");
	last = !--area->nr_users && !area->usable;
	spin_unlock(&area->lock);
	if (last)
		wake_up_all(&users_gone);
}

#if DEBUG
bool swap_area_is_held(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	bool held;

	spin_lock(&area->lock);
	held = area->present && swap_slot_offset(slot) < area->nr_slots &&
	       (area->nr_users || slot_at(area, swap_slot_offset(slot))->state & ~SLOT_BAD);
	spin_unlock(&area->lock);
	return held;
}
#endif

void swap_area_set_usable(unsigned id, bool usable)
{
	spin_lock(&areas[id].lock);
	WRITE_ONCE(areas[id].usable, usable);
	spin_unlock(&areas[id].lock);
}

/* Slots that are neither free nor bad. */
u64 swap_area_in_use(unsigned id)
{
	struct swap_area *area = &areas[id];
	u64 in_use = 0;

	for (u64 i = 0; i < nr_chunks(area); i++) {
		spin_lock(&area->lock);
		for (u64 offset = i * SLOTS_PER_CHUNK; offset < min((i + 1) * SLOTS_PER_CHUNK, area->nr_slots);
		     offset++)
			in_use += !!(slot_at(area, offset)->state & ~SLOT_BAD);
		spin_unlock(&area->lock);
	}
	return in_use;
}

static bool nobody_uses(struct swap_area *area)
{
	bool nobody;

	spin_lock(&area->lock);
	nobody = !area->nr_users;
	if (nobody)
		WRITE_ONCE(area->present, false); /* in the same critical section: swap_area_get() fails from now on */
	spin_unlock(&area->lock);
	return nobody;
}

void swap_area_close(unsigned id)
{
	assert_may_sleep();
	wait_event(&users_gone, nobody_uses(&areas[id]));
	chunks_free(&areas[id]);
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

/* Finds the next free slot; there must be one. Context: area->lock held. */
static u64 next_free(struct swap_area *area)
{
	u64 offset = area->next < area->nr_slots ? area->next : 0;

	assert_spin_held(&area->lock);
	while (slot_at(area, offset)->state) {
		const struct chunk *chunk = &area->chunks[offset / SLOTS_PER_CHUNK];

		offset = chunk->nr_free ? offset + 1 : align_down(offset, SLOTS_PER_CHUNK) + SLOTS_PER_CHUNK;
		if (offset >= area->nr_slots)
			offset = 0;
	}
	area->next = offset + 1;
	return offset;
}

/*
 * Sets the state of a slot, and updates the counts of free slots if the slot becomes free or ceases to be.
 *
 * Context: area->lock held.
 */
static void note_state(struct swap_area *area, u64 offset, u32 state)
{
	struct slot *slot = slot_at(area, offset);
	int freed = !state - !slot->state;

	assert_spin_held(&area->lock);
	slot->state = state;
	area->chunks[offset / SLOTS_PER_CHUNK].nr_free += (u32)freed;
	WRITE_ONCE(area->nr_free, area->nr_free + (u64)freed);
}

/* Reads without a lock: swap_cache_alloc() checks again under it. */
static bool goes_before(const struct swap_area *a, const struct swap_area *b)
{
	int priority_a = READ_ONCE(a->priority), priority_b = READ_ONCE(b->priority);

	if (priority_a != priority_b)
		return priority_a > priority_b;
	return READ_ONCE(a->turns) >> TURN_SHIFT < READ_ONCE(b->turns) >> TURN_SHIFT;
}

static struct swap_area *best_area(void)
{
	struct swap_area *best = NULL;

	for (struct swap_area *area = areas; area < areas + MAX_SWAP_AREAS; area++)
		if (load_acquire(&area->usable) && READ_ONCE(area->nr_free) && (!best || goes_before(area, best)))
			best = area;
	return best;
}

/* Puts the page into the slot; takes the slot's reference. Context: area->lock held; the page locked. */
static void hold_page(struct swap_area *area, u64 offset, struct page *page)
{
	struct slot *slot = slot_at(area, offset);

	assert_page_locked(page);
	assert_spin_held(&area->lock);
	note_state(area, offset, slot->state | SLOT_HELD);
	slot->pfn = (u32)page_to_pfn(page);
	WRITE_ONCE(area->nr_held, area->nr_held + 1);
	page_get(page);
	WRITE_ONCE(page->private, swap_slot_make((unsigned)(area - areas), offset).val);
	page_set(page, PG_SWAPCACHE);
}

/* The loop ends: best_area() does not return an area again that has become full or is being removed. */
bool swap_cache_alloc(struct page *page)
{
	struct swap_area *area;
	bool ok;

	assert_page_locked(page);
	ASSERT(!page_test(page, PG_SWAPCACHE), "a page has one slot at a time");
	do {
		area = best_area();
		if (!area)
			return false;
		spin_lock(&area->lock);
		ok = area->usable && area->nr_free;
		if (ok) {
			WRITE_ONCE(area->turns, area->turns + 1);
			hold_page(area, next_free(area), page);
		}
		spin_unlock(&area->lock);
	} while (!ok);
	return true;
}

void swap_dup(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	u64 offset = swap_slot_offset(slot);

	assert_in_atomic();
	spin_lock(&area->lock);
	ASSERT(slot_at(area, offset)->state & ~SLOT_BAD, "a slot that gets another entry is in use");
	note_state(area, offset, slot_at(area, offset)->state + 1);
	spin_unlock(&area->lock);
}

u32 swap_count(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	u32 state;

	spin_lock(&area->lock);
	state = slot_at(area, swap_slot_offset(slot))->state;
	spin_unlock(&area->lock);
	return state & SLOT_COUNT;
}

/* The page that the slot holds, with a reference, or NULL. Context: a spinlock held: area->lock. */
static struct page *held_page(const struct slot *slot)
{
	struct page *page = slot->state & SLOT_HELD && slot->pfn ? pfn_to_page(slot->pfn) : NULL;

	assert_in_atomic();
	if (page)
		page_get(page);
	return page;
}

void swap_put(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	u64 offset = swap_slot_offset(slot);
	struct page *page = NULL;
	u32 state;

	spin_lock(&area->lock);
	state = slot_at(area, offset)->state;
	ASSERT(state & SLOT_COUNT, "every entry that names a slot is uncounted once");
	note_state(area, offset, state - 1);
	if (!((state - 1) & SLOT_COUNT))
		page = held_page(slot_at(area, offset));
	spin_unlock(&area->lock);
	if (!page)
		return;
	if (page_trylock(page)) {
		(void)swap_cache_delete_unused(page);
		page_unlock(page);
	}
	page_put(page);
}

bool swap_claim(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	u64 offset = swap_slot_offset(slot);
	bool ok;

	spin_lock(&area->lock);
	ok = slot_at(area, offset)->state == 1;
	if (ok) {
		slot_at(area, offset)->pfn = 0;
		note_state(area, offset, 1 | SLOT_HELD);
	}
	spin_unlock(&area->lock);
	return ok;
}

void swap_unclaim(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	u64 offset = swap_slot_offset(slot);

	spin_lock(&area->lock);
	note_state(area, offset, slot_at(area, offset)->state & ~SLOT_HELD);
	spin_unlock(&area->lock);
}

bool swap_is_claimed(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	bool claimed;

	spin_lock(&area->lock);
	const struct slot *place = slot_at(area, swap_slot_offset(slot));
	claimed = place->state & SLOT_HELD && !place->pfn;
	spin_unlock(&area->lock);
	return claimed;
}

void swap_wait_unclaimed(swap_slot_t slot)
{
	while (swap_is_claimed(slot))
		cpu_relax();
}

/* ---- The swap cache ---------------------------------------------------------------------------------------------- */

struct page *swap_cache_find(swap_slot_t slot)
{
	struct swap_area *area = area_of(slot);
	struct page *page;

	assert_area_held(slot);
	spin_lock(&area->lock);
	page = held_page(slot_at(area, swap_slot_offset(slot)));
	spin_unlock(&area->lock);
	return page;
}

enum swap_add swap_cache_add(swap_slot_t slot, struct page *page)
{
	struct swap_area *area = area_of(slot);
	u64 offset = swap_slot_offset(slot);
	enum swap_add result = SWAP_ADDED;
	u32 state;

	assert_area_held(slot);
	assert_page_locked(page);
	spin_lock(&area->lock);
	state = slot_at(area, offset)->state;
	if (state & SLOT_HELD)
		result = SWAP_BUSY;
	else if (!(state & SLOT_COUNT))
		result = SWAP_UNUSED;
	else
		hold_page(area, offset, page);
	spin_unlock(&area->lock);
	return result;
}

/* Takes the page out of the slot, whose reference passes to the caller. Context: area->lock held; the page locked. */
static void let_page_go(struct swap_area *area, u64 offset, struct page *page)
{
	struct slot *slot = slot_at(area, offset);
	bool unwritable = page_is_uptodate(page) && page_test(page, PG_ERROR);

	assert_page_locked(page);
	assert_spin_held(&area->lock);
	ASSERT(slot->state & SLOT_HELD && slot->pfn == page_to_pfn(page), "a page is in the slot that it names");
	slot->pfn = 0;
	WRITE_ONCE(area->nr_held, area->nr_held - 1);
	note_state(area, offset, (slot->state & ~SLOT_HELD) | (unwritable ? SLOT_BAD : 0));
	WRITE_ONCE(page->private, 0);
	page_clear(page, PG_SWAPCACHE);
	page_clear(page, PG_ERROR);
	page_clear(page, PG_DIRTY);
}

void swap_cache_delete(struct page *page)
{
	swap_slot_t slot = { READ_ONCE(page->private) };
	struct swap_area *area = area_of(slot);

	assert_page_locked(page);
	ASSERT(page_test(page, PG_LOCKED) && page_test(page, PG_SWAPCACHE),
	       "a page leaves its slot while it is locked");
	ASSERT(!page_test(page, PG_WRITEBACK), "a page that is being written keeps its slot");
	spin_lock(&area->lock);
	let_page_go(area, swap_slot_offset(slot), page);
	spin_unlock(&area->lock);
	page_put(page);
}

bool swap_cache_delete_unused(struct page *page)
{
	swap_slot_t slot = { READ_ONCE(page->private) };

	assert_page_locked(page);
	if (!page_test(page, PG_SWAPCACHE) || page_test(page, PG_WRITEBACK) || swap_count(slot))
		return false;
	/* No entry can refer to the slot again: it is reached only by an entry, or with the page locked. */
	swap_cache_delete(page);
	return true;
}

bool swap_cache_delete_clean(struct page *page)
{
	swap_slot_t slot = { READ_ONCE(page->private) };
	struct swap_area *area = area_of(slot);
	bool ok;

	assert_page_locked(page);
	if (page_test(page, PG_WRITEBACK) || page_test(page, PG_DIRTY))
		return false;
	/* The page is mapped nowhere, so a third reference can only be taken through the slot, under this lock. */
	spin_lock(&area->lock);
	ok = load_acquire(&page->refcount) == 2;
	if (ok)
		let_page_go(area, swap_slot_offset(slot), page);
	spin_unlock(&area->lock);
	if (ok)
		page_put(page);
	return ok;
}

enum held { HELD_UNUSED, HELD_ANY };

/*
 * The next page in a slot from *offset on, with a reference, or NULL; HELD_UNUSED: only slots that no entry refers to.
 * Sets *offset to the slot after it.
 */
static struct page *next_held(struct swap_area *area, u64 *offset, enum held what)
{
	struct page *page = NULL;

	spin_lock(&area->lock);
	while (!page && area->present && *offset < area->nr_slots) {
		const struct slot *slot = slot_at(area, (*offset)++);

		if (what == HELD_ANY || !(slot->state & SLOT_COUNT))
			page = held_page(slot);
	}
	spin_unlock(&area->lock);
	return page;
}

static void trim_area(struct swap_area *area)
{
	struct page *page;
	u64 offset = 0;

	while (READ_ONCE(area->nr_held) && (page = next_held(area, &offset, HELD_UNUSED)) != NULL) {
		page_lock(page);
		page_wait_writeback(page);
		(void)swap_cache_delete_unused(page);
		page_unlock(page);
		page_put(page);
		cond_resched();
	}
}

static u64 shrink_area(struct swap_area *area)
{
	u64 offset = 0, dropped = 0;
	struct page *page;

	while (READ_ONCE(area->nr_held) && (page = next_held(area, &offset, HELD_ANY)) != NULL) {
		if (!READ_ONCE(page->mapcount) && page_trylock(page)) {
			dropped += page_test(page, PG_SWAPCACHE) && swap_cache_delete_clean(page);
			page_unlock(page);
		}
		page_put(page);
		cond_resched();
	}
	return dropped;
}

u64 swap_cache_shrink(void)
{
	u64 dropped = 0;

	assert_may_sleep();
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		if (load_acquire(&areas[i].present))
			dropped += shrink_area(&areas[i]);
	return dropped;
}

void swap_cache_trim(void)
{
	assert_may_sleep();
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		if (load_acquire(&areas[i].present))
			trim_area(&areas[i]);
}

/* ---- The device of an area --------------------------------------------------------------------------------------- */

const struct swap_device_ops *swap_slot_device(swap_slot_t slot, void **device)
{
	assert_area_held(slot);
	*device = area_of(slot)->device;
	return area_of(slot)->ops;
}

/* ---- Figures ----------------------------------------------------------------------------------------------------- */

bool swap_area_figures(unsigned id, struct swap_area_figures *figures)
{
	struct swap_area *area = &areas[id];
	bool present;

	spin_lock(&area->lock);
	present = area->present;
	if (present) /* otherwise swapon may be initialising it */
		*figures = (struct swap_area_figures){ area->device, area->nr_pages, area->nr_pages - area->nr_free,
						       area->priority };
	spin_unlock(&area->lock);
	return present;
}

struct swap_figures swap_figures(void)
{
	struct swap_figures sum = { 0 };

	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++) {
		struct swap_area_figures area;

		if (!load_acquire(&areas[i].present) || !swap_area_figures(i, &area))
			continue;
		sum.total += area.size;
		sum.used += area.used;
		sum.cached += READ_ONCE(areas[i].nr_held);
	}
	return sum;
}

bool swap_is_on(void)
{
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++)
		if (load_acquire(&areas[i].usable))
			return true;
	return false;
}

bool swap_is_half_full(void)
{
	u64 total = 0, nr_free = 0;

	/* Reads without locks: an estimate is enough. */
	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++) {
		if (!load_acquire(&areas[i].usable))
			continue;
		total += READ_ONCE(areas[i].nr_pages);
		nr_free += READ_ONCE(areas[i].nr_free);
	}
	return nr_free * 2 < total;
}

/* ---- The checker ------------------------------------------------------------------------------------------------- */

/* The sum of the slots' entry counts, to be compared with the number of swap entries in page tables and mappings. */
u64 swap_entries_counted(bool *ok)
{
	u64 entries = 0;

	for (unsigned i = 0; i < MAX_SWAP_AREAS; i++) {
		spin_lock(&areas[i].lock);
		for (u64 offset = 0; areas[i].present && offset < areas[i].nr_slots; offset++) {
			const struct slot *slot = slot_at(&areas[i], offset);

			entries += slot->state & SLOT_COUNT;
			if (!(slot->state & SLOT_HELD) || slot->state & SLOT_COUNT)
				continue;
			klog("check: swap slot %lu of area %u holds a page that no entry names", (unsigned long)offset,
			     i);
			*ok = false;
		}
		spin_unlock(&areas[i].lock);
	}
	return entries;
}
