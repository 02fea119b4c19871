/* SPDX-License-Identifier: MIT */
/*
 * struct mapping: pages by index, for everything that is not private anonymous memory: shared anonymous memory, memfds,
 * files in memory (and the ELF text in them), and files of a file system that reads and writes (`ops`).
 *
 * Without ops the object lives here: its pages are born up to date, and nothing is ever written back. With ops a page is
 * made first and filled later (PG_UPTODATE), under the page lock; PG_DIRTY of such a page changes under the page lock, or
 * by who ends its write-back; an entry may be writable only while its page is dirty, so the first write to a clean page
 * faults and is told to the file system (page_mkwrite).
 */
#ifndef MM_MAPPING_H
#define MM_MAPPING_H

#include "kernel/sync/mutex.h"
#include "mm/page/page_alloc.h"
#include "mm/page/page_lock.h"
#include "mm/vma/interval_tree.h"

struct mapping;
struct removal;
struct rwsem;

/* What a file system does for a mapping whose object lives elsewhere. `host` of the mapping is its own. */
struct mapping_ops {
	/*
	 * Fills the page, which is locked, in its slot, and not up to date; what lies beyond the object's size reads as zeros.
	 * 0: begun, and page_end_read() follows, or has come already, from whatever context. -errno: not begun. Does not sleep:
	 * a fault calls it with its lock held.
	 */
	int (*read_page)(struct mapping *mapping, struct page *page);
	/*
	 * Writes the page back. It is locked by the caller until this returns, PG_WRITEBACK is set, PG_DIRTY cleared, and no
	 * entry lets anybody write to it. 0: begun, and page_end_writeback() follows. -errno: not begun. Sleeps.
	 */
	int (*write_page)(struct mapping *mapping, struct page *page);
	/*
	 * A page of a shared mapping is about to be written to, which is locked and up to date; PG_DIRTY says whether it was
	 * before. Reserves what writing it back will need, and notes the file's time. 0, MKWRITE_THROTTLE when whoever dirties
	 * shall be slowed down, or -errno: the toucher gets SIGBUS. Sleeps.
	 */
	int (*page_mkwrite)(struct mapping *mapping, struct page *page);
	/* Called after page_mkwrite() asked for it, with nothing held: sleeps until fewer pages are dirty. */
	void (*throttle)(struct mapping *mapping);
};
#define MKWRITE_THROTTLE 1

/* What the mappings of one file system hold together, in pages; those in swap count, too. */
struct mapping_quota {
	u64 nr_pages;  /* atomic */
	u64 max_pages; /* ~0: no limit. Each value is whole */
};

struct mapping {
	spinlock_t lock;	    /* RANK_MAPPING; guards changes of root, nr_pages and the slots */
	void *root;		    /* radix tree of 64-slot nodes; read under RCU too */
	u32 misses;		    /* faults that found their page missing, less those that did not; no lock: a guess anyway */
	u64 written_at;		    /* without ops: cycles() of a write fault since somebody asked, or 0; no lock: one wins */
	u64 nr_pages;		    /* slots in use */
	u64 nr_swapped;		    /* ... of those, whose page is in swap (shmem_swap.h) */
	struct mapping_quota *quota; /* lock; NULL: it counts nowhere. Set by who creates it */
	u64 size;		    /* bytes; shrinks under lock, grows without; READ_ONCE elsewhere: a fault checks again */
	s32 refcount;		    /* atomic */
	bool shmem;		    /* counted as RssShmem, not RssFile */
	bool metadata;		    /* a file system's own, needed to write what others have: from the reserve. Likewise set */
	const struct mapping_ops *ops; /* NULL: lives in memory. Set by who creates it, before anybody else knows it */
	void *host;		    /* likewise; the ops' own: the inode */
	u64 nr_dirty;		    /* atomic; with ops: pages that are PG_DIRTY */
	u32 nr_write_errors;	    /* atomic; write-backs that failed */
	spinlock_t i_mmap_lock;	    /* RANK_I_MMAP */
	struct interval_tree i_mmap; /* i_mmap_lock: VMAs that map it: struct vma.i_mmap */
	u64 nr_writable;	    /* i_mmap_lock: of those, how many are shared and writable, or could be made so by mprotect */
	struct mutex removal_lock;  /* RANK_REMOVAL: one truncation or hole at a time */
	const struct removal *removal; /* lock; what is being removed just now, or NULL (truncate.c) */
	struct wait_queue leaving;     /* for pages that are being removed to be mapped nowhere */
	const struct rwsem *inode_lock; /* NULL, or what excludes writers of the file; set by its inode, while there is one */
	struct list_head swapped;   /* shmem_swap.c's lock: of the mappings that have had pages in swap, if has_swapped */
	bool has_swapped;
	struct rcu_head rcu;
};

void mapping_init_caches(void);
/* An empty mapping of `size` bytes, refcount 1; NULL without memory. */
struct mapping *mapping_create(u64 size, bool shmem);
void mapping_get(struct mapping *mapping);
#define assert_mapping_held(mapping) ASSERT(READ_ONCE((mapping)->refcount) > 0, "the mapping is held")
/* For who has found it without a reference, in an RCU section, or under a lock that its last put takes. */
bool mapping_get_unless_gone(struct mapping *mapping);
/* Its pages count no more: the quota is about to go, and somebody may still hold the mapping. */
void mapping_leave_quota(struct mapping *mapping);
/* The mapping of a page, with a reference, or NULL when it has left it. => the page locked. */
struct mapping *mapping_of_page(const struct page *page);
/* The last put frees every page, without sleeping. With ops it is the host's, after mapping_truncate(mapping, 0). */
void mapping_put(struct mapping *mapping);

/* The page of the slot with a reference; NULL if it has none, or is in swap (shmem_get_page()). Does not sleep. */
struct page *mapping_find(struct mapping *mapping, u64 index);
/* The same, brought back if it is in swap, made and cleared if missing; NULL without memory, or beyond its quota. Two racing callers get one page. */
struct page *mapping_find_or_create(struct mapping *mapping, u64 index);
/* The same for fallocate: a page that it makes does not count as used (PG_SET_ASIDE), one that it finds does from now on. */
struct page *mapping_set_aside(struct mapping *mapping, u64 index);
/* The same within the object's size, which is asked under the lock; NULL beyond the end, err_ptr(-ENOMEM, -ENOSPC, -EAGAIN: a page is leaving). */
struct page *mapping_find_or_create_within(struct mapping *mapping, u64 index);
/* The first slot with a page at or behind the index, in *found. False if there is none. Does not sleep. */
bool mapping_next(struct mapping *mapping, u64 index, u64 *found);
/*
 * Sets the size; pages wholly beyond it are taken out, when no I/O on them is under way any more, and the rest of the
 * last page is cleared. VMAs that map the removed pages are unmapped, and flushed on every CPU, before it returns
 * (truncate.c).
 *
 * Sleeps. The inode's lock, where there is one, is held for writing: it excludes write(). Faults go on, and
 * other removals of this mapping wait for their turn; a file system's own pages (metadata) are removed under its own
 * lock. Returns: 0; with ops -errno when the last page cannot be read to be cleared: then nothing has changed.
 */
int mapping_truncate(struct mapping *mapping, u64 size);
/* Takes the pages of [first, last] out (hole punching), likewise. Sleeps. */
void mapping_remove_range(struct mapping *mapping, u64 first, u64 last);
/*
 * Is a page that was removed from this slot still mapped somewhere? No other page may take its place before: two
 * threads would see two pages at one offset, and what is written to the old one would be lost. => mapping->lock held.
 */
bool mapping_slot_is_leaving(const struct mapping *mapping, u64 index);
/*
 * Waits until it is not. Returns: 0 or -EINTR: killed. Sleeps. => no lock from RANK_REMOVAL on held.
 */
int mapping_wait_leaving(struct mapping *mapping, u64 index);

/*
 * Unmaps a page everywhere, unless locked memory shows it; the batch has what is to be flushed. Does not
 * sleep. => the page locked, until then; the mapping held.
 */
struct tlb_batch;
void mapping_page_unmap(struct page *page, struct tlb_batch *batch);

/*
 * Can it be read in again? Until it is unlocked it can, for it becomes dirty under its lock. With ops. => the page
 * locked.
 */
static inline bool mapping_page_is_clean(const struct page *page)
{
	assert_page_locked(page);
	return !page_test(page, PG_DIRTY) && !page_test(page, PG_WRITEBACK);
}
/*
 * Takes out a clean page that was unmapped, unless it is mapped again, or somebody else has it. True: gone, but for the
 * caller's reference. It was flushed since it was unmapped. Does not sleep. => the page locked; the mapping held.
 */
bool mapping_take_clean(struct mapping *mapping, struct page *page);
/* Takes out pages that can be read in again: clean, not mapped, in nobody's hands. With ops only. Sleeps. */
void mapping_drop_clean(struct mapping *mapping);

/* ---- With ops: reading, writing, writing back (mapping_io.c) ----------------------------------------------------- */

/*
 * The page, up to date, with a reference; NULL beyond the object's size, err_ptr(-EIO, -ENOMEM, -EINTR). It may be truncated
 * away at any moment, and then holds what it held.
 */
struct page *mapping_read_page(struct mapping *mapping, u64 index);
/*
 * Begins to read the page, which is in its slot and not up to date. The lock is the I/O's afterwards. => the page
 * locked.
 */
void mapping_start_read(struct mapping *mapping, struct page *page);
/*
 * The page, locked and with a reference, for write(): up to date, unless the whole page is going to be written. As errors:
 * err_ptr(-EIO, -ENOMEM, -EINTR). User memory is copied into it by the nofault copy only (rule 11). Then
 * mapping_write_end(), with the bytes that were copied: unlocks, puts, and returns how many of them count: none when the page
 * is still not up to date, because not all of it was copied.
 */
enum write_extent { WRITE_PART_OF_PAGE, WRITE_WHOLE_PAGE };
struct page *mapping_write_begin(struct mapping *mapping, u64 index, enum write_extent extent);
size_t mapping_write_end(struct page *page, size_t copied);
/* The page is to be written back some day. => the page locked. */
void mapping_dirty_page(struct page *page);
/* It need not: its contents are on their way, or nobody wants them any more. => the page locked. */
void mapping_undirty_page(struct page *page);
/*
 * Sends the dirty pages of [first, last] on their way; with WRITEBACK_WAIT, returns when they have arrived, those included
 * that were on the way before. 0, or the first error of a page that could not be sent; for the others see below. Not killable.
 */
enum writeback_wait { WRITEBACK_START, WRITEBACK_WAIT };
int mapping_writeback(struct mapping *mapping, u64 first, u64 last, enum writeback_wait wait);
/* -EIO once for all write-backs that failed since *seen, which is moved on; each open file has a `seen` (as Linux, errseq). */
int mapping_check_error(struct mapping *mapping, u32 *seen);
/* page_end_writeback()'s. Any context. */
void mapping_note_write_error(struct mapping *mapping, struct page *page);

/* Kernel copies of objects that live in memory, page by page, extending nothing: returns bytes copied, or -ENOMEM when a hole can't be filled. */
long mapping_read(struct mapping *mapping, u64 pos, void *buf, size_t len);
long mapping_write(struct mapping *mapping, u64 pos, const void *buf, size_t len);

/* vma_ops.map_pages() of every mapping (fault_around.c). */
struct fault;
int mapping_map_pages(struct fault *f, u64 first, u64 last);
/* Whether it pays to map pages around a faulting one. No lock: a lost update does no harm. */
void mapping_note_miss(struct mapping *mapping);
static inline void mapping_note_hits(struct mapping *mapping, u32 nr_hits)
{
	u32 misses = READ_ONCE(mapping->misses);

	if (unlikely(misses)) /* the usual case writes no shared line */
		WRITE_ONCE(mapping->misses, misses > nr_hits ? misses - nr_hits : 0);
}

/* Notes when it was written to through a mapping: to within so many cycles, so that few faults write the line that all share. */
#define MAPPING_WRITE_TICK (1UL << 22)
static inline void mapping_note_write(struct mapping *mapping, u64 now)
{
	if (unlikely(now - READ_ONCE(mapping->written_at) >= MAPPING_WRITE_TICK))
		WRITE_ONCE(mapping->written_at, now);
}

/* The fault operations of every mapping: SIGBUS beyond the size, a hole filled with zeros. */
extern const struct vma_ops mapping_vma_ops;   /* a file's pages */
extern const struct vma_ops shared_anon_ops;   /* MAP_SHARED | MAP_ANONYMOUS: maps shows "/dev/zero (deleted)" */

#endif
