/* SPDX-License-Identifier: MIT */
/* Races of speculation with signals, of faults with growing stacks; and tests of which accesses grow a stack. */
#include "race_stage.h"

#include "disk.h"
#include "mm/swap/swap.h"
#include "mm/vma/vma.h"

#define STACK_TOP 0x7ffff0000000UL

/* Rights that are read while they change must not lead to a signal. */
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

/* Growth changes a VMA's start, which a fault that holds the VMA lock may be using: growth waits for it. */
TEST(v4_growth_waits_for_vma_readers, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_vma_locked, act_write);
	other.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &other);
	let_others_run();
	CHECK_EQ(sim_vma(mm, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.result, FAULT_DONE);
	CHECK_EQ(sim_vma(mm, STACK_TOP - 8)->start, STACK_TOP - PAGES(10));
	end();
}

/* ... unless its thread is killed: then the stack stays as it is, and the fault ends before the reader does. */
TEST(v4_growth_that_waits_ends_for_the_dying, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_vma_locked, act_write);
	other.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &other);
	wait_asleep(2);
	sim_kill(2);
	let_others_run_until(!sim_running(2), "the killed thread still waits");
	CHECK_EQ(other.result, FAULT_KILLED);
	CHECK_EQ(sim_vma(mm, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_vma_locked, 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	end();
}

/* ... and for a fault that holds mmap_lock for reading and walks the tree. */
TEST(v5_growth_waits_for_mmap_lock_readers, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_mmap_locked, act_write);
	other.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &other);
	wait_asleep(2);
	CHECK_EQ(sim_vma(mm, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_mmap_locked, 1);
	sim_join(2);
	CHECK_EQ(other.result, FAULT_DONE);
	end();
}

/* Speculation copies the fields of a VMA while growth changes them: neither waits for the other. */
TEST(stack_grows_while_speculation_reads_its_vma, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
		puppet_start();
		faulter.addr = STACK_TOP - 8;
		fault_until(RACE_spec_after_sample, act_write);
		other.addr = STACK_TOP - PAGES(10);
		change_until(RACE_stack_before_grow, act_write);
		let_go(RACE_stack_before_grow);
		let_go(RACE_spec_after_sample);
		sim_join(1);
		sim_join(2);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(other.result, FAULT_DONE);
		puppet_stop();
		end();
	}
}

/* ---- Which accesses grow a stack --------------------------------------------------------------------------------- */

static u64 stack_pages(void)
{
	return (STACK_TOP - sim_vma(mm, STACK_TOP - 8)->start) >> PAGE_SHIFT;
}

/*
 * Only accesses of the thread itself do, in user mode or by a copy of the kernel. A caller without such a flag grows no
 * stack, whatever its other flags.
 */
TEST(a2_stack_grows_for_its_own_thread_only, 1)
{
	static const unsigned own[] = { FAULT_USER, FAULT_UACCESS };
	const vaddr_t below = STACK_TOP - PAGES(10);

	FOR_EACH_STRATEGY (setup) {
		CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
		for (unsigned flags = 0; flags <= FAULT_NO_WAIT + FAULT_NO_RETRY; flags++)
			if (!(flags & (FAULT_OWN | FAULT_TRIED)))
				CHECK_EQ(fault_in(mm, below, flags & 1 ? ACCESS_WRITE : ACCESS_READ, flags),
					 FAULT_NO_MAPPING);
		CHECK_EQ(mm_populate(mm, below, below + PAGES(1), true), -ENOMEM);
		CHECK_EQ(mm_mlock(mm, below, PAGES(1), false), -ENOMEM);
		CHECK_EQ(mm_madvise(mm, below, PAGES(1), MADV_POPULATE_WRITE), -ENOMEM);
		CHECK_EQ(stack_pages(), 4);
		for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
			CHECK_EQ(fault_in(mm, below - PAGES(i), ACCESS_WRITE, own[i]), FAULT_DONE);
			CHECK_EQ(stack_pages(), 10 + i);
		}
	}
}

static struct disk *disk;

static void act_swapoff(void *arg)
{
	((struct actor *)arg)->result = swap_area_remove((unsigned)swap_area_on(disk));
}

/* swapoff has found an entry. The program unmaps it; the VMA above is a stack that could grow over that address. */
TEST(a2_stack_does_not_grow_for_swapoff, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	disk = disk_create(256);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(8), false), 0);
	sim_use_mm(mm);
	put_pages(STACK_TOP - PAGES(8), 8, 300);
	CHECK_EQ(mm_madvise(mm, STACK_TOP - PAGES(8), PAGES(8), MADV_PAGEOUT), 0);
	disk_complete_all(disk);
	(void)swap_cache_shrink();
	sim_leave_mm();
	CHECK_EQ(pte_kind(sim_pte(mm, STACK_TOP - PAGES(8))), PTE_KIND_SWAP);
	change_until(RACE_swapoff_before_fault, act_swapoff);
	CHECK_EQ(mm_munmap(mm, STACK_TOP - PAGES(8), PAGES(4)), 0);
	go_on(RACE_swapoff_before_fault, 2);
	CHECK_EQ(other.result, 0);
	CHECK_EQ(stack_pages(), 4);
	sim_use_mm(mm);
	expect_pages(STACK_TOP - PAGES(4), 4, 304);
	sim_leave_mm();
	end();
}
