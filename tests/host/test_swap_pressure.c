/* SPDX-License-Identifier: MIT */
/* Tests with more pages in use than memory holds: reclaim must swap out pages for programs and for the kernel. */
#include "swap_stage.h"

#include "hoard.h"

#include "mm/reclaim/reclaim.h"

/* Holds all memory but 3072 pages; there is much more swap. */
static struct hoard blocks = { .order = MAX_ORDER };
static struct disk *large;

static void begin_small(void)
{
	begin(POLICY_DEFAULT, PLENTY, false);
	large = disk_create(8192);
	disk_swapon(large, 10);
	hoard_take(&blocks, 3072);
}

static void end_small(void)
{
	hoard_give_all(&blocks);
	disk_swapoff(large);
	end();
}

/* A program uses twice the free memory: pages not used lately are swapped out, and all contents are read back right. */
TEST(reclaim_twice_the_memory, 1)
{
	vaddr_t more;

	begin_small();
	more = map(mm, 6144, RW, ANON);
	put_pages(more, 6144, 0);
	expect_pages(more, 6144, 0);
	CHECK(COUNTED(pswpout) > 3072);
	unmap(mm, more, 6144);
	end_small();
}

/*
 * Memory is full of pages of programs and the kernel's reserve is used up: the memory that calls need comes from
 * swapping out.
 */
TEST(reclaim_makes_room_for_the_kernel, 1)
{
	struct hoard all = { 0 };
	struct mm *child;
	vaddr_t more;

	begin_small();
	more = map(mm, 4096, RW, ANON);
	put_pages(more, 4096, 0);
	for (unsigned i = 0; i < 60; i++) { /* more than there are free objects in the caches */
		hoard_take(&all, 0);
		CHECK_EQ(mm_mprotect(mm, more + PAGES(2 * i), PAGES(1), PROT_READ, -1), 0);
	}
	hoard_take(&all, 0);
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
	for (unsigned i = 0; i < 60; i++) {
		hoard_take(&all, 0);
		(void)map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS); /* each has an object of its own */
	}
	hoard_take(&all, 0);
	CHECK_EQ(mm_munmap(mm, more + PAGES(3000), PAGES(1)), 0);
	hoard_give_all(&all);
	test_mm_put(child);
	expect_pages(more, 3000, 0);
	unmap(mm, more, 4096);
	end_small();
}

/* On a device that takes time, and then with pages that were used recently. */
TEST(reclaim_waits_for_writing, 3)
{
	begin(POLICY_DEFAULT, PLENTY, true);
	disk_start(1, disk);
	CHECK(reclaim_pages(1000) == 0); /* memory holds no page that is not on the disk */
	put_pages(addr, NR_PAGES, 0);
	CHECK(reclaim_pages(1000) >= NR_PAGES); /* the second pass finds that they were not used since the first */
	expect_out();
	expect_pages(addr, NR_PAGES, 0);
	disk_stop(1);
	end();
}
