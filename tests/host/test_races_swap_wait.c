/* SPDX-License-Identifier: MIT */
/*
 * Races of faults that wait for a page locked by a disk or by another fault: what they hold, how they end, and how they
 * are counted.
 */
#include "swap_race_stage.h"

#include "hoard.h"

#include "mm/cache/mapping.h"
#include "mm/vma/vma.h"

TEST(swap_waiter_can_be_killed, 4)
{
	struct page *page;

	begin(POLICY_FULL, SPF_VALIDATE_VMA, true, KEPT);
	page = fault_until_locked();
	sim_kill(1);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_KILLED);
	unlock_cached_page(page);
	end();
}

/*
 * A fault that is about to wait holds a reference to its page, and nothing else: all memory is unmapped, and the page
 * is unlocked before the wait begins, which therefore ends at once.
 */
TEST(v19_waiter_holds_its_page_alone, 4)
{
	FOR_EACH_STRATEGY (setup, true, KEPT) {
		struct page *page = lock_cached_page();

		fault_until(RACE_page_wait, act_read);
		other.len = PAGES(NR_PAGES);
		change_now(act_munmap);
		unlock_cached_page(page);
		/* the waiter's reference, and that of the slot, as long as the slot has the page */
		CHECK_EQ(READ_ONCE(page->refcount), 2);
		go_on(RACE_page_wait, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	}
}

static void act_fault(void *arg)
{
	struct actor *actor = arg;

	actor->result = fault_in(mm, actor->addr, ACCESS_READ, (unsigned)actor->value);
}

/* With FAULT_NO_RETRY the fault waits with its lock held; with FAULT_NO_WAIT it answers FAULT_WOULD_BLOCK. */
TEST(swap_would_block, 4)
{
	struct page *page;

	begin(POLICY_MMAP, SPF_VALIDATE_VMA, true, KEPT);
	page = lock_cached_page();
	page_lock_hand_over(page); /* a disk has it */
	CHECK_EQ(fault_in(mm, addr, ACCESS_READ, FAULT_NO_WAIT), FAULT_WOULD_BLOCK);
	CHECK_EQ(COUNTED(mmap_would_block), 1);
	faulter.value = FAULT_NO_RETRY;
	sim_start(1, act_fault, &faulter);
	wait_asleep(1);
	CHECK(!mmap_write_trylock(mm));
	page_end_read(page, 0);
	page_put(page);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(mmap_retry_page), 0);
	end();
}

static void act_user_fault(void *arg)
{
	((struct actor *)arg)->value |= FAULT_USER;
	act_fault(arg);
}

/*
 * The same under each strategy: the VMA strategy answers FAULT_WOULD_BLOCK itself; speculation cannot wait, and gives
 * up first.
 */
TEST(swap_would_block_under_each_strategy, 4)
{
	FOR_EACH_STRATEGY (setup, true, KEPT) {
		struct page *page = lock_cached_page();
		bool vma = setup->policy == POLICY_VMA || setup->policy == POLICY_FULL;

		idler_start(3, mm);
		page_lock_hand_over(page);
		faulter.value = FAULT_NO_WAIT;
		fault_now(act_user_fault);
		CHECK_EQ(faulter.result, FAULT_WOULD_BLOCK);
		CHECK_EQ(COUNTED(vma_lock_would_block), vma);
		CHECK_EQ(COUNTED(mmap_would_block), !vma);
		CHECK_EQ(REASONS(spf_abort_swap_page_locked),
			 setup->policy == POLICY_SPEC || setup->policy == POLICY_FULL);
		page_end_read(page, 0);
		page_put(page);
		idler_stop(3);
	}
}

/* The page is locked again while CPU 1, which has waited once, is about to lock it. */
static struct page *fault_until_locked_again(void)
{
	struct page *page = fault_until_locked();

	stop_at(RACE_swap_page_found, 1);
	page_unlock(page);
	wait_stopped(RACE_swap_page_found);
	CHECK(page_trylock(page));
	let_go(RACE_swap_page_found);
	wait_asleep(1);
	return page;
}

/*
 * A fault that has dropped its lock once does not do so again: the second time it waits with the lock held, and so it
 * ends.
 */
TEST(swap_second_wait_holds_on, 4)
{
	static const enum fault_policy policies[] = { POLICY_MMAP, POLICY_VMA };

	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(policies[i], SPF_VALIDATE_VMA, true, KEPT);
		struct page *page = fault_until_locked_again();

		sim_start(2, act_mprotect_read, &other);
		let_others_run();
		CHECK(sim_running(2)); /* CPU 2 wants the VMA lock, or mmap_lock */
		CHECK(sim_is_sleeping(1));
		unlock_cached_page(page);
		sim_join(1);
		sim_join(2);
		CHECK_EQ(faulter.value, 100);
		CHECK_EQ(REASONS(mmap_retry_page) + REASONS(vma_lock_retry_page), 1);
		CHECK_EQ(COUNTED(mmap_attempts) + COUNTED(vma_lock_attempts), 2);
		end();
	}
}

/* A fault that is killed while it waits, with its lock dropped or held, holds nothing afterwards: a writer proceeds. */
TEST(swap_waiter_can_be_killed_under_each_strategy, 4)
{
	for (int again = 0; again < 2; again++)
		FOR_EACH_STRATEGY (setup, true, KEPT) {
			struct page *page = again ? fault_until_locked_again() : fault_until_locked();

			sim_kill(1);
			sim_join(1);
			CHECK_EQ(faulter.result, FAULT_KILLED);
			unlock_cached_page(page);
			change_now(act_mprotect_read);
		}
}

/*
 * Each swap fault is counted for the strategy that answered it. Under the VMA lock none takes mmap_lock, even if it
 * waits.
 */
TEST(swap_faults_without_mmap_lock_are_counted, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA, true, DROPPED);
	sim_start(1, act_write, &faulter);
	wait_asleep(1); /* the disk completes nothing yet */
	disk_start(3, disk);
	sim_join(1);
	for (u64 page = 1; page < NR_PAGES; page++) {
		faulter.addr = addr + PAGES(page);
		fault_now(act_write);
	}
	CHECK_EQ(COUNTED(vma_lock_answered_swap), NR_PAGES);
	CHECK(REASONS(vma_lock_retry_page) > 0);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	CHECK_EQ(COUNTED(mmap_answered_swap) + COUNTED(spf_answered_swap), 0);
	disk_stop(3);
	end();
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	fault_now(act_read);
	CHECK_EQ(COUNTED(spf_answered_swap), 1);
	idler_stop(3);
	end();
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, true, KEPT);
	fault_now(act_read);
	CHECK_EQ(COUNTED(mmap_answered_swap), 1);
	end();
}

/* A wait for a disk inside an atomic section of the fault path is detected, and does not hang. */
TEST_DIES(k2_no_wait_for_a_disk_under_a_spinlock, 2, "may sleep")
{
	struct page *page;
	spinlock_t *ptl;

	begin(POLICY_MMAP, SPF_VALIDATE_VMA, true, DROPPED);
	page = swap_read_ahead(pte_swap_slot(sim_pte(mm, addr)));
	CHECK(page);
	mmap_read_lock(mm);
	CHECK(pte_lock(mm, addr, &ptl));
	page_wait_writeback(page);
	CHECK_EQ(page_wait_unlocked_killable(page), 0);
}

/* ---- V19: no writer of the VMA waits for the fault's disk -------------------------------------------------------- */

static const enum fault_policy locked_policies[] = { POLICY_MMAP, POLICY_VMA };

static void begin_shared(enum fault_policy policy)
{
	sim_quirks.evict = 0;
	disk = disk_create(NR_PAGES + 1);
	WRITE_ONCE(disk->async, true);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(policy);
	addr = map(mm, NR_PAGES, RW, MAP_SHARED | MAP_ANONYMOUS);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 100);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	sim_leave_mm();
	CHECK_EQ(mm_rss(mm, RSS_SHMEM), 0);
	faulter = other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(1) };
	counters_mark();
}

/*
 * A fault waits until a page of shared memory has been written: a writer proceeds, and the same strategy tries again.
 */
TEST(v19_shared_memory_under_writeback, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(locked_policies); i++) {
		begin_shared(locked_policies[i]);
		sim_start(1, act_read, &faulter);
		wait_asleep(1);
		change_now(act_mprotect_read);
		CHECK(sim_running(1));
		disk_complete_all(disk);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 100);
		CHECK_EQ(REASONS(mmap_retry_page) + REASONS(vma_lock_retry_page), 1);
		end();
	}
}

TEST(v19_shared_memory_under_writeback_killed, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(locked_policies); i++) {
		begin_shared(locked_policies[i]);
		sim_start(1, act_read, &faulter);
		wait_asleep(1);
		sim_kill(1);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_KILLED);
		end();
	}
}

TEST(shared_memory_under_writeback_would_block, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(locked_policies); i++) {
		begin_shared(locked_policies[i]);
		faulter.value = FAULT_NO_WAIT;
		fault_now(act_user_fault);
		CHECK_EQ(faulter.result, FAULT_WOULD_BLOCK);
		end();
	}
}

/* Another process has all requests for swap in flight, to a disk of its own that completes none. */
#define NR_REQUESTS 128
static struct disk *slow_disk;
static struct mm *writer;

static void take_all_requests(void)
{
	vaddr_t at;

	slow_disk = disk_create(NR_REQUESTS + 1);
	WRITE_ONCE(slow_disk->async, true);
	disk_swapon(slow_disk, SWAP_PRIORITY_NEXT);
	writer = test_mm(POLICY_DEFAULT);
	at = map(writer, NR_REQUESTS, RW, ANON);
	sim_use_mm(writer);
	put_pages(at, NR_REQUESTS, 0);
	CHECK_EQ(mm_madvise(writer, at, PAGES(NR_REQUESTS), MADV_PAGEOUT), 0);
	sim_leave_mm();
	CHECK_EQ(slow_disk->nr_waiting, NR_REQUESTS);
	counters_mark();
}

static void begin_without_requests(enum fault_policy policy)
{
	begin(policy, SPF_VALIDATE_VMA, true, DROPPED);
	take_all_requests();
}

static void end_without_requests(void)
{
	disk_complete_all(slow_disk);
	end();
	test_mm_put(writer);
	rcu_barrier();
	swap_cache_trim();
	disk_swapoff(slow_disk);
}

/* The fault holds nothing while it waits for a request; then the same strategy reads the page. */
static void wait_for_request(enum fault_policy policy)
{
	begin_without_requests(policy);
	sim_start(1, act_read, &faulter);
	wait_asleep(1);
	change_now(act_mprotect_read);
	CHECK(sim_running(1));
	CHECK_EQ(disk->nr_waiting, 0);
	CHECK(disk_complete_one(slow_disk));
	let_others_run_until(READ_ONCE(disk->nr_waiting), "the page is not read");
	disk_complete_all(disk);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(COUNTED(pgmajfault), 1);
}

TEST(reason_vma_lock_retry_swap_request, 4)
{
	wait_for_request(POLICY_VMA);
	CHECK_EQ(REASONS(vma_lock_retry_swap_request), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	end_without_requests();
}

TEST(reason_mmap_retry_swap_request, 4)
{
	wait_for_request(POLICY_MMAP);
	CHECK_EQ(REASONS(mmap_retry_swap_request), 1);
	end_without_requests();
}

/*
 * A fault with FAULT_NO_WAIT does not wait for a request, and one that waits can be killed. Neither has begun a read.
 */
TEST(swap_request_would_block_or_is_killed, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(locked_policies); i++) {
		begin_without_requests(locked_policies[i]);
		faulter.value = FAULT_NO_WAIT;
		fault_now(act_user_fault);
		CHECK_EQ(faulter.result, FAULT_WOULD_BLOCK);
		sim_start(1, act_read, &faulter);
		wait_asleep(1);
		sim_kill(1);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_KILLED);
		CHECK_EQ(COUNTED(pgmajfault), 0);
		end_without_requests();
	}
}

static void act_read_object(void *arg)
{
	struct actor *actor = arg;

	actor->result = mapping_read(sim_vma(mm, addr)->mapping, 0, &actor->value, sizeof(actor->value));
}

/* A read() of shared memory cannot retry as a fault does: it waits where it is. */
TEST(swap_request_is_waited_for_by_a_read, 4)
{
	begin_shared(POLICY_DEFAULT);
	disk_complete_all(disk);
	CHECK_EQ(swap_cache_shrink(), NR_PAGES);
	take_all_requests();
	sim_start(1, act_read_object, &faulter);
	wait_asleep(1);
	CHECK(disk_complete_one(slow_disk));
	let_others_run_until(READ_ONCE(disk->nr_waiting) || !sim_running(1), "the page is not read");
	disk_complete_all(disk);
	sim_join(1);
	CHECK_EQ(faulter.result, sizeof(faulter.value));
	CHECK_EQ(faulter.value, 100);
	WRITE_ONCE(disk->async, false); /* swapoff brings the other pages back */
	end_without_requests();
}

/* A free request wakes every waiter, so that one is woken although the first takes no request. */
TEST(swap_request_wakes_all_who_wait, 4)
{
	struct actor second;

	begin_without_requests(POLICY_VMA);
	second = (struct actor){ .mm = mm, .addr = addr + PAGES(1) };
	sim_start(1, act_read, &faulter);
	wait_asleep(1);
	sim_start(2, act_read, &second);
	wait_asleep(2);
	stop_at(RACE_vma_locked, 1);
	CHECK(disk_complete_one(slow_disk));
	/* CPU 1 does not get that far */
	let_others_run_until(READ_ONCE(disk->nr_waiting), "CPU 2 does not read its page");
	race_release(RACE_vma_locked);
	disk_start(3, disk);
	disk_complete_all(slow_disk);
	sim_join(1);
	sim_join(2);
	disk_stop(3);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(second.value, 101);
	end_without_requests();
}

/*
 * A fault needs a page table and finds no memory: it does not reclaim, which could wait for the disk with the VMA
 * locked, but answers FAULT_OUT_OF_MEMORY.
 */
TEST(v19_no_room_is_made_with_the_vma_locked, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(locked_policies); i++) {
		struct hoard blocks = { .order = MAX_ORDER }, pages = { 0 };

		begin(locked_policies[i], SPF_VALIDATE_VMA, true, DROPPED);
		expect_value(addr, 100); /* which reclaim could swap out again */
		WRITE_ONCE(disk->async, true);
		map_at(mm, 1UL << 40, 1, RW, ANON);
		faulter.addr = 1UL << 40;
		hoard_take(&blocks, 0);
		hoard_take(&pages, 0);
		fault_now(act_read_fault); /* the zero page: only a page table is needed */
		hoard_give_all(&pages);
		hoard_give_all(&blocks);
		CHECK_EQ(faulter.result, FAULT_OUT_OF_MEMORY);
		CHECK_EQ(disk->nr_waiting, 0);
		end();
	}
}

/*
 * C1: speculation maps a swapped-out page for reading only, since a child shares it, and then finds no memory for the
 * copy: it has answered nothing. A fault that finds no memory for the page itself has read nothing.
 */
static void fork_and_share(void)
{
	u64 value;

	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, mm), 0);
	sim_use_mm(child);
	CHECK_EQ(sim_read(addr, &value), FAULT_DONE); /* the page is in the swap cache from here on */
	sim_leave_mm();
}

static void write_without_memory(void *arg)
{
	struct hoard blocks = { .order = MAX_ORDER }, pages = { 0 };

	hoard_take(&blocks, 0);
	hoard_take(&pages, 0);
	act_write_fault(arg);
	hoard_give_all(&pages);
	hoard_give_all(&blocks);
}

TEST(c1_attempt_that_gave_up_has_answered_nothing, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, false, DROPPED);
	fork_and_share();
	idler_start(3, mm);
	counters_mark();
	fault_now(write_without_memory);
	CHECK_EQ(faulter.result, FAULT_OUT_OF_MEMORY);
	CHECK_EQ(REASONS(spf_abort_no_memory), 1);
	CHECK_EQ(COUNTED(spf_answered_swap), 0);
	idler_stop(3);
	test_mm_put(child);
	end();
}

TEST(c1_fault_that_read_nothing_is_not_major, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, false, DROPPED);
	fault_now(write_without_memory);
	CHECK_EQ(faulter.result, FAULT_OUT_OF_MEMORY);
	CHECK_EQ(COUNTED(pgmajfault), 0);
	end();
}

/* A failed transfer is not counted. */
TEST(c1_failed_transfer_is_not_counted, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, true, DROPPED);
	WRITE_ONCE(disk->error_rate[0], 1);
	disk_start(3, disk);
	fault_now(act_read_fault);
	CHECK_EQ(faulter.result, FAULT_IO_ERROR);
	CHECK_EQ(COUNTED(pswpin), 0);
	WRITE_ONCE(disk->error_rate[0], 0);
	fault_now(act_read);
	CHECK_EQ(faulter.value, 100);
	CHECK(COUNTED(pswpin) > 0);
	disk_stop(3);
	end();
}
