/* SPDX-License-Identifier: MIT */
/*
 * Moving page-table entries, table by table; see page_move.h.
 *
 * Two page tables are locked at a time. Their locks have the same rank, so the second is taken by trylock; if that
 * fails, the first is released and both are tried again. The reverse map's lock is held around the move: a reverse-map
 * walk finds each page at its old address or at its new one, never at neither.
 */
#include "mm/calls/page_move.h"
#include "kernel/lib/errno.h"
#include "mm/table/tlb.h"
#include "mm/vma/rmap.h"

/* Bytes from addr to the end of the range that its table of that level maps. */
static u64 rest_of_table(vaddr_t addr, unsigned level)
{
	u64 size = 1UL << (PAGE_SHIFT + 9 * level);

	return size - (addr & (size - 1));
}

/* Bytes from addr on for which the source has no page table; 0: it has one at addr. */
static u64 unmapped_stretch(struct mm *mm, vaddr_t addr)
{
	struct pt_walk walk = pt_walk(mm, addr);

	return walk.state == PT_TABLE ? 0 : rest_of_table(addr, walk.level - 1);
}

/* The number of bytes, at most len, that lie in one page table both from `from` and from `to` on. */
static u64 one_table_each(vaddr_t from, vaddr_t to, u64 len)
{
	return min(len, min(rest_of_table(from, 1), rest_of_table(to, 1)));
}

/* Frees page tables outside all VMAs. One built within a VMA may stay: as if a page of the VMA had been touched. */
static void free_unused_tables(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct tlb_gather tlb;
	vaddr_t next_end;

	tlb_gather_begin(&tlb, mm);
	for (vaddr_t addr = start; addr < end; addr = next_end) {
		const struct vma *prev = vma_tree_find_before(&mm->tree, addr),
				 *next = vma_tree_find_from(&mm->tree, addr);
		vaddr_t ceiling = next ? next->start : USER_END;

		if (addr < ceiling)
			free_tables(&tlb, mm, addr, min(ceiling, end), prev ? prev->end : 0, ceiling);
		next_end = next ? next->end : end;
	}
	tlb_gather_finish(&tlb);
}

int page_move_prepare(struct mm *mm, vaddr_t from, vaddr_t to, u64 len)
{
	assert_mmap_write_locked(mm);
	for (u64 done = 0, step; done < len; done += step) {
		step = unmapped_stretch(mm, from + done);
		if (step)
			continue;
		if (pt_build(mm, to + done).state != PT_TABLE) {
			free_unused_tables(mm, to, to + len);
			return -ENOMEM;
		}
		step = one_table_each(from + done, to + done, len - done);
	}
	return 0;
}

/*
 * Locks both; they may be the same lock. The loop ends: between two attempts nothing is held, and the holder of b does
 * not wait for a.
 */
static void lock_pair(spinlock_t *a, spinlock_t *b)
{
	for (;;) {
		spin_lock(a);
		if (a == b || spin_trylock(b))
			return;
		spin_unlock(a);
		cpu_relax();
	}
}

static void unlock_pair(spinlock_t *a, spinlock_t *b)
{
	if (a != b)
		spin_unlock(b);
	spin_unlock(a);
}

/* Moves the entries of len bytes, which lie in one page table on each side. */
static void move_table(struct vma *vma, vaddr_t from, vaddr_t to, u64 len)
{
	struct mm *mm = vma->mm;
	pmd_t from_pmd = pt_walk(mm, from).pmd, to_pmd = pt_walk(mm, to).pmd;
	pte_t *source = pte_offset(from_pmd, from), *target = pte_offset(to_pmd, to), pte;
	spinlock_t *from_lock = pte_lockptr(from_pmd), *to_lock = pte_lockptr(to_pmd);
	bool flush = false;

	rmap_lock(vma);
	lock_pair(from_lock, to_lock);
	for (u64 i = 0; i < len >> PAGE_SHIFT; i++) {
		if (pte_none(pte_read(source + i)))
			continue;
		pte = pte_xchg(source + i, (pte_t){ 0 });
		flush |= pte_present(pte);
		pte_fill_settled(target + i, pte);
	}
	if (flush)
		tlb_flush_range(mm, from, from + len);
	unlock_pair(from_lock, to_lock);
	rmap_unlock(vma);
}

void page_move(struct vma *vma, vaddr_t from, vaddr_t to, u64 len)
{
	assert_vma_write_locked(vma);
	for (u64 done = 0, step; done < len; done += step) {
		step = unmapped_stretch(vma->mm, from + done);
		if (step)
			continue;
		step = one_table_each(from + done, to + done, len - done);
		move_table(vma, from + done, to + done, step);
		cond_resched();
	}
	/* Reclaim may not yet have flushed the old address of a swap entry that has moved (W6). */
	if (mm_tlb_flush_pending(vma->mm))
		tlb_flush_range(vma->mm, from, from + len);
}
