/* SPDX-License-Identifier: MIT */
/*
 * Races of the removal of pages from a mapping with the address spaces that map them. CPU 2 truncates, or punches a
 * hole; it visits the address spaces one after the other.
 */
#include "race_stage.h"

#include "sim_file.h"

#include "mm/cache/mapping.h"
#include "mm/vma/vma.h"

static struct mapping *object;

static vaddr_t map_object(struct mm *of, u64 first, u64 pages, u64 flags)
{
	struct mmap_request request = { .addr = PAGES(1000 + first),
					.len = PAGES(pages),
					.prot = RW,
					.flags = flags | MAP_FIXED,
					.pgoff = first,
					.mapping = object,
					.ops = &mapping_vma_ops,
					.file_writable = true };
	long at = mm_mmap(of, &request);

	CHECK(at > 0);
	return (vaddr_t)at;
}

/* ---- M8: private copies ------------------------------------------------------------------------------------------ */

/*
 * Three processes map the pages from 2 on of an object of 8 pages, at the same address, and have written to private
 * copies. It is truncated to 3 pages, and the truncation visits the processes in the order of their creation.
 */
static struct mm *first, *second, *third;

static void begin_copies(void)
{
	struct mm **all[] = { &first, &second, &third };

	sim_quirks.evict = 0;
	object = mapping_create(PAGES(8), true);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		*all[i] = test_mm(POLICY_DEFAULT);
		addr = map_object(*all[i], 2, 6, MAP_PRIVATE);
		sim_use_mm(*all[i]);
		put_pages(addr, 6, 100);
		sim_leave_mm();
	}
	other = (struct actor){ 0 };
	child = NULL;
}

static void expect_truncated(struct mm *of)
{
	u64 value;

	sim_use_mm(of);
	expect_get(addr, 100);
	for (u64 i = 1; i < 6; i++)
		CHECK_EQ(sim_read(addr + PAGES(i), &value), FAULT_BEYOND_END);
	sim_leave_mm();
	test_mm_put(of);
}

static void end_copies(void)
{
	race_disarm_all();
	sim_join_all();
	if (child)
		expect_truncated(child);
	expect_truncated(third);
	expect_truncated(second);
	if (first)
		expect_truncated(first);
	mapping_put(object);
}

static void act_truncate(void *arg)
{
	struct actor *actor = arg;

	actor->result = mapping_truncate(object, PAGES(3));
}

/* A slow writer of an address space. */
static u32 lock_state; /* 1: requested, 2: held, 0: to be released */

static void act_hold_mmap_lock(void *arg)
{
	mmap_write_lock(arg);
	store_release(&lock_state, 2);
	while (load_acquire(&lock_state))
		cond_resched();
	mmap_write_unlock(arg);
}

static void hold_mmap_lock(struct mm *of)
{
	store_release(&lock_state, 1);
	sim_start(3, act_hold_mmap_lock, of);
}

static void wait_held(void)
{
	let_others_run_until(load_acquire(&lock_state) == 2, "mmap_lock is not taken");
}

/* A VMA that was visited is unmapped while the truncation waits for the next: the third must not be skipped. */
TEST(m8_copies_go_although_a_vma_leaves_meanwhile, 4)
{
	begin_copies();
	hold_mmap_lock(second);
	wait_held();
	sim_start(2, act_truncate, &other);
	wait_asleep(2);
	mmput(first); /* not test_mm_put(): CPU 3 holds a lock, so no checks are possible */
	first = NULL;
	store_release(&lock_state, 0);
	sim_join(3);
	sim_join(2);
	end_copies();
}

/* The VMA that would be visited next is unmapped. */
TEST(m8_copies_go_although_the_next_vma_leaves, 4)
{
	begin_copies();
	change_until(RACE_zap_before_flush, act_truncate);
	CHECK_EQ(mm_munmap(second, addr + PAGES(1), PAGES(5)), 0);
	map_object(second, 3, 5, MAP_PRIVATE);
	go_on(RACE_zap_before_flush, 2);
	end_copies();
}

/*
 * A VMA that is still to be visited merges with pages before it: it then starts where the truncation has already been.
 */
TEST(m8_copies_go_although_their_vma_grows_downwards, 4)
{
	begin_copies();
	change_until(RACE_zap_before_flush, act_truncate);
	map_object(third, 0, 2, MAP_PRIVATE);
	CHECK_EQ(sim_vma(third, addr)->pgoff, 0);
	go_on(RACE_zap_before_flush, 2);
	end_copies();
}

/* ... or moves, and is forked. */
TEST(m8_copies_go_although_they_move, 4)
{
	vaddr_t from;

	begin_copies();
	change_until(RACE_zap_before_flush, act_truncate);
	from = addr;
	CHECK_EQ(mm_mremap(third, from, PAGES(6), PAGES(6), MREMAP_MAYMOVE | MREMAP_FIXED, PAGES(5000)), PAGES(5000));
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, third), 0);
	CHECK_EQ(mm_mremap(third, PAGES(5000), PAGES(6), PAGES(6), MREMAP_MAYMOVE | MREMAP_FIXED, from), from);
	CHECK_EQ(mm_mremap(child, PAGES(5000), PAGES(6), PAGES(6), MREMAP_MAYMOVE | MREMAP_FIXED, from), from);
	go_on(RACE_zap_before_flush, 2);
	end_copies();
}

/*
 * New VMAs were added, so the truncation visits all address spaces; while it waits for the first one, the last one
 * forks.
 */
TEST(m8_copies_of_a_fork_meanwhile_go, 4)
{
	begin_copies();
	change_until(RACE_zap_before_flush, act_truncate);
	map_object(third, 0, 2, MAP_PRIVATE);
	hold_mmap_lock(first);
	let_others_run_until(sim_is_sleeping(3), "the truncation does not hold mmap_lock");
	let_go(RACE_zap_before_flush);
	wait_held();
	wait_asleep(2);
	child = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child, third), 0);
	store_release(&lock_state, 0);
	sim_join(3);
	sim_join(2);
	end_copies();
}

/* ---- M9: faults on the page that is being punched ---------------------------------------------------------------- */

static void act_punch(void *arg)
{
	(void)arg;
	mapping_remove_range(object, 0, 0);
}

/* A page that a fault creates behind the search stays: the search does not return to it, however often this happens. */
static void touch_punched_page(void)
{
	struct page *page;

	change_until(RACE_zap_before_flush, act_punch);
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_DONE);
	page = mapping_find(object, 0);
	CHECK(page);
	go_on(RACE_zap_before_flush, 2);
	CHECK(pte_counted_page(sim_pte(mm, faulter.addr)) == page);
	page_put(page);
}

TEST(m9_page_filled_behind_the_hole_stays, 4)
{
	struct sim_file *file = sim_file_create(SIM_FILE_PAGES);

	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	faulter.addr = map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS);
	object = sim_vma(mm, faulter.addr)->mapping;
	fault_now(act_write);
	touch_punched_page();
	unmap(mm, faulter.addr, 1);

	faulter.addr = sim_file_map(mm, file, 1, MAP_SHARED);
	object = file->mapping;
	fault_now(act_write);
	touch_punched_page();
	unmap(mm, faulter.addr, 1);
	sim_file_destroy(file);
	end();
}
