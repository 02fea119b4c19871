/* SPDX-License-Identifier: MIT */
/*
 * Tests of msync, and of MADV_REMOVE of a file: the calls to the file, with which range, which locks and references are
 * held, and the results.
 */
#include "test.h"

#include "mm/cache/mapping.h"
#include "mm/vma/vma.h"

#define ARENA 0x10000000000UL

static struct mm *mm;
static struct mapping *mapping;

/* Two files, of which only the addresses are used. */
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

/*
 * Pages 0-8 and 16-20 are shared mappings of files, from page 3 and page 100 of the file on; 8-10 are private, 10-12
 * anonymous; 12-16 are a hole.
 */
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
	/* one for each VMA, and one that the call takes, since the VMA may be unmapped meanwhile */
	CHECK_EQ(sim_file_call.refs, 3 + 1);
	CHECK_EQ(sim_file_refs(), 3);
}

TEST(msync_writes_back_what_the_range_shows, 1)
{
	begin();
	CHECK_EQ(msync_pages(2, 3, MS_SYNC), 0);
	expect_call(1, 0, 5, 7);
	CHECK_EQ(msync_pages(0, 12, MS_SYNC), 0); /* a private mapping syncs no file */
	expect_call(1, 0, 3, 10);
	CHECK_EQ(msync_pages(17, 1, MS_SYNC | MS_INVALIDATE), 0);
	expect_call(1, 1, 101, 101);
	CHECK_EQ(msync_pages(8, 4, MS_SYNC), 0);
	CHECK_EQ(msync_pages(0, 12, MS_ASYNC), 0); /* the file system writes back on its own */
	CHECK_EQ(msync_pages(0, 12, 0), 0);
	CHECK_EQ(sim_file_call.nr, 0);
	sim_file_call.answer = -EIO;
	CHECK_EQ(msync_pages(0, 20, MS_SYNC), -EIO); /* and no further file is synced */
	expect_call(1, 0, 3, 10);
	end();
}

/* As on Linux, MS_SYNC continues after a hole and returns -ENOMEM at the end; MS_ASYNC alone returns it at once. */
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
	CHECK_EQ(msync_pages(12, 8, MS_ASYNC | MS_INVALIDATE), -EBUSY); /* it has reached the locked page */
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
	CHECK_EQ(mm_msync(mm, ARENA + PAGES(12), 0, MS_SYNC), 0); /* an empty range has no hole */
	CHECK_EQ(mm_msync(mm, ARENA, 1, MS_SYNC), 0);		  /* a partial page counts as a whole */
	expect_call(1, 0, 3, 3);
	end();
}

/*
 * The range is passed in bytes. MADV_REMOVE needs a mapping through which the file may be written, and memory that is
 * not locked.
 */
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
