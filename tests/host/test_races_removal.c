/* SPDX-License-Identifier: MIT */
/*
 * Races of holes and truncation: with each other, with MADV_DONTNEED, and with accesses to what is being removed. CPU 2 removes, CPU
 * 1 does something meanwhile, CPU 3 (the puppet) has a translation of the old page.
 */
#include "race_stage.h"

#include "mm/mapping.h"
#include "mm/vma.h"

static void act_remove(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_madvise(actor->mm, actor->addr, PAGES(2), MADV_REMOVE);
	sim_leave_mm();
}

static struct mapping *object;
static vaddr_t shared; /* shows it */

static void act_truncate(void *arg)
{
	struct actor *actor = arg;

	actor->result = mapping_truncate(object, 0);
}

static struct mapping *mapping_at(vaddr_t where)
{
	return vma_tree_find(&mm->tree, where)->mapping;
}

/* Shared memory; the first two pages of its object hold `value`, which no entry was used to write. */
static void map_shared(u64 prot, u64 value)
{
	shared = map(mm, 4, prot, MAP_SHARED | MAP_ANONYMOUS);
	object = mapping_at(shared);
	for (u64 page = 0; page < 2; page++)
		CHECK_EQ(mapping_write(object, PAGES(page), &value, sizeof(value)), sizeof(value));
	faulter.addr = other.addr = shared;
}

static void expect_puppet_reads(vaddr_t where, u64 value)
{
	CHECK_EQ(puppet_do(false, true, where, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, value);
}

/* Two threads punch the same hole, or one of them truncates. The second finds no page, and waits for the flush of the first. */
TEST(k9_second_removal_waits_for_the_first, 4)
{
	sim_func *const removals[] = { act_remove, act_truncate };

	FOR_EACH_STRATEGY (setup)
		for (unsigned first = 0; first < ARRAY_SIZE(removals); first++)
			for (unsigned second = 0; second < ARRAY_SIZE(removals); second++) {
				map_shared(PROT_READ, 111);

				puppet_start();
				expect_puppet_reads(shared, 111);
				change_until(RACE_zap_before_flush, removals[first]);
				sim_start(1, removals[second], &faulter);
				wait_asleep(1);
				go_on(RACE_zap_before_flush, 1);
				CHECK_EQ(faulter.result, 0);
				CHECK(!puppet_do(false, false, shared, 0));
				sim_join(2);
				puppet_stop();
				unmap(mm, shared, 4);
			}
}

static void act_drop_shared(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_madvise(actor->mm, actor->addr, PAGES(2), MADV_DONTNEED);
}

/* Another thread has zapped the entry, and not flushed: the page looks as if nobody mapped it. */
TEST(k9_removal_flushes_what_dontneed_has_not, 4)
{
	FOR_EACH_STRATEGY (setup) {
		map_shared(PROT_READ, 111);

		puppet_start();
		expect_puppet_reads(shared, 111);
		change_until(RACE_zap_before_flush, act_drop_shared);
		CHECK(puppet_do(false, false, shared, 0));
		sim_start(1, act_remove, &faulter);
		sim_join(1);
		CHECK_EQ(faulter.result, 0);
		CHECK(!puppet_do(false, false, shared, 0));
		go_on(RACE_zap_before_flush, 2);
		puppet_stop();
	}
}

static void act_drop_mapping(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_munmap(actor->mm, actor->addr, PAGES(4));
}

/*
 * To reclaim, to write-back, and to a fault that fills its slot again, the page looks unmapped as soon as the entry's lock is free. So
 * no translation is left to write through.
 */
TEST(w4_zapped_shared_page_takes_no_write, 4)
{
	sim_func *const zaps[] = { act_remove, act_drop_shared, act_truncate, act_drop_mapping };

	FOR_EACH_STRATEGY (setup)
		for (unsigned i = 0; i < ARRAY_SIZE(zaps); i++) {
			map_shared(RW, 111);
			puppet_start();
			CHECK_EQ(puppet_do(true, true, shared, 112), FAULT_DONE);
			change_until(RACE_zap_before_flush, zaps[i]);
			CHECK(pte_none(sim_pte(mm, shared)));
			CHECK(!puppet_do(true, false, shared, 7));
			go_on(RACE_zap_before_flush, 2);
			puppet_stop();
			if (zaps[i] != act_drop_mapping)
				unmap(mm, shared, 4);
		}
}

/* Beside a hole: what CPU 1 writes, and what CPU 3 writes after it has seen that, stay. */
TEST(w4_writes_beside_a_hole_stay, 4)
{
	FOR_EACH_STRATEGY (setup) {
		map_shared(RW, 111);
		puppet_start();
		CHECK_EQ(puppet_do(true, true, shared, 112), FAULT_DONE);
		change_until(RACE_zap_before_flush, act_remove);
		faulter.addr = shared + 8;
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(puppet_do(true, true, shared + 16, 7), FAULT_DONE);
		go_on(RACE_zap_before_flush, 2);
		puppet_stop();
		sim_use_mm(mm);
		expect_get(shared, 0);
		expect_get(shared + 8, 1);
		expect_get(shared + 16, 7);
		sim_leave_mm();
	}
}

/*
 * Two address spaces show a page. A hole is punched; one of them is unmapped, the other not yet: there a thread still reads and writes
 * the old page. No other page may take its place, or what is written to the old one after the new one was seen would be lost.
 */
static struct mm *second;
static vaddr_t there;

static void begin_two(enum fault_policy policy)
{
	struct mmap_request request = {
		.len = PAGES(4), .prot = RW, .flags = MAP_SHARED, .ops = &mapping_vma_ops, .file_writable = true
	};

	map_shared(RW, 111);
	request.mapping = object;
	second = test_mm(policy);
	there = mm_mmap(second, &request);
	sim_use_mm(second);
	expect_get(there, 111);
	sim_leave_mm();
	sim_use_mm(mm);
	expect_get(shared, 111);
	sim_leave_mm();
	change_until(RACE_zap_before_flush, act_remove);
	CHECK(pte_none(sim_pte(mm, shared)) != pte_none(sim_pte(second, there)));
	faulter.value = 1;
	if (pte_none(sim_pte(second, there)))
		faulter = (struct actor){ .mm = second, .addr = there, .value = 1 };
}

TEST(k5_new_page_waits_until_the_old_one_is_mapped_nowhere, 4)
{
	FOR_EACH_STRATEGY (setup) {
		begin_two(setup->policy);
		sim_start(1, act_write, &faulter);
		wait_asleep(1);
		go_on(RACE_zap_before_flush, 2);
		CHECK_EQ(other.result, 0);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		sim_use_mm(mm);
		expect_get(shared, 1);
		sim_leave_mm();
		sim_use_mm(second);
		expect_get(there, 1);
		sim_leave_mm();
		test_mm_put(second);
	}
}

TEST(wait_for_a_removal_is_killable, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	begin_two(POLICY_FULL);
	sim_start(1, act_write, &faulter);
	wait_asleep(1);
	sim_kill(1);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_KILLED);
	go_on(RACE_zap_before_flush, 2);
	test_mm_put(second);
	end();
}
