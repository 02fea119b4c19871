/* SPDX-License-Identifier: MIT */
/*
 * Tests of the page cache as the file system uses it: pages are read in, written to, written back, and dropped while
 * clean.
 */
#include "sim_file.h"
#include "test.h"

#include "mm/cache/mapping_tree.h"
#include "mm/page/page_alloc.h"
#include "mm/page/page_lock.h"

#define FILE_PAGES 8

static struct sim_file *file;
static struct mapping *mapping;

static void begin(void)
{
	file = sim_file_create(FILE_PAGES);
	mapping = file->mapping;
}

static void end(void)
{
	sim_file_destroy(file);
}

static u64 *word_of(struct page *page)
{
	return page_to_virt(page);
}

static struct page *read_page(u64 index)
{
	struct page *page = mapping_read_page(mapping, index);

	CHECK(page && !is_err(page));
	CHECK(page_is_uptodate(page));
	return page;
}

static bool is_cached(u64 index)
{
	struct page *page = mapping_find(mapping, index);

	if (page)
		page_put(page);
	return page != NULL;
}

/*
 * Begins a write of one word to a page, and ends it as if `copied` bytes had been copied. Returns how many of them
 * count.
 */
static size_t write_word(u64 index, u64 value, enum write_extent extent, size_t copied)
{
	struct page *page = mapping_write_begin(mapping, index, extent);

	CHECK(!is_err(page));
	WRITE_ONCE(*word_of(page), value);
	return mapping_write_end(page, copied);
}

/* ---- The end of a read ------------------------------------------------------------------------------------------- */

/* A page is up to date or has an error, never both, whatever the outcome of the read before. */
TEST(page_read_ends_well_or_not, 1)
{
	struct page *page = alloc_page(ALLOC_ZERO);

	for (unsigned had_error = 0; had_error < 2; had_error++) {
		page_lock(page);
		(had_error ? page_set : page_clear)(page, PG_ERROR);
		page_lock_hand_over(page);
		page_end_read(page, 0);
		CHECK(page_is_uptodate(page));
		CHECK(!page_test(page, PG_ERROR));
		CHECK(!page_test(page, PG_LOCKED));
		page_clear(page, PG_UPTODATE);
		page_lock(page);
		page_lock_hand_over(page);
		page_end_read(page, -EIO);
		CHECK(!page_is_uptodate(page));
		CHECK(page_test(page, PG_ERROR));
		CHECK(!page_test(page, PG_LOCKED));
	}
	page_clear(page, PG_ERROR);
	page_put(page);
}

/* ---- Reading and writing ----------------------------------------------------------------------------------------- */

TEST(file_page_is_read_once, 1)
{
	struct page *page;

	begin();
	page = read_page(3);
	CHECK_EQ(*word_of(page), 1003);
	CHECK_EQ(page->refcount, 2);
	CHECK(read_page(3) == page);
	CHECK_EQ(file->nr_reads, 1);
	page_put(page);
	page_put(page);
	CHECK(!mapping_read_page(mapping, FILE_PAGES));
	WRITE_ONCE(file->error, -EIO);
	CHECK_EQ(ptr_err(mapping_read_page(mapping, 4)), -EIO);
	WRITE_ONCE(file->error, 0);
	page = read_page(4); /* the next caller tries to read again */
	CHECK_EQ(*word_of(page), 1004);
	page_put(page);
	end();
}

/* Without memory the result is -ENOMEM, not NULL as beyond the end of the file. */
TEST(file_page_without_memory, 1)
{
	struct page *page;

	begin();
	sim_fail_allocation(1, true);
	page = mapping_read_page(mapping, 3);
	CHECK(sim_allocation_failed());
	CHECK_EQ(ptr_err(page), -ENOMEM);
	page_put(read_page(3));
	end();
}

/*
 * For a write of part of a page, the page is read first. A write of a whole page reads nothing, and counts only if all
 * of it was copied.
 */
TEST(file_write_reads_what_it_leaves, 1)
{
	struct page *page;

	begin();
	CHECK_EQ(write_word(1, 7, WRITE_PART_OF_PAGE, 8), 8);
	CHECK_EQ(file->nr_reads, 1);
	CHECK_EQ(mapping->nr_dirty, 1);
	CHECK_EQ(write_word(1, 8, WRITE_PART_OF_PAGE, 8), 8); /* already in the cache, and dirty */
	CHECK_EQ(file->nr_reads, 1);
	CHECK_EQ(mapping->nr_dirty, 1);
	CHECK_EQ(write_word(2, 9, WRITE_WHOLE_PAGE, PAGE_SIZE), PAGE_SIZE);
	CHECK_EQ(file->nr_reads, 1);
	CHECK_EQ(mapping->nr_dirty, 2);
	CHECK_EQ(write_word(3, 10, WRITE_WHOLE_PAGE, PAGE_SIZE - 1), 0);
	CHECK_EQ(mapping->nr_dirty, 2);
	page = read_page(3);
	CHECK_EQ(*word_of(page), 1003);
	page_put(page);
	CHECK_EQ(write_word(3, 11, WRITE_WHOLE_PAGE, 0), 0); /* up to date, but nothing was copied */
	CHECK_EQ(mapping->nr_dirty, 2);
	CHECK_EQ(write_word(3, 12, WRITE_WHOLE_PAGE, 1), 1);
	CHECK_EQ(mapping->nr_dirty, 3);
	WRITE_ONCE(file->error, -EIO);
	CHECK_EQ(ptr_err(mapping_write_begin(mapping, 5, WRITE_PART_OF_PAGE)), -EIO);
	WRITE_ONCE(file->error, 0);
	CHECK_EQ(mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
	CHECK_EQ(file->nr_writes, 3);
	CHECK_EQ(file->disk[1], 8);
	CHECK_EQ(file->disk[2], 9);
	CHECK_EQ(file->disk[3], 12);
	end();
}

/*
 * Write-back writes only the dirty pages in the range. It returns the first error, and writes the other pages all the
 * same.
 */
TEST(file_writeback_of_a_range, 1)
{
	begin();
	for (u64 page = 0; page < 6; page++)
		if (page != 3)
			CHECK_EQ(write_word(page, page, WRITE_WHOLE_PAGE, PAGE_SIZE), PAGE_SIZE);
	page_put(read_page(3));
	CHECK_EQ(mapping_writeback(mapping, 2, 4, WRITEBACK_START), 0);
	CHECK_EQ(file->nr_writes, 2);
	CHECK_EQ(mapping->nr_dirty, 3);
	WRITE_ONCE(file->error, -EIO);
	CHECK_EQ(mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT), -EIO);
	CHECK_EQ(file->nr_writes, 5);
	CHECK_EQ(mapping->nr_dirty, 3);
	WRITE_ONCE(file->error, 0);
	CHECK_EQ(mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
	CHECK_EQ(file->nr_writes, 8);
	CHECK_EQ(mapping->nr_dirty, 0);
	end();
}

/* If the last page cannot be read, the rest of it cannot be cleared: then truncation fails and changes nothing. */
TEST(file_truncation_fails_with_its_last_page, 1)
{
	begin();
	WRITE_ONCE(file->error, -EIO);
	CHECK_EQ(mapping_truncate(mapping, PAGES(1) + 10), -EIO);
	CHECK_EQ(mapping->size, PAGES(FILE_PAGES));
	WRITE_ONCE(file->error, 0);
	page_put(read_page(2));
	CHECK_EQ(mapping_truncate(mapping, PAGES(1) + 10), 0);
	CHECK_EQ(mapping->size, PAGES(1) + 10);
	CHECK(!is_cached(2));
	CHECK_EQ(mapping->nr_dirty, 1); /* its zeros must be written to the disk */
	CHECK_EQ(mapping_truncate(mapping, PAGES(1)), 0);
	CHECK_EQ(mapping->nr_dirty, 0);
	end();
}

/* ---- Waiting for a page ------------------------------------------------------------------------------------------ */

static long result;
static bool write_whole;

static void ask(void *unused)
{
	struct page *page =
		write_whole ? mapping_write_begin(mapping, 1, WRITE_WHOLE_PAGE) : mapping_read_page(mapping, 1);

	(void)unused;
	result = is_err(page) ? ptr_err(page) : page != NULL;
	if (result != 1)
		return;
	if (write_whole)
		(void)mapping_write_end(page, 0);
	else
		page_put(page);
}

static void begin_asking(void)
{
	sim_start(1, ask, NULL);
	let_others_run_until(sim_is_sleeping(1), "no thread waits for the page");
}

/*
 * A thread that is killed while it waits for the page lock or for the contents stops waiting, and leaves nothing
 * behind.
 */
TEST(file_page_is_waited_for_until_the_thread_dies, 2)
{
	struct page *page;

	begin();
	WRITE_ONCE(file->reads, SIM_IO_HELD);
	for (unsigned twice = 0; twice < 2; twice++) { /* the first thread reads, the second waits for the lock */
		begin_asking();
		sim_kill(1);
		sim_join(1);
		CHECK_EQ(result, -EINTR);
	}
	sim_file_end_io(file, 0);
	CHECK_EQ(file->nr_reads, 1);
	page = read_page(1);
	CHECK_EQ(page->refcount, 2);
	page_lock(page);
	write_whole = true;
	begin_asking();
	sim_kill(1);
	sim_join(1);
	CHECK_EQ(result, -EINTR);
	page_unlock(page);
	CHECK_EQ(page->refcount, 2);
	page_put(page);
	end();
}

/* ---- Dropping clean pages ---------------------------------------------------------------------------------------- */

/* Pages that are dirty, mapped, locked or referenced stay. */
TEST(file_clean_pages_are_dropped, 1)
{
	struct mm *mm = test_mm(POLICY_DEFAULT);
	struct page *page, *locked;
	vaddr_t addr;

	begin();
	addr = sim_file_map(mm, file, FILE_PAGES, MAP_SHARED);
	sim_use_mm(mm);
	for (u64 index = 1; index < FILE_PAGES; index++)
		page_put(read_page(index));
	CHECK_EQ(write_word(2, 7, WRITE_PART_OF_PAGE, 8), 8);
	expect_get(addr + PAGES(7), 1007);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(7), MADV_DONTNEED), 0); /* unmaps the pages that fault-around has mapped */
	locked = read_page(4);
	page_lock(locked);
	page_put(locked);
	page = read_page(5);
	mapping_drop_clean(mapping);
	for (u64 index = 0; index < FILE_PAGES; index++)
		CHECK_EQ(is_cached(index), index == 2 || index == 4 || index == 5 || index == 7);
	CHECK_EQ(mapping->nr_pages, 4);
	CHECK_EQ(page->refcount, 2);
	page_put(page);
	page_unlock(locked);
	unmap(mm, addr, FILE_PAGES);
	mapping_drop_clean(mapping);
	CHECK_EQ(mapping->nr_pages, 1);
	CHECK_EQ(mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
	mapping_drop_clean(mapping);
	CHECK_EQ(mapping->nr_pages, 0);
	sim_leave_mm();
	test_mm_put(mm);
	end();
}

/*
 * Reclaim has unmapped the page and tries to take it: it stays if another thread has a reference, or has made it dirty.
 */
TEST(file_page_in_use_is_not_taken, 1)
{
	struct page *page;

	begin();
	page = read_page(1);
	page_lock(page);
	page_get(page);
	CHECK(!mapping_take_clean(mapping, page));
	page_put(page);
	mapping_dirty_page(page);
	CHECK(!mapping_take_clean(mapping, page));
	CHECK(is_cached(1));
	mapping_undirty_page(page);
	CHECK(mapping_take_clean(mapping, page));
	CHECK_EQ(page->refcount, 1);
	CHECK(!is_cached(1));
	CHECK(!mapping_take_clean(mapping, page)); /* it no longer belongs to a mapping */
	page_unlock(page);
	page_put(page);
	end();
}

/* ---- Removing pages ---------------------------------------------------------------------------------------------- */

/* Removes pages up to the last possible index, and none before the first index. */
TEST(file_hole_up_to_the_last_index, 1)
{
	begin();
	page_put(mapping_find_or_create(mapping, 0));
	page_put(mapping_find_or_create(mapping, 1));
	page_put(mapping_find_or_create(mapping, ~0UL - 1));
	page_put(mapping_find_or_create(mapping, ~0UL));
	mapping_remove_range(mapping, 1, ~0UL);
	CHECK(is_cached(0));
	CHECK(!is_cached(1) && !is_cached(~0UL - 1) && !is_cached(~0UL));
	mapping_remove_range(mapping, ~0UL, ~0UL);
	CHECK_EQ(mapping->nr_pages, 1);
	end();
}

/* The page is removed while a thread waits for its lock: that thread looks it up again, and gets another page. */
TEST(file_page_leaves_while_it_is_waited_for, 2)
{
	for (unsigned whole = 0; whole < 2; whole++) {
		u64 index = 1;
		struct page *page;

		begin();
		write_whole = whole;
		page = mapping_find_or_create(mapping, 1);
		page_lock(page);
		begin_asking();
		spin_lock(&mapping->lock);
		CHECK(mapping_tree_take(mapping, &index, 1, &(struct page *){ NULL }));
		spin_unlock(&mapping->lock);
		page_unlock(page);
		sim_join(1);
		CHECK_EQ(result, 1);
		CHECK_EQ(page->refcount, 2); /* our reference, and the one that the slot had */
		page_put(page);
		page_put(page);
		CHECK(is_cached(1));
		end();
	}
	write_whole = false;
}

/* The page is up to date by the time the thread has locked it: it is not read again. */
TEST(file_page_is_ready_once_it_is_locked, 2)
{
	struct page *page;

	begin();
	page = mapping_find_or_create(mapping, 1);
	page_lock(page);
	begin_asking();
	page_set(page, PG_UPTODATE);
	page_unlock(page);
	sim_join(1);
	CHECK_EQ(result, 1);
	CHECK_EQ(file->nr_reads, 0);
	CHECK_EQ(page->refcount, 2);
	page_put(page);
	end();
}

/* A mapping without operations exists only in memory: there is nothing to write back to. */
TEST(memory_only_mapping_is_never_written_back, 1)
{
	struct mapping *memory = mapping_create(PAGES(2), false);

	CHECK_EQ(mapping_write(memory, 0, "x", 1), 1);
	CHECK_EQ(mapping_writeback(memory, 0, ~0UL, WRITEBACK_WAIT), 0);
	mapping_put(memory);
}

/* Once the last reference is dropped, no other can be taken. */
TEST(mapping_that_is_going_is_left_alone, 1)
{
	begin();
	CHECK(mapping_get_unless_gone(mapping));
	CHECK_EQ(mapping->refcount, 2);
	mapping_put(mapping);
	WRITE_ONCE(mapping->refcount, 0);
	CHECK(!mapping_get_unless_gone(mapping));
	CHECK_EQ(mapping->refcount, 0);
	WRITE_ONCE(mapping->refcount, 1);
	end();
}

/* ---- Write errors ------------------------------------------------------------------------------------------------ */

/* Each reader of the error is told once of an error since its last look. */
TEST(file_write_error_is_told_once_to_each, 1)
{
	u32 one = 0, other = 0;

	begin();
	CHECK_EQ(mapping_check_error(mapping, &one), 0);
	CHECK_EQ(write_word(1, 7, WRITE_WHOLE_PAGE, PAGE_SIZE), PAGE_SIZE);
	WRITE_ONCE(file->error, -EIO);
	CHECK_EQ(mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT), -EIO);
	CHECK_EQ(mapping->nr_dirty, 1);
	CHECK_EQ(mapping_check_error(mapping, &one), -EIO);
	CHECK_EQ(mapping_check_error(mapping, &one), 0);
	CHECK_EQ(mapping_check_error(mapping, &other), -EIO);
	WRITE_ONCE(file->error, 0);
	CHECK_EQ(mapping_writeback(mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
	CHECK_EQ(mapping_check_error(mapping, &one), 0);
	end();
}
