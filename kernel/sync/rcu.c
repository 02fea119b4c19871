/* SPDX-License-Identifier: MIT */
/*
 * RCU with a global generation counter. `generation` only grows. A CPU in a quiescent state notes the generation it
 * sees; generation g is over once every CPU has noted g or more, or is idle; then a CPU that waits for it begins g + 1.
 *
 * Why this gives a grace period, with acquire and release only: a CPU unlinks objects before it queues their
 * call-backs, and closes the batch with a read-modify-write of `generation`, which returns g. The step to g + 1 comes
 * later in the modification order of that word, so a CPU that notes g + 1 (load-acquire) sees the unlinked state from
 * then on, and has finished all its earlier reads (store-release). When g + 2 begins, all CPUs have noted g + 1. An
 * idle CPU notes nothing, so here both sides use a read-modify-write of the CPU's word: the second of the two sees
 * everything that the first had seen.
 *
 * A CPU's lists are protected by its lock (RANK_RCU, interrupts off); call-backs run without it. Each list is a chain
 * with a tail pointer, so that a whole list is moved with a few stores.
 */
#include "kernel/sync/rcu.h"

#include "kernel/sync/wait.h"
#include "mm/machine.h"

#define RCU_IDLE 0UL

struct rcu_list {
	struct rcu_head *first;
	struct rcu_head **tail; /* NULL while empty */
};

struct rcu_cpu {
	u64 noted;		 /* RCU_IDLE, or the generation noted last; written by this CPU */
	u32 nesting;		 /* debug builds: depth of read sections; accessed by this CPU only */
	spinlock_t lock;	 /* protects the fields below */
	struct rcu_list waiting; /* the closed batch: due when `generation` exceeds waiting_for */
	struct rcu_list queued;	 /* not yet part of a batch */
	u64 waiting_for;
	u32 nr_running; /* batches taken off the lists whose call-backs have not all returned */
};

static u64 generation __cacheline_aligned = 1;
STATIC_PER_CPU(struct rcu_cpu, rcu) = { [0 ... MAX_CPUS - 1] = { .v.lock = SPINLOCK_INIT(RCU) } };
static struct wait_queue rcu_waiters = WAIT_QUEUE_INIT(rcu_waiters);

/* `first` is also read without the lock, by rcu_pending(). */
static void rcu_list_link(struct rcu_list *list, struct rcu_head *first, struct rcu_head **tail)
{
	if (list->first)
		*list->tail = first;
	else
		WRITE_ONCE(list->first, first);
	list->tail = tail;
}

static void rcu_list_add(struct rcu_list *list, struct rcu_head *head)
{
	head->next = NULL;
	rcu_list_link(list, head, &head->next);
}

static void rcu_list_append(struct rcu_list *list, struct rcu_list *from)
{
	if (!from->first)
		return;
	rcu_list_link(list, from->first, from->tail);
	WRITE_ONCE(from->first, NULL);
}

/* ---- Readers ----------------------------------------------------------------------------------------------------- */

#if DEBUG
void rcu_read_lock(void)
{
	this_cpu(rcu).nesting++;
	ASSERT(READ_ONCE(this_cpu(rcu).noted) != RCU_IDLE, "an idle CPU reads nothing under RCU");
}

void rcu_read_unlock(void)
{
	ASSERT(this_cpu(rcu).nesting, "an RCU section ends on the CPU on which it began");
	this_cpu(rcu).nesting--;
}

bool rcu_read_lock_held(void)
{
	return this_cpu(rcu).nesting != 0;
}
#endif

/* ---- Quiescent states -------------------------------------------------------------------------------------------- */

void rcu_quiescent(void)
{
	struct rcu_cpu *cpu = &this_cpu(rcu);
	u64 now = load_acquire(&generation), noted = READ_ONCE(cpu->noted);

	ASSERT(!cpu->nesting, "no thread sleeps or returns to user mode inside an RCU section");
	if (noted != now && noted != RCU_IDLE)
		store_release(&cpu->noted, now);
}

void rcu_idle_enter(void)
{
	struct rcu_cpu *cpu = &this_cpu(rcu);

	ASSERT(!cpu->nesting, "no CPU goes idle inside an RCU section");
	store_release(&cpu->noted, RCU_IDLE);
}

void rcu_idle_exit(void)
{
	struct rcu_cpu *cpu = &this_cpu(rcu);

	/*
	 * Generation 1 is long over, so this blocks further steps until the current one is noted. If a CPU saw us idle
	 * before this, we see its writes; a CPU that looks later sees us.
	 */
	(void)atomic_xchg(&cpu->noted, 1);
	store_release(&cpu->noted, load_acquire(&generation));
}

/* ---- Grace periods ----------------------------------------------------------------------------------------------- */

static bool cpu_has_noted(unsigned cpu, u64 wanted)
{
	u64 *word = &per_cpu(rcu, cpu).noted;
	u64 noted = load_acquire(word);

	if (noted == RCU_IDLE)
		noted = atomic_fetch_add(word, 0);
	return noted == RCU_IDLE || noted >= wanted;
}

/* Begins the next generation if the current one is over. */
static void generation_advance(void)
{
	u64 now = load_acquire(&generation);

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		if (!cpu_has_noted(cpu, now))
			return;
	}
	(void)atomic_cas(&generation, now, now + 1); /* if this fails, another CPU did it */
}

/* Makes the queued call-backs the waiting batch, if there is none. Context: cpu->lock held. */
static void batch_close(struct rcu_cpu *cpu)
{
	assert_spin_held(&cpu->lock);
	if (cpu->waiting.first || !cpu->queued.first)
		return;
	rcu_list_append(&cpu->waiting, &cpu->queued);
	cpu->waiting_for = atomic_fetch_add(&generation, 0) + 1;
}

/* Removes the batch that is due and closes the next one. Returns NULL if none is due. */
static struct rcu_head *batch_take_due(struct rcu_cpu *cpu)
{
	struct rcu_head *due = NULL;
	unsigned long flags = spin_lock_irqsave(&cpu->lock);

	if (cpu->waiting.first && load_acquire(&generation) > cpu->waiting_for) {
		due = cpu->waiting.first;
		WRITE_ONCE(cpu->waiting.first, NULL);
		WRITE_ONCE(cpu->nr_running, cpu->nr_running + 1);
	}
	batch_close(cpu);
	spin_unlock_irqrestore(&cpu->lock, flags);
	return due;
}

static void batch_run(struct rcu_cpu *cpu, struct rcu_head *head)
{
	unsigned long flags;

	while (head) {
		struct rcu_head *next = head->next; /* the call-back frees head */

		head->func(head);
		head = next;
	}
	flags = spin_lock_irqsave(&cpu->lock);
	store_release(&cpu->nr_running, cpu->nr_running - 1);
	spin_unlock_irqrestore(&cpu->lock, flags);
}

bool rcu_pending(void)
{
	const struct rcu_cpu *cpu = &this_cpu(rcu);

	return READ_ONCE(cpu->waiting.first) || READ_ONCE(cpu->queued.first);
}

void rcu_run_callbacks(void)
{
	struct rcu_cpu *cpu = &this_cpu(rcu); /* nr_running is decremented there, even if a call-back migrates us */
	struct rcu_head *due;

	assert_no_spinlock_held();
	assert_irqs_on();
	if (!rcu_pending())
		return;
	generation_advance();
	due = batch_take_due(cpu);
	if (due)
		batch_run(cpu, due);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct rcu_cpu *cpu = &this_cpu(rcu);
	unsigned long flags = spin_lock_irqsave(&cpu->lock);

	head->func = func;
	rcu_list_add(&cpu->queued, head);
	spin_unlock_irqrestore(&cpu->lock, flags);
}

struct rcu_wait {
	struct rcu_head head;
	bool done;
};

static void rcu_wait_done(struct rcu_head *head)
{
	store_release(&container_of(head, struct rcu_wait, head)->done, true); /* after this the waiter may be gone */
	wake_up_all(&rcu_waiters);
}

void synchronize_rcu(void)
{
	struct rcu_wait wait = { .done = false };

	assert_may_sleep();
	call_rcu(&wait.head, rcu_wait_done);
	wait_event(&rcu_waiters, load_acquire(&wait.done));
}

/*
 * While call-backs move between two CPUs they are on neither list, and another barrier would miss them: so only one
 * barrier at a time moves them. Interrupts stay on: handlers only add to their own CPU's list.
 */
static spinlock_t stealing_lock = SPINLOCK_INIT(RCU_BARRIER);

/* Takes another CPU's call-backs: that CPU may be halted, and not run them soon. Context: stealing_lock held. */
static void steal_callbacks(struct rcu_cpu *from, struct rcu_cpu *to)
{
	struct rcu_list stolen = { 0 };
	unsigned long flags = spin_lock_irqsave(&from->lock);

	assert_spin_held(&stealing_lock);
	rcu_list_append(&stolen, &from->waiting);
	rcu_list_append(&stolen, &from->queued);
	spin_unlock_irqrestore(&from->lock, flags);
	flags = spin_lock_irqsave(&to->lock);
	rcu_list_append(&to->queued, &stolen);
	spin_unlock_irqrestore(&to->lock, flags);
}

void rcu_barrier(void)
{
	assert_may_sleep();
	spin_lock(&stealing_lock);
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		if (cpu != cpu_id())
			steal_callbacks(&per_cpu(rcu, cpu), &this_cpu(rcu));
	}
	spin_unlock(&stealing_lock);
	synchronize_rcu(); /* its call-back is queued behind all of them, and they run in order */
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		while (load_acquire(&per_cpu(rcu, cpu).nr_running) != 0)
			cond_resched();
	}
}
