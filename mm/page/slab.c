/* SPDX-License-Identifier: MIT */
/*
 * Object caches: slabs with a per-CPU magazine of free objects for each cache.
 *
 * Only its own CPU accesses a magazine (no interrupt handler allocates, the kernel is not preemptible), so the common
 * allocation and the common free are one array access. Magazines are loaded from and unloaded to slabs, blocks of pages
 * cut into objects, in batches, under the cache's lock. An object may be freed on any CPU; it goes into that CPU's
 * magazine.
 *
 * A CPU's magazine is allocated when the CPU first needs it. Until then no_magazine stands in its place: with capacity
 * zero it is both empty and full, so that the fast paths need no test for it.
 *
 * Locks: slab_cache.lock (RANK_SLAB); below it the zone lock. With ALLOC_WAIT the allocation sleeps for a new slab with
 * neither held.
 */
#include "kernel/lib/string.h"
#include "mm/page/slab.h"
#include "mm/reclaim/kswapd.h"

#define MAGAZINE_SIZE 30
#define MAX_CACHES 64
#define POISON_BYTE 0x6b
/* At most one third of a slab is waste; that sets its order: mostly one page, since memory may be fragmented. */
#define MAX_WASTE 3

/* Written only by its CPU; other CPUs read the count for statistics. */
struct magazine {
	u32 count;
	u32 capacity;
	void *objects[MAGAZINE_SIZE];
};

struct slab_cache {
	/* Constant after creation, but for the pointers to magazines, each of which its CPU sets once. */
	const char *name;
	u32 size;   /* bytes asked for */
	u32 stride; /* bytes from object to object */
	u32 order;  /* a slab is 2^order pages */
	u32 per_slab;
	struct magazine *magazines[MAX_CPUS];

	/* Guarded by lock. A slab's state is in its first struct page: freelist, private (objects taken), lru. */
	spinlock_t lock __cacheline_aligned;
	struct list_head partial; /* slabs with at least one free object */
	u64 nr_slabs;
	u64 nr_free;  /* objects in slabs */
	u64 nr_taken; /* objects out of slabs: in use or in a magazine. Unlocked reads are statistics */
};

static struct magazine no_magazine;

#define CACHE_INIT(cache, bytes, pages_order, label)                                                                   \
	{                                                                                                              \
		.name = (label), .size = (bytes), .stride = (bytes), .order = (pages_order),                           \
		.per_slab = (PAGE_SIZE << (pages_order)) / (bytes),                                                    \
		.magazines = { [0 ... MAX_CPUS - 1] = &no_magazine }, .lock = SPINLOCK_INIT(SLAB),                     \
		.partial = LIST_HEAD_INIT((cache).partial)                                                             \
	}

/* kmalloc's caches, initialised statically: ready before any code runs. */
static struct slab_cache kmalloc_caches[] = {
	CACHE_INIT(kmalloc_caches[0], 32, 0, "kmalloc-32"),   CACHE_INIT(kmalloc_caches[1], 64, 0, "kmalloc-64"),
	CACHE_INIT(kmalloc_caches[2], 96, 0, "kmalloc-96"),   CACHE_INIT(kmalloc_caches[3], 128, 0, "kmalloc-128"),
	CACHE_INIT(kmalloc_caches[4], 192, 0, "kmalloc-192"), CACHE_INIT(kmalloc_caches[5], 256, 0, "kmalloc-256"),
	CACHE_INIT(kmalloc_caches[6], 512, 0, "kmalloc-512"), CACHE_INIT(kmalloc_caches[7], 1024, 0, "kmalloc-1k"),
	CACHE_INIT(kmalloc_caches[8], 2048, 0, "kmalloc-2k"),
};
#define KMALLOC_MAX_SLAB 2048

/* Magazines themselves: taken from slabs directly, never from a magazine. */
static struct slab_cache magazine_cache = CACHE_INIT(magazine_cache, 256, 0, "magazine");
_Static_assert(sizeof(struct magazine) <= 256, "a magazine is one object of its cache");

static struct slab_cache created_caches[MAX_CACHES]; /* boot */
static unsigned nr_created;

static void *alloc_slow(struct slab_cache *cache, unsigned flags);
static void free_slow(struct slab_cache *cache, void *object);
static void slab_add(struct slab_cache *cache, struct page *slab);
static void *take_object(struct slab_cache *cache, unsigned flags);
static void give_object(struct slab_cache *cache, void *object);
static void poison_object(const struct slab_cache *cache, void *object);
static void slab_check_poison(const struct slab_cache *cache, const void *object);

/* ---- Creation ---------------------------------------------------------------------------------------------------- */

struct slab_cache *slab_create(const char *name, size_t size, size_t align)
{
	struct slab_cache *cache = &created_caches[nr_created];

	BUG_ON(nr_created == MAX_CACHES, "no room for the object cache %s: raise MAX_CACHES", name);
	nr_created++;
	cache->name = name;
	cache->size = (u32)size;
	cache->stride = (u32)align_up(max(size, sizeof(void *)), max(align, sizeof(void *)));
	while ((PAGE_SIZE << cache->order) < cache->stride ||
	       (PAGE_SIZE << cache->order) % cache->stride > (PAGE_SIZE << cache->order) / MAX_WASTE)
		cache->order++;
	BUG_ON(cache->order > MAX_ORDER, "objects of the cache %s are too large", name);
	cache->per_slab = (u32)((PAGE_SIZE << cache->order) / cache->stride);
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		cache->magazines[cpu] = &no_magazine;
	spin_init(&cache->lock, RANK_SLAB);
	list_init(&cache->partial);
	return cache;
}

/* ---- The fast paths ---------------------------------------------------------------------------------------------- */

void *slab_alloc(struct slab_cache *cache, unsigned flags)
{
	struct magazine *magazine = cache->magazines[cpu_id()];
	u32 count = magazine->count;
	void *object;

	if (flags & ALLOC_WAIT)
		assert_may_reclaim();
	if (machine_fails_allocation())
		return NULL;
	if (likely(count)) {
		object = magazine->objects[count - 1];
		WRITE_ONCE(magazine->count, count - 1);
	} else {
		object = alloc_slow(cache, flags);
		if (unlikely(!object))
			return NULL;
	}
	machine_unpoison(object, cache->stride);
	if (DEBUG)
		slab_check_poison(cache, object);
	if (flags & ALLOC_ZERO)
		memset(object, 0, cache->size);
	return object;
}

void slab_free(struct slab_cache *cache, void *object)
{
	struct magazine *magazine = cache->magazines[cpu_id()];
	u32 count = magazine->count;

	ASSERT(virt_to_page(object)->cache == cache, "an object goes back to the cache it came from");
	if (DEBUG)
		poison_object(cache, object);
	machine_poison(object, cache->stride);
	if (unlikely(count == magazine->capacity)) {
		free_slow(cache, object);
		return;
	}
	magazine->objects[count] = object;
	WRITE_ONCE(magazine->count, count + 1);
}

/* ---- Loading and unloading magazines ----------------------------------------------------------------------------- */

/* This CPU's magazine, allocated if it has none yet; no_magazine if there is no memory for one. */
static struct magazine *own_magazine(struct slab_cache *cache)
{
	struct magazine *magazine = cache->magazines[cpu_id()];

	if (likely(magazine != &no_magazine))
		return magazine;
	spin_lock(&magazine_cache.lock);
	magazine = take_object(&magazine_cache, 0);
	spin_unlock(&magazine_cache.lock);
	if (!magazine)
		return &no_magazine;
	machine_unpoison(magazine, magazine_cache.stride);
	magazine->count = 0;
	magazine->capacity = MAGAZINE_SIZE;
	store_release(&cache->magazines[cpu_id()], magazine);
	return magazine;
}

/* Takes an object from a slab, old or new, and fills half of the magazine from existing slabs, as far as they last. */
static void *load_magazine(struct slab_cache *cache, unsigned flags)
{
	struct magazine *magazine = own_magazine(cache);
	u32 count = 0;
	void *object;

	spin_lock(&cache->lock);
	object = take_object(cache, flags);
	/* No new slab just for the magazine: with few objects in use one slab serves all CPUs. */
	while (object && count < magazine->capacity / 2 && cache->nr_free)
		magazine->objects[count++] = take_object(cache, flags);
	spin_unlock(&cache->lock);
	if (count)
		WRITE_ONCE(magazine->count, count);
	return object;
}

/* Waits for the pages of a new slab, and takes an object of it before other CPUs can take them all. */
static void *wait_for_slab(struct slab_cache *cache, unsigned flags)
{
	struct page *pages = alloc_pages(cache->order, (flags & ALLOC_RESERVE) | ALLOC_WAIT);
	void *object;

	if (!pages)
		return NULL;
	spin_lock(&cache->lock);
	slab_add(cache, pages);
	object = take_object(cache, flags);
	spin_unlock(&cache->lock);
	return object;
}

static __noinline void *alloc_slow(struct slab_cache *cache, unsigned flags)
{
	void *object = load_magazine(cache, flags);

	if (flags & ALLOC_WAIT)
		kswapd_look();
	return object || !(flags & ALLOC_WAIT) ? object : wait_for_slab(cache, flags);
}

static __noinline void free_slow(struct slab_cache *cache, void *object)
{
	struct magazine *magazine = own_magazine(cache);
	u32 nr = magazine->count / 2;

	spin_lock(&cache->lock);
	for (u32 i = 0; i < nr; i++)
		give_object(cache, magazine->objects[i]);
	give_object(cache, object);
	spin_unlock(&cache->lock);
	if (!nr)
		return;
	memmove(magazine->objects, magazine->objects + nr, (magazine->count - nr) * sizeof(void *));
	WRITE_ONCE(magazine->count, magazine->count - nr);
}

/* ---- Slabs ------------------------------------------------------------------------------------------------------- */

/* The first page of the slab that the object lies in: blocks are aligned to their size. */
static struct page *slab_of(const struct slab_cache *cache, const void *object)
{
	return pfn_to_page(align_down(virt_to_phys(object) >> PAGE_SHIFT, 1UL << cache->order));
}

/* Makes the pages a slab with all its objects free. Context: cache->lock held. */
static void slab_add(struct slab_cache *cache, struct page *slab)
{
	char *object;

	assert_spin_held(&cache->lock);
	for (u64 i = 0; i < 1UL << cache->order; i++) {
		WRITE_ONCE(slab[i].flags, 1u << PG_SLAB);
		slab[i].cache = cache;
	}
	slab->freelist = NULL;
	object = (char *)page_to_virt(slab) + (u64)cache->per_slab * cache->stride;
	for (u32 i = 0; i < cache->per_slab; i++) {
		object -= cache->stride;
		if (DEBUG)
			poison_object(cache, object);
		*(void **)object = slab->freelist;
		slab->freelist = object;
	}
	list_add(&cache->partial, &slab->lru);
	WRITE_ONCE(cache->nr_slabs, cache->nr_slabs + 1);
	cache->nr_free += cache->per_slab;
}

static void slab_delete(struct slab_cache *cache, struct page *slab)
{
	assert_spin_held(&cache->lock);
	list_del(&slab->lru);
	WRITE_ONCE(cache->nr_slabs, cache->nr_slabs - 1);
	cache->nr_free -= cache->per_slab;
	for (u64 i = 0; i < 1UL << cache->order; i++)
		WRITE_ONCE(slab[i].flags, 0);
	machine_unpoison(page_to_virt(slab), PAGE_SIZE << cache->order);
	free_pages(slab, cache->order);
}

static void *take_object(struct slab_cache *cache, unsigned flags)
{
	struct page *slab;
	void *object;

	assert_spin_held(&cache->lock);
	if (unlikely(list_empty(&cache->partial))) {
		slab = alloc_pages(cache->order, flags & ALLOC_RESERVE);
		if (!slab)
			return NULL;
		slab_add(cache, slab);
	}
	slab = list_first(&cache->partial, struct page, lru);
	object = slab->freelist;
	slab->freelist = *(void **)object;
	slab->private += 1;
	if (!slab->freelist)
		list_del(&slab->lru);
	cache->nr_free--;
	WRITE_ONCE(cache->nr_taken, cache->nr_taken + 1);
	if (DEBUG)
		memset(object, POISON_BYTE, sizeof(void *)); /* the free list's link was there */
	machine_poison(object, sizeof(void *));
	return object;
}

static void give_object(struct slab_cache *cache, void *object)
{
	struct page *slab = slab_of(cache, object);

	assert_spin_held(&cache->lock);
	if (!slab->freelist)
		list_add(&cache->partial, &slab->lru);
	machine_unpoison(object, sizeof(void *));
	*(void **)object = slab->freelist;
	slab->freelist = object;
	slab->private -= 1;
	cache->nr_free++;
	WRITE_ONCE(cache->nr_taken, cache->nr_taken - 1);
	/* One empty slab's worth of objects is kept, so that an object more or less does not cost a slab each time. */
	if (!slab->private && cache->nr_free >= 2 * (u64)cache->per_slab)
		slab_delete(cache, slab);
}

/* ---- Freeing after a grace period -------------------------------------------------------------------------------- */

static void free_after_grace_period(struct rcu_head *head)
{
	struct slab_cache *cache = virt_to_page(head)->cache;
	char *base = page_to_virt(slab_of(cache, head));

	slab_free(cache, base + (u64)((char *)head - base) / cache->stride * cache->stride);
}

void slab_free_rcu(struct slab_cache *cache, void *object, struct rcu_head *head)
{
	ASSERT((char *)head >= (char *)object && (char *)(head + 1) <= (char *)object + cache->size,
	       "the rcu_head lies in the object");
	ASSERT(virt_to_page(object)->cache == cache, "an object goes back to the cache it came from");
	call_rcu(head, free_after_grace_period);
}

/* ---- kmalloc ----------------------------------------------------------------------------------------------------- */

static struct slab_cache *kmalloc_cache(size_t size)
{
	/* By multiples of 32 bytes, up to 256. */
	static const u8 small[] = { 0, 1, 2, 3, 4, 4, 5, 5 };

	if (size <= 256)
		return &kmalloc_caches[size ? small[(size - 1) / 32] : 0];
	return &kmalloc_caches[size <= 512 ? 6 : size <= 1024 ? 7 : 8];
}

void *kmalloc(size_t size, unsigned flags)
{
	unsigned order = 0;
	struct page *page;

	if (likely(size <= KMALLOC_MAX_SLAB))
		return slab_alloc(kmalloc_cache(size), flags);
	while (order <= MAX_ORDER && PAGE_SIZE << order < size)
		order++;
	page = order <= MAX_ORDER ? alloc_pages(order, flags) : NULL;
	return page ? page_to_virt(page) : NULL;
}

void kfree(void *object)
{
	struct page *page;

	if (!object)
		return;
	page = virt_to_page(object);
	if (page_test(page, PG_SLAB))
		slab_free(page->cache, object);
	else
		free_pages(page, page->order);
}

char *kstrdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = kmalloc(size, 0);

	if (copy)
		memcpy(copy, text, size);
	return copy;
}

/* ---- Statistics -------------------------------------------------------------------------------------------------- */

u64 slab_in_use(const struct slab_cache *cache)
{
	u64 nr = READ_ONCE(cache->nr_taken);

	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		nr -= READ_ONCE(load_acquire(&cache->magazines[cpu])->count);
	return nr;
}

static void visit_cache(const struct slab_cache *cache,
			void (*visit)(const char *name, size_t size, u64 in_use, u64 pages, void *arg), void *arg)
{
	visit(cache->name, cache->size, slab_in_use(cache), READ_ONCE(cache->nr_slabs) << cache->order, arg);
}

void slab_for_each(void (*visit)(const char *name, size_t size, u64 in_use, u64 pages, void *arg), void *arg)
{
	visit_cache(&magazine_cache, visit, arg);
	for (unsigned i = 0; i < ARRAY_SIZE(kmalloc_caches); i++)
		visit_cache(&kmalloc_caches[i], visit, arg);
	for (unsigned i = 0; i < nr_created; i++)
		visit_cache(&created_caches[i], visit, arg);
}

static void slab_add_pages(const char *name, size_t size, u64 in_use, u64 pages, void *arg)
{
	(void)name, (void)size, (void)in_use;
	*(u64 *)arg += pages;
}

u64 slab_nr_pages(void)
{
	u64 pages = 0;

	slab_for_each(slab_add_pages, &pages);
	return pages;
}

/* ---- Debug builds: free objects hold a pattern, and still hold it when they are allocated ------------------------ */

static void poison_object(const struct slab_cache *cache, void *object)
{
	memset(object, POISON_BYTE, cache->size);
}

static void slab_check_poison(const struct slab_cache *cache, const void *object)
{
	const u8 *bytes = object;

	for (u32 i = 0; i < cache->size; i++)
		BUG_ON(bytes[i] != POISON_BYTE,
		       "object %p of the cache %s was written to after it was freed (offset %u: %#x)", object,
		       cache->name, i, bytes[i]);
}
