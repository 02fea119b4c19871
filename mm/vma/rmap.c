/* SPDX-License-Identifier: MIT */
/*
 * Implements reverse mapping; see rmap.h. The rules are Linux's (mm/rmap.c):
 *
 *	- A VMA links to an anon_vma by an anon_vma_chain, which is on the VMA's list and in the anon_vma's tree.
 *	- All anon_vmas of a family (all that descend from one by fork) share the lock of the oldest, the root.
 *	- fork links the child's VMA to every anon_vma of the parent's and gives it one of its own, unless one of
 *	  those has lost its VMA and has at most one child: then that one is reused, so that a chain of forks in
 *	  which the parents exit does not grow for ever.
 *	- An anon_vma lives while a chain, a child (through `parent` and `root`) or a pin refers to it, and for a
 *	  grace period more.
 *
 * Which lock guards what: a VMA's own list of chains changes under mmap_lock for writing; or, once, from empty, in
 * anon_vma_prepare(), under mmap_lock in any mode plus the anon_vma lock plus the lock of the mm's top table, in this
 * order (the last prevents two threads from preparing one VMA with two different anon_vmas). The bounds of a VMA in a
 * tree equal the VMA's fields, under the tree's lock.
 */
#include "kernel/lib/errno.h"
#include "mm/cache/mapping.h"
#include "mm/debug/race.h"
#include "mm/page/slab.h"
#include "mm/vma/mm.h"
#include "mm/vma/rmap.h"

/* "This VMA may map pages of that anon_vma." */
struct anon_vma_chain {
	struct vma *vma;		  /* constant */
	struct anon_vma *anon_vma;	  /* constant; one reference */
	struct list_head by_vma;	  /* see above: struct vma.anon_vma_chain */
	struct interval_node by_anon_vma; /* anon_vma lock: struct anon_vma.chains; the VMA's page offsets */
};

static struct slab_cache *anon_vma_cache;
static struct slab_cache *chain_cache;

static struct anon_vma *neighbours_anon_vma(const struct vma *vma);
static struct anon_vma *anon_vma_alloc(struct anon_vma *parent);
static void anon_vma_put(struct anon_vma *anon_vma);
static void link_chain(struct anon_vma_chain *chain, struct vma *vma, struct anon_vma *anon_vma);

void rmap_init(void)
{
	anon_vma_cache = slab_create("anon_vma", sizeof(struct anon_vma), CACHE_LINE);
	chain_cache = slab_create("anon_vma_chain", sizeof(struct anon_vma_chain), sizeof(void *));
}

static void lock_family(struct anon_vma *anon_vma)
{
	spin_lock(&anon_vma->root->lock);
}

static void unlock_family(struct anon_vma *anon_vma)
{
	spin_unlock(&anon_vma->root->lock);
}

/* ---- A VMA's first anon_vma -------------------------------------------------------------------------------------- */

/*
 * Links and publishes the anon_vma, unless another thread published one first. The chain is complete on both sides
 * before vma->anon_vma is visible: a fault that sees it may map a page at once, and the reverse map must find that page
 * (V7). Returns whether it was published.
 */
static bool rmap_publish(struct vma *vma, struct anon_vma *anon_vma, struct anon_vma_chain *chain)
{
	spinlock_t *top = &virt_to_page(vma->mm->pgd)->ptl;
	bool won;

	lock_family(anon_vma);
	spin_lock(top);
	won = !vma->anon_vma;
	if (won) {
		link_chain(chain, vma, anon_vma);
		anon_vma->nr_active++;
		store_release(&vma->anon_vma, anon_vma);
	}
	spin_unlock(top);
	unlock_family(anon_vma);
	return won;
}

int anon_vma_prepare(struct vma *vma)
{
	struct anon_vma *anon_vma, *reused;
	struct anon_vma_chain *chain;

	if (load_acquire(&vma->anon_vma))
		return 0;
	assert_mmap_locked(vma->mm);
	chain = slab_alloc(chain_cache, ALLOC_WAIT);
	if (!chain)
		return -ENOMEM;
	reused = neighbours_anon_vma(vma);
	anon_vma = reused ? reused : anon_vma_alloc(NULL);
	if (!anon_vma) {
		slab_free(chain_cache, chain);
		return -ENOMEM;
	}
	race_point(anon_vma_before_publish);
	if (!rmap_publish(vma, anon_vma, chain))
		slab_free(chain_cache, chain);
	if (!reused)
		anon_vma_put(anon_vma); /* the chain has its own reference; if we lost the race, this frees it */
	return 0;
}

/*
 * Whether the pages of a and b may share an anon_vma, so that the two VMAs can be merged later. Access rights may
 * differ, because mprotect could still make them equal. As Linux's anon_vma_compatible().
 */
static bool could_merge(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->mapping == b->mapping && a->file == b->file && a->ops == b->ops &&
	       !((a->flags ^ b->flags) & ~VM_ACCESS) && b->pgoff == a->pgoff + ((b->start - a->start) >> PAGE_SHIFT);
}

/*
 * The neighbour's anon_vma, or NULL if it has several because it was forked: sharing only its own would then not make
 * the two mergeable. Its list does not change once its anon_vma is visible, because we hold mmap_lock.
 */
static struct anon_vma *sharable_anon_vma(const struct vma *neighbour)
{
	struct anon_vma *anon_vma = load_acquire(&neighbour->anon_vma);
	const struct list_head *chains = &neighbour->anon_vma_chain;

	return anon_vma && chains->next->next == chains ? anon_vma : NULL;
}

static struct anon_vma *neighbours_anon_vma(const struct vma *vma)
{
	const struct vma *next = vma_tree_find(&vma->mm->tree, vma->end);
	const struct vma *prev = vma_tree_find(&vma->mm->tree, vma->start - 1);
	struct anon_vma *anon_vma = NULL;

	if (next && could_merge(vma, next))
		anon_vma = sharable_anon_vma(next);
	if (!anon_vma && prev && could_merge(prev, vma))
		anon_vma = sharable_anon_vma(prev);
	return anon_vma;
}

/* ---- Split, move and fork ---------------------------------------------------------------------------------------- */

/* Whether a forked VMA may reuse it: its VMAs have gone, and it has at most one child. Never a root, as on Linux. */
static bool can_be_reused(const struct anon_vma *anon_vma)
{
	return anon_vma->parent && anon_vma->nr_children < 2 && anon_vma->nr_active == 0;
}

/*
 * Puts dst in every tree that src is in. With `reuse`, dst->anon_vma becomes a reusable one among them, if there is
 * one. 0, or -ENOMEM and dst is in no tree.
 */
static int join_trees(struct vma *dst, const struct vma *src, bool reuse)
{
	struct anon_vma_chain *from, *chain;

	list_for_each (from, &src->anon_vma_chain, by_vma) {
		struct anon_vma *anon_vma = from->anon_vma;

		chain = slab_alloc(chain_cache, ALLOC_WAIT);
		if (!chain) {
			WRITE_ONCE(dst->anon_vma, NULL); /* nr_active counts no VMA whose chains are incomplete */
			anon_vma_unlink(dst);
			return -ENOMEM;
		}
		lock_family(anon_vma);
		link_chain(chain, dst, anon_vma);
		if (reuse && !dst->anon_vma && can_be_reused(anon_vma))
			WRITE_ONCE(dst->anon_vma, anon_vma);
		unlock_family(anon_vma);
	}
	if (dst->anon_vma) {
		lock_family(dst->anon_vma);
		dst->anon_vma->nr_active++;
		unlock_family(dst->anon_vma);
	}
	return 0;
}

int anon_vma_clone(struct vma *dst, const struct vma *src)
{
	ASSERT(list_empty(&dst->anon_vma_chain), "a clone starts without anon_vmas");
	WRITE_ONCE(dst->anon_vma, src->anon_vma);
	return src->anon_vma ? join_trees(dst, src, false) : 0;
}

int anon_vma_fork(struct vma *child, const struct vma *parent)
{
	struct anon_vma_chain *chain;
	struct anon_vma *anon_vma;

	assert_mmap_write_locked(child->mm);
	assert_mmap_write_locked(parent->mm);
	ASSERT(list_empty(&child->anon_vma_chain), "a forked VMA starts without anon_vmas");
	ASSERT(parent->anon_vma, "a VMA without an anon_vma has no page that its fork would share");
	WRITE_ONCE(child->anon_vma, NULL);
	if (join_trees(child, parent, true))
		return -ENOMEM;
	if (child->anon_vma)
		return 0;
	chain = slab_alloc(chain_cache, ALLOC_WAIT);
	anon_vma = chain ? anon_vma_alloc(parent->anon_vma) : NULL;
	if (!anon_vma) {
		if (chain)
			slab_free(chain_cache, chain);
		anon_vma_unlink(child);
		return -ENOMEM;
	}
	lock_family(anon_vma);
	link_chain(chain, child, anon_vma);
	anon_vma->nr_active++;
	WRITE_ONCE(child->anon_vma, anon_vma);
	unlock_family(anon_vma);
	anon_vma_put(anon_vma);
	return 0;
}

void anon_vma_unlink(struct vma *vma)
{
	struct anon_vma_chain *chain, *next;

	if (vma->anon_vma) {
		lock_family(vma->anon_vma);
		vma->anon_vma->nr_active--;
		unlock_family(vma->anon_vma);
		WRITE_ONCE(vma->anon_vma, NULL);
	}
	list_for_each_safe (chain, next, &vma->anon_vma_chain, by_vma) {
		struct anon_vma *anon_vma = chain->anon_vma;

		lock_family(anon_vma);
		interval_tree_remove(&anon_vma->chains, &chain->by_anon_vma);
		unlock_family(anon_vma);
		list_del(&chain->by_vma);
		slab_free(chain_cache, chain);
		anon_vma_put(anon_vma);
	}
}

/* ---- Life of an anon_vma ----------------------------------------------------------------------------------------- */

/* Returns it with one reference. `parent`: the anon_vma that it is forked from; NULL for the first of a family. */
static struct anon_vma *anon_vma_alloc(struct anon_vma *parent)
{
	struct anon_vma *anon_vma = slab_alloc(anon_vma_cache, ALLOC_WAIT);

	if (!anon_vma)
		return NULL;
	spin_init(&anon_vma->lock, RANK_ANON_VMA);
	interval_tree_init(&anon_vma->chains);
	anon_vma->nr_active = 0;
	anon_vma->nr_children = 0;
	anon_vma->parent = parent;
	anon_vma->root = parent ? parent->root : anon_vma;
	WRITE_ONCE(anon_vma->refcount, 1);
	if (parent) {
		lock_family(parent);
		parent->nr_children++;
		unlock_family(parent);
		atomic_inc(&parent->refcount);
	}
	return anon_vma;
}

/* A child holds a reference to its parent, and so to its root: the family's lock outlives the family. */
static void anon_vma_put(struct anon_vma *anon_vma)
{
	while (anon_vma) {
		struct anon_vma *parent = anon_vma->parent;
		s32 refcount = atomic_dec_return(&anon_vma->refcount);

		ASSERT(refcount >= 0, "every reference to an anon_vma is dropped once");
		if (refcount)
			return;
		ASSERT(interval_tree_is_empty(&anon_vma->chains), "an anon_vma that is freed is on no VMA's list");
		if (parent) {
			lock_family(parent);
			parent->nr_children--;
			unlock_family(parent);
		}
		slab_free_rcu(anon_vma_cache, anon_vma, &anon_vma->rcu);
		anon_vma = parent;
	}
}

static u64 last_pgoff(const struct vma *vma)
{
	return vma->pgoff + ((vma->end - vma->start) >> PAGE_SHIFT) - 1;
}

static void insert_chain(struct anon_vma_chain *chain)
{
	const struct vma *vma = chain->vma;

	interval_tree_insert(&chain->anon_vma->chains, &chain->by_anon_vma, vma->pgoff, last_pgoff(vma));
}

/* Context: anon_vma->root->lock held. */
static void link_chain(struct anon_vma_chain *chain, struct vma *vma, struct anon_vma *anon_vma)
{
	assert_spin_held(&anon_vma->root->lock);
	chain->vma = vma;
	chain->anon_vma = anon_vma;
	atomic_inc(&anon_vma->refcount);
	list_add_tail(&vma->anon_vma_chain, &chain->by_vma);
	chain->by_anon_vma.height = 0;
	insert_chain(chain);
}

/* ---- A VMA's place in the trees ---------------------------------------------------------------------------------- */

void rmap_lock(struct vma *vma)
{
	assert_mmap_write_locked(vma->mm);
	if (vma->mapping)
		spin_lock(&vma->mapping->i_mmap_lock);
	if (vma->anon_vma)
		lock_family(vma->anon_vma);
}

void rmap_unlock(struct vma *vma)
{
	if (vma->anon_vma)
		unlock_family(vma->anon_vma);
	if (vma->mapping)
		spin_unlock(&vma->mapping->i_mmap_lock);
}

void rmap_set_range(struct vma *vma, vaddr_t start, vaddr_t end, u64 pgoff)
{
	bool in_mapping = interval_node_is_linked(&vma->i_mmap);
	struct anon_vma_chain *chain;

	ASSERT(vma_is_write_locked(vma) || !READ_ONCE(vma->vm_refcnt), "the VMA is changed inside its bracket");
	rmap_lock(vma);
	if (in_mapping)
		interval_tree_remove(&vma->mapping->i_mmap, &vma->i_mmap);
	list_for_each (chain, &vma->anon_vma_chain, by_vma)
		interval_tree_remove(&chain->anon_vma->chains, &chain->by_anon_vma);
	store_release(&vma->start, start);
	store_release(&vma->end, end);
	store_release(&vma->pgoff, pgoff);
	list_for_each (chain, &vma->anon_vma_chain, by_vma)
		insert_chain(chain);
	if (in_mapping)
		interval_tree_insert(&vma->mapping->i_mmap, &vma->i_mmap, pgoff, last_pgoff(vma));
	rmap_unlock(vma);
}

/* Neither flag changes as long as the VMA maps the mapping. */
static bool may_write_mapping(const struct vma *vma)
{
	return (vma->flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE);
}

void i_mmap_insert(struct vma *vma)
{
	struct mapping *mapping = vma->mapping;

	spin_lock(&mapping->i_mmap_lock);
	interval_tree_insert(&mapping->i_mmap, &vma->i_mmap, vma->pgoff, last_pgoff(vma));
	mapping->nr_writable += may_write_mapping(vma);
	spin_unlock(&mapping->i_mmap_lock);
}

void i_mmap_remove(struct vma *vma)
{
	struct mapping *mapping = vma->mapping;

	spin_lock(&mapping->i_mmap_lock);
	interval_tree_remove(&mapping->i_mmap, &vma->i_mmap);
	mapping->nr_writable -= may_write_mapping(vma);
	spin_unlock(&mapping->i_mmap_lock);
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

void rmap_add_new_anon(struct page *page, struct anon_vma *anon_vma, u64 index)
{
	assert_in_atomic();
	/* Plain stores: until the entry is set, no other thread can reach the page. */
	ASSERT(READ_ONCE(page->mapcount) == 0, "a new page is mapped nowhere");
	WRITE_ONCE(page->anon_vma, anon_vma);
	WRITE_ONCE(page->index, index);
	WRITE_ONCE(page->mapcount, 1);
	/* Release: reclaim may find the page at once, and then sees the fields above. */
	store_release(&page->flags, page->flags | 1u << PG_ANON);
}

void rmap_add_swapped(struct page *page, struct anon_vma *anon_vma, u64 index)
{
	assert_in_atomic();
	ASSERT(page_test(page, PG_ANON), "a page in the swap cache is anonymous");
	WRITE_ONCE(page->anon_vma, anon_vma);
	WRITE_ONCE(page->index, index);
	(void)atomic_fetch_add(&page->mapcount, 1); /* last: a reverse-map walk reads it first */
}

void rmap_dup(struct page *page)
{
	assert_in_atomic();
	/* Fully ordered: a fault counts a mapping's page first, then checks if it was removed (fault_mapping.c). */
	(void)atomic_fetch_add(&page->mapcount, 1);
}

void rmap_remove(struct page *page)
{
	s32 mapcount = atomic_dec_return(&page->mapcount);

	assert_in_atomic();
	ASSERT(mapcount >= 0, "an entry is uncounted once");
	(void)mapcount;
}

/* ---- From a page to its entries ---------------------------------------------------------------------------------- */

/* Finds the entry of vma, which covers the page's offset, that maps the page, and locks it with *ptl; or NULL. */
static pte_t *lock_entry_of(struct page *page, struct vma *vma, vaddr_t *addr, spinlock_t **ptl)
{
	u64 pgoff = READ_ONCE(vma->pgoff), start = READ_ONCE(vma->start);
	struct pt_walk walk;
	pte_t *pte;

	ASSERT(page->index >= pgoff && page->index <= last_pgoff(vma),
	       "a tree of the reverse map knows the VMA's bounds");
	*addr = start + (page->index - pgoff) * PAGE_SIZE;
	walk = pt_walk(vma->mm, *addr);
	if (walk.state != PT_TABLE)
		return NULL;
	pte = pte_offset(walk.pmd, *addr);
	*ptl = pte_lockptr(walk.pmd);
	spin_lock(*ptl);
	if (pmd_same(pmd_read(walk.pmdp), walk.pmd) && pte_counted_page(pte_read(pte)) == page)
		return pte;
	spin_unlock(*ptl);
	return NULL;
}

typedef bool (*visit_fn)(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg);

/*
 * Visits the page's entry in that VMA, if it has one there. False: stop the walk.
 *
 * Context: a spinlock held: the one that keeps VMAs in their tree.
 */
static bool visit_in(struct page *page, struct vma *vma, visit_fn visit, void *arg)
{
	spinlock_t *ptl;
	vaddr_t addr;
	pte_t *pte = lock_entry_of(page, vma, &addr, &ptl);
	bool go_on;

	assert_in_atomic();
	if (!pte)
		return true;
	go_on = visit(page, vma, addr, pte, arg);
	spin_unlock(ptl);
	return go_on;
}

static void walk_anon(struct page *page, visit_fn visit, void *arg)
{
	struct anon_vma *anon_vma = READ_ONCE(page->anon_vma);
	struct interval_node *node;

	lock_family(anon_vma);
	interval_tree_for_each (node, &anon_vma->chains, page->index, page->index)
		if (!visit_in(page, container_of(node, struct anon_vma_chain, by_anon_vma)->vma, visit, arg))
			break;
	unlock_family(anon_vma);
}

/* Misses no entry: they move under the lock that we hold, and fork copies none of a VMA that shares the mapping. */
static void walk_mapping(struct page *page, visit_fn visit, void *arg)
{
	struct mapping *mapping = READ_ONCE(page->mapping);
	struct interval_node *node;

	spin_lock(&mapping->i_mmap_lock);
	interval_tree_for_each (node, &mapping->i_mmap, page->index, page->index)
		if (!visit_in(page, container_of(node, struct vma, i_mmap), visit, arg))
			break;
	spin_unlock(&mapping->i_mmap_lock);
}

void rmap_walk(struct page *page,
	       bool (*visit)(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg), void *arg)
{
	assert_no_lock_from(RANK_I_MMAP);
	rcu_read_lock(); /* a table may be unlinked while we look at it */
	/* An unmapped anonymous page may outlive its anon_vma. If it was mapped just now, RCU keeps the anon_vma. */
	if (!page_test(page, PG_ANON))
		walk_mapping(page, visit, arg);
	else if (load_acquire(&page->mapcount))
		walk_anon(page, visit, arg);
	rcu_read_unlock();
}

/* ---- The checker ------------------------------------------------------------------------------------------------- */

static bool count_entry(struct page *page, struct vma *vma, vaddr_t addr, pte_t *pte, void *arg)
{
	(void)page, (void)vma, (void)addr, (void)pte;
	++*(s32 *)arg;
	return true;
}

static bool page_agrees(struct page *page)
{
	s32 found = 0, mapcount = READ_ONCE(page->mapcount);

	rmap_walk(page, count_entry, &found);
	if (found == mapcount)
		return true;
	klog("rmap: page frame %#lx (index %#lx) counts %d entries that map it, its reverse map leads to %d",
	     (unsigned long)page_to_pfn(page), (unsigned long)page->index, mapcount, found);
	return false;
}

u64 rmap_check(void)
{
	u64 nr_wrong = 0;
	pfn_t pfn;

	for_each_used_pfn (pfn) {
		struct page *page = pfn_to_page(pfn);

		/* A page that is no longer mapped may outlive its anon_vma: it is about to be freed. */
		if ((page_test(page, PG_ANON) || page_test(page, PG_CACHE)) && READ_ONCE(page->mapcount) &&
		    !page_agrees(page))
			nr_wrong++;
	}
	return nr_wrong;
}

static bool tree_knows(const struct interval_tree *tree, const struct interval_node *node, const struct vma *vma)
{
	bool whole = node->parent || interval_tree_check(tree); /* each tree once: for its root node */

	if (whole && interval_tree_contains(tree, node) && node->start == vma->pgoff && node->last == last_pgoff(vma))
		return true;
	klog("rmap: a tree has the VMA %#lx-%#lx at the offsets %#lx to %#lx, not %#lx to %#lx; or the tree is broken",
	     (unsigned long)vma->start, (unsigned long)vma->end, (unsigned long)node->start, (unsigned long)node->last,
	     (unsigned long)vma->pgoff, (unsigned long)last_pgoff(vma));
	return false;
}

bool rmap_check_vma(const struct vma *vma)
{
	bool ok = !vma->mapping || tree_knows(&vma->mapping->i_mmap, &vma->i_mmap, vma);
	struct anon_vma_chain *chain;

	list_for_each (chain, &vma->anon_vma_chain, by_vma)
		ok &= chain->vma == vma && tree_knows(&chain->anon_vma->chains, &chain->by_anon_vma, vma);
	return ok;
}
