/* SPDX-License-Identifier: MIT */
/*
 * Tests that force every row of mm/reasons.h: `reason_X` is the test of row X. An attempt is stopped at a race
 * point, the address space is changed, the attempt continues, and the row's counter must have increased by exactly what
 * happened.
 *
 * CPU 1 is the faulting thread, CPU 2 makes the changes, CPU 3 keeps the address space shared.
 */
#include "race_stage.h"

#include "mm/cache/mapping.h"
#include "mm/vma/rmap.h"

/* Page 5 has a page table and an anon_vma, and another thread keeps the address space shared. */
static void begin_shared(enum fault_policy policy, enum spf_validate validate)
{
	begin(policy, validate);
	idler_start(3, mm);
	faulter = other = (struct actor){ .mm = mm, .addr = addr + PAGES(5), .len = PAGES(1) };
	counters_mark();
}

static void end_shared(void)
{
	race_disarm_all();
	idler_stop(3);
	end();
}

static void begin_spec(void)
{
	begin_shared(POLICY_SPEC, SPF_VALIDATE_VMA);
}

static void begin_vma(void)
{
	begin_shared(POLICY_VMA, SPF_VALIDATE_VMA);
}

/* Runs the body for both validations. */
#define FOR_BOTH_VALIDATIONS(validate)                                                                                 \
	for (int validate = SPF_VALIDATE_VMA;                                                                          \
	     validate <= SPF_VALIDATE_MM && (begin_shared(POLICY_SPEC, validate), true); validate++, end_shared())

/* Runs the other thread's action completely while the faulter is stopped at the point. */
static void fault_around(enum race_point_id point, sim_func *access, sim_func *change)
{
	fault_until(point, access);
	change_now(change);
	go_on(point, 1);
}

/* ---- Not attempted ----------------------------------------------------------------------------------------------- */

TEST(reason_spf_skip_not_user, 4)
{
	begin_spec();
	CHECK_EQ(fault_in(mm, addr + PAGES(1), ACCESS_WRITE, 0), FAULT_DONE);
	CHECK_EQ(REASONS(spf_skip_not_user), 1);
	CHECK_EQ(COUNTED(spf_attempts), 0);
	end_shared();
}

TEST(reason_spf_skip_single_thread, 4)
{
	begin_spec();
	idler_stop(3);
	CHECK_EQ(fault_in(mm, addr + PAGES(1), ACCESS_WRITE, FAULT_USER), FAULT_DONE);
	CHECK_EQ(REASONS(spf_skip_single_thread), 1);
	CHECK_EQ(COUNTED(spf_attempts), 0);
	end_shared();
}

TEST(reason_vma_lock_skip_not_user, 4)
{
	begin_vma();
	CHECK_EQ(fault_in(mm, addr + PAGES(1), ACCESS_WRITE, 0), FAULT_DONE);
	CHECK_EQ(REASONS(vma_lock_skip_not_user), 1);
	CHECK_EQ(COUNTED(vma_lock_attempts), 0);
	end_shared();
}

/* ---- Speculation gives up ---------------------------------------------------------------------------------------- */

TEST(reason_spf_abort_odd_count, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		change_until(RACE_mprotect_after_vma, act_mprotect_read);
		sim_start(1, act_read, &faulter);
		wait_asleep(1); /* on mmap_lock, after speculation gave up */
		CHECK_EQ(REASONS(spf_abort_odd_count), 1);
		go_on(RACE_mprotect_after_vma, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
	}
}

TEST(reason_spf_abort_no_vma, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		faulter.addr = 0x10000;
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_no_vma), 1);
	}
}

TEST(reason_spf_abort_changed_reading, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		fault_around(RACE_spec_after_snapshot, act_write, act_munmap);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_changed_reading), 1);
	}
}

TEST(reason_spf_abort_changed_before_ptl, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		fault_around(RACE_spec_after_walk, act_write, act_mprotect_read);
		CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
		CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
	}
}

TEST(reason_spf_abort_changed_after_ptl, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		fault_around(RACE_spec_before_ptl, act_write, act_mprotect_read);
		CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
		CHECK_EQ(REASONS(spf_abort_changed_after_ptl), 1);
	}
}

/* Maps one page of a mapping with these operations. */
static struct mapping *map_with(const struct vma_ops *ops)
{
	struct mmap_request request = {
		.len = PAGES(1), .prot = RW, .flags = MAP_SHARED, .ops = ops, .file_writable = true
	};

	request.mapping = mapping_create(PAGES(1), false);
	faulter.addr = (vaddr_t)mm_mmap(mm, &request);
	return request.mapping;
}

TEST(reason_spf_abort_file_ops, 4)
{
	const struct vma_ops careful_ops = { .fault = mapping_vma_ops.fault, .map_pages = mapping_map_pages };
	struct mapping *mapping;

	begin_spec();
	mapping = map_with(&careful_ops);
	page_put(mapping_find_or_create(mapping, 0));
	fault_now(act_read);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(spf_abort_file_ops), 1);
	end_shared();
	mapping_put(mapping);
}

/* Maps shared memory and touches its first page, which builds a page table. */
static vaddr_t map_shared(u64 pages)
{
	faulter.addr = map(mm, pages, RW, MAP_SHARED | MAP_ANONYMOUS);
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_DONE);
	counters_mark();
	return faulter.addr;
}

TEST(reason_spf_abort_page_not_cached, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		faulter.addr = map_shared(4) + PAGES(1);
		fault_now(act_read);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_page_not_cached), 1);
	}
}

TEST(reason_spf_abort_file_write, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		faulter.addr = map_shared(4) + PAGES(1);
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_file_write), 1);
	}
}

TEST(reason_spf_abort_no_anon_vma, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		faulter.addr = map(mm, 4, PROT_READ | PROT_EXEC, ANON); /* merges with no neighbour */
		fault_now(act_read);					/* builds the table */
		CHECK_EQ(mm_mprotect(mm, faulter.addr, PAGES(4), RW | PROT_EXEC, -1), 0);
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_no_anon_vma), 1);
	}
}

#define STACK_TOP 0x7ffff0000000UL

TEST(reason_spf_abort_growing, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
		faulter.addr = STACK_TOP - 8;
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_growing), 1);
	}
}

/* The VMA shrinks between the look-up and the sample; only the per-VMA count is sampled after the look-up. */
TEST(reason_spf_abort_outside, 4)
{
	begin_spec();
	other.addr = addr + PAGES(4);
	other.len = PAGES(12);
	fault_around(RACE_spec_after_find, act_write, act_munmap);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(spf_abort_outside), 1);
	end_shared();
}

TEST(reason_spf_abort_access, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(16), PROT_READ, -1), 0);
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
		CHECK_EQ(REASONS(spf_abort_access), 1);
	}
}

static int shut_key;

static void write_with_key_shut(void *actor)
{
	keys_write(KEY_NO_WRITE << 2 * shut_key);
	act_write(actor);
	keys_write(0);
}

/* Speculation does not evaluate a protection key that forbids the access either: the mmap strategy does. */
TEST(reason_spf_abort_access_by_key, 4)
{
	sim_have_keys();
	FOR_BOTH_VALIDATIONS (validate) {
		mmap_write_lock(mm);
		shut_key = mm_key_alloc(mm, 0);
		mmap_write_unlock(mm);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(16), RW, shut_key), 0);
		fault_now(write_with_key_shut);
		CHECK_EQ(faulter.result, FAULT_NO_KEY);
		CHECK_EQ(REASONS(spf_abort_access), 1);
		fault_now(act_write);
		CHECK_EQ(faulter.result, FAULT_DONE);
	}
}

TEST(reason_spf_abort_upper_table, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		map_at(mm, 1UL << 40, 1, RW, ANON);
		faulter.addr = 1UL << 40;
		fault_now(act_read);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_upper_table), 1);
	}
}

/* S6 as well: speculation builds no table. */
TEST(reason_spf_abort_pmd_none, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		u64 built;

		faulter.addr = align_down(addr, 1UL << 30) + PMD_SIZE; /* below the same upper tables */
		if (faulter.addr >> 21 == addr >> 21)
			faulter.addr += PMD_SIZE;
		map_at(mm, faulter.addr, 1, RW, ANON);
		built = mm->nr_tables;
		fault_now(act_read);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_pmd_none), 1);
		CHECK_EQ(mm->nr_tables, built + 1); /* built by the locked path */
	}
}

/* S4 and S7 as well: the table was removed between the walk and the lock. */
TEST(reason_spf_abort_pmd_changed, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		other.addr = addr;
		other.len = PAGES(16);
		fault_around(RACE_spec_before_ptl, act_write, act_munmap);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_pmd_changed), 1);
	}
}

TEST(reason_spf_abort_ptl_busy, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		other.value = faulter.value = 1;
		other.addr = addr + PAGES(6);
		change_until(RACE_commit_before_set, act_write); /* stops with the PTE lock held */
		sim_start(1, act_write, &faulter);
		while (REASONS(spf_abort_ptl_busy) == 0)
			cond_resched();
		CHECK(sim_running(1)); /* under mmap_lock it may wait for the PTE lock */
		go_on(RACE_commit_before_set, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_ptl_busy), 1);
	}
}

static void take_all_pages(struct list_head *taken)
{
	struct page *page;

	while ((page = alloc_page(0)))
		list_add(taken, &page->lru);
}

/* Takes the memory on the CPU that will fault, which has a page stash of its own. */
static void write_without_memory(void *arg)
{
	struct list_head taken = LIST_HEAD_INIT(taken);
	struct page *page, *next;

	take_all_pages(&taken);
	act_write(arg);
	list_for_each_safe (page, next, &taken, lru)
		free_pages(page, 0);
}

TEST(reason_spf_abort_no_memory, 4)
{
	FOR_BOTH_VALIDATIONS (validate) {
		fault_now(write_without_memory);
		CHECK_EQ(faulter.result, FAULT_OUT_OF_MEMORY); /* answered by the locked path */
		CHECK_EQ(REASONS(spf_abort_no_memory), 1);
	}
}

/* ---- The per-VMA lock gives up ----------------------------------------------------------------------------------- */

TEST(reason_vma_lock_miss, 4)
{
	begin_vma();
	faulter.addr = 0x10000;
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(vma_lock_miss), 1);
	end_shared();
}

TEST(reason_vma_lock_abort_write_locked, 4)
{
	begin_vma();
	change_until(RACE_mprotect_after_vma, act_mprotect_read);
	sim_start(1, act_write, &faulter);
	wait_asleep(1);
	CHECK_EQ(REASONS(vma_lock_abort_write_locked), 1);
	go_on(RACE_mprotect_after_vma, 2);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
	end_shared();
}

/* V12 as well: after "detached" the look-up starts again from the root, and finds the new VMA. */
static void replace_mapping(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_munmap(actor->mm, actor->addr, actor->len);
	map_at(actor->mm, actor->addr, actor->len >> PAGE_SHIFT, RW | PROT_EXEC, ANON);
	sim_leave_mm();
}

TEST(reason_vma_lock_detached, 4)
{
	begin_vma();
	other.addr = addr;
	other.len = PAGES(16);
	faulter.value = 9;
	fault_around(RACE_vma_after_find, act_write, replace_mapping);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(vma_lock_detached), 1);
	CHECK_EQ(COUNTED(vma_lock_answered), 1);
	end_shared();
}

TEST(reason_vma_lock_abort_outside, 4)
{
	begin_vma();
	other.addr = addr + PAGES(4);
	other.len = PAGES(12);
	fault_around(RACE_vma_after_find, act_write, act_munmap);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(vma_lock_abort_outside), 1);
	end_shared();
}

TEST(reason_vma_lock_abort_stack, 4)
{
	begin_vma();
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - PAGES(6);
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(vma_lock_abort_stack), 1);
	CHECK_EQ(REASONS(mmap_retry_stack), 1);
	end_shared();
}

/* V15 as well: the writer holds mmap_lock and waits for this VMA, so the fault must not wait for mmap_lock. */
TEST(reason_vma_lock_abort_anon_vma, 4)
{
	begin_vma();
	faulter.addr = map(mm, 4, RW | PROT_EXEC, ANON);
	other.addr = faulter.addr;
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_mprotect_read, &other);
	wait_asleep(2); /* for this VMA's readers */
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(REASONS(vma_lock_abort_anon_vma), 1);
	CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
	end_shared();
}

TEST(reason_vma_lock_abort_file_ops, 4)
{
	const struct vma_ops careful_ops = { .fault = mapping_vma_ops.fault, .name = "careful" };
	struct mapping *mapping;

	begin_vma();
	mapping = map_with(&careful_ops);
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(vma_lock_abort_file_ops), 1);
	end_shared();
	mapping_put(mapping);
}

/* ---- mmap retries ------------------------------------------------------------------------------------------------ */

TEST(reason_mmap_retry_stack, 4)
{
	begin_shared(POLICY_MMAP, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - PAGES(6);
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(mmap_retry_stack), 1);
	CHECK_EQ(COUNTED(mmap_attempts), 2);
	end_shared();
}

/* ---- Coverage ---------------------------------------------------------------------------------------------------- */

TEST(reasons_have_a_test_each, 1)
{
	static const char *const names[] = {
#define X(name, strategy, kind, sentence, mirrors) "reason_" #name,
		FAULT_REASONS(X)
#undef X
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!test_exists(names[i]))
			sim_fail("no test is called %s", names[i]);
}
