/* SPDX-License-Identifier: MIT */
/*
 * Shared memory in swap: a page of a tmpfs file, a memfd or shared anonymous memory leaves its slot of the mapping, and the
 * number of the swap slot takes its place (a tagged value, mapping_tree.h). So one value serves all who map it: their entries
 * are none, and the next touch asks the mapping.
 *
 * The value counts as one entry that names the swap slot. What comes back gives the swap slot up at once.
 *
 * Mirrors: Linux, mm/shmem.c: shmem_writepage(), shmem_swapin_folio(), shmem_unuse().
 */
#ifndef MM_SHMEM_SWAP_H
#define MM_SHMEM_SWAP_H

#include "mm/cache/mapping.h"
#include "mm/swap/swap.h"
#include "mm/table/pgtable.h"

/*
 * In two steps, as swap_out_begin() and swap_out_finish(): out of every address space; then out of its mapping, and
 * written. The second may sleep. => the page locked; PG_SHMEM; the mapping held.
 */
enum swap_out shmem_swap_out_begin(struct page *page, struct tlb_batch *batch);
bool shmem_swap_out_finish(struct mapping *mapping, struct page *page);

/* Whether the slot of the mapping holds a value: then *slot. A look: it may change at once. Does not sleep. */
bool shmem_in_swap(struct mapping *mapping, u64 index, swap_slot_t *slot);
/*
 * The page of the slot with a reference, brought back if it is in swap; NULL: a hole. err_ptr(-ENOMEM, -EIO). Makes
 * room, and so sleeps. => no lock from RANK_RECLAIM on held.
 */
struct page *shmem_get_page(struct mapping *mapping, u64 index);
/* The first slot of [*index, last] with a value, in *index. False if there is none. Does not sleep. */
bool shmem_next_in_swap(struct mapping *mapping, u64 *index, u64 last);

/* The fault's: brings back what the mapping has in swap, as the strategy can wait for it. END_GO_ON: f->page. */
struct fault;
int fault_shmem_in_swap(struct fault *f);

/* mapping_put()'s: the mapping is about to go. */
void shmem_forget(struct mapping *mapping);
/* Every mapping that has had values, one after the other, each with a reference; `prev`'s is dropped. NULL: no more. */
struct mapping *shmem_next(struct mapping *prev);
/* swapoff's: brings back what names the area. 0, -ENOMEM, -EIO, -EINTR. */
int shmem_unuse(unsigned area);

#endif
