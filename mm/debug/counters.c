/* SPDX-License-Identifier: MIT */
/* Summing and naming the counters of the fault path, and the identity that they obey. */
#include "mm/debug/counters.h"

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
#define X(prefix, name, sentence) [COUNT_##prefix##_##name] = #prefix "_" #name,
#define OF_STRATEGY(id, name, prefix) STRATEGY_COUNTERS(X, prefix)
			FAULT_STRATEGIES(OF_STRATEGY)
#undef OF_STRATEGY
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
#define X(id, name, prefix) [STRATEGY_##id] = COUNT_##prefix##_attempts,
		FAULT_STRATEGIES(X)
#undef X
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

/* ---- Identities between the other counters ----------------------------------------------------------------------- */

#define SUM(name) counter_sum(COUNT_##name)

static bool is_equal(const char *what, u64 left, u64 right)
{
	if (left == right)
		return true;
	klog("counting identity broken: %s: %lu is not %lu", what, (unsigned long)left, (unsigned long)right);
	return false;
}

static bool is_at_most(const char *what, u64 part, u64 whole)
{
	if (part <= whole)
		return true;
	klog("counting identity broken: %s: %lu of %lu", what, (unsigned long)part, (unsigned long)whole);
	return false;
}

static bool ends_agree(u64 spec, u64 vma, u64 mmap)
{
	u64 would_block = SUM(spf_would_block) + SUM(vma_lock_would_block) + SUM(mmap_would_block);
	bool agree = is_equal("faults, and their ends", SUM(pgfault), spec + vma + mmap + would_block);

	agree &= is_equal("faults resolved speculatively", SUM(speculative_pgfault), spec);
	agree &= is_equal("faults resolved under the per-VMA lock", SUM(vma_lock_success), vma);
	agree &= is_equal("attempts under the per-VMA lock without an answer",
			  SUM(vma_lock_abort) + SUM(vma_lock_retry), sum_of_reasons(STRATEGY_VMA));
	return agree;
}

/* A page that is swapped in may be copied in the same attempt; otherwise an attempt does at most one of these. */
static bool answers_agree(u64 spec, u64 vma, u64 mmap)
{
	u64 cached = SUM(spf_answered_cached) + SUM(vma_lock_answered_cached) + SUM(mmap_answered_cached);
	u64 rest = SUM(zero_page_maps) + SUM(spurious_faults), all = spec + vma + mmap;
	bool agree = is_at_most("speculative answers", SUM(spf_answered_swap) + SUM(spf_answered_cached), spec);

	agree &= is_at_most("answers under the per-VMA lock",
			    SUM(vma_lock_answered_swap) + SUM(vma_lock_answered_cached), vma);
	agree &= is_at_most("answers under mmap_lock", SUM(mmap_answered_swap) + SUM(mmap_answered_cached), mmap);
	agree &= is_at_most("faults that brought a page in some way", cached + rest + SUM(cow_copies) + SUM(cow_reuses),
			    all);
	agree &= is_at_most("major faults", SUM(pgmajfault), SUM(pgfault));
	return agree;
}

static bool reclaim_agrees(void)
{
	bool agree = is_equal("pages that reclaim scanned, by thread and by kind",
			      SUM(pgscan_kswapd) + SUM(pgscan_direct), SUM(pgscan_anon) + SUM(pgscan_file));

	agree &= is_equal("pages that it freed", SUM(pgsteal_kswapd) + SUM(pgsteal_direct),
			  SUM(pgsteal_anon) + SUM(pgsteal_file));
	agree &= is_at_most("pages freed by kswapd", SUM(pgsteal_kswapd), SUM(pgscan_kswapd));
	agree &= is_at_most("pages freed by others", SUM(pgsteal_direct), SUM(pgscan_direct));
	return agree;
}

bool counters_agree(void)
{
	u64 spec = SUM(spf_answered) + SUM(spf_completed), vma = SUM(vma_lock_answered) + SUM(vma_lock_completed);
	u64 mmap = SUM(mmap_answered) + SUM(mmap_completed);
	bool agree = ends_agree(spec, vma, mmap);

	agree &= answers_agree(spec, vma, mmap);
	agree &= reclaim_agrees();
	return agree;
}
