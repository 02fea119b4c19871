/* SPDX-License-Identifier: MIT */
/* struct page: the descriptor of a physical page frame: 64 bytes, one cache line, indexed by pfn in mem_map. */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include "kernel/lib/list.h"
#include "mm/machine.h"

struct anon_vma;
struct mapping;
struct slab_cache;

enum page_flag {
	PG_BUDDY,     /* head of a free block of `order` in the buddy allocator */
	PG_RESERVED,  /* never freed: kernel image, memory holes, the shared zero page */
	PG_TABLE,     /* a page table of some mm */
	PG_SLAB,      /* belongs to an object cache */
	PG_ANON,      /* mapped as anonymous memory: `owner` is its anon_vma */
	PG_LAZYFREE,  /* anonymous, and may be freed while its entry is clean: MADV_FREE */
	PG_CACHE,     /* in a slot of a mapping: `owner` is that mapping */
	PG_DIRTY,     /* a cache page that was written to */
	PG_LOCKED,    /* the page lock (page_lock.h) */
	PG_WAITERS,   /* a thread may be waiting for PG_LOCKED or PG_WRITEBACK to be cleared */
	PG_UPTODATE,  /* a cache page that has the contents of its object; never cleared */
	PG_WRITEBACK, /* its contents are being written to its file or to swap */
	/* The last read failed; the next access retries. In the swap cache and up to date: the last write failed. */
	PG_ERROR,
	PG_LRU,	       /* on one of the lists of lru.c: lru.lock */
	PG_ACTIVE,     /* ... on the active list of its kind: lru.lock */
	PG_MLOCKED,    /* reclaim has found it mapped in locked memory: lru.lock */
	PG_REFERENCED, /* used since reclaim last looked at it; a hint */
	PG_SWAPCACHE,  /* in a swap slot: `private` is that slot. Changes under the page lock */
	/* With PG_CACHE, and also while it is being swapped out: of a tmpfs file, a memfd, shared anonymous memory. */
	PG_SHMEM,
	PG_SET_ASIDE,	/* with PG_CACHE: allocated by fallocate, not used yet. Not mapped by fault-around */
	PG_UNEVICTABLE, /* with PG_CACHE: belongs to a file that exists in memory only */
};

struct page {
	u32 flags;    /* atomic bits of enum page_flag */
	s32 refcount; /* atomic; the page is freed when it reaches 0 */
	s32 mapcount; /* atomic; page-table entries that map it. The shared zero page is never counted */
	u32 order;    /* of a free block: protected by the zone lock; of an allocated block: constant */
	union {
		struct { /* anonymous and cache pages: set before the page is mapped, stable while it is */
			union {
				struct anon_vma *anon_vma;
				struct mapping *mapping;
			};
			u64 index; /* page offset in the VMA's anonymous space or in the mapping */
		};
		struct {		/* page tables */
			struct mm *mm;	/* constant */
			spinlock_t ptl; /* RANK_PTE or RANK_PMD: protects the entries; freed with the page, after RCU */
		};
		struct { /* object caches */
			struct slab_cache *cache;
			void *freelist;
		};
	};
	union {
		struct list_head lru; /* zone lock: free lists; cache lock: slabs; lru.lock: pages in use */
		struct rcu_head rcu;  /* a table that is being freed */
	};
	u64 private; /* for the owner: slab: objects in use; table: level; swap cache: the slot */
} __cacheline_aligned;
_Static_assert(sizeof(struct page) == 64, "struct page is one cache line");

/* ---- Addresses and flags. Context: any. -------------------------------------------------------------------------- */
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
/* Does the page have its contents? Acquire: a thread that sees the flag set sees the contents. */
static inline bool page_is_uptodate(const struct page *page)
{
	return load_acquire(&page->flags) & (1u << PG_UPTODATE);
}
/* Up to date, and not merely allocated by fallocate? Acquire, as above. */
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
/* A reference is held; references to the kernel's own pages (PG_RESERVED) are not counted. */
#define assert_referenced(page)                                                                                        \
	ASSERT(READ_ONCE((page)->refcount) > 0 || page_test((page), PG_RESERVED),                                      \
	       "the caller has a reference to the page")

/* Marks a page that fallocate allocated as used. */
static inline void page_use(struct page *page)
{
	if (unlikely(page_test(page, PG_SET_ASIDE)))
		page_clear(page, PG_SET_ASIDE);
}

#endif
