/* SPDX-License-Identifier: MIT */
/*
 * Shared memory in swap: pages of tmpfs files, memfds and shared anonymous memory. When such a page is swapped out, the
 * number of the swap slot (a tagged value, mapping_tree.h) replaces it in its slot of the mapping. So one value serves
 * all address spaces that map it: their entries are empty, and the next access looks it up in the mapping.
 *
 * The value counts as one entry that names the swap slot. A page that is swapped in releases the swap slot at once.
 *
 * Mirrors: Linux, mm/shmem.c: shmem_writepage(), shmem_swapin_folio(), shmem_unuse().
 */
#ifndef MM_SHMEM_SWAP_H
#define MM_SHMEM_SWAP_H

#include "mm/cache/mapping.h"
#include "mm/swap/swap.h"
#include "mm/table/pgtable.h"

/*
 * The first of two steps, as swap_out_begin(): unmaps the page from every address space.
 *
 * Context: the page locked; PG_SHMEM; the mapping held. Does not sleep.
 * Returns: as swap_out_begin().
 */
enum swap_out shmem_swap_out_begin(struct page *page, struct tlb_batch *batch);
/*
 * The second, as swap_out_finish(): removes the page from its mapping and writes it.
 *
 * Context: the page locked; PG_SHMEM; the mapping held. Sleeps only if it writes.
 * Returns: as swap_out_finish().
 */
bool shmem_swap_out_finish(struct mapping *mapping, struct page *page);

/*
 * Does the slot of the mapping hold a value? A hint: it may change at once.
 * @slot: set to the value.
 *
 * Context: thread. Does not sleep.
 * Returns: true if it does.
 */
bool shmem_in_swap(struct mapping *mapping, u64 index, swap_slot_t *slot);
/*
 * The page of the slot, read in if it is in swap. Reclaims memory.
 *
 * Context: no lock from RANK_RECLAIM on held. Sleeps only if the page is in swap.
 * Returns: the page, with a reference; NULL: a hole; err_ptr(-ENOMEM, -EIO).
 */
struct page *shmem_get_page(struct mapping *mapping, u64 index);
/*
 * Moves *index to the first slot of [*index, last] with a value.
 *
 * Context: thread. Does not sleep.
 * Returns: false if there is none.
 */
bool shmem_next_in_swap(struct mapping *mapping, u64 *index, u64 last);

/*
 * Puts the page back into its mapping; no write of it is in flight.
 * @read: the caller has started to read it.
 *
 * Context: the page locked. Does not sleep.
 * Returns: 0: it is back, or the slot no longer holds it: look up again; -EIO: a read that we started (not a
 *          read-ahead) failed.
 */
int shmem_put_back(struct mapping *mapping, u64 index, struct page *page, swap_slot_t slot, bool read);

/* For mapping_put() only: the mapping is about to be freed. Context: thread. Does not sleep. */
void shmem_forget(struct mapping *mapping);
/*
 * Iterates over the mappings that have had values; drops the reference on `prev`.
 * @prev: NULL: begin.
 *
 * Context: thread. Does not sleep.
 * Returns: the next one, with a reference; NULL: no more.
 */
struct mapping *shmem_next(struct mapping *prev);
/*
 * For swapoff: swaps in all pages whose values name the area.
 *
 * Context: thread. Sleeps only if there are any.
 * Returns: 0; -ENOMEM; -EIO; -EINTR.
 */
int shmem_unuse(unsigned area);

#endif
