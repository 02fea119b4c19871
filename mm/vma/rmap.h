/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: from a page to every page-table entry that maps it.
 *
 * The entries of a mapping's page are found through the mapping's tree of VMAs (i_mmap). An anonymous page points to
 * the anon_vma of the VMA that first filled it. An anon_vma has a tree of the VMAs in which such pages may be mapped:
 * that VMA, its split and moved parts, and its copies in forked children. A VMA is in one tree for each anon_vma above
 * it, linked by a chain. fork also gives the child an anon_vma of its own, so that a walk for the child's new pages
 * does not search the parent.
 *
 * Both are interval trees by page offset, so that a walk visits only the VMAs that cover the page's offset, however
 * many others there are. A VMA's bounds therefore change only while it is in none of them: rmap_set_range().
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "mm/vma/vma.h"

struct anon_vma {
	spinlock_t lock;	     /* RANK_ANON_VMA; the root's lock guards chains and counts of the whole family */
	s32 refcount;		     /* atomic: chains, children and pins */
	u32 nr_active;		     /* root's lock: VMAs whose anon_vma it is */
	u32 nr_children;	     /* root's lock: anon_vmas that have it as parent */
	struct interval_tree chains; /* root's lock: struct anon_vma_chain.by_anon_vma */
	struct anon_vma *root;	     /* constant: its lock serves the whole family */
	struct anon_vma *parent;     /* constant: the one that it was forked from; NULL for the root */
	struct rcu_head rcu;
};

/* Creates the caches. Context: boot. */
void rmap_init(void);

/*
 * Gives the VMA an anon_vma, published last (V7). Two threads may race, one wins. May reuse a compatible neighbour's so
 * that a later merge is possible.
 *
 * Context: mmap_lock held. Sleeps only for memory, and not in a fault that holds it for reading.
 * Returns: 0; -ENOMEM.
 */
int anon_vma_prepare(struct vma *vma);
/*
 * For split and move: puts dst (new, unattached) in every tree that src is in, with src's anon_vma.
 *
 * Context: thread. Sleeps only for memory.
 * Returns: 0; -ENOMEM.
 */
int anon_vma_clone(struct vma *dst, const struct vma *src);
/*
 * For fork of a VMA that has an anon_vma: as anon_vma_clone(), but the child gets an anon_vma of its own.
 *
 * Context: mmap_lock held for writing: of both. Sleeps only for memory.
 * Returns: 0; -ENOMEM.
 */
int anon_vma_fork(struct vma *child, const struct vma *parent);
/* Removes the VMA from every tree. Context: thread. Does not sleep. The VMA is write-locked, or was never attached. */
void anon_vma_unlink(struct vma *vma);

/*
 * Locks the reverse maps that find pages through this VMA, to change its bounds or move its entries: i_mmap_lock, then
 * the lock of its anon_vmas.
 *
 * Context: mmap_lock held for writing. Does not sleep.
 */
void rmap_lock(struct vma *vma);
/* Unlocks them. Context: thread. Does not sleep. */
void rmap_unlock(struct vma *vma);
/*
 * Changes the VMA's bounds, and its place in the trees that it is in; takes rmap_lock(). The caller updates the VMA
 * tree. A caller that moves a range from one VMA to another orders the two changes so that one of them covers it at any
 * time.
 * @start, @end: addresses.
 * @pgoff: in pages.
 *
 * Context: mmap_lock held for writing. Does not sleep. The VMA is write-locked, or was never attached.
 */
void rmap_set_range(struct vma *vma, vaddr_t start, vaddr_t end, u64 pgoff);

/*
 * Add the VMA to, and remove it from, its mapping's tree, where each VMA in the VMA tree is. Take i_mmap_lock.
 *
 * Context: thread. Do not sleep.
 */
void i_mmap_insert(struct vma *vma);
void i_mmap_remove(struct vma *vma);

/*
 * A new anonymous page about to be mapped: sets owner and index, mapcount 1.
 * @index: of its address, in pages, in the VMA's anonymous space.
 *
 * Context: a PTE lock held.
 */
void rmap_add_new_anon(struct page *page, struct anon_vma *anon_vma, u64 index);
/*
 * A page that was swapped in and is mapped nowhere: sets owner and index, mapcount 1.
 *
 * Context: a PTE lock held. The page is locked, or belongs to the caller alone.
 */
void rmap_add_swapped(struct page *page, struct anon_vma *anon_vma, u64 index);
/* Count one more, one fewer entry that maps the page. Context: a PTE lock held. */
void rmap_dup(struct page *page);
void rmap_remove(struct page *page);

/*
 * Calls visit for every entry that maps the page, under its PTE lock; stops when visit returns false. visit does not
 * sleep, and may flush translations.
 *
 * Context: no lock from RANK_I_MMAP on held. Does not sleep. The page is pinned, or the machine quiet.
 */
void rmap_walk(struct page *page,
	       bool (*visit)(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg), void *arg);

/*
 * Walks every mapped page of the machine and compares the number of entries found with its mapcount. Logs each page
 * that disagrees.
 *
 * Context: the machine is quiet. Does not sleep.
 * Returns: how many pages disagree.
 */
u64 rmap_check(void);
/*
 * Checks that every tree that the VMA is in has its bounds, and is intact. Logs errors.
 *
 * Context: the machine is quiet. Does not sleep.
 * Returns: true if so.
 */
bool rmap_check_vma(const struct vma *vma);

#endif
