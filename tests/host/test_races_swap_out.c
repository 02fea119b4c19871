/* SPDX-License-Identifier: MIT */
/*
 * Races of reclaim with the mappings of a process: CPU 2 reclaims a page, CPU 1 changes the address space, CPU 3 (the
 * puppet) still has a translation.
 */
#include "swap_race_stage.h"

#include "mm/reclaim/reclaim.h"

static bool puppet_write(u64 value)
{
	return puppet_do(true, false, addr, value);
}

/* The puppet has written to the first page, which is in memory: its translation is dirty. */
static void begin_with_puppet(u64 flags)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA, false, DROPPED);
	if (flags != ANON) {
		unmap(mm, addr, NR_PAGES);
		addr = map(mm, NR_PAGES, RW, flags);
	}
	other.addr = faulter.addr = addr;
	puppet_start();
	CHECK_EQ(puppet_do(true, true, addr, 50), FAULT_DONE);
	CHECK(puppet_write(200));
}

static void end_with_puppet(void)
{
	puppet_stop();
	end();
}

/*
 * CPU 3 writes to the page through a translation that reclaim has not flushed yet: the contents that are swapped out
 * include that write. Once reclaim regards the page as unmapped, no such translation is left.
 */
TEST(w4_reclaim_flushes_before_it_judges, 4)
{
	begin_with_puppet(ANON);
	change_until(RACE_reclaim_before_flush, act_page_out);
	CHECK(puppet_write(300));
	stop_at(RACE_reclaim_unmapped, 2);
	let_go(RACE_reclaim_before_flush);
	wait_stopped(RACE_reclaim_unmapped);
	CHECK(!puppet_write(400));
	go_on(RACE_reclaim_unmapped, 2);
	expect_value(addr, 300);
	end_with_puppet();
}

static void act_reclaim(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = (long)reclaim_pages(1000);
	sim_leave_mm();
}

static void act_mlock(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_mlock(actor->mm, actor->addr, actor->len, false);
	sim_leave_mm();
}

static void act_munlock(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_munlock(actor->mm, actor->addr, actor->len);
	sim_leave_mm();
}

/* mlock runs after reclaim has checked whether the memory is locked, and before it takes the page. */
TEST(w5_mlocked_pages_stay, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA, false, DROPPED);
	faulter.len = PAGES(NR_PAGES);
	sim_start(1, act_mlock, &faulter); /* reads the pages in */
	sim_join(1);
	fault_now(act_munlock);
	change_until(RACE_reclaim_before_clear, act_reclaim);
	sim_start(1, act_mlock, &faulter);
	let_others_run();
	go_on(RACE_reclaim_before_clear, 1);
	CHECK_EQ(faulter.result, 0);
	sim_join(2);
	for (u64 page = 0; page < NR_PAGES; page++)
		CHECK(pte_present(sim_pte(mm, addr + PAGES(page))));
	end();
}

/* Reclaims the page as kswapd would: in no address space, and without mmap_lock. */
static void act_reclaim_page(void *arg)
{
	struct actor *actor = arg;
	struct page *page = pte_counted_page(sim_pte(actor->mm, actor->addr));

	CHECK(page);
	page_get(page);
	reclaim_batch(&page, 1);
}

static vaddr_t moved;

static void act_move(void *arg)
{
	struct actor *actor = arg;
	long result = mm_mremap(actor->mm, actor->addr, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);

	moved = (vaddr_t)result;
	actor->result = result > 0 ? 0 : result;
}

static void act_mprotect_none(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_mprotect(actor->mm, actor->addr, actor->len, PROT_NONE, -1);
}

static void expect_in(struct mm *where_mm, vaddr_t where, u64 value)
{
	sim_use_mm(where_mm);
	expect_get(where, value);
	sim_leave_mm();
}

static void expect_forked(void)
{
	expect_in(mm, addr, 300);
	expect_in(child, addr, 300);
}

static void expect_moved(void)
{
	expect_in(mm, moved, 300);
	expect_in(mm, addr, 0);
}

static void expect_same(void)
{
	expect_in(mm, addr, 300);
}

static void expect_zero(void)
{
	expect_in(mm, addr, 0);
}

static void expect_nothing(void)
{
	CHECK(!sim_pte(mm, addr).val);
}

/*
 * Reclaim has replaced entries by swap entries, but not flushed yet. A call that changes the address space finds no
 * present entry, but CPU 3 must not be able to use its translation once the call has returned: the memory may have been
 * unmapped, protected, moved, or shared with a child.
 */
TEST(w6_nobody_returns_before_reclaim_has_flushed, 4)
{
	static const struct {
		sim_func *change;
		void (*expect)(void);
	} calls[] = {
		{ act_munmap, expect_nothing }, { act_mprotect_read, expect_same }, { act_dontneed, expect_zero },
		{ act_move, expect_moved },	{ act_fork, expect_forked },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		begin_with_puppet(ANON);
		child = test_mm(POLICY_MMAP);
		change_until(RACE_reclaim_before_flush, act_reclaim_page);
		CHECK(puppet_write(300));
		fault_now(calls[i].change);
		CHECK_EQ(faulter.result, 0);
		CHECK(!puppet_write(400));
		go_on(RACE_reclaim_before_flush, 2);
		calls[i].expect();
		test_mm_put(child);
		end_with_puppet();
	}
}

/*
 * The batch is counted until its flush is complete: when CPU 1 makes its call, the shootdown has been sent to CPU 3,
 * but CPU 3 has not responded.
 */
TEST(w6_batch_is_counted_until_the_flush_is_over, 4)
{
	begin_with_puppet(ANON);
	puppet_deafen();
	change_until(RACE_shootdown_sent, act_reclaim_page);
	sim_start(1, act_munmap, &faulter);
	let_others_run();
	CHECK(sim_running(1));
	CHECK(puppet_write(300));
	let_go(RACE_shootdown_sent);
	puppet_listen();
	sim_join(1);
	CHECK_EQ(faulter.result, 0);
	CHECK(!puppet_write(400));
	sim_join(2);
	end_with_puppet();
}

/*
 * mprotect has made the entry unusable for the CPU, but not flushed yet: reclaim must not conclude from the entry that
 * no CPU writes to the page, be it private or shared.
 */
TEST(w7_unusable_entry_may_have_been_usable, 4)
{
	static const u64 kinds[] = { ANON, MAP_SHARED | MAP_ANONYMOUS };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		begin_with_puppet(kinds[i]);
		fault_until(RACE_zap_before_flush, act_mprotect_none);
		CHECK(!pte_present(sim_pte(mm, addr)));
		CHECK(puppet_write(300));
		sim_start(2, act_reclaim_page, &other);
		sim_join(2);
		CHECK(!puppet_write(400));
		go_on(RACE_zap_before_flush, 1);
		CHECK_EQ(faulter.result, 0);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(1), RW, -1), 0);
		expect_value(addr, 300);
		end_with_puppet();
	}
}
