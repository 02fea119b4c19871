/* SPDX-License-Identifier: MIT */
/*
 * The races of swap, each forced into its order by race points: a test's name begins with the row's number in docs/races.md.
 * And every reason, retry and refusal that a swapped-out page can end with. CPU 1 faults, CPU 2 interferes, CPU 3 is another
 * thread of the address space.
 */
#include "test.h"

#include "disk.h"
#include "mm/page_lock.h"
#include "mm/reclaim.h"
#include "mm/swap.h"
#include "mm/vma.h"

#define NR_PAGES 4

static struct disk *disk; /* has one slot for each page, so that a slot that is given up is the next one given away */
static struct mm *mm;
static vaddr_t addr; /* of NR_PAGES pages: each holds its number + 100, and is swapped out */
static struct actor faulter, other;

/* Whether the pages are still in the swap cache, too. */
enum kept { KEPT, DROPPED };

static void begin(enum fault_policy policy, enum spf_validate validate, bool async, enum kept kept)
{
	WRITE_ONCE(spf_validate, (u8)validate);
	sim_quirks.evict = 0;
	disk = disk_create(NR_PAGES + 1);
	WRITE_ONCE(disk->async, true);
	(void)disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(policy);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	for (u64 page = 0; page < NR_PAGES; page++)
		put(addr + PAGES(page), page + 100);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	sim_leave_mm();
	disk_complete_all(disk);
	if (kept == DROPPED)
		CHECK_EQ(swap_cache_shrink(), NR_PAGES);
	WRITE_ONCE(disk->async, async);
	faulter = other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(1), .value = 1 };
	counters_mark();
}

static void end(void)
{
	race_disarm_all();
	disk_complete_all(disk);
	sim_join_all();
	test_mm_put(mm);
	swap_cache_trim();
	if (swap_area_on(disk) >= 0)
		disk_swapoff(disk);
}

#define FOR_EACH_STRATEGY(setup, async, kept)                                                                          \
	for (const struct strategy_setup *setup = strategy_setups;                                                     \
	     setup < strategy_setups + nr_strategy_setups && (begin(setup->policy, setup->validate, async, kept), true);    \
	     end(), setup++)

static void fault_until(enum race_point_id point, sim_func *access)
{
	stop_at(point, 1);
	sim_start(1, access, &faulter);
	wait_stopped(point);
}

static void wait_asleep(unsigned cpu)
{
	let_others_run_until(sim_is_sleeping(cpu) || !sim_running(cpu), "CPU %u does not sleep", cpu);
	CHECK(sim_running(cpu));
}

static void go_on(enum race_point_id point)
{
	let_go(point);
	sim_join(1);
}

static void act_page_out(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_madvise(actor->mm, actor->addr, actor->len, MADV_PAGEOUT);
	sim_leave_mm();
}

static void act_swapoff(void *arg)
{
	((struct actor *)arg)->result = swap_area_remove((unsigned)swap_area_on(disk));
}

/* The page of the first address, in the swap cache, with a reference. */
static struct page *cached_page(void)
{
	struct page *page = swap_cache_find(pte_swap_slot(sim_pte(mm, addr)));

	CHECK(page);
	return page;
}

static void expect_value(vaddr_t where, u64 value)
{
	sim_use_mm(mm);
	WRITE_ONCE(disk->async, false);
	expect_get(where, value);
	sim_leave_mm();
}

/* ---- Speculation ------------------------------------------------------------------------------------------------- */

/*
 * Read-ahead looks at more than the faulting address. Whoever does it holds a lock, so that mprotect, which is about to split
 * the VMA, waits for it.
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
		CHECK_EQ(COUNTED(pswpin), NR_PAGES); /* the neighbours came, too */
		CHECK_EQ(COUNTED(pgmajfault), 1);
		idler_stop(3);
		end();
	}
}

/* A page that is in the swap cache, and not locked, is mapped without any lock. */
TEST(swap_cache_hit_is_resolved_speculatively, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, (enum spf_validate)validate, true, KEPT);
		idler_start(3, mm);
		sim_start(1, act_write, &faulter);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(COUNTED(speculative_pgfault), 1);
		CHECK_EQ(COUNTED(mmap_attempts), 0);
		CHECK_EQ(COUNTED(pgmajfault), 0);
		idler_stop(3);
		expect_value(addr, 1);
		end();
	}
}

/* The commit finds that the VMA has changed: page, slot and area are given back on that way, too. */
TEST(swap_speculation_gives_up_at_the_commit, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	fault_until(RACE_swap_before_commit, act_read);
	other.addr = addr;
	sim_start(2, act_mprotect_read, &other);
	sim_join(2);
	go_on(RACE_swap_before_commit);
	CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
	CHECK_EQ(faulter.value, 100);
	idler_stop(3);
	end();
}

/* A locked page is tried, never waited for: there is no lock that could be let go. mmap_lock's strategy waits, without it. */
TEST(s16_speculation_only_tries_the_page_lock, 4)
{
	struct page *page;

	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	page = cached_page();
	CHECK(page_trylock(page));
	sim_start(1, act_read, &faulter);
	wait_asleep(1);
	CHECK_EQ(REASONS(spf_abort_swap_page_locked), 1);
	CHECK(mmap_write_trylock(mm));
	mmap_write_unlock(mm);
	page_unlock(page);
	page_put(page);
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
	sim_start(1, act_read, &faulter);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(REASONS(spf_abort_swap_not_cached), 1);
	CHECK_EQ(COUNTED(spf_attempts), 1);
	idler_stop(3);
	end();
}

/* Whoever has it locked may be another fault. */
TEST(reason_spf_abort_swap_page_locked, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	fault_until(RACE_swap_page_locked, act_read);
	other.value = 0;
	sim_start(2, act_read, &other);
	wait_asleep(2);
	CHECK_EQ(REASONS(spf_abort_swap_page_locked), 1);
	go_on(RACE_swap_page_locked);
	sim_join(2);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(other.value, 100);
	idler_stop(3);
	end();
}

/* ---- The per-VMA lock -------------------------------------------------------------------------------------------- */

/*
 * Who waits for a page has dropped the VMA lock: a writer of that VMA gets through. Then the same strategy tries again, and
 * mmap_lock is never taken.
 */
TEST(v13_v19_nobody_waits_for_swap_with_the_vma_locked, 4)
{
	struct page *page;

	begin(POLICY_VMA, SPF_VALIDATE_VMA, true, KEPT);
	page = cached_page();
	CHECK(page_trylock(page));
	sim_start(1, act_read, &faulter);
	wait_asleep(1);
	sim_start(2, act_mprotect_read, &other);
	sim_join(2);
	CHECK_EQ(other.result, 0);
	CHECK(sim_is_sleeping(1));
	page_unlock(page);
	page_put(page);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(REASONS(vma_lock_retry_page), 1);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	end();
}

/* The VMA may go while we wait: nothing of it is touched afterwards. */
TEST(swap_vma_is_gone_after_the_wait, 4)
{
	FOR_EACH_STRATEGY (setup, true, KEPT) {
		struct page *page = cached_page();

		CHECK(page_trylock(page));
		sim_start(1, act_read, &faulter);
		wait_asleep(1);
		other.len = PAGES(NR_PAGES);
		sim_start(2, act_munmap, &other);
		sim_join(2);
		rcu_barrier();
		page_unlock(page);
		page_put(page);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	}
}

/* On a synchronous device nobody sleeps, nor lets go: one attempt. */
TEST(swap_synchronous_device_is_read_under_the_lock, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA, false, DROPPED);
	sim_start(1, act_read, &faulter);
	sim_join(1);
	CHECK_EQ(faulter.value, 100);
	CHECK_EQ(COUNTED(vma_lock_attempts), 1);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	CHECK_EQ(COUNTED(pswpin), 1);
	end();
}

/* The device becomes slow once the slot is claimed: through the cache, then, with the lock dropped. */
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

/* ---- Waiting ------------------------------------------------------------------------------------------------------ */

TEST(swap_waiter_can_be_killed, 4)
{
	struct page *page;

	begin(POLICY_FULL, SPF_VALIDATE_VMA, true, KEPT);
	page = cached_page();
	CHECK(page_trylock(page));
	sim_start(1, act_read, &faulter);
	wait_asleep(1);
	sim_kill(1);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_KILLED);
	page_unlock(page);
	page_put(page);
	end();
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
	page = cached_page();
	CHECK(page_trylock(page));
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
		struct page *page = cached_page();
		bool vma = setup->policy == POLICY_VMA || setup->policy == POLICY_FULL;

		idler_start(3, mm);
		CHECK(page_trylock(page));
		page_lock_hand_over(page);
		faulter.value = FAULT_NO_WAIT;
		sim_start(1, act_user_fault, &faulter);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_WOULD_BLOCK);
		CHECK_EQ(COUNTED(vma_lock_would_block), vma);
		CHECK_EQ(COUNTED(mmap_would_block), !vma);
		CHECK_EQ(REASONS(spf_abort_swap_page_locked), setup->policy == POLICY_SPEC || setup->policy == POLICY_FULL);
		page_end_read(page, 0);
		page_put(page);
		idler_stop(3);
	}
}

/* The page of the first address, locked for the second time while CPU 1, which has waited once, is about to lock it. */
static struct page *locked_again(void)
{
	struct page *page = cached_page();

	CHECK(page_trylock(page));
	sim_start(1, act_read, &faulter);
	wait_asleep(1);
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
		struct page *page = locked_again();

		other.addr = addr;
		sim_start(2, act_mprotect_read, &other);
		let_others_run();
		CHECK(sim_running(2)); /* it wants the VMA, or mmap_lock */
		CHECK(sim_is_sleeping(1));
		page_unlock(page);
		page_put(page);
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
			struct page *page;

			if (again) {
				page = locked_again();
			} else {
				page = cached_page();
				CHECK(page_trylock(page));
				sim_start(1, act_read, &faulter);
				wait_asleep(1);
			}
			sim_kill(1);
			sim_join(1);
			CHECK_EQ(faulter.result, FAULT_KILLED);
			page_unlock(page);
			page_put(page);
			other.addr = addr;
			sim_start(2, act_mprotect_read, &other);
			sim_join(2);
			CHECK_EQ(other.result, 0);
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
		sim_start(1, act_write, &faulter);
		sim_join(1);
	}
	CHECK_EQ(COUNTED(vma_lock_answered_swap), NR_PAGES);
	CHECK(REASONS(vma_lock_retry_page) > 0);
	CHECK_EQ(COUNTED(mmap_attempts), 0);
	CHECK_EQ(COUNTED(mmap_answered_swap) + COUNTED(spf_answered_swap), 0);
	disk_stop(3);
	end();
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, true, KEPT);
	idler_start(3, mm);
	sim_start(1, act_read, &faulter);
	sim_join(1);
	CHECK_EQ(COUNTED(spf_answered_swap), 1);
	idler_stop(3);
	end();
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, true, KEPT);
	sim_start(1, act_read, &faulter);
	sim_join(1);
	CHECK_EQ(COUNTED(mmap_answered_swap), 1);
	end();
}

/* ---- Slots -------------------------------------------------------------------------------------------------------- */

static void act_write_and_page_out(void *arg)
{
	struct actor *actor = arg;

	act_write(actor);
	if (actor->result == FAULT_DONE)
		act_page_out(actor);
}

/*
 * CPU 1 has read the slot past the swap cache, and is about to map what it read. CPU 2 wants the same page, to write to it and
 * send it out again: to the same slot, for there is no other, so that CPU 1 would find its entry unchanged (ABA).
 */
TEST(w1_slot_stays_claimed_until_the_entry_is_set, 4)
{
	static const enum fault_policy policies[] = { POLICY_MMAP, POLICY_VMA, POLICY_FULL };

	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(policies[i], SPF_VALIDATE_VMA, false, DROPPED);
		fault_until(RACE_swap_before_commit, act_read);
		other.value = 777;
		sim_start(2, act_write_and_page_out, &other);
		let_others_run();
		go_on(RACE_swap_before_commit);
		sim_join(2);
		CHECK_EQ(other.result, 0);
		expect_value(addr, 777);
		end();
	}
}

static void act_replace(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	put(actor->addr, 1); /* its page leaves the slot */
	CHECK_EQ(mm_madvise(actor->mm, actor->addr, PAGES(1), MADV_DONTNEED), 0);
	put(actor->addr, 777); /* another page, */
	CHECK_EQ(mm_madvise(actor->mm, actor->addr, PAGES(1), MADV_PAGEOUT), 0); /* which goes to the same slot */
	sim_leave_mm();
}

/* CPU 1 has found a page in the swap cache; when it comes to lock it, the slot holds another one, and the entry is the same. */
TEST(w2_page_is_checked_again_once_it_is_locked, 4)
{
	FOR_EACH_STRATEGY (setup, false, KEPT) {
		pte_t before = sim_pte(mm, addr);

		idler_start(3, mm);
		fault_until(RACE_swap_page_found, act_read);
		sim_start(2, act_replace, &other);
		sim_join(2);
		CHECK(pte_same(sim_pte(mm, addr), before));
		go_on(RACE_swap_page_found);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 777);
		idler_stop(3);
	}
}

/* swapoff has brought everything back while a fault holds the area: it waits for that fault before it forgets the slots. */
TEST(w3_area_stays_while_a_fault_holds_it, 4)
{
	FOR_EACH_STRATEGY (setup, false, KEPT) {
		idler_start(3, mm);
		fault_until(RACE_swap_area_held, act_read);
		sim_start(2, act_swapoff, &other);
		let_others_run_until(!mm_rss(mm, RSS_SWAP) || !sim_running(2), "swapoff leaves pages behind");
		wait_asleep(2);
		go_on(RACE_swap_area_held);
		sim_join(2);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(faulter.value, 100);
		CHECK(swap_area_on(disk) < 0);
		idler_stop(3);
	}
}

/* ---- Reclaim ------------------------------------------------------------------------------------------------------ */

static struct {
	u32 state; /* 0: waits, 1: told to write, 2: told to leave */
	u64 value;
	bool done;
} puppet;

/* Another thread, which writes when it is told to, without faulting. */
static void puppet_main(void *arg)
{
	u32 state;

	sim_use_mm(arg);
	put(addr, 50);
	store_release(&puppet.state, 0);
	while ((state = load_acquire(&puppet.state)) != 2) {
		if (state == 1) {
			puppet.done = sim_try_write(addr, puppet.value);
			store_release(&puppet.state, 0);
		}
		cpu_relax();
		sim_user_boundary();
	}
	sim_leave_mm();
}

static bool puppet_write(u64 value)
{
	puppet.value = value;
	store_release(&puppet.state, 1);
	while (load_acquire(&puppet.state) == 1)
		cond_resched();
	return puppet.done;
}

/*
 * CPU 3 writes to the page through a translation that reclaim has not flushed yet: that write is in what goes out. Once the
 * page is said to be unmapped, no such translation is left.
 */
TEST(w4_reclaim_flushes_before_it_judges, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, false, DROPPED);
	puppet.state = 3;
	sim_start(3, puppet_main, mm);
	while (load_acquire(&puppet.state) == 3)
		let_others_run_once();
	stop_at(RACE_reclaim_before_flush, 2);
	sim_start(2, act_page_out, &other);
	wait_stopped(RACE_reclaim_before_flush);
	CHECK(puppet_write(300));
	stop_at(RACE_reclaim_unmapped, 2);
	let_go(RACE_reclaim_before_flush);
	while (!race_stopped_at(RACE_reclaim_unmapped))
		let_others_run_once();
	CHECK(!puppet_write(400));
	let_go(RACE_reclaim_unmapped);
	sim_join(2);
	store_release(&puppet.state, 2);
	sim_join(3);
	expect_value(addr, 300);
	end();
}

static void act_reclaim(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = (long)reclaim_pages(1000);
	sim_leave_mm();
}

static void act_mlock(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_mlock(actor->mm, actor->addr, actor->len, false);
	sim_leave_mm();
}

static void act_munlock(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_munlock(actor->mm, actor->addr, actor->len);
	sim_leave_mm();
}

/* Reclaim has asked whether the memory is locked, and has not taken the page yet, when mlock comes. */
TEST(w5_mlocked_pages_stay, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA, false, DROPPED);
	faulter.len = PAGES(NR_PAGES);
	sim_start(1, act_mlock, &faulter); /* brings them in */
	sim_join(1);
	sim_start(1, act_munlock, &faulter);
	sim_join(1);
	stop_at(RACE_reclaim_before_clear, 2);
	sim_start(2, act_reclaim, &other);
	wait_stopped(RACE_reclaim_before_clear);
	sim_start(1, act_mlock, &faulter);
	let_others_run();
	let_go(RACE_reclaim_before_clear);
	sim_join(1);
	CHECK_EQ(faulter.result, 0);
	sim_join(2);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(pte_present(sim_pte(mm, addr + PAGES(page))));
	end();
}

/* The puppet has written to the first page, which is in memory: its translation is dirty. */
static void begin_with_puppet(u64 flags)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, false, DROPPED);
	if (flags != ANON) {
		unmap(mm, addr, NR_PAGES);
		addr = map(mm, NR_PAGES, RW, flags);
	}
	other.addr = faulter.addr = addr;
	puppet.state = 3;
	sim_start(3, puppet_main, mm);
	while (load_acquire(&puppet.state) == 3)
		let_others_run_once();
	CHECK(puppet_write(200));
}

static void end_with_puppet(void)
{
	store_release(&puppet.state, 2);
	sim_join(3);
	end();
}

/* As reclaim, which belongs to no address space, and holds no mmap_lock. */
static void act_reclaim_page(void *arg)
{
	struct actor *actor = arg;
	struct page *page = pte_counted_page(sim_pte(actor->mm, actor->addr));

	CHECK(page);
	page_get(page);
	reclaim_batch(&page, 1);
}

static struct mm *child;
static vaddr_t moved;

static void act_fork(void *arg)
{
	struct actor *actor = arg;

	child = test_mm(POLICY_MMAP);
	actor->result = mm_fork(child, actor->mm);
}

static void act_move(void *arg)
{
	struct actor *actor = arg;
	long result = mm_mremap(actor->mm, actor->addr, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);

	moved = (vaddr_t)result;
	actor->result = result > 0 ? 0 : result;
}

static void act_mprotect_none(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_mprotect(actor->mm, actor->addr, actor->len, PROT_NONE, -1);
}

static void expect_in(struct mm *where_mm, vaddr_t where, u64 value)
{
	sim_use_mm(where_mm);
	expect_get(where, value);
	sim_leave_mm();
}

static void expect_forked(void)
{
	expect_in(mm, addr, 300);
	expect_in(child, addr, 300);
	test_mm_put(child);
}

static void expect_moved(void)
{
	expect_in(mm, moved, 300);
	expect_in(mm, addr, 0);
}

static void expect_same(void)
{
	expect_in(mm, addr, 300);
}

static void expect_zero(void)
{
	expect_in(mm, addr, 0);
}

static void expect_nothing(void)
{
	CHECK(!sim_pte(mm, addr).val);
}

/*
 * Reclaim has put slots in the place of entries, and not flushed yet. Who changes the address space meanwhile finds nothing that
 * is present, but CPU 3 must not go on with what it has once the call is back: memory that is given back, protected, moved
 * away, or a child's as well.
 */
TEST(w6_nobody_returns_before_reclaim_has_flushed, 4)
{
	static const struct {
		sim_func *change;
		void (*expect)(void);
	} calls[] = {
		{ act_munmap, expect_nothing }, { act_mprotect_read, expect_same }, { act_dontneed, expect_zero },
		{ act_move, expect_moved },	{ act_fork, expect_forked },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		begin_with_puppet(ANON);
		stop_at(RACE_reclaim_before_flush, 2);
		sim_start(2, act_reclaim_page, &other);
		wait_stopped(RACE_reclaim_before_flush);
		CHECK(puppet_write(300));
		sim_start(1, calls[i].change, &faulter);
		sim_join(1);
		CHECK_EQ(faulter.result, 0);
		CHECK(!puppet_write(400));
		let_go(RACE_reclaim_before_flush);
		sim_join(2);
		calls[i].expect();
		end_with_puppet();
	}
}

/*
 * mprotect has made the entry one that no CPU can use, and not flushed yet: reclaim does not conclude from the entry that no CPU
 * writes to the page any more, be it a process's own or shared.
 */
TEST(w7_unusable_entry_may_have_been_usable, 4)
{
	static const u64 kinds[] = { ANON, MAP_SHARED | MAP_ANONYMOUS };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		begin_with_puppet(kinds[i]);
		stop_at(RACE_zap_before_flush, 1);
		sim_start(1, act_mprotect_none, &faulter);
		wait_stopped(RACE_zap_before_flush);
		CHECK(!pte_present(sim_pte(mm, addr)));
		CHECK(puppet_write(300));
		sim_start(2, act_reclaim_page, &other);
		sim_join(2);
		CHECK(!puppet_write(400));
		go_on(RACE_zap_before_flush);
		CHECK_EQ(faulter.result, 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(1), RW, -1), 0);
		expect_value(addr, 300);
		end_with_puppet();
	}
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
