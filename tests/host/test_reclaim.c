/* SPDX-License-Identifier: MIT */
/* Tests of reclaim: which pages it evicts first, which it keeps, and the LRU lists. */
#include "test.h"

#include "disk.h"
#include "sim_file.h"

#include "mm/check/census.h"
#include "mm/page/page_lock.h"
#include "mm/reclaim/lru.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"
#include "mm/table/tlb.h"
#include "mm/vma/vma.h"

#define NR_PAGES 64

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr; /* of NR_PAGES pages; page n holds n */

static void begin(void)
{
	disk = disk_create(256);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(POLICY_DEFAULT);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 0);
	counters_mark();
}

static void end(void)
{
	expect_pages(addr, NR_PAGES, 0);
	sim_leave_mm();
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	for (enum lru_list list = 0; list < NR_LRU_LISTS; list++)
		CHECK_EQ(lru_size(list), 0); /* freed pages are on no list */
	disk_swapoff(disk);
}

static bool is_out(u64 page)
{
	return pte_kind(sim_pte(mm, addr + PAGES(page))) == PTE_KIND_SWAP;
}

static u64 nr_out(u64 first, u64 nr)
{
	u64 out = 0;

	for (u64 page = first; page < first + nr; page++)
		out += is_out(page);
	return out;
}

static void touch(u64 first, u64 nr)
{
	machine_tlb_flush_local(0, USER_END); /* so that the CPU sets the accessed bit again */
	for (u64 page = first; page < first + nr; page++)
		expect_get(addr + PAGES(page), page);
}

/* Pages that the program calls cold are evicted first; pages in constant use become active, and stay. */
TEST(reclaim_takes_what_was_not_used, 1)
{
	begin();
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES / 2), MADV_COLD), 0);
	CHECK_EQ(reclaim_pages(NR_PAGES / 2), NR_PAGES / 2);
	CHECK_EQ(nr_out(0, NR_PAGES / 2), NR_PAGES / 2);
	CHECK_EQ(nr_out(NR_PAGES / 2, NR_PAGES / 2), 0);
	CHECK_EQ(COUNTED(pgsteal_direct), NR_PAGES / 2);
	CHECK_EQ(COUNTED(pgsteal_anon), NR_PAGES / 2);
	CHECK(COUNTED(pgscan_direct) >= NR_PAGES / 2);
	CHECK_EQ(COUNTED(pgscan_anon) + COUNTED(pgscan_file), COUNTED(pgscan_direct));
	end();
}

TEST(reclaim_second_use_makes_active, 1)
{
	const u64 used = 8, others = NR_PAGES - used;

	begin();
	for (unsigned turn = 0; turn < 2; turn++) {
		touch(0, NR_PAGES);
		CHECK_EQ(mm_madvise(mm, addr + PAGES(used), PAGES(others), MADV_COLD), 0);
		CHECK(reclaim_pages(others - 2 * used) >= others - 2 * used); /* passes the used pages on its way */
		CHECK_EQ(nr_out(0, used), 0);
		CHECK_EQ(COUNTED(pgactivate), turn * used); /* the first use only keeps them inactive */
	}
	CHECK_EQ(COUNTED(pgactivate), used);
	CHECK_EQ(lru_size(LRU_ACTIVE_ANON), used);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	CHECK_EQ(lru_size(LRU_ACTIVE_ANON), 0);
	CHECK_EQ(COUNTED(pgdeactivate), used);
	end();
}

/* Pages that were used twice and not since are deactivated before they are evicted; each is counted. */
TEST(reclaim_ages_what_was_active, 1)
{
	begin();
	while (lru_size(LRU_ACTIVE_ANON) < NR_PAGES / 4) {
		touch(0, NR_PAGES);
		(void)lru_gather(max_pfn); /* puts swapped-in pages on the lists at once */
		(void)reclaim_in_advance(1);
	}
	counters_mark();
	CHECK(reclaim_pages(1000) >= NR_PAGES / 4);
	CHECK_EQ(lru_size(LRU_ACTIVE_ANON), 0);
	CHECK_EQ(COUNTED(pgdeactivate), COUNTED(pgrefill));
	CHECK(COUNTED(pgdeactivate) >= NR_PAGES / 4);
	end();
}

/* One process alone cannot make pages cold that other processes map as well. */
TEST(reclaim_keeps_what_only_one_calls_cold, 1)
{
	struct mm *child = test_mm(POLICY_DEFAULT);

	begin();
	CHECK_EQ(mm_fork(child, mm), 0);
	touch(0, NR_PAGES);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(pte_young(sim_pte(mm, addr + PAGES(page))));
	test_mm_put(child);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(!pte_young(sim_pte(mm, addr + PAGES(page))));
	end();
}

TEST(reclaim_keeps_locked_memory_apart, 1)
{
	begin();
	CHECK_EQ(mm_mlock(mm, addr, PAGES(8), false), 0);
	CHECK_EQ(reclaim_pages(1000), NR_PAGES - 8); /* used or not: there are no others */
	CHECK_EQ(nr_out(0, 8), 0);
	CHECK_EQ(lru_size(LRU_UNEVICTABLE), 8);
	CHECK_EQ(mm_munlock(mm, addr, PAGES(8)), 0);
	CHECK_EQ(lru_size(LRU_UNEVICTABLE), 0);
	CHECK_EQ(reclaim_pages(1000), 8);
	end();
}

static u64 nr_from_file;

static void act_reclaim_file(void *unused)
{
	(void)unused;
	nr_from_file = reclaim_pages(SIM_FILE_PAGES);
}

/* More pages than a scan can keep track of are under I/O to a slow device: reclaim waits, and forgets none. */
TEST(reclaim_waits_when_many_are_on_their_way, 2)
{
	const u64 many = 1024;
	struct disk *slow = disk_create(2 * many);
	vaddr_t start;

	begin();
	WRITE_ONCE(slow->async, true);
	disk_swapon(slow, 10);
	disk_start(1, slow);
	start = map(mm, many, RW, ANON);
	put_pages(start, many, 0);
	CHECK_EQ(mm_madvise(mm, start, PAGES(many), MADV_COLD), 0);
	CHECK(reclaim_pages(many) >= many);
	CHECK(slow->nr_transfers[1] >= many);
	expect_pages(start, many, 0);
	unmap(mm, start, many);
	disk_swapoff(slow);
	disk_stop(1);
	end();
}

/*
 * Pages that are freed only after the device has written them are counted by kind: anonymous memory, or a page of a
 * file.
 */
TEST(reclaim_counts_what_it_waited_for, 2)
{
	struct sim_file *file = sim_file_create(SIM_FILE_PAGES);
	struct mm *reader = test_mm(POLICY_DEFAULT);
	vaddr_t start = sim_file_map(reader, file, SIM_FILE_PAGES, MAP_SHARED);

	begin();
	WRITE_ONCE(disk->async, true);
	disk_start(1, disk);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	CHECK_EQ(reclaim_pages(NR_PAGES), NR_PAGES);
	CHECK_EQ(COUNTED(pgsteal_anon), NR_PAGES);
	CHECK_EQ(COUNTED(pgsteal_file), 0);
	disk_stop(1);
	WRITE_ONCE(disk->async, false);
	sim_leave_mm();
	sim_use_mm(reader);
	put_pages(start, SIM_FILE_PAGES, 0);
	CHECK_EQ(mm_madvise(reader, start, PAGES(SIM_FILE_PAGES), MADV_DONTNEED), 0);
	sim_leave_mm();
	sim_use_mm(mm);
	WRITE_ONCE(file->writes, SIM_IO_HELD);
	CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_START), 0);
	counters_mark();
	sim_start(1, act_reclaim_file, NULL);
	let_others_run_until(sim_is_sleeping(1), "reclaim does not wait for the file's writes");
	sim_file_end_io(file, 0);
	sim_join(1);
	CHECK(nr_from_file >= 32); /* it does not wait for the last few */
	CHECK_EQ(COUNTED(pgsteal_file), nr_from_file);
	CHECK_EQ(COUNTED(pgsteal_anon), 0);
	CHECK_EQ(file->mapping->nr_pages, SIM_FILE_PAGES - nr_from_file);
	test_mm_put(reader);
	sim_file_destroy(file);
	end();
}

/*
 * CPU 1 is another thread of the address space. It gets one shootdown for a batch of pages, however many it has
 * translations of.
 */
TEST(reclaim_tells_a_cpu_once_for_many_pages, 2)
{
	begin();
	idler_start(1, mm);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	counters_mark();
	CHECK_EQ(reclaim_pages(NR_PAGES), NR_PAGES);
	CHECK_EQ(COUNTED(tlb_shootdowns), NR_PAGES / RECLAIM_BATCH);
	touch(0, NR_PAGES);
	counters_mark();
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	CHECK_EQ(nr_out(0, NR_PAGES), NR_PAGES);
	CHECK(COUNTED(tlb_shootdowns) <= NR_PAGES / RECLAIM_BATCH + 1); /* and one for the pages that it only ages */
	idler_stop(1);
	end();
}

static u32 nr_reads;
static bool enough;

/* Reads again and again until the test ends it. */
static void keep_reading(void *arg)
{
	sim_use_mm(arg);
	do {
		expect_get(addr, 0);
		store_release(&nr_reads, nr_reads + 1);
		sim_user_boundary();
	} while (!READ_ONCE(enough));
	sim_leave_mm();
}

/* One page is mapped by more address spaces than a batch holds; the last of them runs. */
TEST(reclaim_takes_what_many_share, 2)
{
	struct mm *children[TLB_BATCH_MMS + 4];
	u32 reads;

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = test_mm(POLICY_DEFAULT);
		CHECK_EQ(mm_fork(children[i], mm), 0);
	}
	sim_start(1, keep_reading, children[ARRAY_SIZE(children) - 1]);
	let_others_run_until(load_acquire(&nr_reads), "no thread reads");
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	CHECK(reclaim_pages(NR_PAGES) > NR_PAGES / 2);
	reads = load_acquire(&nr_reads);
	let_others_run_until(load_acquire(&nr_reads) > reads + 1, "no thread reads any more");
	WRITE_ONCE(enough, true);
	sim_join(1);
	for (unsigned i = 0; i < ARRAY_SIZE(children); i++) {
		CHECK_EQ(children[i]->tlb_pending, 0);
		test_mm_put(children[i]);
	}
	end();
}

TEST(reclaim_census_counts_who_is_on_no_list, 1)
{
	begin();
	CHECK_EQ(lru_size(LRU_INACTIVE_ANON), 0);
	CHECK_EQ(census_take().inactive_anon, NR_PAGES);
	CHECK_EQ(lru_gather(max_pfn), NR_PAGES);
	CHECK_EQ(lru_gather(max_pfn), 0);
	CHECK_EQ(census_take().inactive_anon, NR_PAGES);
	CHECK_EQ(lru_size(LRU_INACTIVE_ANON), NR_PAGES);
	end();
}

/*
 * Clean pages of files are evicted, mapped or not, and read again; dirty pages must be written first, locked ones stay.
 */
TEST(reclaim_takes_clean_file_pages, 1)
{
	struct sim_file *file = sim_file_create(SIM_FILE_PAGES);
	struct mm *reader = test_mm(POLICY_DEFAULT);
	vaddr_t start = sim_file_map(reader, file, SIM_FILE_PAGES, MAP_SHARED);

	sim_use_mm(reader);
	expect_pages(start, SIM_FILE_PAGES, 1000);
	put(start, 7);
	CHECK_EQ(mm_mlock(reader, start + PAGES(1), PAGE_SIZE, false), 0);
	counters_mark();
	CHECK_EQ(reclaim_pages(1000), SIM_FILE_PAGES - 2);
	CHECK_EQ(COUNTED(pgsteal_file), SIM_FILE_PAGES - 2);
	CHECK_EQ(COUNTED(pgactivate), 0); /* each was used once, and none as a program */
	CHECK_EQ(file->mapping->nr_pages, 2);
	CHECK_EQ(mm_rss(reader, RSS_FILE), 2);
	CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
	CHECK_EQ(reclaim_pages(1000), 1);
	CHECK_EQ(file->disk[0], 7);
	WRITE_ONCE(file->nr_reads, 0);
	expect_get(start, 7);
	for (u64 page = 1; page < SIM_FILE_PAGES; page++)
		expect_get(start + PAGES(page), page + 1000);
	CHECK_EQ(file->nr_reads, SIM_FILE_PAGES - 1);
	sim_leave_mm();
	test_mm_put(reader);
	sim_file_destroy(file);
}

/* Executable pages become active at their first use, and stay active as long as data can be evicted instead. */
TEST(reclaim_keeps_programs_that_run, 1)
{
	const u64 program = 8, more = 4;
	struct sim_file *file = sim_file_create(SIM_FILE_PAGES);
	struct mm *runner = test_mm(POLICY_DEFAULT);
	vaddr_t start = sim_file_map(runner, file, SIM_FILE_PAGES, MAP_PRIVATE), data = start + PAGES(program);

	CHECK_EQ(mm_mprotect(runner, start, PAGES(program), PROT_READ | PROT_EXEC, -1), 0);
	sim_use_mm(runner);
	expect_pages(start, SIM_FILE_PAGES, 1000);
	CHECK_EQ(mm_madvise(runner, data, PAGES(SIM_FILE_PAGES - program), MADV_COLD), 0);
	CHECK_EQ(reclaim_pages(SIM_FILE_PAGES - program), SIM_FILE_PAGES - program);
	CHECK_EQ(lru_size(LRU_ACTIVE_FILE), program);

	machine_tlb_flush_local(0, USER_END);
	expect_pages(start, program, 1000);
	expect_pages(data, more, 1000 + program);
	CHECK_EQ(mm_madvise(runner, data, PAGES(SIM_FILE_PAGES - program), MADV_COLD), 0);
	(void)lru_gather(max_pfn); /* data that is on no list yet could not be evicted instead */
	counters_mark();
	CHECK_EQ(reclaim_pages(more), more);
	CHECK_EQ(COUNTED(pgrefill), program);
	CHECK_EQ(COUNTED(pgdeactivate), 0);
	CHECK_EQ(lru_size(LRU_ACTIVE_FILE), program);
	sim_leave_mm();
	test_mm_put(runner);
	sim_file_destroy(file);
}

/* ---- Reclaim of particular pages --------------------------------------------------------------------------------- */

/* Returns whether the page was evicted: a clean one, a dirty one, a locked one, and one with another reference. */
TEST(reclaim_says_whether_a_page_has_gone, 1)
{
	struct sim_file *file = sim_file_create(8);
	struct mm *reader = test_mm(POLICY_DEFAULT);
	vaddr_t start = sim_file_map(reader, file, 8, MAP_SHARED);
	struct page *pages[4];

	sim_use_mm(reader);
	put(start, 7); /* dirty */
	expect_pages(start + PAGES(1), 3, 1001);
	for (u64 index = 0; index < ARRAY_SIZE(pages); index++)
		pages[index] = mapping_find(file->mapping, index);
	CHECK(!reclaim_page(pages[0]));
	CHECK(pte_present(sim_pte(reader, start)));
	CHECK(reclaim_page(pages[1]));
	CHECK_EQ(pages[1]->refcount, 1); /* our reference */
	CHECK(pte_none(sim_pte(reader, start + PAGES(1))));
	CHECK(page_trylock(pages[2]));
	page_lock_hand_over(pages[2]);
	CHECK(!reclaim_page(pages[2]));
	page_end_read(pages[2], 0);
	page_get(pages[3]);
	CHECK(!reclaim_page(pages[3]));
	page_put(pages[3]);
	CHECK(!reclaim_page(pages[1])); /* it no longer belongs to a mapping */
	for (u64 index = 0; index < ARRAY_SIZE(pages); index++)
		page_put(pages[index]);
	CHECK_EQ(file->mapping->nr_pages, 3);
	sim_leave_mm();
	test_mm_put(reader);
	sim_file_destroy(file);
}

/* A page that is no longer mapped is about to be freed: it is not written to swap first. */
TEST(reclaim_writes_nothing_that_nobody_maps, 1)
{
	struct page *page;

	begin();
	page = pte_counted_page(sim_pte(mm, addr + PAGES(5)));
	page_get(page);
	CHECK_EQ(mm_madvise(mm, addr + PAGES(5), PAGES(1), MADV_DONTNEED), 0);
	CHECK(!reclaim_page(page));
	CHECK(!page_test(page, PG_SWAPCACHE));
	CHECK_EQ(page->refcount, 1);
	CHECK_EQ(COUNTED(pswpout), 0);
	CHECK_EQ(disk->nr_transfers[1], 0);
	page_put(page);
	put(addr + PAGES(5), 5);
	end();
}

/* ---- Anonymous memory and files ---------------------------------------------------------------------------------- */

/* With equally many cold pages of both kinds, reclaims `wanted` pages. Checks how many of each kind were evicted. */
static void divide(u8 swappiness, u64 wanted, u64 nr_anon, u64 nr_file)
{
	struct sim_file *file = sim_file_create(SIM_FILE_PAGES);
	struct mm *reader = test_mm(POLICY_DEFAULT);
	vaddr_t start = sim_file_map(reader, file, SIM_FILE_PAGES, MAP_PRIVATE);
	u8 before = sysctl_swappiness;

	begin();
	sim_leave_mm();
	sim_use_mm(reader);
	expect_pages(start, SIM_FILE_PAGES, 1000);
	CHECK_EQ(mm_madvise(reader, start, PAGES(SIM_FILE_PAGES), MADV_COLD), 0);
	sim_leave_mm();
	sim_use_mm(mm);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	(void)lru_gather(max_pfn);
	WRITE_ONCE(sysctl_swappiness, swappiness);
	counters_mark();
	CHECK_EQ(reclaim_pages(wanted), wanted);
	CHECK_EQ(COUNTED(pgsteal_anon), nr_anon);
	CHECK_EQ(COUNTED(pgsteal_file), nr_file);
	CHECK_EQ(nr_out(0, NR_PAGES), nr_anon);
	CHECK_EQ(file->mapping->nr_pages, SIM_FILE_PAGES - nr_file);
	WRITE_ONCE(sysctl_swappiness, before);
	test_mm_put(reader);
	sim_file_destroy(file);
	end();
}

/* Of a batch, swappiness/200 is taken from anonymous memory, the rest from files. */
TEST(reclaim_divides_by_swappiness, 1)
{
	divide(60, 33, 10, 23); /* 9.6 and 22.4 of 32, rounded up */
	divide(100, 32, 16, 16);
	divide(200, 32, 32, 0);
	divide(0, 32, 0, 32);
	divide(0, 64, 32, 32); /* few file pages are left, so the rest comes from swap */
	divide(200, 64, 64, 0);
}
