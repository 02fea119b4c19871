/* SPDX-License-Identifier: MIT */
/* kswapd: the kernel thread kswapd0, which reclaims memory in advance. */
#ifndef MM_KSWAPD_H
#define MM_KSWAPD_H

#include "kernel/lib/base.h"

/*
 * Sleeps until somebody finds less than the low mark free, makes room up to the high mark, and so on, until
 * should_stop() says so; who makes it say so wakes the thread. One thread runs it. => no lock held.
 */
void kswapd_run(bool (*should_stop)(void));

/* Wakes kswapd if free memory is below the low watermark. Does not sleep. => no lock from RANK_RECLAIM on held. */
void kswapd_look(void);
/* True if its recent attempts have freed nothing. Unlocked: a hint. */
bool kswapd_has_given_up(void);
/*
 * Called after another thread has reclaimed memory, so that more may be reclaimable: kswapd tries again if it has given
 * up. Does not sleep; any lock.
 */
void kswapd_encourage(void);

#endif
