/* SPDX-License-Identifier: MIT */
/* Tests of where mappings may be placed and how far they may grow: each bound, on either side of it. */
#include "test.h"

#include "mm/vma/mmap_limits.h"
#include "mm/vma/pkey.h"
#include "mm/vma/rmap.h"
#include "mm/vma/stack.h"
#include "mm/vma/vma_change.h"

#define ARENA 0x10000000000UL
#define GIB (1UL << 30)
#define MREMAP_TO (MREMAP_MAYMOVE | MREMAP_FIXED)
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)

static struct mm *mm;

static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	sim_use_mm(mm);
}

static void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
}

static long mmap_from(vaddr_t addr, u64 len, u64 prot, u64 flags, u64 pgoff)
{
	const struct mmap_request request = { .addr = addr, .len = len, .prot = prot, .flags = flags, .pgoff = pgoff };

	return mm_mmap(mm, &request);
}

static long mmap_at(vaddr_t addr, u64 len, u64 flags)
{
	return mmap_from(addr, len, RW, flags, 0);
}

/* ---- mmap -------------------------------------------------------------------------------------------------------- */

/* MAP_32BIT searches upwards from 1 GiB, takes a hint that fits below 2 GiB, and keeps the gap of a stack. */
TEST(mmap_below_2_gib, 1)
{
	begin();
	CHECK_EQ(mmap_at(PAGES(100), PAGES(1), ANON | MAP_32BIT), PAGES(100));
	CHECK_EQ(mmap_at(PAGES(100), PAGES(1), ANON | MAP_32BIT), GIB);
	CHECK_EQ(mmap_at(2 * GIB - PAGES(1), PAGES(1), ANON | MAP_32BIT), 2 * GIB - PAGES(1));
	CHECK_EQ(mmap_at(2 * GIB - PAGES(2), PAGES(2), ANON | MAP_32BIT), GIB + PAGES(1));
	CHECK_EQ(mmap_at(2 * GIB, PAGES(1), ANON | MAP_32BIT), GIB + PAGES(3));
	CHECK_EQ(mmap_at(0, 2 * GIB + PAGES(1), ANON | MAP_32BIT | MAP_NORESERVE), -ENOMEM);
	CHECK_EQ(mmap_at(0, GIB, ANON | MAP_32BIT | MAP_NORESERVE), -ENOMEM);
	map_at(mm, GIB + STACK_GUARD_GAP, 2, RW, ANON | MAP_GROWSDOWN);
	CHECK_EQ(mmap_at(GIB + PAGES(16), PAGES(1), ANON | MAP_32BIT), GIB + STACK_GUARD_GAP + PAGES(2));
	unmap(mm, GIB, 5);
	CHECK_EQ(mmap_at(0, PAGES(1), ANON | MAP_32BIT), GIB + STACK_GUARD_GAP + PAGES(3));
	map_at(mm, GIB + STACK_GUARD_GAP + PAGES(2), 2, RW, ANON);
	map_at(mm, GIB, (GIB >> PAGE_SHIFT) - 2, PROT_NONE, ANON);
	CHECK_EQ(mmap_at(0, PAGES(1), ANON | MAP_32BIT), 2 * GIB - PAGES(2));
	CHECK_EQ(mmap_at(0, PAGES(1), ANON | MAP_32BIT), -ENOMEM);
	end();
}

/* A mapping may reach the end of the address space, and not one page further. */
TEST(mmap_ends_where_the_address_space_does, 1)
{
	const u64 all = USER_END - PAGES(1);

	begin();
	CHECK_EQ(mmap_at(USER_END - PAGES(2), PAGES(2), ANON | MAP_FIXED), USER_END - PAGES(2));
	CHECK_EQ(mmap_at(USER_END - PAGES(1), PAGES(2), ANON | MAP_FIXED), -ENOMEM);
	CHECK_EQ(mmap_at(0, USER_END + PAGES(1), ANON | MAP_NORESERVE), -ENOMEM);
	CHECK_EQ(mmap_at(0, USER_END + PAGES(1), ANON | MAP_NORESERVE | MAP_FIXED), -ENOMEM);
	CHECK_EQ(mmap_at(USER_END - PAGES(4), PAGES(2), ANON), USER_END - PAGES(4)); /* as a hint */
	CHECK_EQ(mmap_at(USER_END - PAGES(1), PAGES(2), ANON), mm->mmap_base - PAGES(2));
	unmap(mm, mm->mmap_base - PAGES(2), 2);
	unmap(mm, USER_END - PAGES(4), 4);
	CHECK_EQ(mmap_from(0, all, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED, 0), 0);
	CHECK_EQ(mm->total_pages, all >> PAGE_SHIFT);
	CHECK_EQ(mmap_at(0, PAGES(2), ANON), -ENOMEM); /* only the last page is free */
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(2), MREMAP_MAYMOVE, 0), -ENOMEM);
	CHECK_EQ(mm_munmap(mm, 0, USER_END), 0);
	CHECK_EQ(mm->nr_vmas, 0);
	end();
}

/* An offset and a length whose sum wraps are refused, even where the offset has no meaning. */
TEST(mmap_of_an_offset_that_wraps, 1)
{
	const u64 last = ~0UL - 1; /* the page after two pages from there has index 0 */

	begin();
	CHECK_EQ(mmap_from(ARENA, PAGES(2), RW, ANON | MAP_FIXED, last), -EOVERFLOW);
	CHECK_EQ(mmap_from(ARENA, PAGES(2), RW, SHARED | MAP_FIXED, last), -EOVERFLOW);
	CHECK_EQ(mmap_from(ARENA, PAGES(1), RW, ANON | MAP_FIXED, last), ARENA);
	CHECK_EQ(sim_vma(mm, ARENA)->pgoff, ARENA >> PAGE_SHIFT);
	CHECK_EQ(mmap_from(ARENA, PAGES(1), RW, SHARED | MAP_FIXED, last), ARENA);
	CHECK_EQ(sim_vma(mm, ARENA)->pgoff, 0);
	end();
}

/* As on Linux, one VMA more than the limit is permitted. */
TEST(mmap_up_to_the_map_count, 1)
{
	begin();
	sysctl_max_map_count = 2;
	map_at(mm, ARENA, 1, RW, ANON);
	map_at(mm, ARENA + PAGES(2), 1, RW, ANON);
	map_at(mm, ARENA + PAGES(4), 1, RW, ANON);
	CHECK_EQ(mmap_at(ARENA + PAGES(6), PAGES(1), ANON | MAP_FIXED), -ENOMEM);
	mm->start_brk = mm->brk = ARENA + PAGES(8);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(9)), ARENA + PAGES(8));
	unmap(mm, ARENA, 1);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(9)), ARENA + PAGES(9));
	CHECK_EQ(mm->nr_vmas, 3);
	end();
}

/* ---- mremap ------------------------------------------------------------------------------------------------------ */

/*
 * If there is no room behind it, mremap moves the mapping to where mmap would place it, with its pages, and leaves
 * nothing behind.
 */
TEST(mremap_moves_to_where_mmap_would, 1)
{
	const vaddr_t to = 0x7f0000000000UL - PAGES(6);
	vaddr_t next;

	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	map_at(mm, ARENA + PAGES(4), 1, PROT_READ, ANON);
	put_pages(ARENA, 4, 100);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(4), MREMAP_MAYMOVE, 0), ARENA);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(4), 0, 0), ARENA);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(6), MREMAP_MAYMOVE, 0), to);
	expect_pages(to, 4, 100);
	expect_get(to + PAGES(5), 0);
	CHECK(!sim_vma(mm, ARENA) && !sim_vma(mm, ARENA + PAGES(3)));
	CHECK_EQ(mm->nr_vmas, 2);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 4);
	next = (vaddr_t)mm_mremap(mm, to + PAGES(1), PAGES(2), PAGES(3), MREMAP_MAYMOVE, 0);
	CHECK_EQ(next, to - PAGES(3));
	expect_pages(next, 2, 101);
	expect_get(to, 100);
	expect_get(to + PAGES(3), 103);
	end();
}

/* When locked memory grows, the new pages are populated, in place or after a move. */
TEST(mremap_brings_in_what_is_locked, 1)
{
	vaddr_t to;

	begin();
	map_at(mm, ARENA, 2, RW, ANON | MAP_LOCKED);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(3), 0, 0), ARENA);
	CHECK(!pte_none(sim_pte(mm, ARENA + PAGES(2))));
	map_at(mm, ARENA + PAGES(3), 1, PROT_READ, ANON);
	to = (vaddr_t)mm_mremap(mm, ARENA, PAGES(3), PAGES(5), MREMAP_MAYMOVE, 0);
	for (u64 page = 0; page < 5; page++)
		CHECK(!pte_none(sim_pte(mm, to + PAGES(page))));
	CHECK_EQ(mm->locked_pages, 5);
	CHECK_EQ(mm_munlock(mm, to, PAGES(5)), 0);
	CHECK_EQ(mm_mremap(mm, to, PAGES(5), PAGES(6), MREMAP_MAYMOVE, 0) & ~PAGE_MASK, 0);
	CHECK_EQ(mm->locked_pages, 0);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 5);
	end();
}

/* Each bound of each argument: just inside, and just outside. */
TEST(mremap_bounds, 1)
{
	const vaddr_t last = USER_END - PAGES(2);

	begin();
	map_at(mm, ARENA, 8, RW, ANON);
	put_pages(ARENA, 8, 0);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(2), MREMAP_TO, last), last);
	expect_pages(last, 2, 0);
	CHECK_EQ(mm_mremap(mm, last, PAGES(2), PAGES(2), MREMAP_TO, ARENA), ARENA);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(2), MREMAP_TO, last + PAGES(1)), -EINVAL);
	/* next to itself */
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(2), PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(4)), ARENA + PAGES(4));
	expect_pages(ARENA + PAGES(4), 2, 2);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(4), PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(2)), ARENA + PAGES(2));
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(2), PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(3)), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(2), PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(1)), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(1) + 1, 0, 0), ARENA); /* lengths are rounded up */
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1) + 1, PAGES(1), 0, 0), ARENA);
	CHECK(sim_vma(mm, ARENA) && !sim_vma(mm, ARENA + PAGES(1)));
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), USER_END, MREMAP_MAYMOVE, 0), -ENOMEM);
	CHECK_EQ(mm_mremap(mm, ARENA, USER_END - ARENA, PAGES(1), 0, 0), ARENA); /* all behind it is unmapped */
	CHECK_EQ(mm->total_pages, 1);
	CHECK_EQ(mm_mremap(mm, ARENA, USER_END - ARENA + PAGES(1), PAGES(1), 0, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, USER_END - ARENA + PAGES(1), PAGES(1), MREMAP_TO, ARENA - PAGES(8)), -EINVAL);
	CHECK_EQ(mm->total_pages, 1);
	end();
}

/*
 * As on Linux: a move may need three more VMAs; one to a fixed address is checked earlier, and requires room for two
 * more.
 */
TEST(mremap_up_to_the_map_count, 1)
{
	begin();
	map_at(mm, ARENA, 2, RW, ANON);
	map_at(mm, ARENA + PAGES(2), 1, PROT_READ, ANON);
	sysctl_max_map_count = mm->nr_vmas + 3;
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(3), MREMAP_MAYMOVE, 0), -ENOMEM);
	sysctl_max_map_count = mm->nr_vmas + 5;
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(3), MREMAP_TO, ARENA + PAGES(8)), -ENOMEM);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), -ENOMEM);
	sysctl_max_map_count = mm->nr_vmas + 6;
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(3), MREMAP_TO, ARENA + PAGES(8)), ARENA + PAGES(8));
	map_at(mm, ARENA + PAGES(11), 1, PROT_READ, ANON);
	sysctl_max_map_count = mm->nr_vmas + 4;
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(8), PAGES(3), PAGES(4), MREMAP_MAYMOVE, 0), mm->mmap_base - PAGES(4));
	end();
}

static void set_flags(vaddr_t addr, u64 flags)
{
	struct vma *vma;

	mmap_write_lock(mm);
	vma = vma_tree_find(&mm->tree, addr);
	vma_start_write(vma);
	vma_set_flags(vma, vma->flags | flags);
	mmap_write_unlock(mm);
}

/* A VMA with VM_DONTEXPAND does not grow, but may shrink and move. */
TEST(mremap_of_what_must_not_grow, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	set_flags(ARENA, VM_DONTEXPAND);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(5), MREMAP_MAYMOVE, 0), -EFAULT);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(3), 0, 0), ARENA);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(3), PAGES(3), MREMAP_TO, ARENA + PAGES(8)), ARENA + PAGES(8));
	end();
}

/* MAP_NORESERVE memory may exceed what there is; other memory may not, when it is mapped or when it grows. */
TEST(memory_that_is_promised_is_there, 1)
{
	const u64 huge = 1UL << 40;

	begin();
	CHECK_EQ(mmap_at(ARENA, PAGES(4), ANON | MAP_NORESERVE | MAP_FIXED), ARENA);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), huge, 0, 0), ARENA);
	CHECK_EQ(mm_munmap(mm, ARENA, huge), 0);
	CHECK_EQ(mmap_from(ARENA, huge, PROT_READ, ANON | MAP_FIXED, 0), ARENA);
	CHECK_EQ(mm_mprotect(mm, ARENA, huge, RW, -1), -ENOMEM);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), RW, -1), 0);
	CHECK_EQ(sim_vma(mm, ARENA)->flags & VM_ACCOUNT, VM_ACCOUNT);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), PROT_READ, -1), 0); /* never touched: no longer accounted */
	CHECK_EQ(sim_vma(mm, ARENA)->flags & VM_ACCOUNT, 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), RW, -1), 0);
	put(ARENA, 1);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), PROT_READ, -1), 0);
	CHECK_EQ(sim_vma(mm, ARENA)->flags & VM_ACCOUNT, VM_ACCOUNT);
	CHECK_EQ(mm_munmap(mm, ARENA, huge), 0);
	sysctl_overcommit_memory = 1;
	CHECK_EQ(mmap_at(ARENA, huge, ANON | MAP_FIXED), ARENA);
	sysctl_overcommit_memory = 0;
	put(ARENA, 1);
	CHECK_EQ(mm_mprotect(mm, ARENA, huge, PROT_READ, -1), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, huge, RW, -1), 0); /* accounted already: not checked again */
	end();
}

/* The source stays mapped, empty and unlocked. If its whole VMA has moved, the VMA has no anon_vma. */
TEST(mremap_leaves_the_source_empty, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON | MAP_LOCKED);
	put_pages(ARENA, 4, 100);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(1), PAGES(2), PAGES(2), MREMAP_TO | MREMAP_DONTUNMAP, ARENA + PAGES(8)),
		 ARENA + PAGES(8));
	expect_pages(ARENA + PAGES(8), 2, 101);
	CHECK_EQ(sim_vma(mm, ARENA)->flags & VM_LOCKED, 0);
	CHECK_EQ(sim_vma(mm, ARENA + PAGES(8))->flags & VM_LOCKED, VM_LOCKED);
	CHECK_EQ(mm->locked_pages, 2);
	CHECK(sim_vma(mm, ARENA)->anon_vma);
	expect_get(ARENA + PAGES(1), 0);
	expect_get(ARENA + PAGES(3), 103);
	map_at(mm, ARENA + PAGES(16), 2, RW, ANON);
	put_pages(ARENA + PAGES(16), 2, 116);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(16), PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
			   ARENA + PAGES(32)),
		 ARENA + PAGES(32));
	CHECK(!sim_vma(mm, ARENA + PAGES(16))->anon_vma);
	expect_pages(ARENA + PAGES(32), 2, 116);
	expect_get(ARENA + PAGES(16), 0);
	check_quiet();
	end();
}

/* ---- Stacks ------------------------------------------------------------------------------------------------------ */

static int expand(vaddr_t addr, vaddr_t to)
{
	int error;

	mmap_write_lock(mm);
	error = vma_expand_stack(mm, vma_tree_find(&mm->tree, addr), to);
	mmap_write_unlock(mm);
	return error;
}

/*
 * A stack does not come nearer than the gap to accessible memory; it may grow up to an inaccessible mapping or another
 * stack.
 */
TEST(stack_grows_up_to_its_neighbour, 1)
{
	const vaddr_t top = ARENA + 4 * STACK_GUARD_GAP;

	begin();
	map_at(mm, top, 1, RW, ANON | MAP_GROWSDOWN);
	map_at(mm, ARENA, 1, PROT_READ, ANON);
	CHECK_EQ(expand(top, ARENA + STACK_GUARD_GAP), -ENOMEM);
	CHECK_EQ(expand(top, ARENA + STACK_GUARD_GAP + PAGES(1) - 1), -ENOMEM);
	CHECK_EQ(expand(top, ARENA + STACK_GUARD_GAP + PAGES(2) - 1), 0); /* the page that contains the address */
	CHECK_EQ(sim_vma(mm, top)->start, ARENA + STACK_GUARD_GAP + PAGES(1));
	CHECK_EQ(expand(top, top), 0); /* it is there already */
	CHECK_EQ(sim_vma(mm, top)->start, ARENA + STACK_GUARD_GAP + PAGES(1));
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_NONE, -1), 0);
	CHECK_EQ(expand(top, ARENA + PAGES(2)), 0);
	unmap(mm, ARENA, 1);
	map_at(mm, ARENA, 1, RW, ANON | MAP_GROWSDOWN);
	CHECK_EQ(expand(top, ARENA), -ENOMEM); /* not over it */
	CHECK_EQ(expand(top, ARENA + PAGES(1)), 0);
	CHECK_EQ(sim_vma(mm, top)->start, ARENA + PAGES(1));
	map_at(mm, ARENA + GIB, 1, RW, ANON);
	CHECK_EQ(expand(ARENA + GIB, ARENA + GIB - PAGES(1)), -ENOMEM); /* not a stack */
	CHECK_EQ(sim_check_tree(mm), mm->nr_vmas);
	end();
}

TEST(stack_grows_up_to_its_limits, 1)
{
	begin();
	map_at(mm, ARENA, 1, RW, ANON | MAP_GROWSDOWN);
	mm->rlimit_stack = PAGES(4);
	CHECK_EQ(expand(ARENA, ARENA - PAGES(4)), -ENOMEM);
	CHECK_EQ(expand(ARENA, ARENA - PAGES(3)), 0);
	CHECK_EQ(mm->stack_pages, 4);
	CHECK_EQ(mm->total_pages, 4);
	mm->rlimit_stack = ~0UL;
	mm->rlimit_as = PAGES(6);
	CHECK_EQ(expand(ARENA, ARENA - PAGES(6)), -ENOMEM);
	CHECK_EQ(expand(ARENA, ARENA - PAGES(5)), 0);
	mm->rlimit_as = ~0UL;
	mm->rlimit_data = PAGES(1); /* a stack does not count as data */
	CHECK_EQ(expand(ARENA, ARENA - PAGES(6)), 0);
	CHECK_EQ(expand(ARENA, ARENA - (1UL << 39)), -ENOMEM); /* exceeds all memory */
	CHECK_EQ(mm->total_pages, 7);
	map_at(mm, sysctl_mmap_min_addr + PAGES(2), 1, RW, ANON | MAP_GROWSDOWN);
	CHECK_EQ(expand(sysctl_mmap_min_addr + PAGES(2), sysctl_mmap_min_addr - 1), -ENOMEM);
	CHECK_EQ(expand(sysctl_mmap_min_addr + PAGES(2), sysctl_mmap_min_addr), 0);
	end();
}

/* The page offset limits how far it may grow: no page lies before offset 0. */
TEST(stack_grows_down_to_its_first_page, 1)
{
	const vaddr_t low = PAGES(20), high = ARENA;

	begin();
	map_at(mm, low, 1, RW, ANON | MAP_GROWSDOWN);
	put(low, 1);
	CHECK_EQ(mm_mremap(mm, low, PAGES(1), PAGES(1), MREMAP_TO, high), high);
	CHECK_EQ(sim_vma(mm, high)->pgoff, 20);
	CHECK_EQ(expand(high, high - PAGES(21)), -ENOMEM);
	CHECK_EQ(expand(high, high - PAGES(20)), 0);
	CHECK_EQ(sim_vma(mm, high)->pgoff, 0);
	expect_get(high, 1);
	check_quiet();
	end();
}

/* If an allocation fails, the stack does not grow and nothing changes. */
TEST(stack_does_not_grow_without_memory, 1)
{
	unsigned nr_failed = 0;
	bool failed = true;

	begin();
	map_at(mm, ARENA, 1, RW, ANON | MAP_GROWSDOWN);
	for (u64 n = 1; failed; n++) {
		int error;

		sim_fail_allocation(n, false);
		error = expand(ARENA, ARENA - PAGES(2));
		failed = sim_allocation_failed();
		/* a failed slab allocation need not make the call fail */
		CHECK(error == 0 || (failed && error == -ENOMEM));
		nr_failed += error != 0;
		CHECK_EQ(mm->total_pages, error ? 1 : 3);
		CHECK_EQ(sim_vma(mm, ARENA)->start, error ? ARENA : ARENA - PAGES(2));
		if (!error)
			unmap(mm, ARENA - PAGES(2), 2);
	}
	CHECK(nr_failed);
	end();
}

/* ---- Advice ------------------------------------------------------------------------------------------------------ */

/* Advice that does nothing reports a hole all the same. */
TEST(madvise_that_asks_for_nothing, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_WILLNEED), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(5), MADV_WILLNEED), -ENOMEM);
	CHECK_EQ(mm_rss_total(mm), 0);
	end();
}

/* Population checks the protection key, even for a page that is present. */
TEST(populate_asks_for_the_key, 1)
{
	int key;

	sim_have_keys();
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	put_pages(ARENA, 2, 0);
	mmap_write_lock(mm);
	key = mm_key_alloc(mm, 0);
	mmap_write_unlock(mm);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), RW, key), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(3), MADV_POPULATE_WRITE), 0);
	keys_write(KEY_NO_WRITE << 2 * key);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_POPULATE_WRITE), -EINVAL);
	CHECK(pte_none(sim_pte(mm, ARENA + PAGES(3))));
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_POPULATE_READ), 0);
	keys_write(KEY_NO_ACCESS << 2 * key);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(1), MADV_POPULATE_READ), -EINVAL);
	keys_write(0);
	end();
}

/* ---- Fork -------------------------------------------------------------------------------------------------------- */

/* A child has its parent's layout and limits; memory locks are not inherited. */
TEST(child_is_laid_out_as_its_parent, 1)
{
	struct mm *child;
	u64 value = 1000;

	begin();
	map_at(mm, ARENA, 2, RW, ANON | MAP_LOCKED);
	map_at(mm, ARENA + PAGES(4), 2, RW, ANON | MAP_GROWSDOWN);
	child = mm_create();
	mm->policy = POLICY_VMA;
	mm->start_code = ++value, mm->end_code = ++value, mm->start_data = ++value, mm->end_data = ++value;
	mm->start_brk = ++value, mm->brk = ++value, mm->start_stack = ++value;
	mm->arg_start = ++value, mm->arg_end = ++value, mm->env_start = ++value, mm->env_end = ++value;
	mm->mmap_base = PAGES(++value);
	mm->keys = 5, mm->execute_only_key = 2, mm->has_lazy = true;
	mm->rlimit_stack = ++value, mm->rlimit_as = ++value, mm->rlimit_data = ++value;
	mm->rlimit_data_max = ++value, mm->rlimit_memlock = ++value;
	for (unsigned i = 0; i < ARRAY_SIZE(mm->auxv); i++)
		mm->auxv[i] = ++value;
	CHECK_EQ(mm_fork(child, mm), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(mm->auxv); i++)
		CHECK_EQ(child->auxv[i], mm->auxv[i]);
#define SAME(field) CHECK_EQ(child->field, mm->field)
	SAME(policy);
	SAME(start_code);
	SAME(end_code);
	SAME(start_data);
	SAME(end_data);
	SAME(start_brk);
	SAME(brk);
	SAME(start_stack);
	SAME(arg_start);
	SAME(arg_end);
	SAME(env_start);
	SAME(env_end);
	SAME(mmap_base);
	SAME(keys);
	SAME(execute_only_key);
	SAME(has_lazy);
	SAME(rlimit_stack);
	SAME(rlimit_as);
	SAME(rlimit_data);
	SAME(rlimit_data_max);
	SAME(rlimit_memlock);
	SAME(nr_vmas);
	SAME(total_pages);
	SAME(data_pages);
	SAME(stack_pages);
#undef SAME
	CHECK_EQ(mm->locked_pages, 2);
	CHECK_EQ(child->locked_pages, 0);
	CHECK_EQ(child->def_flags, 0);
	mmput(child);
	end();
}
