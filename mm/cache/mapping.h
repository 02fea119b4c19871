/* SPDX-License-Identifier: MIT */
/*
 * struct mapping: the pages of an object by index, for all memory that is not private and anonymous. Objects are shared
 * anonymous memory, memfds, files in memory (and the ELF text in them), and files of a file system that reads and
 * writes pages (`ops`).
 *
 * Without ops the pages are the object itself: they are up to date from the start, and never written back. With ops a
 * page is allocated first and filled later (PG_UPTODATE), under the page lock. PG_DIRTY of such a page changes under
 * the page lock, or when its write-back ends. An entry may be writable only while its page is dirty, so the first write
 * to a clean page faults, and the file system is notified (page_mkwrite).
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

/* The operations of a file system on a mapping whose object it stores. `host` is its own. */
struct mapping_ops {
	/*
	 * Starts to fill the page, which is in its slot, and not up to date; bytes beyond the object's size read as
	 * zeros. page_end_read() follows, or was called already, from any context.
	 *
	 * Context: the page locked. Does not sleep: a fault calls it with its lock held.
	 * Returns: 0: started; -errno: not started.
	 */
	int (*read_page)(struct mapping *mapping, struct page *page);
	/*
	 * Starts to write the page back; page_end_writeback() follows. PG_WRITEBACK is set, PG_DIRTY clear, and no
	 * entry maps it writable.
	 *
	 * Context: the page locked, until this returns. Sleeps.
	 * Returns: 0: started; -errno: not started.
	 */
	int (*write_page)(struct mapping *mapping, struct page *page);
	/*
	 * A page of a shared mapping, up to date, is about to be written to; PG_DIRTY tells whether it is dirty
	 * already. Reserves what its write-back will need, and updates the file's time.
	 *
	 * Context: the page locked. Sleeps.
	 * Returns: 0; MKWRITE_THROTTLE when the writer must be throttled; -errno: the faulting thread gets SIGBUS.
	 */
	int (*page_mkwrite)(struct mapping *mapping, struct page *page);
	/*
	 * Called after page_mkwrite() returned MKWRITE_THROTTLE: waits until fewer pages are dirty.
	 *
	 * Context: no lock held. Sleeps.
	 */
	void (*throttle)(struct mapping *mapping);
};
#define MKWRITE_THROTTLE 1

/* The total size of the mappings of one file system, in pages; pages in swap count, too. */
struct mapping_quota {
	u64 nr_pages;  /* atomic */
	u64 max_pages; /* ~0: no limit. Read and written as a whole */
};

struct mapping {
	spinlock_t lock; /* RANK_MAPPING; protects changes of root, nr_pages and the slots */
	void *root;	 /* radix tree of 64-slot nodes; read under RCU too */
	u32 misses;	 /* faults that missed their page, less those that found it; no lock: a hint */
	/*
	 * Without ops: cycles() of a write fault since the time was last read, or 0. No lock: one of two faults wins.
	 */
	u64 written_at;
	u64 nr_pages;		     /* slots in use */
	u64 nr_swapped;		     /* ... of those, with the page in swap (shmem_swap.h) */
	struct mapping_quota *quota; /* lock; NULL: not counted. Set by the creator */
	u64 size;		     /* bytes; shrinks under lock, grows without; READ_ONCE elsewhere: faults recheck */
	s32 refcount;		     /* atomic */
	bool shmem;		     /* counted as RssShmem, not RssFile */
	/* A file system's own pages, needed to write others back: allocated from the reserve. Set by the creator. */
	bool metadata;
	const struct mapping_ops *ops; /* NULL: in memory only. Set by the creator, before it publishes the mapping */
	void *host;		       /* set likewise; for the ops: the inode */
	u64 nr_dirty;		       /* atomic; with ops: pages that are PG_DIRTY */
	u32 nr_write_errors;	       /* atomic; write-backs that failed */
	spinlock_t i_mmap_lock;	       /* RANK_I_MMAP */
	struct interval_tree i_mmap;   /* i_mmap_lock: VMAs that map it: struct vma.i_mmap */
	/* i_mmap_lock: of those, the shared ones that are or may become writable; and ones that are being created */
	u64 nr_writable;
	struct mutex removal_lock;	/* RANK_REMOVAL: one truncation or hole at a time */
	const struct removal *removal;	/* lock; the removal in progress, or NULL (truncate.c) */
	struct wait_queue leaving;	/* threads that wait until removed pages are mapped nowhere */
	const struct rwsem *inode_lock; /* excludes writers of the file; set by its inode while there is one, or NULL */
	struct list_head swapped;	/* known.lock of shmem_swap.c: its list of mappings, if has_swapped */
	bool has_swapped;		/* known.lock; it has had pages in swap */
	struct rcu_head rcu;
};

/* Creates the cache. Context: boot. */
void mapping_init_caches(void);
/*
 * Creates an empty mapping, refcount 1.
 * @size: bytes.
 * @shmem: counted as RssShmem.
 *
 * Context: thread. Sleeps only for memory, if shmem.
 * Returns: the mapping; NULL without memory.
 */
struct mapping *mapping_create(u64 size, bool shmem);
/* Adds a reference. The caller has one. Context: any. */
void mapping_get(struct mapping *mapping);
#define assert_mapping_held(mapping) ASSERT(READ_ONCE((mapping)->refcount) > 0, "the mapping is held")
/*
 * For a mapping that was found without a reference, in an RCU section, or under a lock that its last put takes.
 *
 * Context: any.
 * Returns: false if its last reference has gone.
 */
bool mapping_get_unless_gone(struct mapping *mapping);
/*
 * Stops counting its pages: the quota is about to be freed, but the mapping may still be referenced.
 *
 * Context: thread. Does not sleep.
 */
void mapping_leave_quota(struct mapping *mapping);
/*
 * The mapping of a page.
 *
 * Context: the page locked. Does not sleep.
 * Returns: the mapping, with a reference; NULL if the page was removed from it.
 */
struct mapping *mapping_of_page(const struct page *page);
/*
 * Drops a reference. The last put frees every page. With ops the host drops it, after mapping_truncate(mapping, 0).
 *
 * Context: thread. Does not sleep.
 */
void mapping_put(struct mapping *mapping);

/*
 * The page of the slot.
 *
 * Context: thread. Does not sleep.
 * Returns: the page, with a reference; NULL if there is none, or it is in swap (shmem_get_page()).
 */
struct page *mapping_find(struct mapping *mapping, u64 index);
/*
 * The same, but reads the page in if it is in swap, and allocates a cleared page if the slot has none. Two racing
 * callers get the same page.
 *
 * Context: thread. Sleeps only in shmem_get_page().
 * Returns: the page, with a reference; NULL without memory, beyond the quota, or if it cannot be read.
 */
struct page *mapping_find_or_create(struct mapping *mapping, u64 index);
/*
 * As mapping_find_or_create(), for fallocate: a page that it allocates does not count as used (PG_SET_ASIDE), one that
 * it finds does from now on.
 *
 * Context: thread. Sleeps only in shmem_get_page().
 * Returns: as mapping_find_or_create().
 */
struct page *mapping_set_aside(struct mapping *mapping, u64 index);
/*
 * The page of the slot, allocated and cleared if missing, within the object's size, which is checked under the lock.
 *
 * Context: thread. Does not sleep.
 * Returns: the page, with a reference; NULL beyond the end; err_ptr(-ENOMEM, -ENOSPC, -EAGAIN: a page is being removed
 *          from the slot).
 */
struct page *mapping_find_or_create_within(struct mapping *mapping, u64 index);
/*
 * The same for a slot that was seen empty.
 *
 * Context: thread. Does not sleep.
 * Returns: as mapping_find_or_create_within().
 */
struct page *mapping_create_within(struct mapping *mapping, u64 index);
/*
 * Is the index below the object's size? Without a lock: a hint, but for callers that hold mapping->lock.
 *
 * Context: any.
 * Returns: true if it is.
 */
bool mapping_is_within(const struct mapping *mapping, u64 index);
/*
 * Finds the first used slot at or after the index.
 * @found: set to its index.
 *
 * Context: thread. Does not sleep.
 * Returns: false if there is none.
 */
bool mapping_next(struct mapping *mapping, u64 index, u64 *found);
/*
 * Sets the size, removes the pages wholly beyond it, after waiting for I/O on them, and clears the rest of the last
 * page. The removed pages are unmapped from every address space, and flushed on every CPU, before it returns
 * (truncate.c). Faults go on, and other removals of this mapping wait their turn; a file system's own pages (metadata)
 * are removed under its own lock.
 * @size: bytes.
 *
 * Context: thread. Sleeps. The inode's lock, where there is one, is held for writing, which excludes write().
 * Returns: 0; with ops -errno when the last page cannot be read in to be cleared: then nothing has changed.
 */
int mapping_truncate(struct mapping *mapping, u64 size);
/*
 * Removes the pages of [first, last] (hole punching), likewise.
 *
 * Context: thread. Sleeps. The inode's lock as for mapping_truncate().
 */
void mapping_remove_range(struct mapping *mapping, u64 first, u64 last);
/*
 * Is a page that was removed from this slot still mapped? Until it is not, the slot must stay empty: otherwise two
 * threads would see two pages at one offset, and writes to the old one would be lost.
 *
 * Context: mapping->lock held.
 * Returns: true if it is.
 */
bool mapping_slot_is_leaving(const struct mapping *mapping, u64 index);
/*
 * Waits until mapping_slot_is_leaving() is false.
 *
 * Context: no lock from RANK_REMOVAL on held. Sleeps.
 * Returns: 0; -EINTR: killed.
 */
int mapping_wait_leaving(struct mapping *mapping, u64 index);

struct tlb_batch;
/*
 * Unmaps the page from every address space, unless locked memory maps it; the batch collects the translations to flush.
 *
 * Context: the page locked, until then; the mapping held. Does not sleep.
 */
void mapping_page_unmap(struct page *page, struct tlb_batch *batch);

/*
 * Can the page be read in again? It stays clean until it is unlocked, since it becomes dirty only under its lock. With
 * ops only.
 *
 * Context: the page locked. Does not sleep.
 * Returns: true if it can.
 */
static inline bool mapping_page_is_clean(const struct page *page)
{
	assert_page_locked(page);
	return !page_test(page, PG_DIRTY) && !page_test(page, PG_WRITEBACK);
}
/*
 * Removes a clean page from its slot, after it was unmapped and flushed, unless it is mapped again or has other
 * references.
 *
 * Context: the page locked; the mapping held. Does not sleep.
 * Returns: true: only the caller's reference is left.
 */
bool mapping_take_clean(struct mapping *mapping, struct page *page);
/*
 * Removes pages that can be read in again: clean, not mapped, without other references. With ops only.
 *
 * Context: thread. Sleeps.
 */
void mapping_drop_clean(struct mapping *mapping);

/* ---- With ops: reading, writing, writing back (mapping_io.c) ----------------------------------------------------- */

/*
 * The page, up to date. It may be truncated at any moment; its contents then stay as they were.
 *
 * Context: thread. Sleeps only for memory, for the read, and until a removal is over.
 * Returns: the page, with a reference; NULL beyond the object's size; err_ptr(-EIO, -ENOMEM, -ENOSPC, -EINTR).
 */
struct page *mapping_read_page(struct mapping *mapping, u64 index);
/*
 * Starts to read in the page, which is in its slot and not up to date. Passes the page lock to the I/O.
 *
 * Context: the page locked. Does not sleep.
 */
void mapping_start_read(struct mapping *mapping, struct page *page);
enum write_extent { WRITE_PART_OF_PAGE, WRITE_WHOLE_PAGE };
/*
 * The page, locked, for write(): up to date, unless the whole page will be overwritten. The caller copies user memory
 * into it with the nofault copy only (rule 11), and then calls mapping_write_end().
 *
 * Context: thread. Sleeps only for memory, the page lock and the read.
 * Returns: the page, with a reference; err_ptr(-EIO, -ENOMEM, -EINTR).
 */
struct page *mapping_write_begin(struct mapping *mapping, u64 index, enum write_extent extent);
/*
 * Unlocks the page, and drops the reference.
 * @copied: bytes.
 *
 * Context: the page locked. Does not sleep.
 * Returns: how many bytes count: none when the page is still not up to date, because the copy did not fill it.
 */
size_t mapping_write_end(struct page *page, size_t copied);
/* Marks the page dirty: it must be written back later. Context: the page locked. Does not sleep. */
void mapping_dirty_page(struct page *page);
/*
 * Clears that mark: the contents are being written back, or are no longer needed.
 *
 * Context: the page locked. Does not sleep.
 */
void mapping_undirty_page(struct page *page);
enum writeback_wait { WRITEBACK_START, WRITEBACK_WAIT };
/*
 * Starts write-back of the dirty pages of [first, last]; with WRITEBACK_WAIT, waits until it has ended, and also that
 * which was started earlier. Not killable.
 *
 * Context: thread. Sleeps only with ops.
 * Returns: 0, or the first error of a page whose write-back could not be started; for errors of write-back itself see
 *          mapping_check_error().
 */
int mapping_writeback(struct mapping *mapping, u64 first, u64 last, enum writeback_wait wait);
/*
 * Tells of all write-backs that failed since *seen, once, and updates *seen; each open file has a `seen` (as Linux,
 * errseq).
 *
 * Context: any.
 * Returns: 0; -EIO.
 */
int mapping_check_error(struct mapping *mapping, u32 *seen);
/* For page_end_writeback() only. Context: any. */
void mapping_note_write_error(struct mapping *mapping, struct page *page);

/*
 * Copy between kernel memory and an object that is in memory only, page by page, without extending it.
 * @pos, @len: bytes.
 *
 * Context: thread. Sleep only in shmem_get_page().
 * Returns: bytes copied; if none, -ENOMEM when a hole cannot be filled, or the error of a read from swap.
 */
long mapping_read(struct mapping *mapping, u64 pos, void *buf, size_t len);
long mapping_write(struct mapping *mapping, u64 pos, const void *buf, size_t len);

/*
 * For fault-around, which pays where few pages are missing (fault_around.c). No lock: a lost update does no harm.
 *
 * Context: any.
 */
static inline void mapping_note_hits(struct mapping *mapping, u32 nr_hits)
{
	u32 misses = READ_ONCE(mapping->misses);

	if (unlikely(misses)) /* the usual case writes no shared cache line */
		WRITE_ONCE(mapping->misses, misses > nr_hits ? misses - nr_hits : 0);
}

#define MAPPING_WRITE_TICK (1UL << 22)
/*
 * Records the time of a write fault, only once in MAPPING_WRITE_TICK cycles: few faults write the shared cache line.
 * @now: cycles().
 *
 * Context: any.
 */
static inline void mapping_note_write(struct mapping *mapping, u64 now)
{
	if (unlikely(now - READ_ONCE(mapping->written_at) >= MAPPING_WRITE_TICK))
		WRITE_ONCE(mapping->written_at, now);
}

#endif
