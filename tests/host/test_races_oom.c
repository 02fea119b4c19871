/* SPDX-License-Identifier: MIT */
/* Races of the OOM reaper (mm/reclaim/oom_reap.h) with threads of the address space that it reaps. CPU 2 reaps. */
#include "race_stage.h"

#include "mm/reclaim/oom_reap.h"

static void act_reap(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_reap(actor->mm) ? 0 : -1;
}

/* CPU 1 has found an empty entry and has a page ready for it when the reaper reaps: the page is not mapped. */
static void reap_before_commit(vaddr_t where, sim_func *access, enum race_point_id point)
{
	faulter.addr = where;
	fault_until(point, access);
	change_now(act_reap);
	go_on(point, 1);
	CHECK_EQ(faulter.result, FAULT_KILLED);
	CHECK(pte_none(sim_pte(mm, where)));
	CHECK_EQ(mm_rss_total(mm), 0);
}

TEST(o1_fault_does_not_refill_what_was_reaped, 4)
{
	FOR_EACH_STRATEGY (setup)
		reap_before_commit(addr + PAGES(5), act_write, RACE_anon_page_ready);
	FOR_EACH_STRATEGY (setup)
		reap_before_commit(addr + PAGES(5), act_read, RACE_fault_enter);
	FOR_EACH_STRATEGY (setup) { /* not even a page table */
		map_at(mm, 7UL << 40, 1, RW, ANON);
		reap_before_commit(7UL << 40, act_write, RACE_anon_page_ready);
	}
}

/* The fault holds the entry's lock: the reaper waits for it, and unmaps the new page as well. */
TEST(o1_reaper_takes_what_was_just_mapped, 4)
{
	FOR_EACH_STRATEGY (setup) {
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_commit_before_set, act_write_fault);
		sim_start(2, act_reap, &other);
		let_others_run();
		CHECK(sim_running(2));
		go_on(RACE_commit_before_set, 1);
		sim_join(2);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(mm_rss_total(mm), 0);
	}
}

/* The reaper leaves shared memory alone. An access to a page that is mapped there still succeeds. */
TEST(o1_shared_memory_is_not_reaped, 4)
{
	vaddr_t shared;

	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	shared = map(mm, 2, RW, MAP_SHARED | MAP_ANONYMOUS);
	puppet_start();
	CHECK_EQ(puppet_do(true, true, shared, 7), FAULT_DONE);
	CHECK(!mm->reaped);
	change_now(act_reap);
	CHECK(mm->reaped); /* nothing is left to reap */
	CHECK_EQ(mm_rss_total(mm), 1);
	CHECK_EQ(puppet_do(false, true, shared, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, 7);
	CHECK_EQ(puppet_do(true, true, shared + PAGES(1), 7), FAULT_KILLED);
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_KILLED);
	puppet_stop();
	end();
}

/*
 * Another thread holds mmap_lock for writing: the reaper does not wait for it, but from now on no fault maps a page
 * again.
 */
TEST(o2_reaper_does_not_wait, 4)
{
	struct actor reaper;

	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	reaper = other;
	change_until(RACE_write_locked, act_munmap);
	sim_start(1, act_reap, &reaper);
	sim_join(1);
	CHECK_EQ(reaper.result, -1);
	CHECK(!mm->reaped);
	CHECK_EQ(mm_rss(mm, RSS_ANON), 2);
	go_on(RACE_write_locked, 2);
	CHECK_EQ(other.result, 0);
	map_at(mm, addr, 1, RW, ANON | MAP_FIXED);
	sim_start(3, act_write, &faulter);
	sim_join(3);
	CHECK_EQ(faulter.result, FAULT_KILLED);
	sim_start(1, act_reap, &reaper);
	sim_join(1);
	CHECK_EQ(reaper.result, 0);
	end();
}

/* The last user leaves while the reaper is about to start: the reaper leaves the emptied address space alone. */
TEST(o3_reaper_meets_the_end_of_the_address_space, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	mmgrab(mm);
	change_until(RACE_reap_begun, act_reap);
	mmput(mm);
	go_on(RACE_reap_begun, 2);
	CHECK_EQ(other.result, -1);
	mmdrop(mm);
	race_disarm_all();
}
