/* SPDX-License-Identifier: MIT */
/* Faults that wait for a page which a disk, or another fault, has locked: what they hold, how they are ended and counted. */
#include "swap_race_stage.h"

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
 * Who is about to wait has its page, and nothing else: all memory is unmapped, and the page is unlocked before the wait begins,
 * which therefore ends at once.
 */
TEST(v19_waiter_holds_its_page_alone, 4)
{
	FOR_EACH_STRATEGY (setup, true, KEPT) {
		struct page *page = lock_cached_page();

		fault_until(RACE_page_wait, act_read);
		other.len = PAGES(NR_PAGES);
		change_now(act_munmap);
		unlock_cached_page(page);
		CHECK_EQ(READ_ONCE(page->refcount), 2); /* the waiter's, and the slot's, as long as it has the page */
		go_on(RACE_page_wait, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	}
}

static void act_fault(void *arg)
{
	struct actor *actor = arg;

	actor->result = fault_in(mm, actor->addr, ACCESS_READ, (unsigned)actor->value);
}

/* Without the permission to let go, the waiter holds on; without that to wait, it says so. */
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

/* The same under each strategy: the per-VMA lock says it itself; speculation cannot even wait, and gives up first. */
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

/* The page is locked for the second time while CPU 1, which has waited once, is about to lock it. */
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

/* Who has dropped its lock once does not do so again: the second time it waits with the lock held, and so it ends. */
TEST(swap_second_wait_holds_on, 4)
{
	static const enum fault_policy policies[] = { POLICY_MMAP, POLICY_VMA };

	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(policies[i], SPF_VALIDATE_VMA, true, KEPT);
		struct page *page = fault_until_locked_again();

		sim_start(2, act_mprotect_read, &other);
		let_others_run();
		CHECK(sim_running(2)); /* it wants the VMA, or mmap_lock */
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

/* Killed while it waits, with its lock dropped or held: nothing is held afterwards, and a writer gets through. */
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

/* Each swap fault is counted by who answered it: under the VMA's lock, waiting included, none ever takes mmap_lock. */
TEST(swap_faults_without_mmap_lock_are_counted, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA, true, DROPPED);
	sim_start(1, act_write, &faulter);
	wait_asleep(1); /* the disk does nothing yet */
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

/* Waiting for a disk inside an atomic section of the fault path is an error that is caught, not a hang. */
TEST_DIES(k2_no_wait_for_a_disk_under_a_spinlock, 2, "may sleep, and is waited for under a spinlock")
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
