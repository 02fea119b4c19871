/* SPDX-License-Identifier: MIT */
/*
 * Tests of running out of memory at any point: calls fail as Linux's do, lose nothing and leak nothing; and an address
 * space can be destroyed without allocating.
 */
#include "hoard.h"

static struct hoard blocks = { .order = MAX_ORDER }, pages;
static unsigned nr_failed; /* calls and faults that found no memory: the test is worthless if there are none */

static void take_all_memory_but(unsigned keep)
{
	CHECK(!pages.first);
	hoard_take(&pages, 0);
	hoard_give(&pages, keep);
}

#define AREA_PAGES 32

/* Page i of the area holds i + 1, unless it has been unmapped. */
static void check_area(vaddr_t addr, const bool *gone)
{
	for (u64 i = 0; i < AREA_PAGES; i++)
		if (!gone[i])
			expect_get(addr + PAGES(i), i + 1);
}

static void expect_no_memory(long result)
{
	if (result < 0 && result != -ENOMEM && result != -EAGAIN)
		sim_fail("without memory a call answers %ld", result);
	nr_failed += result < 0;
}

static void expect_done_or_no_memory(enum fault_answer answer)
{
	CHECK(answer == FAULT_DONE || answer == FAULT_OUT_OF_MEMORY);
	nr_failed += answer != FAULT_DONE;
}

/* A call that fails must leave the area as it was. */
static void work_in(struct mm *mm, vaddr_t addr, bool *gone)
{
	vaddr_t hole = addr + PAGES(9);

	expect_no_memory(mm_mprotect(mm, addr + PAGES(4), PAGES(2), PROT_READ, -1));
	expect_no_memory(mm_madvise(mm, addr + PAGES(20), PAGES(1), MADV_DONTFORK));
	if (!mm_munmap(mm, hole, PAGES(1)))
		gone[9] = true;
	for (u64 i = 0; i < AREA_PAGES; i++)
		if (!gone[i] && i != 4 && i != 5)
			expect_done_or_no_memory(sim_write(addr + PAGES(i), i + 1));
}

static void map_more(struct mm *mm)
{
	for (u64 i = 1; i < 6; i++) {
		struct mmap_request request = {
			.addr = i << 32, .len = PAGES(3), .prot = i & 1 ? RW : PROT_READ, .flags = ANON | MAP_FIXED
		};
		long addr = mm_mmap(mm, &request);

		expect_no_memory(addr);
		if (addr < 0 || !(i & 1))
			continue;
		expect_done_or_no_memory(sim_write((vaddr_t)addr + PAGES(1), i));
		expect_no_memory(mm_mremap(mm, (vaddr_t)addr, PAGES(3), PAGES(6), 1 | 2 /* MAYMOVE, FIXED */,
					   (vaddr_t)addr + (7UL << 40)));
	}
}

static u64 nr_inherited(struct mm *mm)
{
	const struct vma *vma;
	u64 nr = 0;

	mmap_read_lock(mm);
	vma_tree_for_each (vma, &mm->tree)
		nr += !(vma->flags & VM_DONTCOPY);
	mmap_read_unlock(mm);
	return nr;
}

static void fork_if_possible(struct mm *mm, vaddr_t addr)
{
	struct mm *child = mm_create();
	int result;

	if (!child)
		return;
	result = mm_fork(child, mm);
	expect_no_memory(result);
	CHECK(result || child->nr_vmas == nr_inherited(mm));
	sim_leave_mm();
	sim_use_mm(child);
	(void)sim_write(addr, 99); /* the parent must not see this write */
	sim_leave_mm();
	mmput(child);
	sim_use_mm(mm);
}

/* Runs with `left` pages free. Over all rounds memory runs out at every step. */
static void run_short(unsigned left)
{
	struct mm *mm = test_mm(POLICY_DEFAULT);
	vaddr_t addr = map(mm, AREA_PAGES, RW, ANON);
	bool gone[AREA_PAGES] = { false };

	sim_use_mm(mm);
	for (u64 i = 0; i < AREA_PAGES; i++)
		put(addr + PAGES(i), i + 1);
	take_all_memory_but(left);
	fork_if_possible(mm, addr);
	work_in(mm, addr, gone);
	map_more(mm);
	fork_if_possible(mm, addr);
	hoard_give_all(&pages);
	check_area(addr, gone);
	sim_leave_mm();
	test_mm_put(mm);
}

TEST(no_memory_at_any_step, 1)
{
	hoard_take(&blocks, 0);
	FOR_EACH_SETUP (setup) {
		nr_failed = 0;
		for (unsigned left = 0; left < 40; left++)
			run_short(left);
		CHECK(nr_failed > 20);
	}
	hoard_give_all(&blocks);
}

/*
 * The first write allocates a chain, an anon_vma and a page. If one of the allocations fails, the fault fails or makes
 * room, and maps no page that the reverse map would not find.
 */
TEST(no_memory_for_the_first_write, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);

	sim_use_mm(mm);
	for (u64 n = 1; n <= 3; n++) {
		vaddr_t addr = map(mm, 1, RW, ANON);

		get(addr); /* builds the page tables */
		sim_fail_allocation(n, false);
		expect_done_or_no_memory(sim_write(addr, n));
		CHECK(sim_allocation_failed());
		check_quiet();
		unmap(mm, addr, 1);
	}
	sim_leave_mm();
	test_mm_put(mm);
}

/* Many VMAs, many page tables, and no free page: destroying an address space must not need any. */
TEST(no_memory_is_needed_to_exit, 1)
{
	struct mm *mm = test_mm(POLICY_FULL);

	sim_use_mm(mm);
	for (u64 i = 1; i < 400; i++) {
		map_at(mm, i << 30, 2, i & 1 ? RW : RW | PROT_EXEC, ANON);
		put(i << 30, i);
	}
	sim_leave_mm();
	take_all_memory_but(0);
	mmput(mm);
	rcu_barrier();
	hoard_give_all(&pages);
}
