/* SPDX-License-Identifier: MIT */
/* msync, and MADV_REMOVE of a file: which of its pages the file is asked for, holding what, and what is answered. */
#include "test.h"

#include "mm/cache/mapping.h"
#include "mm/vma/vma.h"

#define ARENA 0x10000000000UL

static struct mm *mm;
static struct mapping *mapping;

/* Two files; what they are is their file system's. */
static char files[2];
static struct file *file_of(unsigned nr)
{
	return (struct file *)&files[nr];
}

static void map_file(u64 page, u64 nr, u64 pgoff, u64 flags, unsigned file)
{
	const struct mmap_request request = {
		.addr = ARENA + PAGES(page),
		.len = PAGES(nr),
		.prot = RW,
		.flags = flags | MAP_FIXED,
		.pgoff = pgoff,
		.mapping = mapping,
		.ops = &mapping_vma_ops,
		.file = file_of(file),
		.file_writable = true,
	};

	CHECK_EQ(mm_mmap(mm, &request), request.addr);
}

/* Pages 0-8 and 16-20 are shared views of files, from their pages 3 and 100 on; 8-10 private, 10-12 of no file; 12-16 a hole. */
static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	mapping = mapping_create(PAGES(200), true);
	map_file(0, 8, 3, MAP_SHARED, 0);
	map_file(8, 2, 11, MAP_PRIVATE, 0);
	map_at(mm, ARENA + PAGES(10), 2, RW, MAP_SHARED | MAP_ANONYMOUS);
	map_file(16, 4, 100, MAP_SHARED, 1);
}

static void end(void)
{
	test_mm_put(mm);
	mapping_put(mapping);
}

static long msync_pages(u64 page, u64 nr, int flags)
{
	sim_file_call.nr = 0;
	return mm_msync(mm, ARENA + PAGES(page), PAGES(nr), flags);
}

static void expect_call(unsigned nr, unsigned file, u64 first, u64 last)
{
	CHECK_EQ(sim_file_call.nr, nr);
	CHECK(sim_file_call.file == file_of(file));
	CHECK_EQ(sim_file_call.first, first);
	CHECK_EQ(sim_file_call.last, last);
	CHECK_EQ(sim_file_call.refs, 3 + 1); /* one for each VMA, and one that keeps the file though its VMA may go */
	CHECK_EQ(sim_file_refs(), 3);
}

TEST(msync_writes_back_what_the_range_shows, 1)
{
	begin();
	CHECK_EQ(msync_pages(2, 3, MS_SYNC), 0);
	expect_call(1, 0, 5, 7);
	CHECK_EQ(msync_pages(0, 12, MS_SYNC), 0); /* what is private goes to no file */
	expect_call(1, 0, 3, 10);
	CHECK_EQ(msync_pages(17, 1, MS_SYNC | MS_INVALIDATE), 0);
	expect_call(1, 1, 101, 101);
	CHECK_EQ(msync_pages(8, 4, MS_SYNC), 0);
	CHECK_EQ(msync_pages(0, 12, MS_ASYNC), 0); /* the file system does that by itself */
	CHECK_EQ(msync_pages(0, 12, 0), 0);
	CHECK_EQ(sim_file_call.nr, 0);
	sim_file_call.answer = -EIO;
	CHECK_EQ(msync_pages(0, 20, MS_SYNC), -EIO); /* and no more is written */
	expect_call(1, 0, 3, 10);
	end();
}

/* Linux goes on behind a hole, and tells of it at the end; MS_ASYNC alone, which has nothing to do there, answers at once. */
TEST(msync_over_a_hole, 1)
{
	begin();
	CHECK_EQ(msync_pages(4, 14, MS_SYNC), -ENOMEM);
	expect_call(2, 1, 100, 101);
	CHECK_EQ(msync_pages(12, 5, MS_SYNC), -ENOMEM);
	expect_call(1, 1, 100, 100);
	CHECK_EQ(msync_pages(12, 4, MS_SYNC), -ENOMEM);
	CHECK_EQ(sim_file_call.nr, 0);
	CHECK_EQ(msync_pages(20, 1, MS_SYNC), -ENOMEM);
	CHECK_EQ(sim_file_call.nr, 0);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(19), PAGES(1), true), 0);
	CHECK_EQ(msync_pages(12, 8, MS_ASYNC), -ENOMEM);
	CHECK_EQ(msync_pages(12, 8, MS_ASYNC | MS_INVALIDATE), -EBUSY); /* it has come to the locked page */
	CHECK_EQ(msync_pages(12, 7, MS_ASYNC | MS_INVALIDATE), -ENOMEM);
	CHECK_EQ(msync_pages(16, 4, MS_INVALIDATE), -EBUSY);
	CHECK_EQ(msync_pages(16, 3, MS_INVALIDATE), 0);
	CHECK_EQ(msync_pages(16, 4, MS_SYNC), 0);
	end();
}

TEST(msync_answers, 1)
{
	begin();
	CHECK_EQ(mm_msync(mm, ARENA + 1, PAGES(1), MS_SYNC), -EINVAL);
	CHECK_EQ(mm_msync(mm, ARENA, PAGES(1), 8), -EINVAL);
	CHECK_EQ(mm_msync(mm, ARENA, PAGES(1), MS_SYNC | MS_ASYNC), -EINVAL);
	CHECK_EQ(mm_msync(mm, ARENA, -PAGES(1), MS_SYNC), -ENOMEM);
	CHECK_EQ(sim_file_call.nr, 0);
	CHECK_EQ(mm_msync(mm, ARENA + PAGES(12), 0, MS_SYNC), 0); /* nothing is nowhere missing */
	CHECK_EQ(mm_msync(mm, ARENA, 1, MS_SYNC), 0);		  /* part of a page is all of it */
	expect_call(1, 0, 3, 3);
	end();
}

/* In bytes; only where the object may be written to through this mapping, and stays in memory nowhere. */
TEST(madvise_remove_asks_the_file, 1)
{
	begin();
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(17), PAGES(2), MADV_REMOVE), 0);
	expect_call(1, 1, PAGES(101), PAGES(2));
	sim_file_call.answer = -EIO;
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(16), PAGES(1), MADV_REMOVE), -EIO);
	sim_file_call.answer = 0;
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(8), PAGES(1), MADV_REMOVE), -EACCES);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(16), PAGES(1), true), 0);
	CHECK_EQ(mm_madvise(mm, ARENA + PAGES(16), PAGES(1), MADV_REMOVE), -EINVAL);
	CHECK_EQ(sim_file_call.nr, 2);
	CHECK_EQ(sim_file_refs(), 3 + 1); /* the locked page has a VMA of its own */
	end();
}
