/* SPDX-License-Identifier: MIT */
/*
 * Races of hole punching and truncation: with each other, with MADV_DONTNEED, and with accesses to the pages being
 * removed. CPU 2 removes, CPU 1 interferes, CPU 3 (the puppet) has a translation of the old page.
 */
#include "race_stage.h"

#include "sim_file.h"

#include "mm/cache/mapping.h"
#include "mm/vma/vma.h"

static void act_remove(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_madvise(actor->mm, actor->addr, PAGES(2), MADV_REMOVE);
	sim_leave_mm();
}

static struct mapping *object;
static vaddr_t shared; /* maps the object */

static void act_truncate(void *arg)
{
	struct actor *actor = arg;

	actor->result = mapping_truncate(object, 0);
}

/* In the middle of the object's first page. */
#define NEW_END (PAGE_SIZE / 2)

static void act_cut(void *arg)
{
	struct actor *actor = arg;

	actor->result = mapping_truncate(object, NEW_END);
}

static struct mapping *mapping_at(vaddr_t where)
{
	return sim_vma(mm, where)->mapping;
}

/* Shared memory; the first two pages of its object hold `value`, written without any entry. */
static void map_shared(u64 prot, u64 value)
{
	shared = map(mm, 4, prot, MAP_SHARED | MAP_ANONYMOUS);
	object = mapping_at(shared);
	for (u64 page = 0; page < 2; page++)
		CHECK_EQ(mapping_write(object, PAGES(page), &value, sizeof(value)), sizeof(value));
	faulter.addr = other.addr = shared;
}

/* Maps the object a second time, in any address space, at an address with a page table of its own. */
static vaddr_t map_again(struct mm *of)
{
	const struct mmap_request request = { .addr = shared - (1UL << 32),
					      .len = PAGES(4),
					      .prot = RW,
					      .flags = MAP_SHARED | MAP_FIXED,
					      .mapping = object,
					      .ops = &mapping_vma_ops,
					      .file_writable = true };

	CHECK_EQ(mm_mmap(of, &request), request.addr);
	return request.addr;
}

static void expect_puppet_reads(vaddr_t where, u64 value)
{
	CHECK_EQ(puppet_do(false, true, where, 0), FAULT_DONE);
	CHECK_EQ(puppet.value, value);
}

/*
 * Two threads punch the same hole, or one of them truncates. The second finds no page, and must wait for the first
 * one's flush.
 */
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

/* Another thread has cleared the entry and not flushed yet: the page looks unmapped. */
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
 * To reclaim, to write-back, and to a fault that fills its slot again, the page looks unmapped as soon as the entry's
 * lock is released. So no translation may be left through which a CPU can write.
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

/* Concurrently with a hole: what CPU 1 writes, and what CPU 3 writes after it has seen that, is kept. */
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

/* Checks one page at two addresses of a process. */
static void expect_both(const vaddr_t *views, u64 offset, u64 value)
{
	sim_use_mm(mm);
	for (unsigned i = 0; i < 2; i++)
		expect_get(views[i] + offset, value);
	sim_leave_mm();
}

static void map_both(vaddr_t *views)
{
	map_shared(RW, 111);
	views[0] = shared;
	views[1] = map_again(mm);
	puppet_start();
	for (unsigned i = 0; i < 2; i++)
		for (unsigned page = 0; page < 2; page++)
			CHECK_EQ(puppet_do(true, true, views[i] + PAGES(page), 112), FAULT_DONE);
}

static void unmap_both(const vaddr_t *views)
{
	puppet_stop();
	unmap(mm, views[0], 4);
	unmap(mm, views[1], 4);
}

/* The same if CPU 1 writes at one address, and CPU 3 at another. */
TEST(w4_writes_by_two_addresses_stay_beside_a_hole, 4)
{
	FOR_EACH_STRATEGY (setup)
		for (unsigned first = 0; first < 2; first++) {
			vaddr_t views[2];

			map_both(views);
			change_until(RACE_zap_before_flush, act_remove);
			faulter.addr = views[first] + 8;
			fault_now(act_write);
			CHECK_EQ(faulter.result, FAULT_DONE);
			expect_puppet_reads(views[!first] + 8, 1);
			CHECK_EQ(puppet_do(true, true, views[!first] + 16, 7), FAULT_DONE);
			go_on(RACE_zap_before_flush, 2);
			CHECK_EQ(other.result, 0);
			expect_both(views, 0, 0);
			expect_both(views, 8, 1);
			expect_both(views, 16, 7);
			unmap_both(views);
		}
}

/*
 * The new end lies within the page: what is written before it is kept, at either address. The part behind it is
 * cleared.
 */
TEST(w4_writes_by_two_addresses_stay_before_the_new_end, 4)
{
	FOR_EACH_STRATEGY (setup)
		for (unsigned first = 0; first < 2; first++) {
			vaddr_t views[2];

			map_both(views);
			CHECK_EQ(puppet_do(true, true, shared + NEW_END, 113), FAULT_DONE);
			change_until(RACE_zap_before_flush, act_cut);
			faulter.addr = views[first] + 8;
			fault_now(act_write);
			CHECK_EQ(faulter.result, FAULT_DONE);
			CHECK_EQ(puppet_do(true, false, views[!first] + 16, 7), true);
			for (unsigned i = 0; i < 2; i++)
				CHECK_EQ(puppet_do(true, true, views[i] + PAGES(1), 7), FAULT_BEYOND_END);
			go_on(RACE_zap_before_flush, 2);
			CHECK_EQ(other.result, 0);
			expect_both(views, 0, 112);
			expect_both(views, 8, 1);
			expect_both(views, 16, 7);
			expect_both(views, NEW_END, 0);
			unmap_both(views);
		}
}

/*
 * The page that stays is written back while the next one is removed: no address may then write to it without a
 * notification, and what is written reaches the disk.
 */
TEST(w4_write_by_a_second_address_reaches_the_disk, 4)
{
	FOR_EACH_STRATEGY (setup) {
		struct sim_file *file = sim_file_create(4);
		vaddr_t views[2];

		object = file->mapping;
		for (unsigned i = 0; i < 2; i++)
			views[i] = sim_file_map(mm, file, 4, MAP_SHARED);
		puppet_start();
		for (unsigned i = 0; i < 2; i++)
			for (unsigned page = 0; page < 2; page++)
				CHECK_EQ(puppet_do(true, true, views[i] + PAGES(page), 5), FAULT_DONE);
		change_until(RACE_zap_before_flush, act_cut);
		CHECK_EQ(mapping_writeback(object, 0, 0, WRITEBACK_WAIT), 0);
		for (unsigned i = 0; i < 2; i++)
			CHECK(!puppet_do(true, false, views[i], 6));
		CHECK_EQ(puppet_do(true, true, views[1], 7), FAULT_DONE);
		go_on(RACE_zap_before_flush, 2);
		CHECK_EQ(other.result, 0);
		expect_both(views, 0, 7);
		unmap_both(views);
		CHECK_EQ(mapping_writeback(object, 0, 0, WRITEBACK_WAIT), 0);
		CHECK_EQ(READ_ONCE(file->disk[0]), 7);
		sim_file_destroy(file);
	}
}

/*
 * Two address spaces map a page, and a hole is punched. One of them is unmapped, the other is not yet: there a thread
 * still reads and writes the old page. No new page may take its place, or a write to the old one after the new one was
 * seen would be lost.
 */
static struct mm *second;
static vaddr_t there;

static void begin_two(enum fault_policy policy, sim_func *removal)
{
	map_shared(RW, 111);
	second = test_mm(policy);
	there = map_again(second);
	sim_use_mm(second);
	expect_get(there, 111);
	sim_leave_mm();
	sim_use_mm(mm);
	expect_get(shared, 111);
	sim_leave_mm();
	change_until(RACE_zap_before_flush, removal);
	CHECK(pte_none(sim_pte(mm, shared)) != pte_none(sim_pte(second, there)));
	faulter.value = 1;
	if (pte_none(sim_pte(second, there)))
		faulter = (struct actor){ .mm = second, .addr = there, .value = 1 };
}

TEST(k5_new_page_waits_until_the_old_one_is_mapped_nowhere, 4)
{
	FOR_EACH_STRATEGY (setup) {
		begin_two(setup->policy, act_remove);
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

/* Puts CPU 3 into the address space that still maps the old page. Returns the page's address there. */
static vaddr_t puppet_in_the_other(void)
{
	bool is_second = faulter.mm == mm;

	puppet_start_in(is_second ? second : mm);
	return is_second ? there : shared;
}

/*
 * CPU 3 writes to the old page until it is removed, which orders these writes before the hole. Its writes after it has
 * seen the new page are kept.
 */
TEST(w4_writes_of_two_processes_stay_beside_a_hole, 4)
{
	FOR_EACH_STRATEGY (setup) {
		vaddr_t where;

		begin_two(setup->policy, act_remove);
		where = puppet_in_the_other();
		CHECK_EQ(puppet_do(true, true, where + 8, 5), FAULT_DONE);
		sim_start(1, act_write, &faulter);
		wait_asleep(1);
		CHECK(puppet_do(true, false, where + 8, 6));
		go_on(RACE_zap_before_flush, 2);
		sim_join(1);
		expect_puppet_reads(where, 1);
		CHECK_EQ(puppet_do(true, true, where + 16, 7), FAULT_DONE);
		expect_puppet_reads(where + 8, 0);
		puppet_stop();
		sim_use_mm(faulter.mm);
		expect_get(faulter.addr, 1);
		expect_get(faulter.addr + 8, 0);
		expect_get(faulter.addr + 16, 7);
		sim_leave_mm();
		test_mm_put(second);
	}
}

/* No page can be mapped beyond the new end; when truncation returns, neither address space can access the old page. */
TEST(w4_writes_of_two_processes_end_with_the_page, 4)
{
	FOR_EACH_STRATEGY (setup) {
		vaddr_t where;

		begin_two(setup->policy, act_truncate);
		where = puppet_in_the_other();
		CHECK_EQ(puppet_do(true, true, where + 8, 5), FAULT_DONE);
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_BEYOND_END);
		CHECK(puppet_do(true, false, where + 8, 6));
		go_on(RACE_zap_before_flush, 2);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(puppet_do(true, true, where + 8, 7), FAULT_BEYOND_END);
		puppet_stop();
		test_mm_put(second);
	}
}

static void act_fault_with_flags(void *arg)
{
	struct actor *actor = arg;

	actor->result = fault_in(actor->mm, actor->addr, ACCESS_WRITE, (unsigned)actor->value);
}

/*
 * A fault that may not wait, or may not drop its lock, does not wait: the access is to be retried, and no new page is
 * mapped.
 */
TEST(removal_is_not_waited_for_by_who_may_not, 4)
{
	static const unsigned flags[] = { FAULT_NO_WAIT, FAULT_NO_RETRY, FAULT_NO_WAIT | FAULT_NO_RETRY };

	FOR_EACH_STRATEGY (setup) {
		begin_two(setup->policy, act_remove);
		for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
			faulter.value = flags[i];
			fault_now(act_fault_with_flags);
			CHECK_EQ(faulter.result, FAULT_DONE);
			CHECK(pte_none(sim_pte(faulter.mm, faulter.addr)));
		}
		go_on(RACE_zap_before_flush, 2);
		test_mm_put(second);
	}
}

/* A read by the kernel, for a system call. */
static void act_read_page(void *arg)
{
	struct actor *actor = arg;
	struct page *page = mapping_read_page(object, 0);

	actor->result = is_err(page) ? ptr_err(page) : 0;
	if (!is_err(page))
		page_put(page);
}

TEST(wait_for_a_removal_is_killable, 4)
{
	static const struct {
		sim_func *access;
		long result;
	} cases[] = { { act_write, FAULT_KILLED }, { act_read_page, -EINTR } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(POLICY_FULL, SPF_VALIDATE_VMA);
		begin_two(POLICY_FULL, act_remove);
		sim_start(1, cases[i].access, &faulter);
		wait_asleep(1);
		sim_kill(1);
		sim_join(1);
		CHECK_EQ(faulter.result, cases[i].result);
		go_on(RACE_zap_before_flush, 2);
		test_mm_put(second);
		end();
	}
}

/*
 * MADV_REMOVE has released mmap_lock, and waits for another removal. Meanwhile another thread unmaps the memory: the
 * call keeps the object.
 */
TEST(hole_keeps_an_object_that_is_unmapped, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	map_shared(RW, 111);
	mutex_lock(&object->removal_lock);
	sim_start(2, act_remove, &other);
	wait_asleep(2);
	unmap(mm, shared, 4);
	rcu_barrier();
	CHECK_EQ(READ_ONCE(object->refcount), 1);
	mutex_unlock(&object->removal_lock);
	sim_join(2);
	CHECK_EQ(other.result, 0);
	end();
}
