/* SPDX-License-Identifier: MIT */
/*
 * Races on swap slots and areas: an entry stays the same while its slot gets another page, or while swapoff removes its
 * area.
 */
#include "swap_race_stage.h"

#include "mm/table/tlb.h"

static void act_write_and_page_out(void *arg)
{
	struct actor *actor = arg;

	act_write(actor);
	if (actor->result == FAULT_DONE)
		act_page_out(actor);
}

/*
 * CPU 1 has read the slot, bypassing the swap cache, and is about to map the page. CPU 2 wants to write to the same
 * page and swap it out again: to the same slot, as there is no other, so that CPU 1 would find its entry unchanged
 * (ABA).
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
		go_on(RACE_swap_before_commit, 1);
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
	/* ... which is swapped out to the same slot */
	actor->result = mm_madvise(actor->mm, actor->addr, PAGES(1), MADV_PAGEOUT);
	sim_leave_mm();
}

/*
 * CPU 1 has found a page in the swap cache; by the time it locks it, the slot holds another page, and the entry is the
 * same.
 */
TEST(w2_page_is_checked_again_once_it_is_locked, 4)
{
	FOR_EACH_STRATEGY (setup, false, KEPT) {
		pte_t before = sim_pte(mm, addr);

		idler_start(3, mm);
		fault_until(RACE_swap_page_found, act_read);
		change_now(act_replace);
		CHECK(pte_same(sim_pte(mm, addr), before));
		go_on(RACE_swap_page_found, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 777);
		idler_stop(3);
	}
}

static void act_swapoff(void *arg)
{
	((struct actor *)arg)->result = swap_area_remove((unsigned)swap_area_on(disk));
}

/* swapoff has brought all pages back while a fault holds the area: it waits for that fault before it frees the area. */
TEST(w3_area_stays_while_a_fault_holds_it, 4)
{
	FOR_EACH_STRATEGY (setup, false, KEPT) {
		idler_start(3, mm);
		fault_until(RACE_swap_area_held, act_read);
		sim_start(2, act_swapoff, &other);
		let_others_run_until(!mm_rss(mm, RSS_SWAP) || !sim_running(2), "swapoff leaves pages behind");
		wait_asleep(2);
		go_on(RACE_swap_area_held, 1);
		sim_join(2);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(faulter.value, 100);
		CHECK(swap_area_on(disk) < 0);
		idler_stop(3);
	}
}

static void act_end(void *arg)
{
	mmput(((struct actor *)arg)->mm);
}

/* An address space that is being destroyed frees its slots itself: until then swapoff repeats its search. */
TEST(swapoff_waits_for_an_address_space_that_ends, 4)
{
	struct mm *ending = test_mm(POLICY_DEFAULT);
	vaddr_t in_swap, before;

	begin(POLICY_FULL, SPF_VALIDATE_VMA, false, DROPPED);
	unmap(mm, addr, NR_PAGES);
	in_swap = map(ending, NR_PAGES, RW, ANON);
	before = map(ending, TLB_GATHER_PAGES, RW, ANON);
	CHECK(before < in_swap);
	sim_use_mm(ending);
	put_pages(before, TLB_GATHER_PAGES, 0);
	put_pages(in_swap, NR_PAGES, 0);
	CHECK_EQ(mm_madvise(ending, in_swap, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	sim_leave_mm();
	other.mm = ending;
	change_until(RACE_zap_before_flush, act_end);
	sim_start(1, act_swapoff, &faulter);
	let_others_run();
	CHECK(sim_running(1));
	CHECK_EQ(mm_rss(ending, RSS_SWAP), NR_PAGES);
	go_on(RACE_zap_before_flush, 2);
	sim_join(1);
	CHECK_EQ(faulter.result, 0);
	CHECK(swap_area_on(disk) < 0);
	end();
}

static void act_protect_none(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_mprotect(mm, actor->addr, PAGES(1), PROT_NONE, -1);
	sim_leave_mm();
}

/*
 * swapoff has found an entry of its area, and holds no lock. Memory that is unmapped before swapoff faults is left
 * alone; pages that the program may not access are brought back all the same.
 */
TEST(w3_swapoff_brings_back_what_is_still_there, 4)
{
	static const struct {
		sim_func *change;
		u64 nr_back;
	} changes[] = { { act_dontneed, NR_PAGES - 1 }, { act_munmap, NR_PAGES - 1 }, { act_protect_none, NR_PAGES } };

	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		begin(POLICY_FULL, SPF_VALIDATE_VMA, false, DROPPED);
		stop_at(RACE_swapoff_before_fault, 2);
		sim_start(2, act_swapoff, &other);
		wait_stopped(RACE_swapoff_before_fault);
		fault_now(changes[i].change);
		CHECK_EQ(faulter.result, 0);
		go_on(RACE_swapoff_before_fault, 2);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(mm_rss(mm, RSS_ANON), changes[i].nr_back);
		CHECK_EQ(pte_counted_page(sim_pte(mm, addr)) != NULL, changes[i].nr_back == NR_PAGES);
		CHECK_EQ(pte_none(sim_pte(mm, addr)), changes[i].nr_back != NR_PAGES);
		CHECK(swap_area_on(disk) < 0);
		end();
	}
}

/* The fault has read the entry. Before it holds the area, swapoff brings all pages back and removes the area. */
TEST(swap_area_may_be_gone_before_it_is_held, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA, false, DROPPED);
	idler_start(3, mm);
	fault_until(RACE_spec_after_walk, act_read);
	change_now(act_swapoff);
	go_on(RACE_spec_after_walk, 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(faulter.value, 100);
	idler_stop(3);
	end();
}
