/* SPDX-License-Identifier: MIT */
/*
 * The slow path of spinlocks, and the debug checks of all locks: order by rank, no sleep under a spinlock, release only
 * by the owner.
 *
 * An interrupt handler may interrupt a thread that holds locks of any rank; its own locks are not ordered against those
 * (the thread holds them with interrupts on, so the handler never waits for one of them). Handlers run with interrupts
 * off; so a lock acquired with interrupts off is compared only with held locks that were acquired with interrupts off.
 *
 * Takes no lock itself. Callable from any context.
 */
#include "kernel/sync/spinlock.h"

#include "kernel/sync/lockdep.h"
#include "kernel/sync/rcu.h"
#include "mm/machine.h"

static const char *const rank_names[NR_LOCK_RANKS] = {
#define X(name, why) #name,
	LOCK_RANKS(X)
#undef X
};

const char *lock_rank_name(unsigned rank)
{
	return rank < NR_LOCK_RANKS ? rank_names[rank] : "?";
}

#if DEBUG

STATIC_PER_CPU(struct held_locks, spins_held);
static bool checks_off;

static void held_push(struct held_locks *list, const void *lock, u8 rank, bool irqs_were_on)
{
	BUG_ON(list->depth == MAX_HELD_LOCKS, "more than %d locks held at once, the last of rank %s", MAX_HELD_LOCKS,
	       rank_names[rank]);
	list->held[list->depth++] = (struct held_lock){ .lock = lock, .rank = rank, .irqs_were_on = irqs_were_on };
}

static void held_remove(struct held_locks *list, const void *lock, u8 rank)
{
	for (u32 i = list->depth; i-- > 0;) {
		if (list->held[i].lock != lock)
			continue;
		for (; i + 1 < list->depth; i++)
			list->held[i] = list->held[i + 1];
		list->depth--;
		return;
	}
	panic("a lock of rank %s (%p) is released by a context that does not hold it", rank_names[rank], lock);
}

static void held_compare(const struct held_locks *list, const void *lock, u8 rank, bool irqs_on)
{
	for (u32 i = 0; i < list->depth; i++) {
		const struct held_lock *held = &list->held[i];

		if (held->irqs_were_on && !irqs_on)
			continue;
		BUG_ON(held->rank >= rank, "lock order: %s (%p) is waited for while %s (%p) is held", rank_names[rank],
		       lock, rank_names[held->rank], held->lock);
	}
}

void spin_order_check(const spinlock_t *lock)
{
	bool irqs_on = irqs_enabled();
	const struct held_locks *sleeping;

	if (READ_ONCE(checks_off))
		return;
	held_compare(&this_cpu(spins_held), lock, lock->rank, irqs_on);
	sleeping = current_held_locks();
	if (sleeping && irqs_on)
		held_compare(sleeping, lock, lock->rank, true);
}

/* Interrupts are off for the change: a handler restores this CPU's list, but must not find it half changed. */
void spin_note_acquired(const spinlock_t *lock)
{
	unsigned long flags;
	bool irqs_were_on = irqs_enabled();

	if (READ_ONCE(checks_off))
		return;
	flags = irq_save();
	held_push(&this_cpu(spins_held), lock, lock->rank, irqs_were_on);
	irq_restore(flags);
}

void spin_note_released(const spinlock_t *lock)
{
	unsigned long flags;

	if (READ_ONCE(checks_off))
		return;
	flags = irq_save();
	held_remove(&this_cpu(spins_held), lock, lock->rank);
	irq_restore(flags);
}

const struct held_locks *cpu_held_locks(unsigned cpu)
{
	return &per_cpu(spins_held, cpu);
}

bool in_atomic(void)
{
	return this_cpu(spins_held).depth != 0;
}

void lock_order_check(const void *lock, enum lock_rank rank)
{
	const struct held_locks *sleeping = current_held_locks();

	if (!sleeping || READ_ONCE(checks_off))
		return;
	BUG_ON(in_atomic(), "a lock of rank %s (%p) may sleep, and is waited for under a spinlock of rank %s",
	       rank_names[rank], lock, rank_names[this_cpu(spins_held).held[0].rank]);
	held_compare(sleeping, lock, rank, true);
}

void lock_acquire_check(const void *lock, enum lock_rank rank, bool waits)
{
	struct held_locks *sleeping = current_held_locks();

	if (!sleeping || READ_ONCE(checks_off))
		return;
	if (waits)
		lock_order_check(lock, rank);
	held_push(sleeping, lock, rank, true);
}

void lock_release_check(const void *lock, enum lock_rank rank)
{
	struct held_locks *sleeping = current_held_locks();

	if (sleeping && !READ_ONCE(checks_off))
		held_remove(sleeping, lock, rank);
}

bool may_sleep(void)
{
	return READ_ONCE(checks_off) || (!in_atomic() && !rcu_read_lock_held());
}

bool lock_is_held(const void *lock)
{
	const struct held_locks *sleeping = current_held_locks();

	if (!sleeping || READ_ONCE(checks_off))
		return true;
	for (u32 i = 0; i < sleeping->depth; i++)
		if (sleeping->held[i].lock == lock)
			return true;
	return false;
}

void lock_checks_off(void)
{
	WRITE_ONCE(checks_off, true);
}

void assert_no_locks_held(const char *where)
{
	const struct held_locks *sleeping = current_held_locks();
	const struct held_locks *spinning = &this_cpu(spins_held);

	if (READ_ONCE(checks_off))
		return;
	BUG_ON(spinning->depth, "%s with a spinlock of rank %s held", where, rank_names[spinning->held[0].rank]);
	BUG_ON(sleeping && sleeping->depth, "%s with a lock of rank %s held", where,
	       rank_names[sleeping->held[0].rank]);
}

#else

const struct held_locks *cpu_held_locks(unsigned cpu)
{
	(void)cpu;
	return NULL;
}

#endif

/* ---- The slow path ----------------------------------------------------------------------------------------------- */

STATIC_PER_CPU(const spinlock_t *, spins_for);

void spin_lock_slow(spinlock_t *lock)
{
	const spinlock_t *before = this_cpu(spins_for); /* the interrupted context's, if we are an interrupt handler */
	u32 free;

	ASSERT(!spin_is_locked_by_me(lock), "a spinlock is not taken twice by one CPU");
	WRITE_ONCE(this_cpu(spins_for), lock);
	do {
		while (READ_ONCE(lock->owner) != 0)
			cpu_relax();
		free = 0;
	} while (!__atomic_compare_exchange_n(&lock->owner, &free, cpu_id() + 1, false, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	WRITE_ONCE(this_cpu(spins_for), before);
}

/* ---- Recording of waits, in both builds -------------------------------------------------------------------------- */

const spinlock_t *cpu_spins_for(unsigned cpu)
{
	return READ_ONCE(per_cpu(spins_for, cpu));
}

void lock_wait_begin(const void *lock, enum lock_rank rank, const void *owner)
{
	struct lock_wait *wait = current_lock_wait();

	if (!wait)
		return;
	wait->rank = rank;
	wait->owner = owner;
	store_release(&wait->lock, lock);
}

void lock_wait_end(void)
{
	struct lock_wait *wait = current_lock_wait();

	if (wait)
		WRITE_ONCE(wait->lock, NULL);
}
