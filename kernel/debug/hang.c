/* SPDX-License-Identifier: MIT */
/*
 * The detection of CPUs and threads that make no progress, and the report of what each waits for. It looks for:
 *
 *	a CPU that stays in the kernel	its tick finds it there again and again, in the same call or fault
 *	a CPU that takes no interrupts	the tick of another CPU notices that its tick is missing
 *	a thread that sleeps too long	for a lock, or uninterruptibly: two rounds over all threads find it unchanged
 *
 * A return to user mode and a thread switch are progress. A tick in the kernel marks the thread's work word, which
 * every return to user mode checks anyway, so that calls and faults pay nothing for it. A long call that calls
 * cond_resched() is allowed six times as long, since it may be doing real work; Linux never reports it.
 *
 * Only time in which the machine runs counts. While the host stops the machine, or gives it no CPU, the clock advances
 * without ticks: so a CPU that stays in the kernel is judged by its number of ticks, and everything else by a clock
 * that advances by at most the normal distance between two looks.
 *
 * The round is made by the tick of whichever CPU is first, or by a timer of an idle one. Each finding is logged once,
 * and the machine continues, since it may just be slow.
 *
 * Takes process_tree_lock only by trylock, and skips the round if it is held: this code may run in an interrupt.
 */
#include "kernel/debug/hang.h"

#include "kernel/boot_words.h"
#include "kernel/debug/lock_owners.h"
#include "kernel/debug/panic.h"
#include "kernel/debug/post_mortem.h"
#include "kernel/lib/print.h"
#include "kernel/sched/sched.h"
#include "kernel/sync/lockdep.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"
#include "kernel/x86/interrupt.h"
#include "kernel/x86/setup.h"
#include "mm/debug/race.h"

#define NS_PER_SECOND 1000000000UL
#define MAX_CIRCLE 16
#define NMI_WAIT_NS (3 * NS_PER_SECOND) /* on a loaded host another virtual CPU may take long to answer */

#define PATIENCE 6 /* factor for a call that calls cond_resched() */
#define LOOKS 8	   /* minimum number of looks within the limit, by each CPU that takes interrupts */

struct progress {
	u64 last_look; /* watched ns; written by its own CPU, read by others */
	u64 ticks;     /* since the last progress; × PATIENCE while the thread does not call cond_resched() either */
	u64 switches;  /* of its thread, at that time */
	const void *thread;
	bool reported;
};
STATIC_PER_CPU(struct progress, progress);

static u64 limit_ns;
static u64 watched;    /* ns that the machine has run, as of the last look; atomic */
static u64 watched_at; /* ktime_ns() of the last look; atomic */
static u64 next_round; /* watched ns; atomic */
STATIC_PER_CPU(struct timer, look_timer);
static u64 nmi_wanted;			     /* atomic: CPUs that are asked for their position ... */
STATIC_PER_CPU(struct cpu_place, nmi_place); /* ... which they write here, before they clear their bit */
/* Atomic: NMIs sent to this CPU from this file; two may arrive as one, so never fewer than ... */
STATIC_PER_CPU(u32, nmis_sent);
STATIC_PER_CPU(u32, nmis_taken); /* ... NMIs that the CPU took; the CPU itself */

/* ---- Waiters and holders ----------------------------------------------------------------------------------------- */

static const void *waits_for(const struct task *task)
{
	return READ_ONCE(task->waits.lock);
}

typedef bool visit_task_t(const struct task *task, void *arg);

/* Visits the threads until visit returns true. => process_tree_lock held. */
static void for_each_task(visit_task_t *visit, void *arg)
{
	const struct process *process;
	const struct task *task;

	assert_spin_held(&process_tree_lock);
	list_for_each (process, &all_processes, all_link)
		list_for_each (task, &process->threads, thread_link)
			if (visit(task, arg))
				return;
}

struct search {
	struct lock_wait wait;	  /* the lock whose holder is searched */
	const struct task *after; /* start behind this holder; NULL: from the first thread */
	const struct task *found;
};

static bool is_holder(const struct task *task, void *arg)
{
	struct search *search = arg;

	if (search->after) {
		if (task == search->after)
			search->after = NULL;
		return false;
	}
	if (!task_holds(task, &search->wait))
		return false;
	search->found = task;
	return true;
}

/* Returns the next holder, behind `after`, of the lock that the task waits for. */
static const struct task *holder_for(const struct task *task, const struct task *after)
{
	struct search search = { .wait = task->waits, .after = after };

	for_each_task(is_holder, &search);
	return search.found;
}

static void log_circle(const struct task *task)
{
	const struct task *next = task;

	for (int steps = 1; steps <= MAX_CIRCLE; steps++) {
		next = waits_for(next) ? holder_for(next, NULL) : NULL;
		if (!next)
			return;
		if (next != task)
			continue;
		klog_record("    deadlock: a cycle of %d threads", steps);
		return;
	}
}

static void log_holders(const struct task *waiter)
{
	const struct task *holder = NULL;
	char name[TASK_COMM_LEN + 16];
	bool any = false;

	while ((holder = holder_for(waiter, holder)) != NULL) {
		task_describe(name, sizeof(name), holder);
		klog_record("    which %s holds%s", name, waits_for(holder) ? ", and waits itself" : "");
		any = true;
	}
	if (!any)
		klog_record("    which no thread is known to hold: it waits for I/O or a wake-up");
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

static bool is_stuck_sleep(const struct task *task)
{
	u8 state = READ_ONCE(task->state);

	return state == TASK_UNINTERRUPTIBLE || (state == TASK_KILLABLE && waits_for(task));
}

static bool log_sleeper(const struct task *task, void *arg)
{
	char name[TASK_COMM_LEN + 16];

	(void)arg;
	if (!is_stuck_sleep(task))
		return false;
	task_describe(name, sizeof(name), task);
	if (waits_for(task)) {
		klog_record("  %s waits for %s (%p)", name, lock_rank_name(task->waits.rank), waits_for(task));
		log_holders(task);
		log_circle(task);
	} else {
		klog_record("  %s sleeps until it is woken", name);
	}
	log_backtrace(task_saved_return(task), task_saved_frame(task));
	return false;
}

static void log_race_points(void)
{
	for (unsigned id = 0; id < NR_RACE_POINTS; id++)
		if (race_stopped_at(id))
			klog_record("  thread %d is stopped at the race point %s", race_stopped_at(id),
				    race_point_name(id));
}

/* Asks another CPU for its position, whatever it is doing, and logs it. */
static void log_other_place(unsigned cpu)
{
	u64 bit = 1UL << cpu, deadline = ktime_ns() + NMI_WAIT_NS;

	atomic_or(&nmi_wanted, bit);
	(void)atomic_add_return(&per_cpu(nmis_sent, cpu), 1u);
	lapic_send(cpus[cpu].apic_id, LAPIC_NMI);
	while (load_acquire(&nmi_wanted) & bit && ktime_ns() < deadline)
		cpu_relax();
	if (load_acquire(&nmi_wanted) & bit)
		klog_record("    does not answer");
	else
		log_cpu_place(&per_cpu(nmi_place, cpu));
}

bool hang_nmi(const struct trap_frame *frame)
{
	u64 bit = 1UL << cpu_id();

	if (this_cpu(nmis_taken) == load_acquire(&this_cpu(nmis_sent)))
		return false;
	this_cpu(nmis_taken)++;
	if (READ_ONCE(nmi_wanted) & bit) { /* only this CPU clears it */
		cpu_place_note(&this_cpu(nmi_place), frame);
		(void)atomic_and(&nmi_wanted, ~bit);
	}
	return true;
}

static void log_cpus(void)
{
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		const struct task *task = READ_ONCE(cpus[cpu].task);

		if (!task || task->is_idle)
			continue;
		klog_record("  CPU %u:", cpu);
		if (cpu == cpu_id())
			log_backtrace((u64)__builtin_return_address(0), *(u64 *)__builtin_frame_address(0));
		else
			log_other_place(cpu);
		log_cpu_state(cpu);
	}
}

void hang_report(const char *headline)
{
	klog_record("FAULTLINE-HANG %s", headline);
	log_cpus();
	if (spin_trylock(&process_tree_lock)) {
		for_each_task(log_sleeper, NULL);
		spin_unlock(&process_tree_lock);
	}
	log_race_points();
	log_lock_limits();
	klog_record("FAULTLINE-HANG-END");
}

/* ---- Detection --------------------------------------------------------------------------------------------------- */

/* Returns true if the thread has been asleep since an earlier round, for longer than the limit. */
static bool is_hung(const struct task *task, void *arg)
{
	struct task *mine = (struct task *)task; /* only the round writes these members */
	u64 now = *(u64 *)arg, switches = READ_ONCE(task->nr_voluntary);

	if (!is_stuck_sleep(task) || mine->hang_switches != switches) {
		mine->hang_switches = switches;
		mine->hang_since = now;
		return false;
	}
	if (now - mine->hang_since < limit_ns)
		return false;
	mine->hang_since = TIME_NEVER; /* report it only once */
	*(u64 *)arg = TIME_NEVER;
	return true;
}

static bool some_thread_hangs(u64 now)
{
	if (!spin_trylock(&process_tree_lock))
		return false;
	for_each_task(is_hung, &now);
	spin_unlock(&process_tree_lock);
	return now == TIME_NEVER;
}

/* Returns true if the CPU has a thread to run, but has handled neither a tick nor a timer within the limit. */
static bool takes_no_interrupts(unsigned cpu, u64 now)
{
	struct progress *of = &per_cpu(progress, cpu);
	const struct task *task = READ_ONCE(cpus[cpu].task);
	u64 last = READ_ONCE(of->last_look);

	if (cpu == cpu_id() || !task || task->is_idle || READ_ONCE(of->reported) || last > now || now - last < limit_ns)
		return false;
	WRITE_ONCE(of->reported, true);
	return true;
}

/*
 * Advances the clock of running time by at most the distance between two looks of a running CPU. Also notes that this
 * CPU takes interrupts. Returns that clock. => interrupts off.
 */
static u64 look_at_clock(void)
{
	u64 now = ktime_ns(), last = READ_ONCE(watched_at), watched_now;

	assert_irqs_off();
	if (now > last && atomic_cas(&watched_at, last, now))
		(void)atomic_add_return(&watched, min(now - last, limit_ns / LOOKS));
	watched_now = READ_ONCE(watched);
	WRITE_ONCE(this_cpu(progress).last_look, watched_now);
	return watched_now;
}

/* Makes a round if one is due; one CPU does it for all. => interrupts off. */
static void look_around(u64 now)
{
	u64 due = READ_ONCE(next_round);
	char headline[64];

	assert_irqs_off();
	if (now < due || !atomic_cas(&next_round, due, now + limit_ns / 2))
		return;
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		if (!takes_no_interrupts(cpu, now))
			continue;
		ksnprintf(headline, sizeof(headline), "CPU %u has taken no interrupt for %lu seconds", cpu,
			  (unsigned long)(limit_ns / NS_PER_SECOND));
		hang_report(headline);
	}
	if (some_thread_hangs(now))
		hang_report("A thread has slept too long");
}

/* Returns true if the CPU has left the kernel, or switched threads, since its last tick. => interrupts off. */
static bool makes_progress(struct progress *mine, const struct task *task)
{
	u64 switches = task->nr_voluntary + task->nr_involuntary;
	bool same = task == mine->thread && switches == mine->switches && READ_ONCE(task->work) & WORK_SAME_CALL;

	assert_irqs_off();
	mine->thread = task;
	mine->switches = switches;
	return !same || task->is_idle;
}

/* Counts a tick that interrupted the kernel. => interrupts off. */
static void note_kernel_tick(struct task *task)
{
	struct progress *mine = &this_cpu(progress);
	u32 work = atomic_or(&task->work, WORK_SAME_CALL | WORK_SAME_STRETCH);
	char headline[64];

	assert_irqs_off();
	mine->ticks += work & WORK_SAME_STRETCH ? PATIENCE : 1;
	if (mine->ticks * TICK_NS < limit_ns * PATIENCE || mine->reported)
		return;
	WRITE_ONCE(mine->reported, true);
	ksnprintf(headline, sizeof(headline), "CPU %u has not left the kernel for %lu seconds", cpu_id(),
		  (unsigned long)(limit_ns / NS_PER_SECOND * (work & WORK_SAME_STRETCH ? 1 : PATIENCE)));
	hang_report(headline);
}

void hang_note_tick(bool user)
{
	struct progress *mine = &this_cpu(progress);
	struct task *task = current;
	u64 now;

	assert_irqs_off();
	if (!limit_ns)
		return;
	now = look_at_clock();
	if (makes_progress(mine, task) || user) {
		mine->ticks = 0;
		WRITE_ONCE(mine->reported, false);
	}
	if (!user && !task->is_idle)
		note_kernel_tick(task);
	look_around(now);
}

/* Replaces the tick on an idle CPU; on others it is one look more. */
static void look_timer_expired(struct timer *timer)
{
	look_around(look_at_clock());
	timer_arm(timer, ktime_ns() + limit_ns / LOOKS);
}

void hang_watch(void)
{
	struct timer *timer = &this_cpu(look_timer);

	assert_irqs_off();
	if (!limit_ns)
		return;
	(void)look_at_clock();
	timer_init(timer, look_timer_expired);
	timer_arm(timer, ktime_ns() + limit_ns / LOOKS);
}

void hang_init(void)
{
	limit_ns = boot_number("hang", HANG_SECONDS) * NS_PER_SECOND;
}
