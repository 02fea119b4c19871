/* SPDX-License-Identifier: MIT */
/* kswapd: the kernel thread kswapd0, which reclaims memory in advance. */
#ifndef MM_KSWAPD_H
#define MM_KSWAPD_H

#include "kernel/lib/base.h"

/*
 * Waits until a thread finds less than the low mark free, reclaims up to the high mark, and so on, until should_stop()
 * is true; the thread that makes it true wakes this one. One thread runs it.
 *
 * Context: no lock held. Sleeps.
 */
void kswapd_run(bool (*should_stop)(void));

/*
 * Wakes kswapd if free memory is below the low watermark.
 *
 * Context: no lock from RANK_RECLAIM on held. Does not sleep.
 */
void kswapd_look(void);
/* Unlocked: a hint. Context: any. Returns: true if kswapd's recent attempts have freed nothing. */
bool kswapd_has_given_up(void);
/*
 * Called after another thread has reclaimed memory, so that more may be reclaimable: kswapd tries again if it has given
 * up.
 *
 * Context: any.
 */
void kswapd_encourage(void);

#endif
