/* SPDX-License-Identifier: MIT */
/*
 * The fault door and the dispatcher.
 *
 *	fault_in()
 *	  for each strategy of the policy:
 *	    skip?  ── yes ──▶ next strategy
 *	    enter ─▶ kind of fault ─▶ commit ─▶ leave		(one attempt)
 *	      answered, completed ──▶ done
 *	      gave up ──▶ next strategy
 *	      retry ──▶ the same strategy again, with TRIED
 *
 * Between attempts nothing is held. mmap is the last strategy of every policy and never gives up.
 */
#include "mm/fault.h"

#include "mm/counters.h"
#include "mm/policy.h"
#include "mm/race.h"

/* Where each strategy counts; the reasons have rows of their own. */
static const struct {
	unsigned attempts, ends[NR_FAULT_ENDS], success, gave_up, retry;
} tally[NR_STRATEGIES] = {
	[STRATEGY_MMAP] = { .attempts = COUNT_mmap_attempts,
			    .ends = { [END_ANSWERED] = COUNT_mmap_answered,
				      [END_COMPLETED] = COUNT_mmap_completed,
				      [END_WOULD_BLOCK] = COUNT_mmap_would_block } },
	[STRATEGY_VMA] = { .attempts = COUNT_vma_lock_attempts,
			   .ends = { [END_ANSWERED] = COUNT_vma_lock_answered,
				     [END_COMPLETED] = COUNT_vma_lock_completed,
				     [END_WOULD_BLOCK] = COUNT_vma_lock_would_block },
			   .success = COUNT_vma_lock_success,
			   .gave_up = COUNT_vma_lock_abort,
			   .retry = COUNT_vma_lock_retry },
	[STRATEGY_SPEC] = { .attempts = COUNT_spf_attempts,
			    .ends = { [END_ANSWERED] = COUNT_spf_answered,
				      [END_COMPLETED] = COUNT_spf_completed,
				      [END_WOULD_BLOCK] = COUNT_spf_would_block },
			    .success = COUNT_speculative_pgfault },
};

static enum fault_end attempt(struct fault *f)
{
	enum fault_end end;

	f->held = HELD_NOTHING;
	f->page = NULL;
	end = f->strategy->enter(f);
	if (end == END_GO_ON)
		end = fault_handle(f);
	ASSERT(end != END_GO_ON, "a fault ends in exactly one way");
	ASSERT((end != END_RETRY && end != END_COMPLETED) || f->held == HELD_NOTHING,
	       "whoever answers retry or completed has already let go");
	if (f->held != HELD_NOTHING)
		f->strategy->leave(f);
	ASSERT(!f->page_locked && !f->prealloc_table, "neither page lock nor page table outlives the attempt that took it");
	ASSERT(f->held == HELD_NOTHING, "nothing is held between attempts");
	return end;
}

/* Zero means "not counted under a second name": counter 0 is pgfault, which is nobody's success. */
static void count_also(unsigned counter)
{
	if (counter)
		count_nr(counter, 1);
}

static void count_end(const struct fault *f, enum fault_end end)
{
	enum fault_strategy_id id = f->strategy->id;

	if (end == END_GAVE_UP || end == END_RETRY) {
		count_reason(f->reason);
		count_also(end == END_RETRY ? tally[id].retry : tally[id].gave_up);
		return;
	}
	count_nr(tally[id].ends[end], 1);
	count_also(tally[id].success);
}

/* True when the strategy has resolved the fault; false: the next one shall try. */
static bool try_strategy(struct fault *f, const struct fault_strategy *strategy)
{
	enum fault_reason skipped = strategy->skip(f);
	enum fault_end end;

	if (skipped) {
		count_reason(skipped);
		return false;
	}
	f->strategy = strategy;
	f->flags &= ~FAULT_TRIED;
	for (;;) {
		count_nr(tally[strategy->id].attempts, 1);
		end = attempt(f);
		count_end(f, end);
		if (end != END_RETRY)
			return end != END_GAVE_UP;
		f->flags |= FAULT_TRIED;
	}
}

/* As on Linux: the event whatever came of it, the thread's only if the fault was resolved. */
static void __noinline count_major(enum fault_answer answer)
{
	count(pgmajfault);
	if (answer == FAULT_DONE)
		thread_count_as_major();
}

enum fault_answer fault_in(struct mm *mm, vaddr_t addr, enum fault_access access, unsigned flags)
{
	struct fault f;
	const struct fault_strategy *const *strategy = policy_strategies(mm);

	ASSERT(irqs_enabled(), "a fault is handled with interrupts on");
	f.mm = mm;
	f.address = addr & PAGE_MASK;
	f.access = access;
	f.flags = flags;
	f.page_locked = false;
	f.page_waited = false;
	f.prealloc_table = NULL;
	f.answer = FAULT_DONE;
	race_point(fault_enter);
	count(pgfault);
	while (!try_strategy(&f, *strategy)) {
		strategy++;
		BUG_ON(!*strategy, "the last strategy gave up, for reason %u", f.reason);
	}
	if (unlikely(f.page_waited))
		count_major(f.answer);
	return f.answer;
}

bool fault_signal(enum fault_answer answer, struct fault_signal *sig)
{
	enum { SIGBUS = 7, SIGSEGV = 11, SEGV_MAPERR = 1, SEGV_ACCERR = 2, SEGV_PKUERR = 4, BUS_ADRERR = 2 };
	static const struct fault_signal signals[] = {
		[FAULT_NO_MAPPING] = { SIGSEGV, SEGV_MAPERR },
		[FAULT_NO_ACCESS] = { SIGSEGV, SEGV_ACCERR },
		[FAULT_NO_KEY] = { SIGSEGV, SEGV_PKUERR },
		[FAULT_BEYOND_END] = { SIGBUS, BUS_ADRERR },
		[FAULT_IO_ERROR] = { SIGBUS, BUS_ADRERR },
	};

	if (answer >= ARRAY_SIZE(signals) || !signals[answer].signo)
		return false;
	*sig = signals[answer];
	return true;
}
