/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: from a page to every entry that maps it.
 *
 * A page of a mapping is found by the mapping's tree of VMAs (i_mmap). An anonymous page points to the anon_vma of the VMA that
 * first filled it. An anon_vma has a tree of the VMAs in which such pages may be mapped: that VMA, its split and moved parts, and
 * its copies in forked children. A VMA is in one tree for each anon_vma above it (the chain). fork gives the child an anon_vma of
 * its own besides, so that its new pages are not searched for in the parent.
 *
 * Both are interval trees by page offset, so that a page costs a visit to the VMAs that reach over its offset, however many there
 * are beside them. A VMA's bounds therefore change only while it is in none of them: rmap_set_range().
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "mm/vma/vma.h"

struct anon_vma {
	spinlock_t lock;	   /* RANK_ANON_VMA; the root's guards chains and counts of the whole family */
	s32 refcount;		   /* atomic: chains, children, and those who pin it */
	u32 nr_active;		   /* root's lock: VMAs whose anon_vma it is */
	u32 nr_children;	   /* root's lock: anon_vmas that have it as parent */
	struct interval_tree chains; /* root's lock: struct anon_vma_chain.by_anon_vma */
	struct anon_vma *root;	   /* constant: whose lock serves the whole family */
	struct anon_vma *parent;   /* constant: where it comes from by fork; NULL for the root */
	struct rcu_head rcu;
};

void rmap_init(void); /* boot: caches */

/*
 * Gives the VMA an anon_vma, published last (V7). 0 or -ENOMEM. Does not sleep. Two threads may race, one wins. May
 * reuse a compatible neighbour's so that a later merge is possible.
 */
int anon_vma_prepare(struct vma *vma);
/* dst (a new, unattached VMA) joins every tree that src is in and takes src's anon_vma: split and move. 0 or -ENOMEM. */
int anon_vma_clone(struct vma *dst, const struct vma *src);
/*
 * For fork, of a parent that has an anon_vma: as clone, and the child gets one of its own. 0 or -ENOMEM. => mmap_lock held for
 * writing: of both.
 */
int anon_vma_fork(struct vma *child, const struct vma *parent);
/* Leaves every tree. In the bracket, or it was never attached. */
void anon_vma_unlink(struct vma *vma);

/*
 * The locks of the reverse maps that find pages through this VMA, for whoever changes its bounds or moves its entries:
 * i_mmap_lock, then that of the anon_vmas. => mmap_lock held for writing.
 */
void rmap_lock(struct vma *vma);
/* Releases them. */
void rmap_unlock(struct vma *vma);
/*
 * Gives the VMA other bounds, and moves it within the trees that it is in; takes rmap_lock(). The VMA tree is the
 * caller's. Two VMAs that pass a range from one to the other change in such an order that one of them covers it at any
 * time. The VMA is write-locked, or was never attached.
 */
void rmap_set_range(struct vma *vma, vaddr_t start, vaddr_t end, u64 pgoff);

/* A VMA that is in the tree of VMAs is also in that of its mapping, if it has one. Takes i_mmap_lock. */
void i_mmap_insert(struct vma *vma);
void i_mmap_remove(struct vma *vma);

/* A new anonymous page about to be mapped at addr: sets owner and index, mapcount 1. => a PTE lock held. */
void rmap_add_new_anon(struct page *page, struct anon_vma *anon_vma, u64 index);
/*
 * A page that comes back from swap and is mapped nowhere: sets owner and index, mapcount 1. The page is locked, or
 * nobody else's. => a PTE lock held.
 */
void rmap_add_swapped(struct page *page, struct anon_vma *anon_vma, u64 index);
/* One more, one fewer entry maps it. => a PTE lock held. */
void rmap_dup(struct page *page);
void rmap_remove(struct page *page);

/*
 * Calls visit for every entry that maps the page, under its PTE lock; stops when visit answers false. The page is
 * pinned, or the machine quiet. visit does not sleep, and may flush translations. => no lock from RANK_I_MMAP on held.
 */
void rmap_walk(struct page *page, bool (*visit)(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg),
	       void *arg);

/*
 * Walks every mapped page of the machine and compares the entries found with its mapcount. At a quiet moment. Logs each
 * page that disagrees; returns how many did.
 */
u64 rmap_check(void);
/* Whether every tree that the VMA is in knows its bounds, and is whole. At a quiet moment. Logs what is not. */
bool rmap_check_vma(const struct vma *vma);

#endif
