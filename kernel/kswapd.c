/* SPDX-License-Identifier: MIT */
/* kswapd0, the thread that runs mm/reclaim/kswapd.c. */
#include "kernel/kswapd.h"
#include "kernel/lib/print.h"
#include "kernel/sched/kthread.h"
#include "mm/reclaim/kswapd.h"

static struct task *thread; /* created at boot, stopped at shut-down */

static void kswapd_main(void *arg __maybe_unused)
{
	kswapd_run(kthread_should_stop);
}

void kswapd_start(void)
{
	assert_may_sleep();
	thread = kthread_start("kswapd0", kswapd_main, NULL);
	if (!thread)
		panic("no memory for kswapd");
}

void kswapd_stop(void)
{
	assert_may_sleep();
	kthread_stop(thread);
}
