/* SPDX-License-Identifier: MIT */
/* Making room in advance: what the kernel thread kswapd0 does. */
#ifndef MM_KSWAPD_H
#define MM_KSWAPD_H

#include "kernel/lib/base.h"

/*
 * Sleeps until somebody finds less than the low mark free, makes room up to the high mark, and so on, until
 * should_stop() says so; who makes it say so wakes the thread. One thread runs it. => no lock held.
 */
void kswapd_run(bool (*should_stop)(void));

/* Wakes it if less than the low mark is free. Does not sleep. => no lock from RANK_RECLAIM on held. */
void kswapd_look(void);
/* Nothing it tried has freed anything lately. Unlocked: a guess. */
bool kswapd_has_given_up(void);
/* Somebody else made room, so there may be more of it: kswapd tries again, if it has given up. Does not sleep; any lock. */
void kswapd_encourage(void);

#endif
