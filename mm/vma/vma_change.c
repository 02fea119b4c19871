/* SPDX-License-Identifier: MIT */
/*
 * Maps, modifies, splits, merges and unmaps VMAs; see vma_change.h for the contract.
 *
 * The order inside each function: write-lock the VMAs concerned, get memory, and only then change fields and the tree.
 * A lockless look-up may find a VMA whose fields have changed already while the tree has not: it sees that the VMA is
 * write-locked, and falls back.
 *
 * Two neighbours may be merged if they have the same flags and backing, contiguous offsets, and their pages can be
 * found by one reverse map: they share an anon_vma, or one has none yet and the other was not forked (as on Linux, a
 * VMA with several anon_vmas does not absorb others, or the lists would grow without bound).
 */
#include "mm/table/zap.h"
#include "mm/vma/vma_change.h"
#include "kernel/lib/errno.h"
#include "mm/cache/mapping.h"
#include "mm/debug/race.h"
#include "mm/table/tlb.h"
#include "mm/vma/rmap.h"

u64 sysctl_max_map_count = DEFAULT_MAX_MAP_COUNT;

static bool continues(const struct vma *low, const struct vma *high);
static bool reverse_maps_agree(const struct vma *a, const struct vma *b);
static int adopt_reverse_map(struct vma *vma, const struct vma *other);
static struct vma *enlarge(struct vma *vma, vaddr_t start, vaddr_t end, const struct vma *kin);
static struct vma *map_separately(struct mm *mm, const struct vma_shape *shape);
static struct vma *make_upper(struct vma *vma);
static struct vma *vma_split(struct vma *vma, vaddr_t addr, struct vma *upper);
static void vma_change_set_flags(struct vma *vma, u64 flags);

/* ---- New mappings ------------------------------------------------------------------------------------------------ */

static bool follows_rules(const struct vma *vma, const struct vma_shape *shape)
{
	return vma->flags == shape->flags && vma->mapping == shape->mapping && vma->file == shape->file &&
	       vma->ops == shape->ops && reverse_maps_agree(vma, shape->kin);
}

/* The offset of addr if the VMA extended to it. */
static u64 pgoff_at(const struct vma *vma, vaddr_t addr)
{
	return vma->pgoff + (u64)((s64)(addr - vma->start) / (s64)PAGE_SIZE);
}

/* Before the range is unmapped, a neighbour may be a VMA that extends into it: the unmap will cut it off there. */
static bool joins_below(const struct vma *prev, const struct vma_shape *shape)
{
	return prev && prev->end >= shape->start && follows_rules(prev, shape) &&
	       pgoff_at(prev, shape->start) == shape->pgoff;
}

static bool joins_above(const struct vma *next, const struct vma_shape *shape)
{
	return next && next->start <= shape->end && follows_rules(next, shape) &&
	       pgoff_at(next, shape->start) == shape->pgoff;
}

/* Extends one neighbour over the range, or merges both across it. NULL: none is compatible. Or an error pointer. */
static struct vma *join(struct vma *prev, struct vma *next, const struct vma_shape *shape)
{
	bool below = joins_below(prev, shape), above = joins_above(next, shape);
	struct vma *vma;

	if (below && above && reverse_maps_agree(prev, next)) {
		vma = enlarge(prev, prev->start, next->end, next->anon_vma ? next : shape->kin);
		if (ptr_err(vma) != -ENOMEM)
			return vma; /* else: merging with only one of them may need no memory */
	}
	if (below)
		return enlarge(prev, prev->start, shape->end, shape->kin);
	return above ? enlarge(next, shape->start, next->end, shape->kin) : NULL;
}

struct vma *vma_map(struct mm *mm, const struct vma_shape *shape)
{
	struct vma *prev, *next = vma_tree_neighbours(&mm->tree, shape->start, &prev), *vma;

	assert_mmap_write_locked(mm);
	ASSERT(!next || next->start >= shape->end, "a new mapping overlaps no other");
	vma = join(prev, next, shape);
	if (!vma || (is_err(vma) && shape->fresh)) /* with a preallocated VMA a failed merge is no error */
		return map_separately(mm, shape);
	if (shape->fresh)
		vma_free(shape->fresh);
	if (!is_err(vma))
		vma_account(mm, shape->flags, (shape->end - shape->start) >> PAGE_SHIFT);
	return vma;
}

int vma_adopt_across(struct vma *vma, const struct vma_shape *shape)
{
	struct vma *prev = vma_tree_find(&vma->mm->tree, shape->start - 1);
	struct vma *next = vma_tree_find(&vma->mm->tree, shape->end);

	assert_vma_write_locked(vma);
	if (!joins_below(prev, shape) || !joins_above(next, shape) || !reverse_maps_agree(prev, next))
		return 0;
	if (vma == prev)
		return adopt_reverse_map(vma, next);
	return vma == next ? adopt_reverse_map(vma, prev) : 0;
}

/* Makes a VMA of that shape, not yet attached. NULL without memory. */
static struct vma *make_separate(struct mm *mm, const struct vma_shape *shape)
{
	struct vma *vma = vma_alloc(mm);

	if (!vma)
		return NULL;
	vma->start = shape->start;
	vma->end = shape->end;
	vma->flags = shape->flags;
	vma->page_prot = vma_page_prot(shape->flags);
	vma->pgoff = shape->pgoff;
	vma_set_object(vma, shape->mapping, shape->file, shape->ops);
	if (!shape->kin || !anon_vma_clone(vma, shape->kin))
		return vma;
	vma_free(vma);
	return NULL;
}

int vma_map_prepare(struct mm *mm, struct vma_shape *shape)
{
	assert_mmap_write_locked(mm);
	shape->fresh = make_separate(mm, shape);
	return shape->fresh ? 0 : -ENOMEM;
}

static struct vma *map_separately(struct mm *mm, const struct vma_shape *shape)
{
	struct vma *vma = shape->fresh;

	if (!vma) {
		vma = vma_tree_reserve(&mm->tree, 1) ? NULL : make_separate(mm, shape);
		if (!vma)
			return err_ptr(-ENOMEM);
	}
	vma_attach(mm, vma);
	return vma;
}

/* ---- Neighbours -------------------------------------------------------------------------------------------------- */

static bool was_forked(const struct vma *vma)
{
	const struct list_head *chains = &vma->anon_vma_chain;

	return vma->anon_vma && chains->next->next != chains;
}

/* Either may be NULL, or without an anon_vma: then it takes the other's. */
static bool reverse_maps_agree(const struct vma *a, const struct vma *b)
{
	const struct anon_vma *of_a = a ? a->anon_vma : NULL, *of_b = b ? b->anon_vma : NULL;

	if (of_a == of_b)
		return true;
	if (of_a && of_b)
		return false;
	return !was_forked(of_a ? a : b);
}

static bool continues(const struct vma *low, const struct vma *high)
{
	return low->end == high->start && low->pgoff + vma_pages(low) == high->pgoff && low->mapping == high->mapping &&
	       low->file == high->file && low->ops == high->ops;
}

/* A VMA that is about to receive pages of other must be found by other's reverse map. */
static int adopt_reverse_map(struct vma *vma, const struct vma *other)
{
	return !vma->anon_vma && other && other->anon_vma ? anon_vma_clone(vma, other) : 0;
}

/* Changes the bounds, and the offset to match. */
static void set_bounds(struct vma *vma, vaddr_t start, vaddr_t end)
{
	assert_vma_write_locked(vma);
	rmap_set_range(vma, start, end, vma->pgoff + (s64)(start - vma->start) / (s64)PAGE_SIZE);
}

/* Frees a VMA whose range belongs to another one now. */
static void vma_discard(struct vma *vma)
{
	vma_unlink(vma);
	vma_free(vma);
}

/*
 * Extends the VMA to [start, end), which may absorb a whole neighbour on either side or on both. `kin`: the VMA whose
 * pages it receives, if any. Returns the VMA, or an error pointer.
 */
static struct vma *enlarge(struct vma *vma, vaddr_t start, vaddr_t end, const struct vma *kin)
{
	struct vma_tree *tree = &vma->mm->tree;
	struct vma *gone[2] = { NULL }, *other;
	unsigned nr_gone = 0;
	int error = vma_tree_reserve(tree, 1);

	if (!error)
		error = vma_start_write_killable(vma);
	if (!error)
		error = adopt_reverse_map(vma, kin);
	if (error)
		return err_ptr(error);
	vma_tree_for_each_range (other, tree, start, end) {
		if (other == vma)
			continue;
		vma_start_write(other);
		gone[nr_gone++] = other;
	}
	set_bounds(vma, start, end);
	vma_tree_replace(tree, start, end, &(struct vma_range){ start, end, vma }, 1);
	while (nr_gone)
		vma_discard(gone[--nr_gone]);
	return vma;
}

/* Moves [start, end), the part of `from` that adjoins its neighbour `to`, into `to`. */
static struct vma *move_boundary(struct vma *to, struct vma *from, vaddr_t start, vaddr_t end)
{
	bool upwards = to->end == start; /* `to` lies below and grows upwards */
	vaddr_t boundary = upwards ? end : start;
	struct vma *low = upwards ? to : from, *high = upwards ? from : to;
	int error = vma_tree_reserve(&to->mm->tree, 1);

	if (!error)
		error = vma_start_write_killable(to);
	if (!error)
		error = adopt_reverse_map(to, from);
	if (error)
		return err_ptr(error);
	vma_start_write(from);
	/* The one that grows comes first: at any time the reverse map finds the moved range in one of the two. */
	set_bounds(to, upwards ? to->start : boundary, upwards ? boundary : to->end);
	set_bounds(from, upwards ? boundary : from->start, upwards ? from->end : boundary);
	vma_tree_replace(&to->mm->tree, low->start, high->end,
			 (struct vma_range[]){ { low->start, boundary, low }, { boundary, high->end, high } }, 2);
	return to;
}

/* ---- Other flags ------------------------------------------------------------------------------------------------- */

/*
 * Allocates what splitting a VMA nr ≤ 2 times needs: the upper parts, and room in the tree. 0, or -ENOMEM and nothing
 * allocated.
 */
static int split_prepare(struct vma *vma, struct vma **uppers, unsigned nr)
{
	struct mm *mm = vma->mm;

	if (mm->nr_vmas + nr > READ_ONCE(sysctl_max_map_count) || vma_tree_reserve(&mm->tree, nr))
		return -ENOMEM;
	for (unsigned i = 0; i < nr; i++) {
		uppers[i] = make_upper(vma);
		if (uppers[i])
			continue;
		while (i)
			vma_free(uppers[--i]);
		return -ENOMEM;
	}
	return 0;
}

static struct vma *split_off(struct vma *vma, vaddr_t start, vaddr_t end, u64 flags)
{
	unsigned nr = (start > vma->start) + (end < vma->end);
	struct vma *uppers[2];

	if (nr && split_prepare(vma, uppers, nr))
		return err_ptr(-ENOMEM);
	if (start > vma->start)
		vma = vma_split(vma, start, uppers[--nr]);
	if (end < vma->end)
		(void)vma_split(vma, end, uppers[--nr]);
	vma_change_set_flags(vma, flags);
	return vma;
}

/* The neighbour at that end of the part, if the part could merge with it under these flags. */
static struct vma *joinable_below(struct vma *vma, vaddr_t start, u64 flags)
{
	struct vma *prev = start == vma->start ? vma_tree_find_before(&vma->mm->tree, start) : NULL;

	return prev && prev->flags == flags && continues(prev, vma) && reverse_maps_agree(prev, vma) ? prev : NULL;
}

static struct vma *joinable_above(struct vma *vma, vaddr_t end, u64 flags)
{
	struct vma *next = end == vma->end ? vma_tree_find_from(&vma->mm->tree, end) : NULL;

	return next && next->flags == flags && continues(vma, next) && reverse_maps_agree(vma, next) ? next : NULL;
}

struct vma *vma_modify_flags(struct vma *vma, vaddr_t start, vaddr_t end, u64 flags)
{
	struct vma *prev = joinable_below(vma, start, flags), *next = joinable_above(vma, end, flags);
	struct mm *mm = vma->mm;
	u64 old_flags = vma->flags;
	int error = vma_start_write_killable(vma);
	struct vma *result;

	if (error)
		return err_ptr(error);
	if (prev && next && reverse_maps_agree(prev, next))
		result = enlarge(prev, prev->start, next->end, vma->anon_vma ? vma : next);
	else if (prev)
		result = end == vma->end ? enlarge(prev, prev->start, end, vma) : move_boundary(prev, vma, start, end);
	else if (next)
		result = start == vma->start ? enlarge(next, start, next->end, vma)
					     : move_boundary(next, vma, start, end);
	else
		result = split_off(vma, start, end, flags);
	if (!is_err(result)) {
		vma_account(mm, old_flags, -(long)((end - start) >> PAGE_SHIFT));
		vma_account(mm, flags, (end - start) >> PAGE_SHIFT);
	}
	return result;
}

static void vma_change_set_flags(struct vma *vma, u64 flags)
{
	assert_vma_write_locked(vma);
	store_release(&vma->flags, flags);
	store_release(&vma->page_prot, vma_page_prot(flags));
}

void vma_set_flags(struct vma *vma, u64 flags)
{
	vma_account(vma->mm, vma->flags, -vma_pages(vma));
	vma_change_set_flags(vma, flags);
	vma_account(vma->mm, flags, vma_pages(vma));
}

/* A copy that is to become the upper part of vma. NULL without memory. */
static struct vma *make_upper(struct vma *vma)
{
	struct vma *upper = vma_dup(vma);

	if (!upper || !anon_vma_clone(upper, vma))
		return upper;
	vma_free(upper);
	return NULL;
}

/* Gives the copy vma's range from addr on, and links it into the reverse map; the caller updates the tree. */
static void link_upper(struct vma *upper, const struct vma *vma, vaddr_t addr)
{
	rmap_set_range(upper, addr, vma->end, vma->pgoff + ((addr - vma->start) >> PAGE_SHIFT));
	vma_link(upper);
}

/* Leaves [start, addr) in vma and puts the rest into `upper`, which it returns. Cannot fail: see split_prepare(). */
static struct vma *vma_split(struct vma *vma, vaddr_t addr, struct vma *upper)
{
	struct vma_tree *tree = &vma->mm->tree;
	vaddr_t end = vma->end;

	link_upper(upper, vma, addr);
	set_bounds(vma, vma->start, addr);
	race_point(split_between);
	vma_tree_replace(tree, vma->start, end, (struct vma_range[]){ { vma->start, addr, vma }, { addr, end, upper } },
			 2);
	return upper;
}

/* ---- Unmapping --------------------------------------------------------------------------------------------------- */

int vma_unmap_prepare(struct vma_unmap *unmap, struct mm *mm, vaddr_t start, vaddr_t end, unsigned nr_more)
{
	struct vma *vma;
	int error = vma_tree_reserve(&mm->tree, 1 + nr_more);

	assert_mmap_write_locked(mm);
	*unmap = (struct vma_unmap){ .mm = mm, .start = start, .end = end };
	if (error)
		return error;
	vma_tree_for_each_range (vma, &mm->tree, start, end) {
		unmap->any = true;
		error = vma_start_write_killable(vma);
		if (error)
			return error;
		if (vma->start < start && vma->end > end)
			return vma_unmap_expect_hole(unmap, vma);
	}
	return 0;
}

int vma_unmap_expect_hole(struct vma_unmap *unmap, struct vma *vma)
{
	if (unmap->upper)
		return 0;
	if (unmap->mm->nr_vmas >= READ_ONCE(sysctl_max_map_count))
		return -ENOMEM;
	unmap->upper = make_upper(vma);
	return unmap->upper ? 0 : -ENOMEM;
}

void vma_unmap_cancel(struct vma_unmap *unmap)
{
	if (unmap->upper)
		vma_free(unmap->upper);
}

/* Cuts [unmap->start, unmap->end) out of a VMA that extends beyond it; adds what remains to `stays`. */
static void vma_cut(struct vma_unmap *unmap, struct vma *vma, struct vma_range *stays, unsigned *nr_stay)
{
	struct vma *high = vma->end > unmap->end ? vma : NULL;

	if (vma->start < unmap->start) {
		if (high) { /* a hole in the middle */
			high = unmap->upper;
			unmap->upper = NULL;
			link_upper(high, vma, unmap->end);
		}
		set_bounds(vma, vma->start, unmap->start);
		stays[(*nr_stay)++] = (struct vma_range){ vma->start, vma->end, vma };
	} else {
		set_bounds(vma, unmap->end, vma->end);
	}
	if (high)
		stays[(*nr_stay)++] = (struct vma_range){ high->start, high->end, high };
}

/* Removes the range from the VMAs and from the tree; VMAs that lie wholly inside it are put on the list `gone`. */
static void detach_range(struct vma_unmap *unmap, struct list_head *gone)
{
	struct mm *mm = unmap->mm;
	struct vma_range stays[2];
	unsigned nr_stay = 0;
	struct vma *vma, *next;

	vma_tree_for_each_range (vma, &mm->tree, unmap->start, unmap->end) {
		vaddr_t low = max(vma->start, unmap->start), high = min(vma->end, unmap->end);

		vma_account(mm, vma->flags, -(long)((high - low) >> PAGE_SHIFT));
		if (vma->start >= unmap->start && vma->end <= unmap->end)
			list_add_tail(gone, &vma->gone);
		else
			vma_cut(unmap, vma, stays, &nr_stay);
	}
	vma_tree_replace(&mm->tree, unmap->start, unmap->end, stays, nr_stay);
	list_for_each_safe (vma, next, gone, gone)
		vma_unlink(vma);
}

/* Clears entries, unlinks tables, flushes, and only then frees pages and tables: the order of tlb.h. */
static void free_range(struct vma_unmap *unmap)
{
	struct mm *mm = unmap->mm;
	struct vma *prev, *next = vma_tree_neighbours(&mm->tree, unmap->start, &prev);
	struct tlb_gather tlb;

	tlb_gather_begin(&tlb, mm);
	zap_range(&tlb, mm, unmap->start, unmap->end);
	if (!unmap->keeps_tables)
		free_tables(&tlb, mm, unmap->start, unmap->end, prev ? prev->end : 0, next ? next->start : USER_END);
	tlb_gather_finish(&tlb);
}

void vma_unmap_commit(struct vma_unmap *unmap)
{
	struct list_head gone;
	struct vma *vma, *next;

	list_init(&gone);
	detach_range(unmap, &gone);
	race_point(munmap_after_detach);
	free_range(unmap);
	list_for_each_safe (vma, next, &gone, gone)
		vma_free(vma);
	vma_unmap_cancel(unmap);
}

int vma_unmap_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct vma_unmap unmap;
	int error = vma_unmap_prepare(&unmap, mm, start, end, 0);

	if (error)
		vma_unmap_cancel(&unmap);
	else if (unmap.any)
		vma_unmap_commit(&unmap);
	return error;
}
