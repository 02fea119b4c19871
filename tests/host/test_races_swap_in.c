/* SPDX-License-Identifier: MIT */
/*
 * Races of faults on swapped-out pages: what speculation may do, which locks are held while waiting, and the handling
 * of a read that fails.
 */
#include "swap_race_stage.h"

/* ---- Speculation ------------------------------------------------------------------------------------------------- */

/*
 * Read-ahead reads the entries around the faulting address. The fault holds a lock while it does, so that mprotect,
 * which is about to split the VMA, waits for it.
 */
TEST(s2_no_read_ahead_under_speculation, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, (enum spf_validate)validate, true, DROPPED);
		idler_start(3, mm);
		fault_until(RACE_swap_read_ahead, act_read);
		CHECK_EQ(REASONS(spf_abort_swap_not_cached), 1);
		other.addr = addr + PAGES(1);
		sim_start(2, act_mprotect_read, &other);
		let_others_run();
		CHECK(sim_running(2));
		let_go(RACE_swap_read_ahead);
		wait_asleep(1);
		disk_complete_all(disk);
		sim_join(1);
		sim_join(2);
		CHECK_EQ(faulter.value, 100);
		CHECK_EQ(COUNTED(pswpin), NR_PAGES); /* with the neighbours */
		CHECK_EQ(COUNTED(pgmajfault), 1);
		idler_stop(3);
		end();
	}
}

/* A page that is in the swap cache and not locked is mapped without any lock. */
TEST(swap_cache_hit_is_resolved_speculatively, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, (enum spf_validate)validate, true, KEPT);
		idler_start(3, mm);
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(COUNTED(speculative_pgfault), 1);
		CHECK_EQ(COUNTED(mmap_attempts), 0);
		CHECK_EQ(COUNTED(pgmajfault), 0);
		idler_stop(3);
		expect_value(addr, 1);
		end();
	}
}

/*
 * The commit finds that the VMA has changed: the references to the page, the slot and the area are dropped on this
 * path, too.
 */
TEST(swap_speculation_gives_up_at_the_commit, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	fault_until(RACE_swap_before_commit, act_read);
	change_now(act_mprotect_read);
	go_on(RACE_swap_before_commit, 1);
	CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
	CHECK_EQ(faulter.value, 100);
	idler_stop(3);
	end();
}

/*
 * Speculation only tries to lock the page and never waits, as it has no lock to drop. The mmap strategy waits, with
 * mmap_lock dropped.
 */
TEST(s16_speculation_only_tries_the_page_lock, 4)
{
	struct page *page;

	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	page = fault_until_locked();
	CHECK_EQ(REASONS(spf_abort_swap_page_locked), 1);
	CHECK(mmap_write_trylock(mm));
	mmap_write_unlock(mm);
	unlock_cached_page(page);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(REASONS(mmap_retry_page), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 2);
	idler_stop(3);
	end();
}

TEST(reason_spf_abort_swap_not_cached, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, false, DROPPED);
	idler_start(3, mm);
	fault_now(act_read);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(REASONS(spf_abort_swap_not_cached), 1);
	CHECK_EQ(COUNTED(spf_attempts), 1);
	idler_stop(3);
	end();
}

/* Here another fault has locked the page. */
TEST(reason_spf_abort_swap_page_locked, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	fault_until(RACE_swap_page_locked, act_read);
	other.value = 0;
	sim_start(2, act_read, &other);
	wait_asleep(2);
	CHECK_EQ(REASONS(spf_abort_swap_page_locked), 1);
	go_on(RACE_swap_page_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(other.value, 100);
	idler_stop(3);
	end();
}

/* ---- The per-VMA lock -------------------------------------------------------------------------------------------- */

/*
 * A fault that waits for a page has dropped the VMA lock: a writer of that VMA proceeds. Then the same strategy tries
 * again, and mmap_lock is never taken.
 */
TEST(v13_v19_nobody_waits_for_swap_with_the_vma_locked, 4)
{
	struct page *page;

	begin(POLICY_VMA, SPF_VALIDATE_VMA, true, KEPT);
	page = fault_until_locked();
	change_now(act_mprotect_read);
	CHECK(sim_is_sleeping(1));
	unlock_cached_page(page);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(REASONS(vma_lock_retry_page), 1);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	end();
}

/* The VMA may be freed while the fault waits: the fault does not use it afterwards. */
TEST(swap_vma_is_gone_after_the_wait, 4)
{
	FOR_EACH_STRATEGY (setup, true, KEPT) {
		struct page *page = fault_until_locked();

		other.len = PAGES(NR_PAGES);
		change_now(act_munmap);
		rcu_barrier();
		unlock_cached_page(page);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	}
}

/* A fault on a synchronous device neither sleeps nor drops its lock: it needs one attempt. */
TEST(swap_synchronous_device_is_read_under_the_lock, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA, false, DROPPED);
	fault_now(act_read);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(COUNTED(vma_lock_attempts), 1);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	CHECK_EQ(COUNTED(pswpin), 1);
	end();
}

/*
 * The device becomes asynchronous after the slot was claimed: the page is then read through the swap cache, with the
 * lock dropped.
 */
TEST(swap_device_becomes_asynchronous, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA, false, DROPPED);
	fault_until(RACE_swap_claimed, act_read);
	WRITE_ONCE(disk->async, true);
	let_go(RACE_swap_claimed);
	wait_asleep(1);
	disk_complete_all(disk);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(REASONS(vma_lock_retry_page), 1);
	end();
}

/* ---- Failed reads ------------------------------------------------------------------------------------------------ */

/* A read error is not reported if the page has been discarded in the meantime. */
TEST(swap_read_error_of_a_changed_entry_is_nobodys, 4)
{
	for (enum fault_policy policy = POLICY_MMAP; policy <= POLICY_VMA; policy++) {
		begin(policy, SPF_VALIDATE_VMA, true, DROPPED);
		disk_start(3, disk);
		WRITE_ONCE(disk->error_rate[0], 1);
		fault_until(RACE_swap_page_locked, act_read);
		change_now(act_dontneed);
		go_on(RACE_swap_page_locked, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 0);
		WRITE_ONCE(disk->error_rate[0], 0);
		disk_stop(3);
		end();
	}
}
