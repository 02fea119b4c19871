/* SPDX-License-Identifier: MIT */
/*
 * Tests of the page lock and of waiting for write-back: which threads wait, what is reported of them, and which are
 * woken.
 */
#include "test.h"

#include "mm/page/page_alloc.h"
#include "mm/page/page_lock.h"

#define NR_QUEUES 64 /* pages whose numbers differ by a multiple of this share a queue */

static struct page *page;

struct waiter_case {
	const char *name;
	bool writeback; /* waits for write-back, else for the page lock */
	long (*wait)(struct page *page);
};

static long wait_locked(struct page *of)
{
	page_lock(of);
	page_unlock(of);
	return 0;
}

static long wait_locked_killable(struct page *of)
{
	int error = page_lock_killable(of);

	if (!error)
		page_unlock(of);
	return error;
}

static long wait_unlocked(struct page *of)
{
	page_wait_unlocked(of);
	return 0;
}

static long wait_unlocked_killable(struct page *of)
{
	return page_wait_unlocked_killable(of);
}

static long wait_writeback(struct page *of)
{
	page_wait_writeback(of);
	return 0;
}

static long wait_writeback_killable(struct page *of)
{
	return page_wait_writeback_killable(of);
}

static const struct waiter_case cases[] = {
	{ "page_lock", false, wait_locked },
	{ "page_lock_killable", false, wait_locked_killable },
	{ "page_wait_unlocked", false, wait_unlocked },
	{ "page_wait_unlocked_killable", false, wait_unlocked_killable },
	{ "page_wait_writeback", true, wait_writeback },
	{ "page_wait_writeback_killable", true, wait_writeback_killable },
};

static struct {
	const struct waiter_case *of;
	struct page *page;
	long result;
	u64 io_waits;
} waiters[MAX_CPUS];

static void act_wait(void *unused)
{
	u64 before = sim_io_waits();

	(void)unused;
	waiters[cpu_id()].result = waiters[cpu_id()].of->wait(waiters[cpu_id()].page);
	waiters[cpu_id()].io_waits = sim_io_waits() - before;
}

static void start(unsigned cpu, const struct waiter_case *of)
{
	waiters[cpu].of = of;
	waiters[cpu].page = page;
	waiters[cpu].result = 1;
	sim_start(cpu, act_wait, NULL);
}

/* Puts the page under the I/O that `of` waits for. */
static void begin_io(const struct waiter_case *of)
{
	if (of->writeback)
		page_set(page, PG_WRITEBACK);
	else
		page_lock(page);
}

static void end_io(const struct waiter_case *of)
{
	if (of->writeback)
		page_end_writeback(page, 0);
	else
		page_unlock(page);
}

/*
 * Each function waits until the I/O is over, reports the page that it waits for, and counts the wait. Without I/O it
 * does not wait.
 */
TEST(page_waits_are_told_and_counted, 2)
{
	page = alloc_page(ALLOC_ZERO);
	for (const struct waiter_case *of = cases; of < cases + ARRAY_SIZE(cases); of++) {
		start(1, of);
		sim_join(1);
		CHECK_EQ(waiters[1].result, 0);
		CHECK_EQ(waiters[1].io_waits, 0);
		begin_io(of);
		start(1, of);
		let_others_run_until(sim_is_sleeping(1), "%s does not wait", of->name);
		CHECK(sim_waits_for(1) == page);
		let_others_run();
		CHECK(sim_running(1));
		end_io(of);
		sim_join(1);
		CHECK_EQ(waiters[1].result, 0);
		CHECK(waiters[1].io_waits > 0);
		CHECK_EQ(page->flags & (1u << PG_LOCKED | 1u << PG_WRITEBACK), 0);
	}
	page_put(page);
}

/* A killed thread stops waiting if its wait is killable; the others wait on. */
TEST(page_waits_that_end_for_the_dying, 2)
{
	page = alloc_page(ALLOC_ZERO);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		bool killable = i % 2;

		begin_io(&cases[i]);
		start(1, &cases[i]);
		let_others_run_until(sim_is_sleeping(1), "%s does not wait", cases[i].name);
		sim_kill(1);
		if (killable)
			sim_join(1);
		else
			let_others_run();
		CHECK_EQ(sim_running(1), !killable);
		end_io(&cases[i]);
		sim_join(1);
		CHECK_EQ(waiters[1].result, killable ? -EINTR : 0);
	}
	page_put(page);
}

/* All waiters of the page are woken, whatever they wait for: those that have to wait on prepare to sleep again. */
TEST(page_wakes_all_its_waiters, 4)
{
	page = alloc_page(ALLOC_ZERO);
	page_lock(page);
	page_set(page, PG_WRITEBACK);
	start(1, &cases[2]);
	start(2, &cases[0]);
	start(3, &cases[4]);
	for (unsigned cpu = 1; cpu < 4; cpu++)
		let_others_run_until(sim_is_sleeping(cpu), "CPU %u does not wait", cpu);
	page_unlock(page);
	sim_join(1);
	sim_join(2);
	let_others_run_until(sim_is_sleeping(3), "the third does not wait any more");
	CHECK(sim_running(3));
	page_end_writeback(page, 0);
	sim_join(3);
	page_put(page);
}

/* Pages share queues: the end of another page's I/O ends no wait, and no wake-up is lost. */
TEST(page_waiters_share_queues, 3)
{
	struct page *pages[4 * NR_QUEUES], *first, *second = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = alloc_page(0);
	first = pages[0];
	for (unsigned i = 1; i < ARRAY_SIZE(pages) && !second; i++)
		if (page_to_pfn(pages[i]) % NR_QUEUES == page_to_pfn(first) % NR_QUEUES)
			second = pages[i];
	CHECK(second);
	page_lock(first);
	page_set(second, PG_WRITEBACK);
	page = first;
	start(1, &cases[2]);
	let_others_run_until(sim_is_sleeping(1), "no thread waits for the first page");
	page = second;
	start(2, &cases[4]);
	let_others_run_until(sim_is_sleeping(2), "no thread waits for the second page");
	page_end_writeback(second, 0);
	sim_join(2);
	CHECK(sim_running(1));
	page_unlock(first);
	sim_join(1);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		page_put(pages[i]);
}

/* Only one trylock of a free lock succeeds, and the page's other flags stay. */
TEST(page_trylock_takes_a_free_lock, 1)
{
	page = alloc_page(ALLOC_ZERO);
	page_set(page, PG_UPTODATE);
	CHECK(page_trylock(page));
	CHECK(!page_trylock(page));
	CHECK(page_test(page, PG_LOCKED) && page_is_uptodate(page));
	page_unlock(page);
	CHECK(!page_test(page, PG_LOCKED) && page_is_uptodate(page));
	CHECK_EQ(page_lock_killable(page), 0);
	CHECK(!page_trylock(page));
	page_unlock(page);
	page_put(page);
}
