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
 * Swap out in two steps, as swap_out_begin() and swap_out_finish(): the first unmaps the page from every address space;
 * the second removes it from its mapping and writes it, and may sleep. => the page locked; PG_SHMEM; the mapping held.
 */
enum swap_out shmem_swap_out_begin(struct page *page, struct tlb_batch *batch);
bool shmem_swap_out_finish(struct mapping *mapping, struct page *page);

/* True if the slot of the mapping holds a value, stored in *slot. A hint: it may change at once. Does not sleep. */
bool shmem_in_swap(struct mapping *mapping, u64 index, swap_slot_t *slot);
/*
 * The page of the slot with a reference, read in if it is in swap; NULL: a hole. err_ptr(-ENOMEM, -EIO). Reclaims
 * memory, and so sleeps. => no lock from RANK_RECLAIM on held.
 */
struct page *shmem_get_page(struct mapping *mapping, u64 index);
/* Moves *index to the first slot of [*index, last] with a value. False if there is none. Does not sleep. */
bool shmem_next_in_swap(struct mapping *mapping, u64 *index, u64 last);

/*
 * Puts the page back into its mapping; no write of it is in flight. Returns: 0: it is back, or the slot no longer holds
 * it: look up again. -EIO: a read that we started (not a read-ahead) failed. => the page locked.
 */
int shmem_put_back(struct mapping *mapping, u64 index, struct page *page, swap_slot_t slot, bool read);

/* For mapping_put() only: the mapping is about to be freed. */
void shmem_forget(struct mapping *mapping);
/* The mapping after `prev` among those that have had values, with a reference; drops `prev`'s. NULL: no more. */
struct mapping *shmem_next(struct mapping *prev);
/* For swapoff: swaps in all pages whose values name the area. Returns: 0, -ENOMEM, -EIO, -EINTR. */
int shmem_unuse(unsigned area);

#endif
