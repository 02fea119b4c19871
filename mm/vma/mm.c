/* SPDX-License-Identifier: MIT */
/* Creates, references and destroys address spaces, and keeps their page counts. */
#include "mm/services.h"
#include "mm/vma/mm.h"

#include "mm/cache/mapping.h"
#include "mm/page/page_lock.h"
#include "mm/vma/pkey.h"
#include "mm/vma/rmap.h"
#include "mm/swap/swap.h"
#include "mm/page/slab.h"
#include "mm/table/tlb.h"
#include "mm/vma/vma.h"
#include "mm/vma/vma_change.h"

struct slab_cache *mm_cache;

/* In the order of creation, so that a walk also visits children that are forked while it runs. */
static struct {
	spinlock_t lock;
	struct list_head list; /* lock: struct mm.all */
} all_mms = { .lock = SPINLOCK_INIT(LEAF), .list = LIST_HEAD_INIT(all_mms.list) };

void mm_init(void)
{
	mm_cache = slab_create("mm", sizeof(struct mm), CACHE_LINE);
	vma_tree_init_caches();
	vma_init_caches();
	rmap_init();
	page_lock_init();
	mapping_init_caches();
	swap_init();
}

static bool mm_init_parts(struct mm *mm)
{
	size_t rss_size = nr_cpus() * sizeof(struct rss_cpu);

	mm->rss = kmalloc(rss_size, ALLOC_ZERO | ALLOC_WAIT);
	if (!mm->rss)
		return false;
	mm->pgd = pgd_alloc(mm);
	return mm->pgd != NULL;
}

struct mm *mm_create(void)
{
	struct mm *mm;

	assert_may_sleep();
	mm = slab_alloc(mm_cache, ALLOC_ZERO | ALLOC_WAIT);
	if (!mm)
		return NULL;
	mm->users = 1;
	mm->refs = 1;
	mm->mmap_base = USER_END;
	mm_keys_init(mm);
	vma_tree_init(&mm->tree, &mm->mmap_lock);
	rwsem_init(&mm->mmap_lock, RANK_MMAP_LOCK);
	wait_queue_init(&mm->vma_writers);
	if (mm_init_parts(mm)) {
		spin_lock(&all_mms.lock);
		list_add_tail(&all_mms.list, &mm->all);
		spin_unlock(&all_mms.lock);
		return mm;
	}
	kfree(mm->rss);
	slab_free(mm_cache, mm);
	return NULL;
}

static void assert_nothing_counted(const struct mm *mm)
{
	for (unsigned kind = 0; kind < NR_RSS_KINDS; kind++)
		BUG_ON(mm_rss(mm, kind), "an address space ends with %ld pages of kind %u still counted",
		       (long)mm_rss(mm, kind), kind);
}

/* The last user is gone. */
static void unmap_everything(struct mm *mm)
{
	struct vma_unmap unmap = { .mm = mm, .start = 0, .end = USER_END };
	struct vma *vma;

	mmap_write_lock(mm);
	vma_tree_for_each (vma, &mm->tree)
		vma_start_write(vma);
	vma_unmap_commit(&unmap);
	ASSERT(!mm->nr_vmas && !mm->total_pages, "an address space ends without VMAs and without pages counted");
	mmap_write_unlock(mm);
}

void mmput(struct mm *mm)
{
	if (atomic_dec_return(&mm->users))
		return;
	unmap_everything(mm);
	if (mm->exe_file)
		vma_file_put(mm->exe_file);
	assert_nothing_counted(mm);
	vma_tree_destroy(&mm->tree);
	mmdrop(mm);
}

static bool inc_unless_zero(s32 *count)
{
	s32 value = READ_ONCE(*count);

	while (value && !atomic_cas(count, value, value + 1))
		value = READ_ONCE(*count);
	return value != 0;
}

bool mmget_not_zero(struct mm *mm)
{
	return inc_unless_zero(&mm->users);
}

/*
 * Teardown locks mmap_lock for writing after the last user has gone: so if there is a user when we hold the lock,
 * everything stays mapped until the unlock.
 */
bool mmap_read_trylock_unless_ending(struct mm *mm)
{
	if (!mmap_read_trylock(mm))
		return false;
	if (READ_ONCE(mm->users))
		return true;
	mmap_read_unlock(mm);
	return false;
}

void mmgrab(struct mm *mm)
{
	atomic_inc(&mm->refs);
}

void mmdrop(struct mm *mm)
{
	if (atomic_dec_return(&mm->refs))
		return;
	spin_lock(&all_mms.lock);
	list_del(&mm->all);
	spin_unlock(&all_mms.lock);
	BUG_ON(READ_ONCE(mm->cpus), "an address space ends while CPUs %lx may still use it", (unsigned long)mm->cpus);
	pgd_free(mm, mm->pgd);
	kfree(mm->rss);
	slab_free(mm_cache, mm);
}

struct mm *mm_next(struct mm *mm)
{
	struct list_head *link;
	struct mm *next = NULL;

	spin_lock(&all_mms.lock);
	link = mm ? mm->all.next : all_mms.list.next;
	for (; !next && link != &all_mms.list; link = link->next) {
		next = container_of(link, struct mm, all);
		if (!inc_unless_zero(&next->refs))
			next = NULL; /* about to leave the list */
	}
	spin_unlock(&all_mms.lock);
	if (mm)
		mmdrop(mm);
	return next;
}

/* ---- Page counts ------------------------------------------------------------------------------------------------- */

void mm_rss_add(struct mm *mm, enum rss_kind kind, long nr_pages)
{
	s64 *value = &mm->rss[cpu_id()].count[kind];

	WRITE_ONCE(*value, READ_ONCE(*value) + nr_pages); /* only this CPU writes it; a sum may lag behind */
}

u64 mm_rss(const struct mm *mm, enum rss_kind kind)
{
	s64 sum = 0;

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		sum += READ_ONCE(mm->rss[cpu].count[kind]);
	return sum < 0 ? 0 : (u64)sum; /* may be negative: the values are read at different moments */
}

u64 mm_rss_total(const struct mm *mm)
{
	s64 sum = 0;

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		for (unsigned kind = 0; kind < RSS_SWAP; kind++)
			sum += READ_ONCE(mm->rss[cpu].count[kind]);
	return sum < 0 ? 0 : (u64)sum;
}

void update_hiwater_rss(struct mm *mm)
{
	u64 now = mm_rss_total(mm);

	if (now > READ_ONCE(mm->hiwater_rss))
		WRITE_ONCE(mm->hiwater_rss, now);
}

enum rss_kind page_rss_kind(const struct page *page)
{
	if (page_test(page, PG_ANON))
		return RSS_ANON;
	return page->mapping->shmem ? RSS_SHMEM : RSS_FILE;
}
