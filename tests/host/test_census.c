/* SPDX-License-Identifier: MIT */
/*
 * Tests of the census of memory: each page is counted once, under its use, and locked pages are counted as unevictable.
 */
#include "test.h"

#include "sim_file.h"

#include "mm/check/census.h"
#include "mm/vma/vma.h"

#define ARENA 0x10000000000UL /* a page-table boundary: another page table maps the page before it */

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

TEST(census_counts_pages_by_use, 1)
{
	struct sim_file *file = sim_file_create(8);
	vaddr_t of_file, anon, shmem;
	struct census census;

	begin();
	anon = map(mm, 8, RW, ANON);
	shmem = map(mm, 8, RW, MAP_SHARED | MAP_ANONYMOUS);
	of_file = sim_file_map(mm, file, 8, MAP_SHARED);
	put_pages(anon, 4, 0);
	put_pages(shmem, 3, 0);
	expect_pages(of_file, 5, 1000);
	put_pages(of_file + PAGES(3), 2, 0);
	page_set(pte_page(sim_pte(mm, anon)), PG_ACTIVE);
	page_set(pte_page(sim_pte(mm, of_file)), PG_ACTIVE);
	census = census_take();
	CHECK_EQ(census.anon_mapped, 4);
	CHECK_EQ(census.cache, 8);
	CHECK_EQ(census.shmem, 3);
	CHECK_EQ(census.cache_mapped, 8);
	CHECK_EQ(census.dirty, 2); /* shared memory is not written back */
	CHECK_EQ(census.writeback, 0);
	CHECK_EQ(census.mlocked, 0);
	CHECK_EQ(census.active_anon, 1);
	CHECK_EQ(census.inactive_anon, 3 + 3);
	CHECK_EQ(census.active_file, 1);
	CHECK_EQ(census.inactive_file, 4);
	CHECK_EQ(census.unevictable, 0);
	CHECK_EQ(census.promised, 8 + 3); /* private memory in full, shared memory only the pages that exist */
	page_clear(pte_page(sim_pte(mm, anon)), PG_ACTIVE);
	page_clear(pte_page(sim_pte(mm, of_file)), PG_ACTIVE);

	WRITE_ONCE(file->writes, SIM_IO_HELD);
	CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_START), 0);
	unmap(mm, of_file, 8);
	census = census_take();
	CHECK_EQ(census.dirty, 0);
	CHECK_EQ(census.writeback, 2);
	CHECK_EQ(census.cache, 8);
	CHECK_EQ(census.cache_mapped, 3);
	sim_file_end_io(file, 0);
	CHECK_EQ(census_take().writeback, 0);
	end();
	sim_file_destroy(file);
}

/* Pages of a file that exists only in memory are unevictable, and never written back. */
TEST(census_counts_what_lives_in_memory_only, 1)
{
	struct mapping *mapping = mapping_create(PAGES(4), false);
	struct census census;

	CHECK_EQ(mapping_write(mapping, PAGES(1), "x", 1), 1);
	census = census_take();
	CHECK_EQ(census.cache, 1);
	CHECK_EQ(census.shmem, 0);
	CHECK_EQ(census.cache_mapped, 0);
	CHECK_EQ(census.unevictable, 1);
	CHECK_EQ(census.inactive_file + census.dirty, 0);
	mapping_put(mapping);
}

/*
 * Counts the pages mapped by locked VMAs, wherever in the VMA they are, but not the zero page or pages that are not
 * present.
 */
TEST(census_counts_locked_pages, 1)
{
	struct census census;

	begin();
	map_at(mm, ARENA - PAGES(8), 16, RW, ANON); /* of two page tables */
	put_pages(ARENA - PAGES(3), 6, 0);
	CHECK_EQ(mm_mlock(mm, ARENA - PAGES(1), PAGES(2), true), 0);
	census = census_take();
	CHECK_EQ(census.mlocked, 2);
	CHECK_EQ(census.unevictable, 2);
	CHECK_EQ(census.inactive_anon, 4);
	CHECK_EQ(mm_mlock(mm, ARENA - PAGES(8), PAGES(16), true), 0);
	expect_get(ARENA + PAGES(6), 0);
	CHECK_EQ(census_take().mlocked, 6);
	CHECK_EQ(census_take().inactive_anon, 0);
	unmap(mm, ARENA - PAGES(8), 8);
	map_at(mm, ARENA + PAGES(1 << 20), 4, RW, ANON | MAP_NORESERVE);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(1 << 20), PAGES(4), true), 0); /* there is no page table yet */
	CHECK_EQ(census_take().mlocked, 3);
	CHECK_EQ(mm_munlockall(mm), 0);
	CHECK_EQ(census_take().mlocked, 0);
	end();
}

/* A page that several locked VMAs map is counted once. A page locked by one VMA is locked for all VMAs that map it. */
TEST(census_counts_a_page_locked_twice_once, 1)
{
	struct mapping *mapping = mapping_create(PAGES(4), true);
	struct mmap_request request = {
		.addr = ARENA,
		.len = PAGES(4),
		.prot = RW,
		.flags = MAP_SHARED | MAP_FIXED,
		.mapping = mapping,
		.ops = &mapping_vma_ops,
		.file_writable = true,
	};
	struct mm *child = test_mm(POLICY_MMAP);
	vaddr_t private;

	begin();
	private = map(mm, 2, RW, ANON);
	put_pages(private, 2, 0);
	CHECK_EQ(mm_mmap(mm, &request), ARENA);
	request.addr += PAGES(8);
	CHECK_EQ(mm_mmap(mm, &request), request.addr);
	put_pages(ARENA, 4, 0);
	expect_pages(request.addr, 4, 0);
	CHECK_EQ(mm_fork(child, mm), 0); /* locks are not inherited */
	sim_leave_mm();
	sim_use_mm(child);
	expect_pages(ARENA, 4, 0);
	sim_leave_mm();
	sim_use_mm(mm);
	CHECK_EQ(mm_mlock(mm, private, PAGES(2), true), 0);
	CHECK_EQ(mm_mlock(mm, request.addr, PAGES(2), true),
		 0); /* the reverse map may find this VMA after the other one */
	CHECK_EQ(census_take().mlocked, 2 + 2);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(1), PAGES(2), true), 0);
	CHECK_EQ(census_take().mlocked, 2 + 3);
	CHECK_EQ(mm_mlock(child, ARENA, PAGES(4), true), 0);
	CHECK_EQ(census_take().mlocked, 2 + 4);
	CHECK_EQ(census_take().unevictable, 2 + 4);
	CHECK_EQ(mm_munlockall(mm), 0);
	CHECK_EQ(census_take().mlocked, 4);
	test_mm_put(child);
	CHECK_EQ(census_take().mlocked, 0);
	end();
	mapping_put(mapping);
}
