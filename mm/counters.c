/* SPDX-License-Identifier: MIT */
/* Summing and naming the counters of the fault path, and the identity that they obey. */
#include "mm/counters.h"

u64 counter_sum(unsigned counter)
{
	u64 sum = 0;

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		sum += READ_ONCE(per_cpu(counters, cpu).value[counter]);
	return sum;
}

u64 reason_sum(enum fault_reason reason)
{
	return counter_sum(COUNT_FIRST_REASON + reason);
}

const char *counter_name(unsigned counter)
{
	static const char *const names[NR_COUNTERS] = {
#define X(name, sentence) [COUNT_##name] = #name,
		FAULT_COUNTERS(X)
#undef X
#define X(name, strategy, kind, sentence, mirrors) [COUNT_FIRST_REASON + REASON_##name] = #name,
			FAULT_REASONS(X)
#undef X
	};

	return names[counter];
}

enum row_kind { KIND_SKIP, KIND_EVENT, KIND_REASON };

/* Attempts of the strategy that ended by one of its reasons. */
static u64 sum_of_reasons(enum fault_strategy_id strategy)
{
	static const struct {
		enum fault_strategy_id strategy;
		enum row_kind kind;
	} rows[NR_FAULT_REASONS] = {
#define X(name, strategy, kind, sentence, mirrors) [REASON_##name] = { STRATEGY_##strategy, KIND_##kind },
		FAULT_REASONS(X)
#undef X
	};
	u64 sum = 0;

	for (unsigned reason = REASON_NONE + 1; reason < NR_FAULT_REASONS; reason++)
		if (rows[reason].strategy == strategy && rows[reason].kind == KIND_REASON)
			sum += reason_sum(reason);
	return sum;
}

bool counters_identity_holds(enum fault_strategy_id strategy)
{
	static const unsigned first[NR_STRATEGIES] = {
		[STRATEGY_MMAP] = COUNT_mmap_attempts,
		[STRATEGY_VMA] = COUNT_vma_lock_attempts,
		[STRATEGY_SPEC] = COUNT_spf_attempts,
	};
	u64 attempts = counter_sum(first[strategy]);
	u64 ends = sum_of_reasons(strategy);

	for (unsigned end = 1; end <= 3; end++)
		ends += counter_sum(first[strategy] + end);
	if (attempts == ends)
		return true;
	klog("counting identity broken: %s is %lu, but its ends add up to %lu", counter_name(first[strategy]),
	     (unsigned long)attempts, (unsigned long)ends);
	return false;
}
