/* SPDX-License-Identifier: MIT */
/* struct page: what is known of each physical page frame. 64 bytes, one cache line, indexed by pfn in mem_map. */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include "kernel/lib/list.h"
#include "mm/machine.h"

struct anon_vma;
struct mapping;
struct slab_cache;

enum page_flag {
	PG_BUDDY,    /* head of a free block of `order` in the buddy allocator */
	PG_RESERVED, /* never freed: kernel image, memory holes, the shared zero page */
	PG_TABLE,    /* a page table of some mm */
	PG_SLAB,     /* belongs to an object cache */
	PG_ANON,     /* mapped as anonymous memory: `owner` is its anon_vma */
	PG_LAZYFREE, /* anonymous, and may go while its entry is clean: MADV_FREE */
	PG_CACHE,    /* a slot of a mapping holds it: `owner` is that mapping */
	PG_DIRTY,    /* a cache page that was written to */
	PG_LOCKED,    /* the page lock (page_lock.h) */
	PG_WAITERS,   /* somebody may be waiting for PG_LOCKED or PG_WRITEBACK to go */
	PG_UPTODATE,  /* a cache page that holds what its object holds; never cleared */
	PG_WRITEBACK, /* its contents are on their way to where they last */
	PG_ERROR,     /* the last attempt to fill it failed; the next touch tries again. Swap cache, up to date: to write it */
	PG_LRU,	      /* on a list of lru.c: lru.lock */
	PG_ACTIVE,    /* ... the active one of its kind: lru.lock */
	PG_MLOCKED,   /* reclaim has met it in locked memory: lru.lock */
	PG_REFERENCED, /* used since reclaim has looked at it last; a guess */
	PG_SWAPCACHE, /* a swap slot holds it: `private` is that slot. Changes under the page lock */
	PG_SHMEM,     /* with PG_CACHE, and longer while it is on its way to swap: of a tmpfs file, a memfd, shared anonymous memory */
	PG_SET_ASIDE,   /* with PG_CACHE: fallocate made it, and nobody has used it yet. Mapped only by a fault of its own */
	PG_UNEVICTABLE, /* likewise: of a file that lives in memory and nowhere else */
};

struct page {
	u32 flags;    /* atomic bits of enum page_flag */
	s32 refcount; /* atomic; the page is freed when it reaches 0 */
	s32 mapcount; /* atomic; entries that map it. The shared zero page is never counted */
	u32 order;    /* of a free block: under the zone lock; of an allocated one: constant */
	union {
		struct { /* anonymous and cache pages: set before the page is mapped, stable while it is */
			union {
				struct anon_vma *anon_vma;
				struct mapping *mapping;
			};
			u64 index; /* page offset in the VMA's anonymous space or in the mapping */
		};
		struct { /* page tables */
			struct mm *mm; /* constant */
			spinlock_t ptl; /* RANK_PTE or RANK_PMD: guards the entries; freed with the page, after RCU */
		};
		struct { /* object caches */
			struct slab_cache *cache;
			void *freelist;
		};
	};
	union {
		struct list_head lru; /* zone lock: free lists; cache lock: slabs; lru.lock: pages in use */
		struct rcu_head rcu;  /* a table on its way out */
	};
	u64 private; /* owner's use: slab: objects in use; table: level; swap cache: the slot */
} __cacheline_aligned;
_Static_assert(sizeof(struct page) == 64, "struct page is one cache line");

static inline pfn_t page_to_pfn(const struct page *page)
{
	return (pfn_t)(page - mem_map);
}
static inline struct page *pfn_to_page(pfn_t pfn)
{
	return mem_map + pfn;
}
static inline paddr_t page_to_phys(const struct page *page)
{
	return page_to_pfn(page) << PAGE_SHIFT;
}
static inline struct page *phys_to_page(paddr_t paddr)
{
	return pfn_to_page(paddr >> PAGE_SHIFT);
}
static inline void *page_to_virt(const struct page *page)
{
	return phys_to_virt(page_to_phys(page));
}
static inline struct page *virt_to_page(const void *virt)
{
	return phys_to_page(virt_to_phys(virt));
}

static inline bool page_test(const struct page *page, enum page_flag flag)
{
	return READ_ONCE(page->flags) & (1u << flag);
}
/* Acquire: who sees it set sees the contents. */
static inline bool page_is_uptodate(const struct page *page)
{
	return load_acquire(&page->flags) & (1u << PG_UPTODATE);
}
/* Likewise, and not only set aside. */
static inline bool page_is_in_use(const struct page *page)
{
	return (load_acquire(&page->flags) & (1u << PG_UPTODATE | 1u << PG_SET_ASIDE)) == 1u << PG_UPTODATE;
}
static inline void page_set(struct page *page, enum page_flag flag)
{
	atomic_or(&page->flags, 1u << flag);
}
static inline void page_clear(struct page *page, enum page_flag flag)
{
	atomic_and(&page->flags, ~(1u << flag));
}
/* Somebody has a reference; of the kernel's own pages nobody counts any. */
#define assert_referenced(page)                                                                                        \
	ASSERT(READ_ONCE((page)->refcount) > 0 || page_test((page), PG_RESERVED), "the caller has a reference to the page")

static inline void page_use(struct page *page)
{
	if (unlikely(page_test(page, PG_SET_ASIDE)))
		page_clear(page, PG_SET_ASIDE);
}

#endif
