/* SPDX-License-Identifier: MIT */
/*
 * The stage for the catalogue of races: an address space with 16 pages of anonymous memory, of which pages 0 and 15 are
 * written. Race points force each race into its order. The name of a test begins with the number of its row in
 * docs/races.md.
 */
#ifndef RACE_STAGE_H
#define RACE_STAGE_H

#include "race_script.h"

static __maybe_unused void begin(enum fault_policy policy, enum spf_validate validate)
{
	WRITE_ONCE(spf_validate, (u8)validate);
	sim_quirks.evict = 0;	    /* a translation stays in the TLB until it is flushed, */
	sim_quirks.refill = ALWAYS; /* ... and is then replaced by what the entry holds */
	mm = test_mm(policy);
	addr = map(mm, 16, RW, ANON);
	sim_use_mm(mm);
	put(addr, 100);
	put(addr + PAGES(15), 115);
	sim_leave_mm();
	faulter = other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(16), .value = 1 };
	counters_mark();
}

static __maybe_unused void end(void)
{
	race_disarm_all();
	sim_join_all();
	test_mm_put(mm);
}

#define FOR_EACH_STRATEGY(setup)                                                                                       \
	for (const struct strategy_setup *setup = strategy_setups;                                                     \
	     setup < strategy_setups + nr_strategy_setups && (begin(setup->policy, setup->validate), true);            \
	     end(), setup++)

#endif
