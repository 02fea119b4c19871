/* SPDX-License-Identifier: MIT */
/* Reclaim: who goes first, who stays, and the lists that know it. */
#include "test.h"

#include "disk.h"
#include "sim_file.h"

#include "mm/census.h"
#include "mm/lru.h"
#include "mm/reclaim.h"
#include "mm/swap.h"
#include "mm/tlb.h"
#include "mm/vma.h"

#define NR_PAGES 64

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr; /* of NR_PAGES pages, each written with its number */

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
		CHECK_EQ(lru_size(list), 0); /* nobody stays on a list who is freed */
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

/* What a program says it will not use goes first; what it uses all the time becomes active, and stays. */
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
		CHECK(reclaim_pages(others - 2 * used) >=
		      others - 2 * used); /* on its way it has met those that are used */
		CHECK_EQ(nr_out(0, used), 0);
		CHECK_EQ(COUNTED(pgactivate), turn * used); /* the first use only saves them */
	}
	CHECK_EQ(COUNTED(pgactivate), used);
	CHECK_EQ(lru_size(LRU_ACTIVE_ANON), used);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	CHECK_EQ(lru_size(LRU_ACTIVE_ANON), 0);
	CHECK_EQ(COUNTED(pgdeactivate), used);
	end();
}

/* What was used twice, and then no more, becomes inactive before it goes; each page that does is counted. */
TEST(reclaim_ages_what_was_active, 1)
{
	begin();
	for (unsigned turn = 0; turn < 2; turn++) {
		touch(0, NR_PAGES);
		(void)reclaim_in_advance(1);
	}
	while (lru_size(LRU_ACTIVE_ANON) < NR_PAGES / 4) {
		touch(0, NR_PAGES);
		(void)reclaim_in_advance(1);
	}
	counters_mark();
	CHECK(reclaim_pages(1000) >= NR_PAGES / 4);
	CHECK_EQ(lru_size(LRU_ACTIVE_ANON), 0);
	CHECK_EQ(COUNTED(pgdeactivate), COUNTED(pgrefill));
	CHECK(COUNTED(pgdeactivate) >= NR_PAGES / 4);
	end();
}

/* What others map as well is not for one of them to call old. */
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
	CHECK_EQ(reclaim_pages(1000), NR_PAGES - 8); /* used or not: there is nothing else */
	CHECK_EQ(nr_out(0, 8), 0);
	CHECK_EQ(lru_size(LRU_UNEVICTABLE), 8);
	CHECK_EQ(mm_munlock(mm, addr, PAGES(8)), 0);
	CHECK_EQ(lru_size(LRU_UNEVICTABLE), 0);
	CHECK_EQ(reclaim_pages(1000), 8);
	end();
}

/* More pages than a scan can remember are on their way to a device that takes its time: it waits, and forgets none. */
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

/* CPU 1 is another thread of the address space. It is told once for a batch of pages, however many it may have translations of. */
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
	CHECK(COUNTED(tlb_shootdowns) <= NR_PAGES / RECLAIM_BATCH + 1); /* and what makes old what stays */
	idler_stop(1);
	end();
}

static u32 nr_reads;
static bool enough;

/* Reads again and again, without anybody's leave. */
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

/* One page of more address spaces than a batch has room for; the last of them runs. */
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
	let_others_run_until(load_acquire(&nr_reads), "nobody reads");
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_COLD), 0);
	CHECK(reclaim_pages(NR_PAGES) > NR_PAGES / 2);
	reads = load_acquire(&nr_reads);
	let_others_run_until(load_acquire(&nr_reads) > reads + 1, "nobody reads any more");
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

/* Clean pages of files go, mapped or not, and are read again; dirty ones wait until they are written, locked ones stay. */
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

/* Programs that run stay active, as long as data can be taken instead; the first use makes them so. */
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
	counters_mark();
	CHECK_EQ(reclaim_pages(more), more);
	CHECK_EQ(COUNTED(pgrefill), program);
	CHECK_EQ(COUNTED(pgdeactivate), 0);
	CHECK_EQ(lru_size(LRU_ACTIVE_FILE), program);
	sim_leave_mm();
	test_mm_put(runner);
	sim_file_destroy(file);
}
