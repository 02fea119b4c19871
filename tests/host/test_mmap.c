/* SPDX-License-Identifier: MIT */
/*
 * Tests of the calls that change an address space: their results, which are Linux's; the VMAs that they leave; and
 * random calls against a model with one record for each page. Each check also requires that the tree and the page
 * counts agree.
 */
#define _GNU_SOURCE
#include "test.h"

#include "kernel/lib/string.h"
#include "mm/vma/mmap_limits.h"
#include "mm/vma/vma_change.h"

#define ARENA 0x10000000000UL
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80
#endif
#define MREMAP_TO (MREMAP_MAYMOVE | MREMAP_FIXED)

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

static long mmap_at(vaddr_t addr, u64 len, u64 prot, u64 flags)
{
	const struct mmap_request request = { .addr = addr, .len = len, .prot = prot, .flags = flags };

	return mm_mmap(mm, &request);
}

/*
 * Checks that tree, VMAs and counts agree, and that these are the VMAs: "start-end" in pages of the arena, with rights.
 */
static void check_maps(const char *expected)
{
	char text[512];
	int len = 0;
	u64 total = 0;
	struct vma *vma;

	text[0] = 0;
	mmap_read_lock(mm);
	vma_tree_for_each (vma, &mm->tree) {
		total += vma_pages(vma);
		len += ksnprintf(text + len, sizeof(text) - len, "%s%lu-%lu%c%c", len ? " " : "",
				 (unsigned long)(vma->start - ARENA) >> PAGE_SHIFT,
				 (unsigned long)(vma->end - ARENA) >> PAGE_SHIFT, vma->flags & VM_READ ? 'r' : '-',
				 vma->flags & VM_WRITE ? 'w' : '-');
	}
	mmap_read_unlock(mm);
	if (strcmp(text, expected))
		sim_fail("the VMAs are %s, expected %s", text, expected);
	CHECK_EQ(sim_check_tree(mm), mm->nr_vmas);
	CHECK_EQ(mm->total_pages, total);
}

/* ---- Addresses and errors ---------------------------------------------------------------------------------------- */

TEST(mmap_refuses_what_linux_refuses, 1)
{
	begin();
	CHECK_EQ(mmap_at(0, 0, RW, ANON), -EINVAL);
	CHECK_EQ(mmap_at(0, ~0UL, RW, ANON), -ENOMEM);
	CHECK_EQ(mmap_at(0, USER_END, RW, ANON | MAP_NORESERVE), -ENOMEM);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, MAP_ANONYMOUS), -EINVAL);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE), -EINVAL);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, MAP_ANONYMOUS | MAP_SHARED | MAP_GROWSDOWN), -EINVAL);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, ANON | MAP_HUGETLB), -ENOMEM);
	CHECK_EQ(mmap_at(ARENA + 1, PAGE_SIZE, RW, ANON | MAP_FIXED), -EINVAL);
	CHECK_EQ(mmap_at(USER_END, PAGE_SIZE, RW, ANON | MAP_FIXED), -ENOMEM);
	CHECK_EQ(mmap_at(1UL << 63, PAGE_SIZE, RW, ANON | MAP_FIXED), -ENOMEM);
	CHECK_EQ(mmap_at(0, 1UL << 40, RW, ANON), -ENOMEM); /* cannot fit, and is not MAP_NORESERVE */
	CHECK_EQ(mm_munmap(mm, ARENA + 1, PAGE_SIZE), -EINVAL);
	CHECK_EQ(mm_munmap(mm, ARENA, 0), -EINVAL);
	CHECK_EQ(mm_munmap(mm, USER_END, PAGE_SIZE), -EINVAL);
	CHECK_EQ(mm_munmap(mm, ARENA, ~0UL), -EINVAL);
	CHECK_EQ(mm_munmap(mm, ARENA, PAGE_SIZE), 0);
	check_maps("");
	end();
}

TEST(mmap_places, 1)
{
	vaddr_t first, second;

	begin();
	first = map(mm, 4, RW, ANON);
	CHECK_EQ(first, mm->mmap_base - PAGES(4));
	second = map(mm, 1, PROT_READ, ANON);
	CHECK_EQ(second, first - PAGES(1));
	CHECK_EQ(mmap_at(ARENA + 5, PAGE_SIZE, RW, ANON), ARENA);	  /* a hint is rounded down */
	CHECK_EQ(mmap_at(ARENA, PAGE_SIZE, RW, ANON), second - PAGES(1)); /* occupied: as without a hint */
	CHECK_EQ(mmap_at(4096, PAGE_SIZE, RW, ANON), sysctl_mmap_min_addr);
	CHECK_EQ(mmap_at(ARENA, PAGE_SIZE, RW, ANON | MAP_FIXED_NOREPLACE), -EEXIST);
	CHECK_EQ(mmap_at(ARENA, PAGE_SIZE, RW, ANON | MAP_FIXED), ARENA);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, ANON | MAP_32BIT), 0x40000000);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, ANON | MAP_FIXED), 0);
	CHECK_EQ(mmap_at(USER_END - PAGE_SIZE, PAGE_SIZE, RW, ANON | MAP_FIXED), USER_END - PAGE_SIZE);
	end();
}

/* Without the capability no mapping can be placed below mmap_min_addr, and a failed attempt changes nothing. */
TEST(a3_low_addresses_need_a_right, 1)
{
	const vaddr_t min = sysctl_mmap_min_addr;

	begin();
	map_at(mm, 0, 1, RW, ANON);
	map_at(mm, ARENA, 4, RW, ANON);
	sim_may_map_low = false;
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, ANON | MAP_FIXED), -EPERM);
	CHECK_EQ(mmap_at(0, PAGE_SIZE, RW, ANON | MAP_FIXED_NOREPLACE), -EPERM);
	CHECK_EQ(mmap_at(min - PAGES(1), PAGES(2), RW, ANON | MAP_FIXED | MAP_GROWSDOWN), -EPERM);
	CHECK_EQ(mmap_at(PAGES(1), PAGE_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED), -EPERM);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(1), MREMAP_TO, PAGES(1)), -EPERM);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(2), MREMAP_TO, PAGES(1)), -EPERM);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, PAGES(2)), -EPERM);
	CHECK_EQ(mm_mremap(mm, 0, PAGES(1), PAGES(2), 0, 0), -ENOMEM);
	mm->start_brk = mm->brk = PAGES(2);
	CHECK_EQ(mm_brk(mm, PAGES(3)), PAGES(2));
	CHECK_EQ(mmap_at(PAGES(1), PAGE_SIZE, RW, ANON), min);
	CHECK_EQ(mm_munmap(mm, min, PAGE_SIZE), 0);
	CHECK_EQ(mm_munmap(mm, 0, PAGE_SIZE), 0);
	check_maps("0-4rw");
	sim_may_map_low = true;
	CHECK_EQ(mm_brk(mm, PAGES(3)), PAGES(3));
	CHECK_EQ(mm_mremap(mm, PAGES(2), PAGES(1), PAGES(2), 0, 0), PAGES(2));
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(1), MREMAP_TO, 0), 0);
	CHECK(sim_vma(mm, 0));
	end();
}

/*
 * When nothing is free below mmap_base, the search goes upwards from a third of the address space. MAP_ABOVE4G uses
 * nothing below 4 GiB.
 */
TEST(mmap_places_above_4_gib, 1)
{
	const vaddr_t bottom_up = 0x2aaaaaaab000;

	begin();
	mm->mmap_base = (4UL << 30) + PAGES(2);
	CHECK_EQ(mmap_at(0, PAGES(1), RW, ANON | MAP_ABOVE4G), mm->mmap_base - PAGES(1));
	CHECK_EQ(mmap_at(0, PAGES(1), RW, ANON | MAP_ABOVE4G), mm->mmap_base - PAGES(2));
	CHECK_EQ(mmap_at(0, PAGES(1), RW, ANON | MAP_ABOVE4G), bottom_up);
	CHECK_EQ(mmap_at(0, PAGES(1), RW, ANON | MAP_ABOVE4G), bottom_up + PAGES(1));
	CHECK_EQ(mmap_at(0, PAGES(1), RW, ANON), mm->mmap_base - PAGES(3));
	CHECK_EQ(mmap_at(1UL << 30, PAGES(1), RW, ANON | MAP_ABOVE4G), 1UL << 30); /* a hint takes precedence */
	end();
}

TEST(mmap_keeps_away_from_a_stack, 1)
{
	vaddr_t stack, below;

	begin();
	stack = map(mm, 1, RW, ANON | MAP_GROWSDOWN);
	below = map(mm, 1, RW, ANON);
	CHECK_EQ(below, stack - STACK_GUARD_GAP - PAGES(1));
	CHECK_EQ(mmap_at(stack - PAGES(3), PAGE_SIZE, RW, ANON), below - PAGES(1));
	CHECK_EQ(mmap_at(stack - PAGES(3), PAGE_SIZE, RW, ANON | MAP_FIXED), stack - PAGES(3));
	CHECK_EQ(sim_write(stack - PAGES(1), 1), FAULT_NO_MAPPING); /* the gap is occupied */
	unmap(mm, stack - PAGES(3), 1);
	/* the next VMA below is already as near as the gap allows */
	CHECK_EQ(sim_write(stack - PAGES(1), 1), FAULT_NO_MAPPING);
	unmap(mm, below - PAGES(1), 2);
	put(stack - PAGES(1), 1);
	CHECK_EQ(mm_mprotect(mm, stack, PAGES(1), PROT_READ | PROT_GROWSDOWN, -1), 0);
	CHECK_EQ(sim_write(stack - PAGES(1), 1), FAULT_NO_ACCESS);
	mm->rlimit_stack = PAGES(2);
	CHECK_EQ(sim_write(stack - PAGES(2), 1), FAULT_NO_MAPPING);
	end();
}

TEST(mmap_limits, 1)
{
	begin();
	mm->rlimit_as = PAGES(10);
	mm->rlimit_data = PAGES(4);
	map_at(mm, ARENA, 4, RW, ANON);
	CHECK_EQ(mmap_at(0, PAGES(1), RW, ANON), -ENOMEM);
	map_at(mm, ARENA + PAGES(8), 4, PROT_READ, ANON);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(8), PAGES(1), RW, -1), -ENOMEM);
	CHECK_EQ(mmap_at(0, PAGES(3), PROT_READ, ANON), -ENOMEM);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(8), PAGES(4), PAGES(7), MREMAP_MAYMOVE, 0), -ENOMEM);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(8), PAGES(4), PAGES(6), 0, 0), ARENA + PAGES(8)); /* up to the limit */
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(8), PAGES(6), PAGES(4), 0, 0), ARENA + PAGES(8));
	map_at(mm, ARENA, 4, RW, ANON); /* the replaced pages do not count twice */
	check_maps("0-4rw 8-12r-");
	mm->rlimit_as = mm->rlimit_data = ~0UL;
	sysctl_max_map_count = 2;
	CHECK_EQ(mm_munmap(mm, ARENA + PAGES(1), PAGES(1)), -ENOMEM); /* would leave three VMAs */
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_READ, -1), -ENOMEM);
	sysctl_max_map_count = 3;
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(1), PROT_READ, -1), -ENOMEM); /* would leave four, not three */
	check_maps("0-4rw 8-12r-");
	sysctl_max_map_count = 2;
	CHECK_EQ(mm_munmap(mm, ARENA, PAGES(1)), 0);
	check_maps("1-4rw 8-12r-");
	end();
}

/* ---- Splitting and merging --------------------------------------------------------------------------------------- */

TEST(mmap_merges_with_neighbours, 1)
{
	begin();
	map_at(mm, ARENA, 1, RW, ANON);
	map_at(mm, ARENA + PAGES(2), 1, RW, ANON);
	check_maps("0-1rw 2-3rw");
	map_at(mm, ARENA + PAGES(1), 1, RW, ANON);
	check_maps("0-3rw");
	put(ARENA, 1);
	map_at(mm, ARENA + PAGES(3), 1, RW, ANON);
	check_maps("0-4rw");
	map_at(mm, ARENA + PAGES(4), 1, RW, ANON | MAP_NORESERVE);
	map_at(mm, ARENA + PAGES(5), 1, PROT_READ, ANON);
	map_at(mm, ARENA + PAGES(6), 1, PROT_READ, MAP_SHARED | MAP_ANONYMOUS);
	map_at(mm, ARENA + PAGES(7), 1, PROT_READ, MAP_SHARED | MAP_ANONYMOUS);
	check_maps("0-4rw 4-5rw 5-6r- 6-7r- 7-8r-");
	unmap(mm, ARENA + PAGES(1), 2);
	check_maps("0-1rw 3-4rw 4-5rw 5-6r- 6-7r- 7-8r-");
	unmap(mm, ARENA, 8);
	check_maps("");
	end();
}

TEST(mprotect_splits_and_merges, 1)
{
	begin();
	map_at(mm, ARENA, 8, RW, ANON);
	put(ARENA + PAGES(3), 3);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(2), PAGES(4), PROT_READ, -1), 0);
	check_maps("0-2rw 2-6r- 6-8rw");
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(2), PROT_READ, -1), 0); /* the boundary moves */
	check_maps("0-1rw 1-6r- 6-8rw");
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(4), PAGES(2), RW, -1), 0);
	check_maps("0-1rw 1-4r- 4-8rw");
	CHECK_EQ(sim_write(ARENA + PAGES(3), 1), FAULT_NO_ACCESS);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(3), PROT_NONE, -1), 0);
	CHECK_EQ(sim_try_read(ARENA + PAGES(3), &(u64){ 0 }), false);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(8), RW, -1), 0);
	check_maps("0-8rw");
	expect_get(ARENA + PAGES(3), 3);
	end();
}

TEST(mprotect_answers, 1)
{
	begin();
	map_at(mm, ARENA, 2, RW, ANON);
	map_at(mm, ARENA + PAGES(3), 1, RW, ANON);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), PROT_READ, -1), -ENOMEM); /* done up to the hole */
	check_maps("0-2r- 3-4rw");
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(2), PAGES(2), PROT_READ, -1), -ENOMEM);
	check_maps("0-2r- 3-4rw");
	CHECK_EQ(mm_mprotect(mm, ARENA + 1, 0, PROT_READ, -1), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, 0, ~0UL & ~(u64)PROT_GROWSUP, -1), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, ~0UL, PROT_READ, -1), -ENOMEM);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGE_SIZE, 0x10, -1), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGE_SIZE, PROT_READ | PROT_GROWSDOWN, -1), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGE_SIZE, PROT_GROWSUP, -1), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGE_SIZE, PROT_GROWSUP | PROT_GROWSDOWN, -1), -EINVAL);
	end();
}

static void expect_own_pages(u64 first, u64 nr)
{
	for (u64 page = first; page < first + nr; page++)
		CHECK(pte_write(sim_pte(mm, ARENA + PAGES(page))));
}

/*
 * Locked memory must not fault even for a private copy: mprotect makes the copies in each locked part, also after the
 * eighth part.
 */
TEST(mprotect_of_locked_memory_makes_the_copies, 1)
{
	begin();
	map_at(mm, ARENA, 40, PROT_READ, ANON);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(2), false), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), RW, -1), 0);
	expect_own_pages(0, 2);
	CHECK(pte_none(sim_pte(mm, ARENA + PAGES(2))));
	/* locked on fault: copies are made on fault, too */
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(4), PAGES(1), true), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(4), PAGES(1), RW, -1), 0);
	CHECK(pte_none(sim_pte(mm, ARENA + PAGES(4))));
	for (u64 page = 10; page < 32; page += 2)
		CHECK_EQ(mm_mlock(mm, ARENA + PAGES(page), PAGES(1), false), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(10), PAGES(24), RW, -1), 0);
	for (u64 page = 10; page < 32; page += 2)
		expect_own_pages(page, 1);
	CHECK(pte_none(sim_pte(mm, ARENA + PAGES(11))));
	CHECK(pte_none(sim_pte(mm, ARENA + PAGES(33))));
	end();
}

/*
 * PROT_GROWSDOWN reaches down to the start of the stack that contains the range, not to one that begins where the range
 * ends.
 */
TEST(mprotect_growsdown_reaches_the_start, 1)
{
	begin();
	map_at(mm, ARENA + PAGES(4), 4, RW, ANON | MAP_GROWSDOWN);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(3), PAGES(1), PROT_READ | PROT_GROWSDOWN, -1), -ENOMEM);
	check_maps("4-8rw");
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(5), PAGES(1), PROT_READ | PROT_GROWSDOWN, -1), 0);
	check_maps("4-6r- 6-8rw");
	end();
}

/* ---- mremap ------------------------------------------------------------------------------------------------------ */

static void fill(vaddr_t addr, u64 nr_pages)
{
	for (u64 i = 0; i < nr_pages; i++)
		put(addr + PAGES(i), i + 1);
}

TEST(mremap_moves_pages, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	fill(ARENA, 4);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(6), 0, 0), ARENA);
	check_maps("0-6rw");
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(6), PAGES(4), 0, 0), ARENA);
	check_maps("0-4rw");
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(1), PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(1024)),
		 ARENA + PAGES(1024));
	check_maps("0-1rw 3-4rw 1024-1026rw");
	expect_get(ARENA + PAGES(1024), 2);
	expect_get(ARENA + PAGES(1025), 3);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(1024), PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(1)), ARENA + PAGES(1));
	check_maps("0-4rw"); /* back in its old place: one VMA again */
	for (u64 i = 0; i < 4; i++)
		expect_get(ARENA + PAGES(i), i + 1);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(4), MREMAP_TO | MREMAP_DONTUNMAP, ARENA + PAGES(8)),
		 ARENA + PAGES(8));
	check_maps("0-4rw 8-12rw");
	expect_get(ARENA + PAGES(11), 4);
	expect_get(ARENA + PAGES(3), 0);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(8), PAGES(4), PAGES(2), MREMAP_TO, ARENA + PAGES(16)), ARENA + PAGES(16));
	check_maps("0-4rw 16-18rw"); /* the pages by which it shrank are unmapped */
	expect_get(ARENA + PAGES(17), 2);
	end();
}

/* With DONTUNMAP alone the new address is a hint: what is mapped there stays, and the pages move elsewhere. */
TEST(mremap_to_a_hint, 1)
{
	const vaddr_t hints[] = { 0, ARENA + PAGES(8) };
	long at;

	begin();
	map_at(mm, ARENA + PAGES(8), 2, RW, ANON);
	fill(ARENA + PAGES(8), 2);
	for (unsigned i = 0; i < ARRAY_SIZE(hints); i++) {
		map_at(mm, ARENA, 2, RW, ANON);
		fill(ARENA, 2);
		at = mm_mremap(mm, ARENA, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, hints[i]);
		CHECK(at > 0 && (vaddr_t)at != ARENA && (vaddr_t)at != ARENA + PAGES(8));
		expect_get((vaddr_t)at + PAGES(1), 2);
		expect_get(ARENA + PAGES(1), 0);
		expect_get(ARENA + PAGES(9), 2);
		unmap(mm, (vaddr_t)at, 2);
	}
	check_maps("0-2rw 8-10rw");
	end();
}

/*
 * A moved page merges with the rest of its VMA, which has no page yet, and with a neighbour below or above that has
 * pages.
 */
TEST(mremap_joins_across_a_gap, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	map_at(mm, ARENA + PAGES(5), 1, RW, ANON);
	put(ARENA + PAGES(5), 5);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(1), PAGES(1), PAGES(1), MREMAP_TO, ARENA + PAGES(4)), ARENA + PAGES(4));
	check_maps("0-1rw 2-6rw");
	put(ARENA + PAGES(2), 2);
	check_quiet(); /* checks that the reverse map finds all pages */
	unmap(mm, ARENA, 6);

	map_at(mm, ARENA, 1, RW, ANON);
	map_at(mm, ARENA + PAGES(2), 4, RW, ANON);
	put(ARENA, 1);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(4), PAGES(1), PAGES(1), MREMAP_TO, ARENA + PAGES(1)), ARENA + PAGES(1));
	check_maps("0-4rw 5-6rw");
	put(ARENA + PAGES(3), 3);
	check_quiet();
	end();
}

/* Moving untouched pages needs no page table. */
TEST(mremap_builds_no_table_for_nothing, 1)
{
	u64 nr_tables;

	begin();
	map_at(mm, ARENA, 1024, RW, ANON);
	put(ARENA + PAGES(1023), 1);
	nr_tables = mm->nr_tables;
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(512), PAGES(512), MREMAP_TO, ARENA + PAGES(1 << 20)),
		 ARENA + PAGES(1 << 20));
	CHECK_EQ(mm->nr_tables, nr_tables);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(512), PAGES(512), PAGES(512), MREMAP_TO, ARENA + PAGES(2 << 20)),
		 ARENA + PAGES(2 << 20));
	expect_get(ARENA + PAGES((2 << 20) + 511), 1);
	end();
}

TEST(mremap_answers, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	map_at(mm, ARENA + PAGES(4), 1, PROT_READ, ANON);
	map_at(mm, ARENA + PAGES(8), 1, RW, MAP_SHARED | MAP_ANONYMOUS);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(5), 0, 0), -ENOMEM);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(5), PAGES(6), MREMAP_MAYMOVE, 0), -EFAULT);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(6), PAGES(1), PAGES(2), MREMAP_MAYMOVE, 0), -EFAULT);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), 0, MREMAP_MAYMOVE, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA + 1, PAGES(1), PAGES(1), MREMAP_MAYMOVE, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(1), 8, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(1), MREMAP_FIXED, ARENA + PAGES(20)), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(1)), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(2), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, 0, PAGES(1), MREMAP_MAYMOVE, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, USER_END, PAGES(1), 0, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), USER_END + PAGES(1), MREMAP_MAYMOVE, 0), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(1), PAGES(2), MREMAP_TO, USER_END - PAGES(1)), -EINVAL);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(2), PAGES(2), MREMAP_TO, ARENA + PAGES(20) + 1), -EINVAL);
	check_maps("0-4rw 4-5r- 8-9rw");
	put(ARENA + PAGES(8), 7);
	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(8), 0, PAGES(1), MREMAP_TO, ARENA + PAGES(12)), ARENA + PAGES(12));
	expect_get(ARENA + PAGES(12), 7); /* a second mapping of the same page */
	put(ARENA + PAGES(12), 8);
	expect_get(ARENA + PAGES(8), 8);
	end();
}

/* ---- brk, madvise and mincore ------------------------------------------------------------------------------------ */

TEST(brk_moves_the_heap_s_end, 1)
{
	begin();
	mm->start_brk = mm->brk = ARENA;
	CHECK_EQ(mm_brk(mm, 0), ARENA);
	CHECK_EQ(mm_brk(mm, ARENA + 10), ARENA + 10);
	put(ARENA, 1);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(3)), ARENA + PAGES(3));
	check_maps("0-3rw");
	CHECK_EQ(mm_brk(mm, ARENA - 1), ARENA + PAGES(3));
	CHECK_EQ(mm_brk(mm, ~0UL), ARENA + PAGES(3));
	map_at(mm, ARENA + PAGES(6), 1, RW, ANON);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(6)), ARENA + PAGES(3)); /* a page must stay free behind the heap */
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(5)), ARENA + PAGES(5));
	CHECK_EQ(mm_brk(mm, ARENA + 1), ARENA + 1);
	check_maps("0-1rw 6-7rw");
	expect_get(ARENA, 1);
	mm->rlimit_data = PAGES(2);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(2) + 1), ARENA + 1);
	CHECK_EQ(mm_brk(mm, ARENA), ARENA);
	check_maps("6-7rw");
	mm->rlimit_data = PAGES(3);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(2)), ARENA + PAGES(2));
	unmap(mm, ARENA, 7);
	CHECK_EQ(mm_brk(mm, ARENA), ARENA + PAGES(2)); /* nothing to shrink */
	map_at(mm, ARENA, 2, RW, ANON);
	mm->end_data = PAGES(1); /* the program's data counts with the heap */
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(2) + 1), ARENA + PAGES(2));
	mm->start_data = PAGES(1);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(3)), ARENA + PAGES(3));
	end();
}

TEST(madvise_answers, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	map_at(mm, ARENA + PAGES(6), 1, RW, MAP_SHARED | MAP_ANONYMOUS);
	fill(ARENA, 4);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, 99), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA + 1, PAGE_SIZE, MADV_DONTNEED), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA, ~0UL, MADV_DONTNEED), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA, 0, MADV_DONTNEED), 0);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(3), PAGES(2), MADV_DONTNEED), -ENOMEM); /* done nevertheless */
	expect_get(ARENA + PAGES(3), 0);
	expect_get(ARENA + PAGES(2), 3);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, MADV_REMOVE), -EINVAL);
	put(ARENA + PAGES(6), 6);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(6), PAGE_SIZE, MADV_DONTNEED), 0);
	expect_get(ARENA + PAGES(6), 6); /* the object keeps it */
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(6), PAGE_SIZE, MADV_FREE), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(6), PAGE_SIZE, MADV_WIPEONFORK), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(6), PAGE_SIZE, MADV_REMOVE), 0);
	expect_get(ARENA + PAGES(6), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, 25 /* MADV_COLLAPSE */), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(6), PAGE_SIZE, MADV_MERGEABLE), 0); /* no effect on shared memory */
	CHECK_EQ(sim_vma(mm, ARENA + PAGES(6))->flags & VM_MERGEABLE, 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_MERGEABLE), 0);
	CHECK_EQ(sim_vma(mm, ARENA)->flags & VM_MERGEABLE, VM_MERGEABLE);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_UNMERGEABLE), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_WIPEONFORK), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_WIPEONFORK), 0); /* has the flag already */
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_DONTDUMP), 0);
	CHECK_EQ(sim_vma(mm, ARENA)->flags & (VM_WIPEONFORK | VM_DONTDUMP), VM_WIPEONFORK | VM_DONTDUMP);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_KEEPONFORK), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGES(4), MADV_DODUMP), 0);
	CHECK_EQ(sim_vma(mm, ARENA)->flags & (VM_WIPEONFORK | VM_DONTDUMP), 0);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(1), true), 0);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, MADV_COLD), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, MADV_FREE), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, MADV_DONTNEED), -EINVAL);
	expect_get(ARENA, 1);
	CHECK_EQ(mm_madvise(mm, ARENA, PAGE_SIZE, 24 /* MADV_DONTNEED_LOCKED */), 0);
	expect_get(ARENA, 0);
	CHECK_EQ(mm_munlock(mm, ARENA, PAGES(1)), 0);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(1), PAGE_SIZE, MADV_DONTFORK), 0);
	check_maps("0-1rw 1-2rw 2-4rw 6-7rw");
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(1), PAGE_SIZE, MADV_DOFORK), 0);
	check_maps("0-4rw 6-7rw");
	end();
}

TEST(populate_and_mincore, 1)
{
	u8 vec[8];

	begin();
	map_at(mm, ARENA, 4, RW, ANON | MAP_POPULATE);
	map_at(mm, ARENA + PAGES(4), 2, PROT_READ, ANON);
	CHECK_EQ(mm_mincore(mm, ARENA, 6, vec), 0);
	for (u64 i = 0; i < 6; i++)
		CHECK_EQ(vec[i], i < 4);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(4), PAGES(2), MADV_POPULATE_WRITE), -EINVAL);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(3), PAGES(4), MADV_POPULATE_READ), -ENOMEM);
	CHECK_EQ(mm_mincore(mm, ARENA, 7, vec), -ENOMEM);
	CHECK_EQ(mm_mincore(mm, ARENA, 6, vec), 0);
	for (u64 i = 0; i < 6; i++)
		CHECK_EQ(vec[i], 1);
	CHECK_EQ(mm_msync(mm, ARENA, PAGES(6), MS_SYNC), 0);
	CHECK_EQ(mm_msync(mm, ARENA, PAGES(7), MS_SYNC), -ENOMEM);
	CHECK_EQ(mm_msync(mm, ARENA, PAGES(6), MS_SYNC | MS_ASYNC), -EINVAL);
	end();
}

/* ---- Random calls against a model -------------------------------------------------------------------------------- */

#define SPAN 48

/* The model's record of each page of the arena. */
static struct place {
	bool mapped;
	u8 prot;
	u64 value;
} model[SPAN];

static void model_set(u64 page, u64 nr, struct place place)
{
	for (u64 i = page; i < page + nr; i++)
		model[i] = place;
}

static bool model_all_mapped(u64 page, u64 nr)
{
	for (u64 i = page; i < page + nr; i++)
		if (!model[i].mapped)
			return false;
	return true;
}

static void random_mprotect(u64 page, u64 nr, u8 prot)
{
	long expected = model_all_mapped(page, nr) ? 0 : -ENOMEM;

	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(page), PAGES(nr), prot, -1), expected);
	for (u64 i = page; i < page + nr && model[i].mapped; i++)
		model[i].prot = prot;
}

/* All that is mapped in [page, page + nr) moves; where the source has a gap, the destination keeps what it maps. */
static void random_mremap(u64 page, u64 nr, u64 to)
{
	bool overlaps = page < to + nr && to < page + nr;
	long expected = overlaps ? -EINVAL : !model[page].mapped ? -EFAULT : (long)(ARENA + PAGES(to));

	CHECK_EQ(mm_mremap(mm, ARENA + PAGES(page), PAGES(nr), PAGES(nr), MREMAP_TO, ARENA + PAGES(to)), expected);
	for (u64 i = 0; i < nr && expected > 0; i++) {
		if (!model[page + i].mapped)
			continue;
		model[to + i] = model[page + i];
		model[page + i].mapped = false;
	}
}

static void random_dontneed(u64 page, u64 nr)
{
	long expected = model_all_mapped(page, nr) ? 0 : -ENOMEM;

	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(page), PAGES(nr), MADV_DONTNEED), expected);
	for (u64 i = page; i < page + nr; i++)
		model[i].value = 0;
}

static void random_access(u64 page, u64 value)
{
	vaddr_t addr = ARENA + PAGES(page);
	const struct place *place = &model[page];
	enum fault_answer denied = place->mapped ? FAULT_NO_ACCESS : FAULT_NO_MAPPING;
	u64 found = 0;

	if (sim_random_below(2)) {
		CHECK_EQ(sim_write(addr, value), place->mapped && place->prot & PROT_WRITE ? FAULT_DONE : denied);
		if (place->mapped && place->prot & PROT_WRITE)
			model[page].value = value;
	} else {
		CHECK_EQ(sim_read(addr, &found), place->mapped && place->prot ? FAULT_DONE : denied);
		CHECK_EQ(found, place->mapped && place->prot ? place->value : 0);
	}
}

static void random_step(u64 step)
{
	static const u8 prots[] = { PROT_NONE, PROT_READ, RW, RW, RW };
	u64 page = sim_random_below(SPAN), nr = 1 + sim_random_below(min((u64)12, SPAN - page));
	u8 prot = prots[sim_random_below(ARRAY_SIZE(prots))];

	switch (sim_random_below(10)) {
	case 0:
	case 1:
		map_at(mm, ARENA + PAGES(page), nr, prot, ANON);
		model_set(page, nr, (struct place){ .mapped = true, .prot = prot });
		break;
	case 2:
		unmap(mm, ARENA + PAGES(page), nr);
		model_set(page, nr, (struct place){ 0 });
		break;
	case 3:
	case 4:
		random_mprotect(page, nr, prot);
		break;
	case 5:
		random_mremap(page, nr, sim_random_below(SPAN - nr + 1));
		break;
	case 6:
		random_dontneed(page, nr);
		break;
	default:
		random_access(page, step);
	}
}

/* The VMAs cover the pages that the model has mapped, with the same rights. */
static void check_model(void)
{
	for (u64 i = 0; i < SPAN; i++) {
		const struct vma *vma = sim_vma(mm, ARENA + PAGES(i));

		CHECK_EQ(vma != NULL, model[i].mapped);
		CHECK(!vma || (vma->flags & VM_ACCESS) == model[i].prot);
	}
	CHECK_EQ(sim_check_tree(mm), mm->nr_vmas);
}

TEST(mmap_at_random_equals_the_model, 1)
{
	begin();
	for (u64 step = 1; step <= 4000; step++) {
		random_step(step);
		check_model();
	}
	check_quiet();
	end();
}
