/* SPDX-License-Identifier: MIT */
/*
 * Tests of faults on files that are really read and written: waiting for a page, I/O errors, the first write to a clean
 * page, write-back concurrent with writers, truncation during I/O, and the page table that must exist before the page
 * is locked.
 */
#include "sim_file.h"
#include "test.h"

#include "kernel/lib/string.h"
#include "mm/page/page_lock.h"
#include "mm/table/pgtable.h"
#include "mm/table/tlb.h"

#define FAULTER 1
#define OTHER 2
#define IDLER 3

static struct mm *mm;
static struct sim_file *file;
static vaddr_t addr; /* a shared mapping of the whole file */
static vaddr_t private;
static struct actor faulter, other;

static void begin(enum fault_policy policy)
{
	sim_quirks.evict = 0;
	mm = test_mm(policy);
	file = sim_file_create(SIM_FILE_PAGES);
	addr = sim_file_map(mm, file, SIM_FILE_PAGES, MAP_SHARED);
	private = sim_file_map(mm, file, SIM_FILE_PAGES, MAP_PRIVATE);
	idler_start(IDLER, mm);
	faulter = (struct actor){ .mm = mm, .addr = addr + PAGES(5), .value = 7 };
	other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(SIM_FILE_PAGES) };
	counters_mark();
}

static void end(void)
{
	race_disarm_all();
	idler_stop(IDLER);
	test_mm_put(mm);
	sim_file_destroy(file);
}

static const enum fault_policy policies[] = { POLICY_MMAP, POLICY_VMA, POLICY_SPEC, POLICY_FULL };
#define FOR_EACH_POLICY(i) for (unsigned i = 0; i < ARRAY_SIZE(policies) && (begin(policies[i]), true); i++, end())

static void fault_alone(sim_func *access)
{
	sim_start(FAULTER, access, &faulter);
	sim_join(FAULTER);
}

static void wait_asleep(unsigned cpu)
{
	while (!sim_is_sleeping(cpu))
		let_others_run_once();
}

/* ---- Waiting for a page ------------------------------------------------------------------------------------------ */

TEST(file_page_is_read_once_for_everybody, 4)
{
	FOR_EACH_POLICY (i) {
		sim_use_mm(mm);
		expect_get(addr + PAGES(5), 1005);
		expect_get(private + PAGES(5), 1005);
		put(private + PAGES(6), 1);
		expect_get(addr + PAGES(6), 1006);
		CHECK_EQ(file->nr_reads, 2);
		CHECK_EQ(COUNTED(pgmajfault), 2);
		sim_leave_mm();
	}
}

/* While the faulter waits it holds no lock: the VMA itself can be changed. Then the same strategy tries again. */
static void wait_for_read(enum fault_policy policy)
{
	begin(policy);
	WRITE_ONCE(file->reads, SIM_IO_HELD);
	sim_start(FAULTER, act_read, &faulter);
	sim_file_wait_held(file, 1);
	wait_asleep(FAULTER);
	CHECK_EQ(mm_mprotect(mm, addr, PAGES(SIM_FILE_PAGES), PROT_READ, -1), 0);
	CHECK(sim_running(FAULTER));
	sim_file_end_io(file, 0);
	sim_join(FAULTER);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(faulter.value, 1005);
	CHECK_EQ(file->nr_reads, 1);
	CHECK_EQ(COUNTED(pgmajfault), 1);
	CHECK_EQ(COUNTED(pgfault), 1);
}

TEST(reason_vma_lock_retry_page, 4)
{
	wait_for_read(POLICY_VMA);
	CHECK_EQ(REASONS(vma_lock_retry_page), 1);
	CHECK_EQ(COUNTED(vma_lock_retry), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	end();
}

TEST(reason_mmap_retry_page, 4)
{
	wait_for_read(POLICY_MMAP);
	CHECK_EQ(REASONS(mmap_retry_page), 1);
	end();
}

static void read_and_count(void *arg)
{
	u64 before = sim_major_faults();

	act_read(arg);
	faulter.len = sim_major_faults() - before;
}

TEST(file_wait_counts_for_the_thread, 4)
{
	begin(POLICY_FULL);
	fault_alone(read_and_count);
	CHECK_EQ(faulter.len, 1);
	faulter.addr = private + PAGES(5);
	fault_alone(read_and_count);
	CHECK_EQ(faulter.len, 0);
	end();
}

/*
 * The read fails, and another thread's access reads the page again: the second wait keeps the lock, and ends as well.
 */
TEST(file_second_wait_holds_on, 4)
{
	begin(POLICY_VMA);
	WRITE_ONCE(file->reads, SIM_IO_HELD);
	sim_start(FAULTER, act_read, &faulter);
	sim_file_wait_held(file, 1);
	wait_asleep(FAULTER);
	stop_at(RACE_vma_locked, FAULTER);
	sim_file_end_io(file, -EIO);
	wait_stopped(RACE_vma_locked); /* about to retry */
	other = (struct actor){ .mm = mm, .addr = private + PAGES(5) };
	sim_start(OTHER, act_read, &other);
	sim_file_wait_held(file, 1);
	wait_asleep(OTHER);
	let_go(RACE_vma_locked);
	wait_asleep(FAULTER);
	CHECK_EQ(REASONS(vma_lock_retry_page), 1); /* the other one is counted when its wait ends */
	sim_file_end_io(file, 0);
	sim_join(FAULTER);
	sim_join(OTHER);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.value, 1005);
	CHECK_EQ(REASONS(vma_lock_retry_page), 2);
	end();
}

TEST(file_wait_ends_for_the_dying, 4)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(policies[i]);
		WRITE_ONCE(file->reads, SIM_IO_HELD);
		sim_start(FAULTER, act_read, &faulter);
		sim_file_wait_held(file, 1);
		wait_asleep(FAULTER);
		sim_kill(FAULTER);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_KILLED);
		sim_file_end_io(file, 0);
		end();
	}
}

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

TEST(file_read_error_is_sigbus_each_time, 4)
{
	FOR_EACH_POLICY (i) {
		u64 value;

		sim_use_mm(mm);
		put(addr + PAGES(1), 5);
		WRITE_ONCE(file->error, -EIO);
		CHECK_EQ(sim_read(addr + PAGES(5), &value), FAULT_IO_ERROR);
		CHECK_EQ(sim_read(addr + PAGES(5), &value), FAULT_IO_ERROR);
		CHECK_EQ(sim_write(private + PAGES(5), 1), FAULT_IO_ERROR);
		CHECK_EQ(file->nr_reads, 1 + 3); /* each access tries again */
		expect_get(addr + PAGES(1), 5);	 /* nothing else is lost */
		WRITE_ONCE(file->error, 0);
		expect_get(addr + PAGES(5), 1005);
		sim_leave_mm();
	}
}

static void act_read_without_retry(void *arg)
{
	struct actor *actor = arg;

	actor->result = fault_in(actor->mm, actor->addr, ACCESS_READ, FAULT_NO_RETRY);
}

/* A fault that may not drop its lock reads only once, like every other fault. */
TEST(file_read_error_ends_a_fault_that_may_not_retry, 4)
{
	begin(POLICY_MMAP);
	WRITE_ONCE(file->error, -EIO);
	sim_start(FAULTER, act_read_without_retry, &faulter);
	let_others_run_until(!sim_running(FAULTER) || READ_ONCE(file->nr_reads) > 1,
			     "the fault neither ends nor reads again");
	CHECK_EQ(file->nr_reads, 1);
	sim_join(FAULTER);
	CHECK_EQ(faulter.result, FAULT_IO_ERROR);
	WRITE_ONCE(file->error, 0);
	end();
}

TEST(file_mkwrite_error_is_sigbus, 4)
{
	FOR_EACH_POLICY (i) {
		sim_use_mm(mm);
		expect_get(addr + PAGES(5), 1005);
		expect_get(private + PAGES(6), 1006);
		WRITE_ONCE(file->error, -ENOSPC);
		CHECK_EQ(sim_write(addr + PAGES(5), 1), FAULT_IO_ERROR);
		CHECK_EQ(sim_write(addr + PAGES(6), 1), FAULT_IO_ERROR);
		CHECK_EQ(file->mapping->nr_dirty, 0);
		WRITE_ONCE(file->error, 0);
		put(addr + PAGES(5), 1);
		put(addr + PAGES(6), 2);
		CHECK_EQ(file->mapping->nr_dirty, 2);
		sim_leave_mm();
	}
}

/* A write-back error loses nothing: the page is dirty again, and each reader of the error is told once. */
TEST(file_write_error_is_remembered, 4)
{
	u32 seen = 0, later;

	begin(POLICY_FULL);
	sim_use_mm(mm);
	put(addr, 9);
	later = file->mapping->nr_write_errors;
	WRITE_ONCE(file->writes, SIM_IO_HELD);
	CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_START), 0);
	CHECK_EQ(file->mapping->nr_dirty, 0);
	sim_file_end_io(file, -EIO);
	CHECK_EQ(file->mapping->nr_dirty, 1);
	CHECK_EQ(mapping_check_error(file->mapping, &seen), -EIO);
	CHECK_EQ(mapping_check_error(file->mapping, &seen), 0);
	CHECK_EQ(mapping_check_error(file->mapping, &later), -EIO);
	WRITE_ONCE(file->writes, SIM_IO_AT_ONCE);
	CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
	CHECK_EQ(file->disk[0], 9);
	CHECK_EQ(mapping_check_error(file->mapping, &seen), 0);
	sim_leave_mm();
	end();
}

/* ---- The first write --------------------------------------------------------------------------------------------- */

TEST(file_system_hears_of_each_first_write, 4)
{
	FOR_EACH_POLICY (i) {
		sim_use_mm(mm);
		expect_get(addr + PAGES(5), 1005); /* mapped read-only, although the VMA is writable */
		CHECK_EQ(file->nr_mkwrites, 0);
		put(addr + PAGES(5), 1);
		put(addr + PAGES(5), 2);
		put(addr + PAGES(6), 3); /* not mapped before */
		CHECK_EQ(file->nr_mkwrites, 2);
		CHECK_EQ(file->mapping->nr_dirty, 2);
		CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
		CHECK_EQ(file->mapping->nr_dirty, 0);
		CHECK_EQ(file->disk[5], 2);
		put(addr + PAGES(5), 4);
		CHECK_EQ(file->nr_mkwrites, 3);
		put(private + PAGES(7), 1); /* a private copy: the file system is not notified */
		CHECK_EQ(file->nr_mkwrites, 3);
		sim_leave_mm();
	}
}

/* The writer is throttled with no lock held: the fault has completed and dropped its lock. */
TEST(file_throttled_fault_completes, 4)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(policies[i]);
		WRITE_ONCE(file->throttles, true);
		stop_at(RACE_fault_throttled, FAULTER);
		sim_start(FAULTER, act_write, &faulter);
		wait_stopped(RACE_fault_throttled);
		/* the mapping is kept as long as the fault needs it */
		CHECK_EQ(mm_munmap(mm, addr, PAGES(SIM_FILE_PAGES)), 0);
		map_at(mm, addr, SIM_FILE_PAGES, RW, ANON);
		let_go(RACE_fault_throttled);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(file->nr_throttled, 1);
		CHECK_EQ(i ? COUNTED(vma_lock_completed) : COUNTED(mmap_completed), 1);
		end();
	}
}

static void act_write_without_retry(void *arg)
{
	struct actor *actor = arg;

	actor->result = fault_in(actor->mm, actor->addr, ACCESS_WRITE, (unsigned)actor->len);
}

/* ... but not if the fault may not drop its lock, or may not wait. */
TEST(file_fault_that_may_not_wait_is_not_throttled, 4)
{
	static const unsigned flags[] = { FAULT_NO_RETRY, FAULT_NO_RETRY | FAULT_NO_WAIT };

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		begin(POLICY_MMAP);
		WRITE_ONCE(file->throttles, true);
		faulter.len = flags[i];
		fault_alone(act_read);
		fault_alone(act_write_without_retry);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(file->nr_mkwrites, 1);
		CHECK_EQ(file->nr_throttled, 0);
		CHECK_EQ(COUNTED(mmap_completed), 0);
		end();
	}
}

static void act_writeback(void *arg)
{
	struct sim_file *sim = arg;

	CHECK_EQ(mapping_writeback(sim->mapping, 0, ~0UL, WRITEBACK_WAIT), 0);
}

/* Write-back holds the page lock while a thread wants to write: the fault releases the VMA lock while it waits. */
TEST(file_write_waits_for_the_page_lock, 4)
{
	begin(POLICY_VMA);
	sim_use_mm(mm);
	put(addr + PAGES(5), 1);
	sim_leave_mm();
	stop_at(RACE_writeback_cleaned, OTHER);
	sim_start(OTHER, act_writeback, file);
	wait_stopped(RACE_writeback_cleaned);
	sim_start(FAULTER, act_write, &faulter);
	wait_asleep(FAULTER);
	CHECK_EQ(REASONS(vma_lock_retry_page), 0); /* counted when the wait ends */
	CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), PROT_READ, -1), 0);
	let_go(RACE_writeback_cleaned);
	sim_join(FAULTER);
	sim_join(OTHER);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(vma_lock_retry_page), 1);
	CHECK_EQ(file->disk[5], 1);
	CHECK_EQ(file->mapping->nr_dirty, 1); /* 7 is still to be written back */
	end();
}

/* ---- Write-back concurrent with writers -------------------------------------------------------------------------- */

#define STORM_PAGES 4
#define STORM_WRITES 200

static u64 last_written[MAX_CPUS][STORM_PAGES];
static bool storm_over;

/* Each CPU has a word of its own in each page. CPU 1 has the first word, the one that goes to the disk. */
static void write_words(void *arg)
{
	unsigned cpu = cpu_id();

	(void)arg;
	sim_use_mm(mm);
	for (u64 n = 1; n <= STORM_WRITES; n++) {
		unsigned page = (unsigned)sim_random_below(STORM_PAGES);

		put(addr + PAGES(page) + 8 * (cpu - 1), n);
		last_written[cpu][page] = n;
		expect_get(private + PAGES(page) + 8 * (cpu - 1), n);
	}
	sim_leave_mm();
}

static void write_back_until_over(void *arg)
{
	while (!load_acquire(&storm_over)) {
		act_writeback(arg);
		cond_resched();
	}
}

/*
 * All that was written is on the disk after the last write-back: no write was lost between cleaning and writing a page.
 */
TEST(file_writeback_loses_no_write, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(policies[i]);
		WRITE_ONCE(storm_over, false);
		memset(last_written, 0, sizeof(last_written));
		sim_start(FAULTER, write_words, NULL);
		sim_start(OTHER, write_back_until_over, file);
		while (sim_running(FAULTER))
			let_others_run_once();
		store_release(&storm_over, true);
		sim_join(OTHER);
		act_writeback(file);
		CHECK_EQ(file->mapping->nr_dirty, 0);
		for (unsigned page = 0; page < STORM_PAGES; page++)
			CHECK_EQ(file->disk[page], last_written[FAULTER][page]);
		CHECK(file->nr_mkwrites >= STORM_PAGES);
		end();
	}
}

/* A write through a translation that is still writable after the page was cleaned would be lost. */
TEST(file_clean_page_has_no_writable_translation, 4)
{
	begin(POLICY_FULL);
	sim_use_mm(mm);
	put(addr + PAGES(5), 1);
	CHECK(sim_tlb_holds(addr + PAGES(5)));
	act_writeback(file);
	CHECK(!sim_try_write(addr + PAGES(5), 2));
	CHECK(!pte_write(sim_pte(mm, addr + PAGES(5))) && !pte_dirty(sim_pte(mm, addr + PAGES(5))));
	sim_leave_mm();
	end();
}

/* Write-back must write-protect each entry that can write to the page, not only the first that it finds. */
TEST(file_writeback_cleans_every_entry, 4)
{
	begin(POLICY_FULL);
	vaddr_t second = sim_file_map(mm, file, SIM_FILE_PAGES, MAP_SHARED);

	sim_use_mm(mm);
	put(addr + PAGES(5), 1);
	put(second + PAGES(5), 2);
	act_writeback(file);
	CHECK_EQ(file->disk[5], 2);
	check_quiet(); /* fails if an entry maps the clean page writable */
	put(second + PAGES(5), 3);
	put(addr + PAGES(5), 4);
	act_writeback(file);
	CHECK_EQ(file->disk[5], 4);
	CHECK_EQ(file->nr_mkwrites, 4);
	sim_leave_mm();
	end();
}

static bool has_written, wrote_again;

static void write_then_try_again(void *arg)
{
	(void)arg;
	sim_use_mm(mm);
	put(addr + PAGES(5), 1);
	store_release(&has_written, true);
	while (!load_acquire(&storm_over))
		let_others_run_once();
	WRITE_ONCE(wrote_again, sim_try_write(addr + PAGES(5), 2));
	sim_leave_mm();
}

/* Maps nr_mapped pages of the file, in addition to the writer's page, before MADV_DONTNEED unmaps them all. */
static void unmap_beside_a_writer(u64 nr_mapped)
{
	begin(POLICY_FULL);
	sim_use_mm(mm);
	for (u64 page = 0; page < nr_mapped; page++)
		expect_get(addr + PAGES(page), 1000 + page);
	sim_leave_mm();
	has_written = wrote_again = storm_over = false;
	idler_stop(IDLER);
	sim_start(IDLER, write_then_try_again, NULL);
	while (!load_acquire(&has_written))
		let_others_run_once();
	stop_at(RACE_zap_before_flush, OTHER);
	sim_start(OTHER, act_dontneed, &other);
	wait_stopped(RACE_zap_before_flush);
	act_writeback(file);
	CHECK_EQ(file->mapping->nr_dirty, 0);
	store_release(&storm_over, true);
	sim_join(IDLER);
	CHECK(!wrote_again);
	let_go(RACE_zap_before_flush);
	sim_join(OTHER);
	idler_start(IDLER, mm);
	end();
}

/*
 * One thread has cleared the page's entry and not flushed yet, when write-back finds no entry to write-protect. No CPU
 * may write to the page through an old translation afterwards, since the page is clean. Also tested with a full gather,
 * so that the walk leaves the page table before its end.
 */
TEST(w4_unmapped_clean_page_is_not_written, 4)
{
	unmap_beside_a_writer(0);
	unmap_beside_a_writer(TLB_GATHER_PAGES);
}

/*
 * A fault waits for the page of a write() that would have filled it, but copies nothing: the page was not read, and the
 * fault reads it.
 */
TEST(file_page_that_a_write_left_unread_is_read, 4)
{
	for (unsigned i = 0; i < 2; i++) {
		struct page *page;

		begin(policies[i]);
		page = mapping_write_begin(file->mapping, 5, WRITE_WHOLE_PAGE);
		CHECK(!is_err(page));
		sim_start(FAULTER, act_read, &faulter);
		wait_asleep(FAULTER);
		CHECK_EQ(mapping_write_end(page, 0), 0);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 1005);
		CHECK_EQ(file->nr_reads, 1);
		end();
	}
}

/* ---- Truncation during I/O --------------------------------------------------------------------------------------- */

static void act_truncate(void *arg)
{
	struct sim_file *sim = arg;

	CHECK_EQ(mapping_truncate(sim->mapping, 0), 0);
}

/* A page under I/O stays until the I/O has ended: afterwards its disk block may belong to another file. */
TEST(file_truncation_waits_for_io, 4)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(policies[i]);
		WRITE_ONCE(file->reads, SIM_IO_HELD);
		sim_start(FAULTER, act_read, &faulter);
		sim_file_wait_held(file, 1);
		sim_start(OTHER, act_truncate, file);
		wait_asleep(OTHER);
		CHECK_EQ(file->mapping->nr_pages, 1);
		sim_file_end_io(file, 0);
		sim_join(OTHER);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_BEYOND_END);
		CHECK_EQ(file->mapping->nr_pages, 0);
		end();
	}
}

TEST(file_truncation_waits_for_writeback, 4)
{
	begin(POLICY_FULL);
	sim_use_mm(mm);
	put(addr + PAGES(5), 1);
	sim_leave_mm();
	WRITE_ONCE(file->writes, SIM_IO_HELD);
	CHECK_EQ(mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_START), 0);
	sim_start(OTHER, act_truncate, file);
	wait_asleep(OTHER);
	CHECK_EQ(file->mapping->nr_pages, 1);
	sim_file_end_io(file, 0);
	sim_join(OTHER);
	CHECK_EQ(file->mapping->nr_pages, 0);
	end();
}

static void touch_until_over(void *arg)
{
	(void)arg;
	sim_use_mm(mm);
	while (!load_acquire(&storm_over)) {
		vaddr_t where = (sim_random_below(2) ? addr : private) + PAGES(sim_random_below(16));
		enum fault_answer answer;
		u64 value;

		answer = sim_random_below(2) ? sim_read(where, &value) : sim_write(where, 1);
		CHECK(answer == FAULT_DONE || answer == FAULT_BEYOND_END || answer == FAULT_IO_ERROR);
	}
	sim_leave_mm();
}

static void truncate_round(unsigned round)
{
	switch (round % 4) {
	case 0:
		(void)mapping_writeback(file->mapping, 0, ~0UL, WRITEBACK_WAIT);
		break;
	case 1:
		(void)mapping_truncate(file->mapping, sim_random_below(PAGES(16)));
		break;
	case 2:
		WRITE_ONCE(file->error, sim_random_below(2) ? -EIO : 0);
		break;
	default:
		mapping_remove_range(file->mapping, sim_random_below(16), 15);
		WRITE_ONCE(file->error, 0);
		(void)mapping_truncate(file->mapping, PAGES(16));
	}
	sim_user_boundary();
}

/*
 * Readers, writers, write-back, truncation, holes and errors at once: the final state is consistent, and nothing hangs
 * or leaks.
 */
TEST(file_storm, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(policies[i]);
		WRITE_ONCE(storm_over, false);
		sim_start(FAULTER, touch_until_over, NULL);
		sim_start(OTHER, touch_until_over, NULL);
		for (unsigned round = 0; round < 24; round++)
			truncate_round(round);
		WRITE_ONCE(file->error, 0);
		store_release(&storm_over, true);
		sim_join(FAULTER);
		sim_join(OTHER);
		end();
	}
}

/* The page of a first write is truncated away before the fault locks it: the fault's reference keeps the page. */
TEST(p2_page_of_a_first_write_is_pinned, 4)
{
	FOR_EACH_POLICY (i) {
		struct page *page;

		fault_alone(act_read);
		page = pte_page(sim_pte(mm, faulter.addr));
		stop_at(RACE_mkwrite_before_lock, FAULTER);
		sim_start(FAULTER, act_write, &faulter);
		wait_stopped(RACE_mkwrite_before_lock);
		CHECK_EQ(mapping_truncate(file->mapping, 0), 0);
		CHECK_EQ(READ_ONCE(page->refcount), 1);
		let_go(RACE_mkwrite_before_lock);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_BEYOND_END);
		CHECK_EQ(file->nr_mkwrites, 0);
	}
}

/* ---- The page table and the page lock ---------------------------------------------------------------------------- */

/*
 * A write with no page table yet: the table is allocated before the page lock is taken (F1), or the lock order check
 * panics.
 */
TEST(f1_no_table_is_allocated_under_a_page_lock, 4)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(policies[i]);
		CHECK(pte_none(sim_pte(mm, addr)));
		fault_alone(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK(pte_write(sim_pte(mm, faulter.addr)));
		end();
	}
}

/* Removes the page table of an address, as reclaim of page tables might; the table is empty. */
static void take_table_away(vaddr_t where)
{
	struct pt_walk walk = sim_walk(mm, where);
	struct tlb_gather tlb;

	CHECK_EQ(walk.state, PT_TABLE);
	mmap_read_lock(mm);
	tlb_gather_begin(&tlb, mm);
	spin_lock(pte_lockptr(walk.pmd));
	atomic_xchg(&walk.pmdp->val, 0UL);
	spin_unlock(pte_lockptr(walk.pmd));
	tlb_add_table(&tlb, pmd_table(walk.pmd));
	tlb_gather_finish(&tlb);
	mmap_read_unlock(mm);
}

/* The page table exists when the fault looks for it, and is gone when the fault wants to lock it. */
static void table_vanishes_at(enum race_point_id point, sim_func *access)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(policies[i]);
		sim_use_mm(mm);
		put(private + PAGES(5), 1);
		put(addr + PAGES(9), 1); /* builds the table, which MADV_DONTNEED then empties */
		sim_leave_mm();
		CHECK_EQ(mm_madvise(mm, addr, PAGES(SIM_FILE_PAGES), MADV_DONTNEED), 0);
		CHECK_EQ(mm_madvise(mm, private, PAGES(SIM_FILE_PAGES), MADV_DONTNEED), 0);
		stop_at(point, FAULTER);
		sim_start(FAULTER, access, &faulter);
		wait_stopped(point);
		take_table_away(addr);
		let_go(point);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK(!pte_none(sim_pte(mm, faulter.addr)));
		end();
	}
}

TEST(f2_table_that_vanished_is_built_again, 4)
{
	table_vanishes_at(RACE_around_pages_found, act_read);
	table_vanishes_at(RACE_mkwrite_dirtied, act_write);
}

/* Another thread builds the table first: the preallocated one is freed. */
TEST(f3_table_that_was_not_needed_is_freed, 4)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(policies[i]);
		stop_at(RACE_mkwrite_dirtied, FAULTER);
		sim_start(FAULTER, act_write, &faulter);
		wait_stopped(RACE_mkwrite_dirtied);
		sim_use_mm(mm);
		expect_get(addr + PAGES(9), 1009);
		sim_leave_mm();
		let_go(RACE_mkwrite_dirtied);
		sim_join(FAULTER);
		CHECK_EQ(faulter.result, FAULT_DONE);
		end();
	}
}

/* A huge page has appeared in place of the table: nothing is mapped below it, and the access is to be retried. */
TEST(file_huge_page_that_appears_is_left_alone, 4)
{
	struct pt_walk walk;
	u64 huge;

	begin(POLICY_VMA);
	stop_at(RACE_mapping_page_found, FAULTER);
	sim_start(FAULTER, act_read_fault, &faulter);
	wait_stopped(RACE_mapping_page_found);
	mmap_read_lock(mm);
	pt_prealloc_free(mm, pt_prealloc(mm, addr)); /* leaves the upper tables */
	mmap_read_unlock(mm);
	walk = sim_walk(mm, addr);
	CHECK_EQ(walk.state, PT_NONE);
	huge = page_to_phys(zero_page) | PTE_PRESENT | PTE_USER | PTE_HUGE;
	CHECK(atomic_cas(&walk.pmdp->val, 0UL, huge));
	let_go(RACE_mapping_page_found);
	sim_join(FAULTER);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK(atomic_cas(&walk.pmdp->val, huge, 0UL));
	fault_alone(act_read);
	CHECK_EQ(faulter.value, 1005);
	end();
}
