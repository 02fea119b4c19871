/* SPDX-License-Identifier: MIT */
/* Races on page tables: a table exists as long as a CPU may walk it, and is freed after a shootdown. */
#include "race_stage.h"

static struct page *table_of(vaddr_t where)
{
	struct pt_walk walk = sim_walk(mm, where);

	CHECK_EQ(walk.state, PT_TABLE);
	return pmd_table(walk.pmd);
}

/*
 * The table is removed between the walk and the lock. The table and its lock stay valid until speculation, which is
 * about to try the lock, has left its RCU section; speculation then sees that the table has been unlinked.
 */
TEST(s4_s5_table_and_lock_outlive_speculation, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		struct page *table;

		begin(POLICY_SPEC, validate);
		table = table_of(addr);
		puppet_start();
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_spec_before_trylock, act_write);
		change_now(act_munmap);
		let_others_run();
		CHECK(page_test(table, PG_TABLE));
		CHECK(pte_none(pte_read(page_to_virt(table))));
		go_on(RACE_spec_before_trylock, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_pmd_changed), 1);
		puppet_stop();
		rcu_barrier();
		CHECK(!page_test(table, PG_TABLE));
		CHECK_EQ(mm->nr_tables, 1);
		end();
	}
}

/* After munmap speculation must not build a table, which would never be freed. */
TEST(s6_speculation_builds_no_table, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		puppet_start();
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_spec_before_walk, act_write);
		change_now(act_munmap);
		go_on(RACE_spec_before_walk, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(mm->nr_tables, 1);
		puppet_stop();
		end();
	}
}

/*
 * A table without present entries is freed while a CPU has its PMD entry in a paging-structure cache, as any CPU may by
 * walking speculatively. Without a shootdown it would walk freed memory.
 */
TEST(k6_freed_table_is_shot_down, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	puppet_start();
	CHECK_EQ(mm_madvise(mm, addr, PAGES(16), MADV_DONTNEED), 0);
	puppet_look_ahead(addr);
	change_now(act_munmap);
	rcu_barrier();
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_NO_MAPPING);
	puppet_stop();
	end();
}

static void knows_table(void)
{
	puppet.result = sim_knows_table(puppet.addr);
}

/* Until the shootdown, CPUs may walk the table, which is unlinked and empty; when it is handed to RCU, none does. */
TEST(k6_table_is_walked_until_the_shootdown, 4)
{
	struct page *table;

	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	table = table_of(addr);
	puppet_start();
	puppet_look_ahead(addr);
	change_until(RACE_tables_before_free, act_munmap);
	CHECK(sim_walk(mm, addr).state != PT_TABLE);
	CHECK(puppet_run(knows_table, addr));
	puppet_look_ahead(addr);
	CHECK(page_test(table, PG_TABLE));
	stop_at(RACE_tables_after_flush, 2);
	let_go(RACE_tables_before_free);
	wait_stopped(RACE_tables_after_flush);
	CHECK(page_test(table, PG_TABLE));
	CHECK(!puppet_run(knows_table, addr));
	puppet_look_ahead(addr);
	CHECK(!puppet_run(knows_table, addr));
	go_on(RACE_tables_after_flush, 2);
	CHECK_EQ(other.result, 0);
	rcu_barrier();
	CHECK(!page_test(table, PG_TABLE));
	puppet_stop();
	end();
}

/*
 * The PTE lock is held while copy-on-write waits for a shootdown. A CPU that wants that lock must be able to respond:
 * it waits with interrupts enabled, or, in speculation, does not wait.
 */
static void shootdown_under_pte_lock(void)
{
	child = test_mm(POLICY_DEFAULT);
	sim_use_mm(mm);
	CHECK_EQ(mm_fork(child, mm), 0);
	sim_leave_mm();
	puppet_start();
	other.addr = addr;
	change_until(RACE_cow_before_flush, act_write);
	faulter.addr = addr + PAGES(5);
	sim_start(1, act_write, &faulter); /* uses the same page table */
	let_others_run();
	let_go(RACE_cow_before_flush);
	let_others_run_until(!sim_running(2) && !sim_running(1),
			     "the shootdown is not answered by a CPU that wants the PTE lock");
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.result, FAULT_DONE);
	puppet_stop();
	test_mm_put(child);
}

TEST(k1_s3_shootdown_under_the_pte_lock, 4)
{
	FOR_EACH_STRATEGY (setup)
		shootdown_under_pte_lock();
}
