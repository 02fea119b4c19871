/* SPDX-License-Identifier: MIT */
/*
 * struct mapping: pages by index, for everything that is not private anonymous memory: shared anonymous memory, memfds,
 * files in memory (and the ELF text in them). A slot holds a page, or nothing; the page cache proper builds on this.
 */
#ifndef MM_MAPPING_H
#define MM_MAPPING_H

#include "mm/page_alloc.h"

struct mapping {
	spinlock_t lock;	    /* RANK_MAPPING; guards root, height, nr_pages and the slots */
	void *root;		    /* radix tree of 64-slot nodes */
	u32 height;
	u64 nr_pages;
	u64 size;		    /* bytes; shrinks under lock, grows without; READ_ONCE elsewhere: a fault checks again */
	s32 refcount;		    /* atomic */
	bool shmem;		    /* counted as RssShmem, not RssFile */
	spinlock_t i_mmap_lock;	    /* RANK_I_MMAP */
	struct list_head i_mmap;    /* i_mmap_lock: VMAs that map it */
};

void mapping_init_caches(void);
/* An empty mapping of `size` bytes, refcount 1; NULL without memory. */
struct mapping *mapping_create(u64 size, bool shmem);
void mapping_get(struct mapping *mapping);
void mapping_put(struct mapping *mapping); /* the last put frees every page */

/* The page of the slot with a reference, or NULL. Does not sleep. */
struct page *mapping_find(struct mapping *mapping, u64 index);
/* The same, made and cleared if missing; NULL without memory. Two racing callers get the same page. */
struct page *mapping_find_or_create(struct mapping *mapping, u64 index);
/* The first slot with a page at or behind the index, in *found. False if there is none. Does not sleep. */
bool mapping_next(struct mapping *mapping, u64 index, u64 *found);
/*
 * Sets the size; pages wholly beyond it are taken out, the rest of the last page is cleared. VMAs that map the removed
 * pages are unmapped (mm/truncate.c). Sleeps.
 */
void mapping_truncate(struct mapping *mapping, u64 size);
/* Takes the pages of [first, last] out (hole punching). Sleeps. */
void mapping_remove_range(struct mapping *mapping, u64 first, u64 last);

/* Kernel copies, page by page, extending nothing: returns bytes copied, or -ENOMEM when a hole can't be filled. */
long mapping_read(struct mapping *mapping, u64 pos, void *buf, size_t len);
long mapping_write(struct mapping *mapping, u64 pos, const void *buf, size_t len);

/* The fault operations of every mapping: SIGBUS beyond the size, a hole filled with zeros. */
extern const struct vma_ops mapping_vma_ops;   /* a file's pages */
extern const struct vma_ops shared_anon_ops;   /* MAP_SHARED | MAP_ANONYMOUS: maps shows "/dev/zero (deleted)" */

#endif
