/* SPDX-License-Identifier: MIT */
/* Races about signals that must not be, and stacks that grow. */
#include "race_stage.h"

#include "mm/vma.h"

#define STACK_TOP 0x7ffff0000000UL

/* Rights read while they change must not become a signal. */
TEST(s15_speculation_never_signals, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		puppet_start();
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(16), PROT_READ, -1), 0);
		fault_until(RACE_spec_after_snapshot, act_write);
		change_now(act_mprotect_rw);
		go_on(RACE_spec_after_snapshot, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_access), 0);
		puppet_stop();
		end();
	}
}

/* Growth moves a VMA's start: not while a fault that holds the VMA goes by it. */
TEST(v4_growth_waits_for_vma_readers, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_vma_locked, act_write);
	other.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &other);
	let_others_run();
	CHECK_EQ(vma_tree_find(&mm->tree, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.result, FAULT_DONE);
	CHECK_EQ(vma_tree_find(&mm->tree, STACK_TOP - 8)->start, STACK_TOP - PAGES(10));
	end();
}

/* ... nor while one that holds mmap_lock for reading walks the tree. */
TEST(v5_growth_waits_for_mmap_lock_readers, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_mmap_locked, act_write);
	other.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &other);
	wait_asleep(2);
	CHECK_EQ(vma_tree_find(&mm->tree, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_mmap_locked, 1);
	sim_join(2);
	CHECK_EQ(other.result, FAULT_DONE);
	end();
}
