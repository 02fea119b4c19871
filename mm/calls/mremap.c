/* SPDX-License-Identifier: MIT */
/*
 * mremap: shrinks a mapping, grows it in place, or moves it with its pages.
 *
 * A move takes these steps, all under mmap_lock for writing. Those that may fail:
 *	1. prepare to unmap the source: write-locks it, so no strategy looks at it any more (S8);
 *	2. prepare to unmap what is at the destination, and to map there instead;
 *	3. build the destination's page tables;
 * and those that cannot:
 *	4. unmap what is at the destination, but keep its page tables, and map there: the new VMA is write-locked
 *	   before it is linked;
 *	5. move the entries, each under both page tables' locks and the lock of the reverse map, and flush the old
 *	   addresses before unlocking: no page is visible at its new address while still reachable at the old one;
 *	6. unmap the source, including a tail that has not moved if the mapping becomes shorter.
 *
 * Rejected: moving whole page tables under the upper lock alone (S9). A fault holds the lower lock only.
 *
 * Linux unmaps the destination and shortens the source before it knows whether the move is permitted: if it is not,
 * they are lost. Here a move that fails has changed nothing; but when one call moves several mappings, those before the
 * one that failed have moved, as on Linux.
 *
 * Mirrors: Linux, mremap(), move_vma(), move_page_tables().
 */
#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/calls/page_move.h"
#include "mm/debug/race.h"
#include "mm/vma/mman.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma_change.h"

struct remap {
	struct mm *mm;
	vaddr_t addr, new_addr;
	u64 old_len, new_len;
	u64 flags;	 /* MREMAP_* */
	struct vma *vma; /* contains addr */
};

static long remap_locked(struct remap *r);
static long mremap_move_to(struct remap *r);
static long move_several_to(const struct remap *r);
static long move_anywhere(struct remap *r);

static bool is_placed(const struct remap *r)
{
	return r->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
}

static bool overlaps_itself(const struct remap *r)
{
	return r->addr + r->old_len > r->new_addr && r->new_addr + r->new_len > r->addr;
}

static long check_arguments(const struct remap *r)
{
	if (r->flags & ~(u64)(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP) || r->addr & ~PAGE_MASK ||
	    !r->new_len || r->new_len > USER_END)
		return -EINVAL;
	if (!is_placed(r))
		return 0;
	if (r->new_addr > USER_END - r->new_len || r->new_addr & ~PAGE_MASK || !(r->flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((r->flags & MREMAP_DONTUNMAP && r->old_len != r->new_len) || overlaps_itself(r))
		return -EINVAL;
	return 0;
}

long mm_mremap(struct mm *mm, vaddr_t addr, u64 old_len, u64 new_len, u64 flags, vaddr_t new_addr)
{
	struct remap r = { .mm = mm,
			   .addr = addr,
			   .new_addr = new_addr,
			   .flags = flags,
			   .old_len = align_up(old_len, PAGE_SIZE),
			   .new_len = align_up(new_len, PAGE_SIZE) };
	u64 populate_flags = 0;
	long result = check_arguments(&r);

	if (result)
		return result;
	result = mmap_write_lock_killable(mm);
	if (result)
		return result;
	r.vma = vma_tree_find(&mm->tree, addr);
	if (!r.vma) {
		result = -EFAULT;
	} else {
		populate_flags = r.vma->flags;
		result = remap_locked(&r);
	}
	mmap_write_unlock(mm);
	if (result >= 0 && populate_flags & VM_LOCKED && r.new_len > r.old_len)
		mm_populate_flags(mm, result + r.old_len, result + r.new_len, populate_flags);
	return result;
}

/* Checks that the VMA may grow or move: 0 or -errno. A tail that is cut off before the move may lie beyond the VMA. */
static long mremap_check_vma(const struct remap *r)
{
	const struct vma *vma = r->vma;
	u64 pgoff = vma->pgoff + ((r->addr - vma->start) >> PAGE_SHIFT);

	if (!r->old_len && !(vma->flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL; /* a second mapping of the same pages: only if they are shared */
	if (min(r->old_len, r->new_len) > vma->end - r->addr)
		return -EFAULT;
	if (r->new_len <= r->old_len)
		return 0;
	if (pgoff + (r->new_len >> PAGE_SHIFT) < pgoff)
		return -EINVAL;
	if (vma->flags & VM_DONTEXPAND)
		return -EFAULT;
	if (!mm_may_lock_more(r->mm, vma->flags, (r->new_len - r->old_len) >> PAGE_SHIFT))
		return -EAGAIN;
	return mm_may_grow(r->mm, vma->flags, (r->new_len - r->old_len) >> PAGE_SHIFT) ? 0 : -ENOMEM;
}

static long mremap_shrink(struct remap *r)
{
	int error;

	if (r->old_len > USER_END - r->addr)
		return -EINVAL;
	error = vma_unmap_range(r->mm, r->addr + r->new_len, r->addr + r->old_len);
	return error ? error : (long)r->addr;
}

/* True if the VMA can grow in place. As Linux's vma_expandable(), checks the address of the whole VMA again. */
static bool room_behind(const struct remap *r)
{
	const struct vma *vma = r->vma, *next = vma_tree_find_from(&r->mm->tree, vma->end);
	vaddr_t end = r->addr + r->new_len;

	return r->addr + r->old_len == vma->end && end > vma->end && (!next || next->start >= end) &&
	       mm_unmapped_area(r->mm, vma->start, end - vma->start, MAP_FIXED) >= 0;
}

static bool may_commit(const struct remap *r, u64 len)
{
	return !(r->vma->flags & VM_ACCOUNT) || mm_may_commit(len >> PAGE_SHIFT);
}

/* Maps the range behind the VMA's end as its continuation. */
static long grow_in_place(struct remap *r)
{
	struct vma *vma = r->vma;
	const struct vma_shape shape = { .start = vma->end,
					 .end = r->addr + r->new_len,
					 .flags = vma->flags,
					 .pgoff = vma->pgoff + vma_pages(vma),
					 .mapping = vma->mapping,
					 .file = vma->file,
					 .ops = vma->ops,
					 .kin = vma };
	struct vma *grown;

	if (!may_commit(r, r->new_len - r->old_len))
		return -ENOMEM;
	grown = vma_map(r->mm, &shape);
	return is_err(grown) ? ptr_err(grown) : (long)r->addr;
}

static long remap_locked(struct remap *r)
{
	long error;

	if (is_placed(r) && r->mm->nr_vmas + 2 >= READ_ONCE(sysctl_max_map_count) - 3)
		return -ENOMEM;
	if (!is_placed(r) && r->new_len < r->old_len)
		return mremap_shrink(r);
	if (!is_placed(r) && r->new_len == r->old_len)
		return (long)r->addr;
	if (r->flags & MREMAP_FIXED && r->new_len == r->old_len)
		return move_several_to(r);
	if (is_placed(r))
		return mremap_move_to(r);
	error = mremap_check_vma(r);
	if (error)
		return error;
	if (room_behind(r))
		return grow_in_place(r);
	return r->flags & MREMAP_MAYMOVE ? move_anywhere(r) : -ENOMEM;
}

/* ---- Moving ------------------------------------------------------------------------------------------------------ */

static struct vma_shape shape_of_destination(const struct remap *r)
{
	struct vma *vma = r->vma;
	struct vma_shape shape = { .start = r->new_addr,
				   .end = r->new_addr + r->new_len,
				   .flags = vma->flags,
				   .pgoff = vma->pgoff + ((r->addr - vma->start) >> PAGE_SHIFT),
				   .mapping = vma->mapping,
				   .file = vma->file,
				   .ops = vma->ops,
				   .kin = vma };

	if (vma_is_anonymous(vma) && !vma->anon_vma) /* no page exists yet that records its offset */
		shape.pgoff = r->new_addr >> PAGE_SHIFT;
	return shape;
}

/* MREMAP_DONTUNMAP: the source stays mapped, without its pages. As on Linux, its whole VMA is no longer mlocked. */
static void keep_source(struct remap *r)
{
	struct vma *vma = r->vma;

	if (vma->start == r->addr && vma->end == r->addr + r->old_len)
		anon_vma_unlink(vma);
	vma_set_flags(vma, vma->flags & ~VM_LOCK_FLAGS);
}

/* The prepared parts of a move, which is then committed or cancelled. */
struct move {
	struct vma_shape shape;	      /* of the destination */
	struct vma_unmap there, here; /* what the destination replaces; the source, if it is unmapped */
	u64 len;		      /* of the range whose entries move */
	bool unmaps;		      /* the source is unmapped */
};

/* True if the destination is adjacent to the source's VMA, or replaces a part of it. */
static bool meets_source(const struct remap *r)
{
	return r->new_addr <= r->vma->end && r->new_addr + r->new_len >= r->vma->start;
}

/*
 * The destination may merge with what is left of the source. Unmapping the source may then leave a hole in the middle
 * of the merged VMA. If the destination merges the source with a neighbour that has pages, the part behind the hole
 * must be on the neighbour's reverse map.
 */
static int prepare_source(const struct remap *r, struct move *move)
{
	int error = vma_adopt_across(r->vma, &move->shape);

	if (!error)
		error = vma_unmap_prepare(&move->here, r->mm, r->addr, r->addr + r->old_len, 2);
	if (!error && meets_source(r))
		error = vma_unmap_expect_hole(&move->here, r->vma);
	return error;
}

/* Steps 1 to 3. On failure the caller cancels what has been prepared, and nothing has changed. */
static int prepare_move(const struct remap *r, struct move *move)
{
	int error = vma_start_write_killable(r->vma);

	if (!error && move->unmaps)
		error = prepare_source(r, move);
	if (!error)
		error = vma_unmap_prepare(&move->there, r->mm, r->new_addr, r->new_addr + r->new_len, 2);
	if (!error)
		error = vma_map_prepare(r->mm, &move->shape);
	return error ? error : page_move_prepare(r->mm, r->addr, r->new_addr, move->len);
}

static void cancel_move(struct move *move)
{
	vma_map_cancel(&move->shape);
	vma_unmap_cancel(&move->there);
	vma_unmap_cancel(&move->here);
}

/* Steps 4 to 6. */
static void commit_move(struct remap *r, struct move *move)
{
	struct vma *to;

	move->there.keeps_tables = true;
	if (move->there.any)
		vma_unmap_commit(&move->there);
	to = vma_map(r->mm, &move->shape);
	BUG_ON(is_err(to), "a mapping that was prepared failed with %ld", ptr_err(to));
	/* Unmapping the destination may have split the source's VMA, or the destination may have merged with it. */
	r->vma = vma_tree_find(&r->mm->tree, r->addr);
	race_point(mremap_before_move);
	page_move(r->vma, r->addr, r->new_addr, move->len);
	if (move->unmaps)
		vma_unmap_commit(&move->here);
	else if (r->old_len)
		keep_source(r);
}

/* Moves the mapping to new_addr, or duplicates it if old_len is 0: no page moves, and the source stays as it is. */
static long mremap_move(struct remap *r)
{
	struct move move = { .shape = shape_of_destination(r),
			     .len = min(r->old_len, r->new_len),
			     .unmaps = r->old_len && !(r->flags & MREMAP_DONTUNMAP) };
	u64 len_more = move.unmaps ? r->new_len - move.len : r->new_len;
	int error;

	if (r->mm->nr_vmas >= READ_ONCE(sysctl_max_map_count) - 3 || !may_commit(r, len_more))
		return -ENOMEM;
	error = prepare_move(r, &move);
	if (error) {
		cancel_move(&move);
		return error;
	}
	commit_move(r, &move);
	return (long)r->new_addr;
}

static long move_anywhere(struct remap *r)
{
	long addr = mm_unmapped_area(r->mm, 0, r->new_len, 0);

	if (addr < 0)
		return addr;
	r->new_addr = addr;
	return mremap_move(r);
}

/* Moves to an address that the caller named: unmaps what is there, and the tail of a source that becomes shorter. */
static long mremap_move_to(struct remap *r)
{
	bool fixed = r->flags & MREMAP_FIXED;
	long addr = mremap_check_vma(r);

	if (addr)
		return addr;
	if (r->old_len > USER_END - r->addr)
		return -EINVAL;
	if (r->flags & MREMAP_DONTUNMAP && !mm_may_grow_without(r->mm, r->vma->flags, r->old_len >> PAGE_SHIFT,
								r->new_addr, r->new_addr + (fixed ? r->new_len : 0)))
		return -ENOMEM;
	addr = mm_unmapped_area(r->mm, r->new_addr, r->new_len, fixed ? MAP_FIXED : 0);
	if (addr < 0)
		return addr;
	r->new_addr = addr;
	return mremap_move(r);
}

/* Moves all mappings in the range, at the same distances. Its start must be mapped. As Linux 6.17. */
static long move_several_to(const struct remap *r)
{
	vaddr_t end = r->addr + r->old_len, stop;

	for (vaddr_t addr = r->addr; addr < end; addr = stop) {
		struct remap part = *r;
		long result;

		part.vma = vma_tree_find_from(&r->mm->tree, addr);
		if (!part.vma || part.vma->start >= end)
			break;
		stop = min(part.vma->end, end);
		part.addr = max(part.vma->start, addr);
		part.new_addr = r->new_addr + (part.addr - r->addr);
		part.old_len = part.new_len = stop - part.addr;
		result = mremap_move_to(&part);
		if (result < 0)
			return result;
	}
	return (long)r->new_addr;
}
