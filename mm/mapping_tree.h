/* SPDX-License-Identifier: MIT */
/* The radix tree of a mapping: pages by index. => mapping.lock held, for every function but the first. Nothing sleeps.
 */
#ifndef MM_MAPPING_TREE_H
#define MM_MAPPING_TREE_H

#include "mm/mapping.h"

void mapping_tree_init_cache(void); /* boot */

/* The page of the slot, or NULL. No reference is taken. */
struct page *mapping_tree_find(const struct mapping *mapping, u64 index);
/* Fills an empty slot and takes the caller's reference over. False without memory: nothing has changed then. */
bool mapping_tree_insert(struct mapping *mapping, u64 index, struct page *page);
/* Takes the first page of [first, last] out, with the slot's reference, and clears its PG_CACHE; NULL if there is none.
 */
struct page *mapping_tree_take(struct mapping *mapping, u64 first, u64 last);

/* The index of the first page of [first, last]; false if there is none. */
bool mapping_tree_next(const struct mapping *mapping, u64 first, u64 last, u64 *index);

#endif
