/* SPDX-License-Identifier: MIT */
/* Object caches with per-CPU free lists, and kmalloc on top of them. Only an allocation with ALLOC_WAIT sleeps. */
#ifndef MM_SLAB_H
#define MM_SLAB_H

#include "mm/page/page_alloc.h"

struct slab_cache;

/*
 * Creates a cache of objects of `size` bytes, aligned to `align` (a power of two). Boot only, never fails (panics).
 * Objects are not cleared by slab_alloc unless ALLOC_ZERO.
 */
struct slab_cache *slab_create(const char *name, size_t size, size_t align);
void *slab_alloc(struct slab_cache *cache, unsigned flags); /* NULL if no memory */
void slab_free(struct slab_cache *cache, void *object);
/* Frees after an RCU grace period; the object must contain *head, whose contents are overwritten. */
void slab_free_rcu(struct slab_cache *cache, void *object, struct rcu_head *head);

/* Any size up to 4 MiB; from 4 KiB on, whole pages. kfree determines the size itself; kfree(NULL) does nothing. */
void *kmalloc(size_t size, unsigned flags);
void kfree(void *object);
/* A copy of the text, to be kfree()d, or NULL. Does not sleep. */
char *kstrdup(const char *text);

/* Objects in use: exact only while no CPU allocates or frees. For leak checks and /proc/slabinfo. */
void slab_for_each(void (*visit)(const char *name, size_t size, u64 in_use, u64 pages, void *arg), void *arg);
/* The pages of all caches. */
u64 slab_nr_pages(void);
u64 slab_in_use(const struct slab_cache *cache);

#endif
