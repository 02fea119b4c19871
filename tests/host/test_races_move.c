/* SPDX-License-Identifier: MIT */
/* Races of mremap, and of an anon_vma that is replaced or published. */
#include "race_stage.h"

#include "mm/vma/rmap.h"
#include "mm/vma/vma.h"

static vaddr_t target;

static void act_mremap(void *arg)
{
	struct actor *actor = arg;
	long result;

	sim_use_mm(actor->mm);
	result = mm_mremap(actor->mm, actor->addr, actor->len, actor->len, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	actor->result = result == (long)target ? 0 : result;
	sim_leave_mm();
}

/* Between the linking of the new VMA and the move of the entries, no fault may fill the source or the target. */
TEST(s8_v2_mremap_bars_source_and_target, 4)
{
	FOR_EACH_STRATEGY (setup) {
		target = 0x200000000000UL + (addr & (PMD_SIZE - 1));
		puppet_start();
		change_until(RACE_mremap_before_move, act_mremap);
		faulter.addr = target;
		sim_start(1, act_read, &faulter);
		let_others_run();
		CHECK(sim_running(1));
		CHECK(pte_none(sim_pte(mm, target)));
		go_on(RACE_mremap_before_move, 2);
		sim_join(1);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 100);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_NO_MAPPING);
		CHECK_EQ(puppet_do(false, true, target + PAGES(15), 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 115);
		puppet_stop();
	}
}

/* The same for the source: a page mapped there before the move would be lost. */
TEST(s8_mremap_bars_the_source, 4)
{
	FOR_EACH_STRATEGY (setup) {
		target = 0x200000000000UL + (addr & (PMD_SIZE - 1));
		puppet_start();
		change_until(RACE_mremap_before_move, act_mremap);
		faulter.addr = addr + PAGES(3);
		sim_start(1, act_write, &faulter);
		let_others_run();
		CHECK(sim_running(1));
		go_on(RACE_mremap_before_move, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(puppet_do(false, true, target + PAGES(3), 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 0);
		puppet_stop();
	}
}

/* ---- anon_vma ---------------------------------------------------------------------------------------------------- */

/* Speculation has prepared the page and read its anon_vma; then munmap unlinks that anon_vma. */
TEST(s12_anon_vma_unlinked_under_speculation, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		puppet_start();
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_anon_page_ready, act_write);
		change_now(act_munmap);
		go_on(RACE_anon_page_ready, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
		puppet_stop();
		end();
	}
}

/*
 * Two threads prepare one VMA: no thread sees the first anon_vma before it is published, one of the two is used, and
 * the reverse map finds both pages.
 */
TEST(v7_anon_vma_is_published_last, 4)
{
	FOR_EACH_STRATEGY (setup) {
		vaddr_t fresh = map(mm, 4, RW | PROT_EXEC, ANON);

		puppet_start();
		faulter.addr = fresh;
		fault_until(RACE_anon_vma_before_publish, act_write);
		CHECK(!sim_vma(mm, fresh)->anon_vma);
		CHECK_EQ(puppet_do(true, true, fresh + PAGES(1), 2), FAULT_DONE);
		go_on(RACE_anon_vma_before_publish, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		check_quiet(); /* checks the reverse map, among others */
		puppet_stop();
	}
}

static void act_move_away(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_mremap(mm, addr, PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0) < 0;
	sim_leave_mm();
}

/*
 * The fault has found the VMA, but not locked it yet. mremap moves its pages away and unlinks its anon_vma, but the VMA
 * stays. The page that the fault then maps must be found through the VMA's new anon_vma: test_mm_put() checks it.
 */
TEST(v6_anon_vma_is_read_under_the_vma_lock, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = addr + PAGES(5);
	faulter.value = 55;
	fault_until(RACE_vma_after_find, act_write);
	change_now(act_move_away);
	go_on(RACE_vma_after_find, 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	check_quiet();
	end();
}
