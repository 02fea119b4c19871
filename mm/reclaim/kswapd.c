/* SPDX-License-Identifier: MIT */
/*
 * kswapd: a thread that keeps memory free, so that faults seldom have to reclaim it themselves.
 *
 * It sleeps until an allocation finds less than the low mark free (watermark.h) and stays awake until the high mark is
 * reached. When MAX_FAILURES attempts in a row have freed nothing, it sleeps until another thread has reclaimed
 * memory: until then a thread that needs memory reclaims it itself, or its allocation fails.
 *
 * Locks: none but those of reclaim.
 * Mirrors: Linux, mm/vmscan.c: kswapd(), balance_pgdat(), wakeup_kswapd(), MAX_RECLAIM_RETRIES. Rejected: Linux's
 * short sleep before the long one, which tests whether it is woken again at once; the distance between the marks must
 * do here.
 */
#include "mm/reclaim/kswapd.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/page/page_alloc.h"
#include "mm/page/watermark.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/reclaim/reclaim.h"

#define MAX_FAILURES 16

static struct {
	struct thread *thread; /* NULL: it does not run. Published by store_release */
	u32 wanted;   /* atomic: an allocation found less than the low mark; kswapd clears it when there is enough */
	u32 failures; /* attempts in a row that freed nothing; kswapd counts, any thread resets; WRITE_ONCE: a guess */
} kswapd;

void kswapd_look(void)
{
	struct thread *thread;

	assert_no_lock_from(RANK_RECLAIM);
	if (likely(nr_pages_in_zone() >= READ_ONCE(watermarks.low)) || READ_ONCE(kswapd.wanted))
		return;
	rcu_read_lock(); /* the thread does not end until we unlock */
	thread = load_acquire(&kswapd.thread);
	race_point(kswapd_before_wake);
	if (thread && !atomic_xchg(&kswapd.wanted, 1)) /* only the first caller wakes it */
		thread_wake(thread);
	rcu_read_unlock();
}

void kswapd_encourage(void)
{
	if (likely(!READ_ONCE(kswapd.failures)))
		return;
	WRITE_ONCE(kswapd.failures, 0);
	WRITE_ONCE(kswapd.wanted, 0); /* the next allocation that finds too little wakes it */
}

bool kswapd_has_given_up(void)
{
	return READ_ONCE(kswapd.failures) >= MAX_FAILURES;
}

static bool has_work(void)
{
	return READ_ONCE(kswapd.wanted) && !kswapd_has_given_up();
}

/* One attempt to reach the high mark. Drains this CPU's stash, from which no other CPU can allocate. */
static void kswapd_balance(void)
{
	u64 nr_free = nr_pages_in_zone(), high = READ_ONCE(watermarks.high), freed;

	count(pageoutrun);
	freed = mm_drop_all_lazy();
	if (nr_free + freed < high)
		freed += reclaim_in_advance(max(high - nr_free - freed, (u64)RECLAIM_BATCH));
	page_alloc_drain();
	WRITE_ONCE(kswapd.failures, freed ? 0 : READ_ONCE(kswapd.failures) + 1);
}

/* Interruptible, since the sleep may last arbitrarily long; there are no signals. */
static void sleep_until_wanted(bool (*should_stop)(void))
{
	thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
	while (!has_work() && !should_stop()) {
		thread_sleep();
		thread_prepare_sleep(SLEEP_INTERRUPTIBLE);
	}
	thread_cancel_sleep();
}

void kswapd_run(bool (*should_stop)(void))
{
	assert_no_lock_held();
	store_release(&kswapd.thread, current_thread());
	for (;;) {
		sleep_until_wanted(should_stop);
		if (should_stop())
			break;
		if (nr_pages_in_zone() < READ_ONCE(watermarks.high))
			kswapd_balance();
		else
			WRITE_ONCE(kswapd.wanted, 0);
		cond_resched();
	}
	store_release(&kswapd.thread, NULL);
	synchronize_rcu(); /* no CPU is about to wake it any more */
}
