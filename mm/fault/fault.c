/* SPDX-License-Identifier: MIT */
/*
 * The page-fault entry point, fault_in(), and the dispatcher that tries the strategies.
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
#include "mm/fault/core.h"

#include "kernel/sync/lockdep.h"
#include "mm/debug/counters.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/fault/policy.h"

static __always_inline enum fault_end attempt(struct fault *f)
{
	enum fault_end end;

	f->held = HELD_NOTHING;
	f->page = NULL;
	f->means = MEANS_OTHER;
	end = f->strategy->enter(f);
	if (!end)
		end = fault_handle(f);
	ASSERT(end, "a fault ends in exactly one way");
	ASSERT((end != END_RETRY && end != END_COMPLETED) || f->held == HELD_NOTHING,
	       "an attempt that ends in retry or completed has dropped its lock");
	if (f->held != HELD_NOTHING)
		f->strategy->leave(f);
	ASSERT(!f->page_locked && !f->prealloc_table,
	       "neither page lock nor page table outlives the attempt that took it");
	ASSERT(f->held == HELD_NOTHING, "nothing is held between attempts");
	ASSERT(f->sleep == FAULT_SLEEP_none, "a sleep that was announced is over");
	return end;
}

static void count_also(struct counters_cpu *mine, unsigned counter)
{
	if (counter)
		count_nr_here(mine, counter, 1);
}

/*
 * Records the event of an attempt. Debug builds do not inline it, so that a debugger can stop at it. The thread may
 * have slept and moved to another CPU since the attempt began: `mine` belongs to the CPU that it runs on now.
 */
static __event_function void(event_attempt)(struct counters_cpu *mine, const struct fault *f)
{
	u32 seq;
	struct fault_event *event = event_begin(&mine->ring, &seq);

	WRITE_ONCE(event->start, f->started);
	WRITE_ONCE(event->end, cycles());
	WRITE_ONCE(event->address, f->address);
	WRITE_ONCE(event->ip, machine_user_ip());
	WRITE_ONCE(event->story.bits, f->story);
	WRITE_ONCE(event->tid, machine_tid());
	WRITE_ONCE(event->type, EVENT_attempt);
	event_finish(event, seq);
}

/* The one place where an attempt's end is counted, and recorded. */
static __always_inline void note_end(struct fault *f, const struct fault_tally *tally, enum fault_end end)
{
	struct counters_cpu *mine = my_counters();

	f->end = end;
	event_attempt(mine, f);
	if (end == END_GAVE_UP || end == END_RETRY) {
		count_nr_here(mine, COUNT_FIRST_REASON + f->reason, 1);
		count_also(mine, end == END_RETRY ? tally->retry : tally->gave_up);
		return;
	}
	count_nr_here(mine, tally->ends[end], 1);
	if (end == END_WOULD_BLOCK)
		return;
	count_also(mine, tally->success);
	if (f->means != MEANS_OTHER && f->answer == FAULT_DONE)
		count_nr_here(mine, f->means == MEANS_SWAP ? tally->answered_swap : tally->answered_cached, 1);
}

/* ... and the one where a skipped strategy is counted. */
static void note_skip(struct fault *f, enum fault_reason reason)
{
	count_nr(COUNT_FIRST_REASON + reason, 1);
	f->skipped = reason;
}

/* Returns true if the strategy has ended the fault, false if the next strategy must try. */
static __always_inline bool try_strategy(struct fault *f, const struct fault_strategy *strategy)
{
	enum fault_reason skipped = strategy->skip(f);
	const struct fault_tally *tally = &strategy->tally;
	enum fault_end end;

	if (skipped) {
		note_skip(f, skipped);
		return false;
	}
	f->strategy = strategy;
	f->tried = strategy->id;
	f->flags &= ~FAULT_TRIED;
	for (;;) {
		count_nr(tally->attempts, 1);
		f->started = event_clock();
		end = attempt(f);
		note_end(f, tally, end);
		if (end != END_RETRY)
			return end != END_GAVE_UP;
		f->flags |= FAULT_TRIED;
	}
}

/* As on Linux: counts the event whatever the answer, and a major fault of the thread only if the fault was resolved. */
static void __noinline count_major(const struct fault *f)
{
	count(pgmajfault);
	if (f->answer == FAULT_DONE)
		thread_count_as_major();
}

static inline void begin_fault(struct fault *f, struct mm *mm, vaddr_t addr, enum fault_access access, unsigned flags)
{
	f->mm = mm;
	f->address = addr & PAGE_MASK;
	f->story = (union fault_story){ .access = access, .flags = flags }.bits; /* FAULT_DONE, REASON_NONE: 0 */
	f->page_locked = false;
	f->page_waited = false;
	f->sleep = FAULT_SLEEP_none;
	f->prealloc_table = NULL;
	machine_set_fault(f);
	race_point(fault_enter);
	count(pgfault);
}

enum fault_answer fault_in(struct mm *mm, vaddr_t addr, enum fault_access access, unsigned flags)
{
	const struct fault_strategy *const *strategy = policy_strategies(mm);
	struct fault f;

	assert_no_lock_from(RANK_MMAP_LOCK);
	assert_irqs_on();
	begin_fault(&f, mm, addr, access, flags);
	while (!try_strategy(&f, *strategy)) {
		strategy++;
		BUG_ON(!*strategy, "the last strategy gave up, for reason %u", f.reason);
	}
	machine_set_fault(NULL);
	if (unlikely(f.page_waited))
		count_major(&f);
	return f.answer;
}

/* Counts no major fault: swapoff counts no fault for its thread, so there is none to turn into a major one. */
enum fault_answer fault_swap_in(struct mm *mm, vaddr_t addr)
{
	struct fault f;

	assert_no_lock_from(RANK_MMAP_LOCK);
	assert_irqs_on();
	begin_fault(&f, mm, addr, ACCESS_READ, 0);
	(void)try_strategy(&f, &strategy_mmap_swap_in);
	machine_set_fault(NULL);
	return f.answer;
}

/* ---- Sleeping ---------------------------------------------------------------------------------------------------- */

bool fault_forbids_reclaim(void)
{
	const struct fault *f = machine_fault();

	return f && (f->held == HELD_VMA || f->held == HELD_MMAP);
}

#if DEBUG

static const struct {
	const char *name;
	u32 held; /* bits of enum lock_rank */
	bool killable, never;
} sleeps[NR_FAULT_SLEEPS] = {
#define KILLABLE true
#define UNKILLABLE false
#define WAITS false
#define NEVER true
#define X(name, held, killable, no_wait, what) [FAULT_SLEEP_##name] = { #name, held, killable, no_wait },
	FAULT_SLEEPS(X)
#undef X
#undef KILLABLE
#undef UNKILLABLE
#undef WAITS
#undef NEVER
};

_Static_assert(NR_LOCK_RANKS <= 32, "each rank has a bit");

/* Locks that rank above mmap_lock belong to the caller of fault_in(), and are not checked. */
static void assert_holds_at_most(const struct fault *f, u32 allowed)
{
	const struct held_locks *held = current_held_locks();

	for (u32 i = 0; i < held->depth; i++)
		BUG_ON(held->held[i].rank >= RANK_MMAP_LOCK && !(allowed & 1u << held->held[i].rank),
		       "a fault at %lx sleeps for %s with %s (%p) held", (unsigned long)f->address,
		       sleeps[f->sleep].name, lock_rank_name(held->held[i].rank), held->held[i].lock);
}

void assert_fault_may_sleep(bool killable)
{
	const struct fault *f = machine_fault();

	if (!f)
		return;
	BUG_ON(!f->sleep, "a fault at %lx sleeps where no fault may (mm/fault/fault_sleep.h)",
	       (unsigned long)f->address);
	BUG_ON(sleeps[f->sleep].killable && !killable, "a fault at %lx sleeps for %s, and cannot be killed",
	       (unsigned long)f->address, sleeps[f->sleep].name);
	BUG_ON(sleeps[f->sleep].never && f->flags & FAULT_NO_WAIT, "a fault at %lx sleeps for %s despite FAULT_NO_WAIT",
	       (unsigned long)f->address, sleeps[f->sleep].name);
	assert_holds_at_most(f, sleeps[f->sleep].held);
}

#endif

bool fault_signal(enum fault_answer answer, struct fault_signal *sig)
{
	enum { SIGBUS = 7, SIGSEGV = 11, SEGV_MAPERR = 1, SEGV_ACCERR = 2, SEGV_PKUERR = 4, BUS_ADRERR = 2 };
	static const struct fault_signal signals[] = {
		[FAULT_NO_MAPPING] = { SIGSEGV, SEGV_MAPERR }, [FAULT_NO_ACCESS] = { SIGSEGV, SEGV_ACCERR },
		[FAULT_NO_KEY] = { SIGSEGV, SEGV_PKUERR },     [FAULT_NO_PROGRESS] = { SIGSEGV, SEGV_ACCERR },
		[FAULT_BEYOND_END] = { SIGBUS, BUS_ADRERR },   [FAULT_IO_ERROR] = { SIGBUS, BUS_ADRERR },
	};

	if (answer >= ARRAY_SIZE(signals) || !signals[answer].signo)
		return false;
	*sig = signals[answer];
	return true;
}
