/* SPDX-License-Identifier: MIT */
/* Tests of object caches and kmalloc. */
#include "test.h"

#include "kernel/lib/string.h"
#include "mm/page/slab.h"

struct object {
	struct object *next;
	u64 tag;
	struct rcu_head rcu;
};

static struct slab_cache *object_cache(void)
{
	return slab_create("test object", sizeof(struct object), CACHE_LINE);
}

static struct object *take(struct slab_cache *cache, unsigned nr)
{
	struct object *all = NULL;

	for (unsigned i = 0; i < nr; i++) {
		struct object *object = slab_alloc(cache, 0);

		CHECK(object);
		CHECK_EQ((u64)virt_to_phys(object) % CACHE_LINE, 0);
		object->next = all;
		object->tag = virt_to_phys(object);
		all = object;
	}
	return all;
}

static unsigned give(struct slab_cache *cache, struct object *all)
{
	unsigned nr = 0;

	while (all) {
		struct object *next = all->next;

		CHECK_EQ(all->tag, virt_to_phys(all));
		slab_free(cache, all);
		all = next;
		nr++;
	}
	return nr;
}

static void note_pages(const char *name, size_t size, u64 in_use, u64 pages, void *arg)
{
	(void)size, (void)in_use;
	if (!strcmp(name, "test object"))
		*(u64 *)arg = pages;
}

TEST(slab_counts_objects_and_keeps_few_pages, 1)
{
	struct slab_cache *cache = object_cache();
	struct object *all = take(cache, 5000);
	u64 pages = 0;

	CHECK_EQ(slab_in_use(cache), 5000);
	slab_for_each(note_pages, &pages);
	CHECK(pages >= 5000 / (PAGE_SIZE / CACHE_LINE));
	CHECK_EQ(give(cache, all), 5000);
	CHECK_EQ(slab_in_use(cache), 0);
	slab_for_each(note_pages, &pages);
	CHECK(pages <= 4);
}

TEST(slab_clears_when_asked, 1)
{
	struct slab_cache *cache = object_cache();

	for (unsigned i = 0; i < 200; i++) {
		struct object *object = slab_alloc(cache, ALLOC_ZERO);

		CHECK(object && !object->next && !object->tag && !object->rcu.func);
		memset(object, 0xff, sizeof(*object));
		slab_free(cache, object);
	}
}

TEST(slab_without_memory, 1)
{
	struct slab_cache *cache = object_cache();
	struct object *all = NULL, *object;
	u64 nr = 0;

	while ((object = slab_alloc(cache, 0)) != NULL) {
		object->next = all;
		object->tag = virt_to_phys(object);
		all = object;
		nr++;
	}
	CHECK(nr > SIM_MEMORY_BYTES / CACHE_LINE / 2);
	CHECK_EQ(slab_in_use(cache), nr);
	object = slab_alloc(cache, ALLOC_RESERVE);
	CHECK(object);
	slab_free(cache, object);
	CHECK_EQ(give(cache, all), nr);
	CHECK_EQ(slab_in_use(cache), 0);
}

/* ---- Many CPUs --------------------------------------------------------------------------------------------------- */

#define STORM_SLOTS 512
static struct object *slots[STORM_SLOTS];

static void storm(void *cache)
{
	for (unsigned round = 0; round < 30000; round++) {
		struct object *object = NULL;

		if (sim_random_below(2)) {
			object = slab_alloc(cache, 0);
			CHECK(object);
			object->tag = virt_to_phys(object);
		}
		object = atomic_xchg(&slots[sim_random_below(STORM_SLOTS)], object);
		if (object) {
			CHECK_EQ(object->tag, virt_to_phys(object));
			slab_free(cache, object);
		}
	}
}

TEST(slab_storm, 4)
{
	struct slab_cache *cache = object_cache();

	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, storm, cache);
	storm(cache);
	sim_join_all();
	for (unsigned i = 0; i < STORM_SLOTS; i++)
		if (slots[i])
			slab_free(cache, slots[i]);
	CHECK_EQ(slab_in_use(cache), 0);
}

/* ---- RCU --------------------------------------------------------------------------------------------------------- */

static struct object *published;
static bool reader_in, reader_out;

static void read_under_rcu(void *unused)
{
	const struct object *object;

	(void)unused;
	rcu_read_lock();
	object = load_acquire(&published);
	store_release(&reader_in, true);
	while (!load_acquire(&reader_out))
		cpu_relax();
	CHECK_EQ(object->tag, 42); /* freed already, but kept until we leave the section */
	rcu_read_unlock();
}

TEST(slab_rcu_waits_for_readers, 2)
{
	struct slab_cache *cache = object_cache();
	struct object *object = slab_alloc(cache, 0);

	object->tag = 42;
	store_release(&published, object);
	sim_start(1, read_under_rcu, NULL);
	while (!load_acquire(&reader_in))
		let_others_run();
	store_release(&published, NULL);
	slab_free_rcu(cache, object, &object->rcu);
	let_others_run();
	CHECK_EQ(slab_in_use(cache), 1);
	store_release(&reader_out, true);
	rcu_barrier();
	CHECK_EQ(slab_in_use(cache), 0);
	sim_join_all();
}

static u64 nr_seen, all_pages;

static void see(const char *name, size_t size, u64 in_use, u64 pages, void *arg)
{
	all_pages += pages;
	if (strcmp(name, arg))
		return;
	nr_seen++;
	CHECK_EQ(size, sizeof(struct object));
	CHECK_EQ(in_use, 3);
	CHECK(pages > 0);
}

/* Like /proc/slabinfo: each cache once, with its objects in use, and the pages of all caches together. */
TEST(slab_figures, 1)
{
	struct slab_cache *cache = object_cache();
	void *objects[3];

	for (unsigned i = 0; i < 3; i++)
		objects[i] = slab_alloc(cache, 0);
	slab_for_each(see, "test object");
	CHECK_EQ(nr_seen, 1);
	CHECK_EQ(slab_nr_pages(), all_pages);
	for (unsigned i = 0; i < 3; i++)
		slab_free(cache, objects[i]);
}

/* Objects that would waste much of a page are allocated in larger slabs. */
TEST(slab_of_objects_that_fit_badly, 1)
{
	struct slab_cache *cache = slab_create("half pages and a bit", PAGE_SIZE / 2 + 64, 64);
	void *objects[30];
	u64 before = slab_nr_pages();

	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
		objects[i] = slab_alloc(cache, 0);
		memset(objects[i], (int)i, PAGE_SIZE / 2 + 64);
	}
	CHECK(slab_nr_pages() - before < 24); /* 30 if each took a page */
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
		CHECK_EQ(((u8 *)objects[i])[PAGE_SIZE / 2 + 63], i);
		slab_free(cache, objects[i]);
	}
}

/* ---- kmalloc ----------------------------------------------------------------------------------------------------- */

static bool all_bytes(const u8 *bytes, size_t size, u8 value)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

TEST(kmalloc_every_size, 1)
{
	static u8 *objects[5000];

	for (size_t size = 0; size < ARRAY_SIZE(objects); size++) {
		objects[size] = kmalloc(size, ALLOC_ZERO);
		CHECK(objects[size]);
		CHECK(all_bytes(objects[size], size, 0));
		memset(objects[size], (int)(size % 251), size);
	}
	for (size_t size = 0; size < ARRAY_SIZE(objects); size++) {
		CHECK(all_bytes(objects[size], size, (u8)(size % 251)));
		kfree(objects[size]);
	}
}

static size_t size_taken; /* size of the objects of which one more is in use than before */

static void note_cache(const char *name, size_t size, u64 in_use, u64 pages, void *counts)
{
	u64 *count = (u64 *)counts + size / 32;

	(void)pages;
	if (strncmp(name, "kmalloc-", 8))
		return;
	if (in_use == *count + 1)
		size_taken = size;
	*count = in_use;
}

/* Each size is allocated from the cache with the smallest objects that fit, and freed to it. */
TEST(kmalloc_takes_the_smallest_objects_that_do, 1)
{
	static const size_t sizes[] = { 32, 64, 96, 128, 192, 256, 512, 1024, 2048 };
	u64 counts[65] = { 0 }, again[65];
	unsigned fits = 0;

	slab_for_each(note_cache, counts);
	for (size_t size = 0; size <= 2048; size++) {
		void *object = kmalloc(size, 0);

		while (sizes[fits] < size)
			fits++;
		size_taken = 0;
		slab_for_each(note_cache, counts);
		CHECK_EQ(size_taken, sizes[fits]);
		kfree(object);
		memcpy(again, counts, sizeof(again));
		slab_for_each(note_cache, again);
		counts[sizes[fits] / 32]--;
		CHECK(!memcmp(again, counts, sizeof(again)));
	}
}

TEST(kstrdup_copies_all_of_it, 1)
{
	char *empty = kstrdup(""), *copy = kstrdup("sixteen letters!");

	CHECK_EQ(empty[0], 0);
	CHECK(!strcmp(copy, "sixteen letters!"));
	kfree(empty);
	kfree(copy);
	sim_fail_allocation(1, true);
	CHECK(!kstrdup("x"));
	CHECK(sim_allocation_failed());
}

TEST(kmalloc_large, 1)
{
	u64 before = nr_free_pages();
	void *largest = kmalloc(PAGE_SIZE << MAX_ORDER, 0);

	CHECK(largest);
	CHECK_EQ(nr_free_pages(), before - (1UL << MAX_ORDER));
	CHECK(!kmalloc((PAGE_SIZE << MAX_ORDER) + 1, 0));
	CHECK(!kmalloc(~0UL, 0));
	kfree(largest);
	kfree(NULL);
	CHECK_EQ(nr_free_pages(), before);
}
