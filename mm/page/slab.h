/* SPDX-License-Identifier: MIT */
/* Object caches with per-CPU free lists, and kmalloc on top of them. Only an allocation with ALLOC_WAIT sleeps. */
#ifndef MM_SLAB_H
#define MM_SLAB_H

#include "mm/page/page_alloc.h"

struct slab_cache;

/*
 * Creates a cache of objects. Never fails (panics). Objects are not cleared by slab_alloc unless ALLOC_ZERO.
 * @size: bytes.
 * @align: bytes, a power of two.
 *
 * Context: boot.
 * Returns: the cache.
 */
struct slab_cache *slab_create(const char *name, size_t size, size_t align);
/*
 * Allocates an object.
 * @flags: enum alloc_flags.
 *
 * Context: thread. Sleeps only with ALLOC_WAIT.
 * Returns: the object; NULL without memory.
 */
void *slab_alloc(struct slab_cache *cache, unsigned flags);
/* Frees it. Context: thread. Does not sleep. */
void slab_free(struct slab_cache *cache, void *object);
/*
 * Frees after an RCU grace period.
 * @head: in the object; its contents are overwritten.
 *
 * Context: any.
 */
void slab_free_rcu(struct slab_cache *cache, void *object, struct rcu_head *head);

/*
 * Allocates memory: from 4 KiB on, whole pages.
 * @size: bytes, up to 4 MiB.
 * @flags: enum alloc_flags.
 *
 * Context: thread. Sleeps only with ALLOC_WAIT.
 * Returns: the memory; NULL without.
 */
void *kmalloc(size_t size, unsigned flags);
/* Frees it; determines the size itself. kfree(NULL) does nothing. Context: thread. Does not sleep. */
void kfree(void *object);
/* Copies a text. Context: thread. Does not sleep. Returns: the copy, to be freed by kfree(); NULL without memory. */
char *kstrdup(const char *text);

/*
 * For leak checks and /proc/slabinfo: calls visit for each cache. Objects in use are exact only while no CPU allocates
 * or frees.
 *
 * Context: thread. Does not sleep.
 */
void slab_for_each(void (*visit)(const char *name, size_t size, u64 in_use, u64 pages, void *arg), void *arg);
/* The pages of all caches. Unlocked: approximate. Context: thread. Does not sleep. Returns: the number. */
u64 slab_nr_pages(void);
/* The objects of a cache that are in use, as for slab_for_each(). Context: any. Returns: the number. */
u64 slab_in_use(const struct slab_cache *cache);

#endif
