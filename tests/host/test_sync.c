/* SPDX-License-Identifier: MIT */
/* Tests of the locks, wait queues and RCU of kernel/, on simulated CPUs. */
#include "test.h"

#include "kernel/sync/lockdep.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/rwsem.h"

#include <stdlib.h>

#define ROUNDS 2000

/* ---- Spinlocks --------------------------------------------------------------------------------------------------- */

static spinlock_t spin = SPINLOCK_INIT(LEAF);
static u64 guarded; /* protected by the lock under test */

static void add_under_spinlock(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned long flags = spin_lock_irqsave(&spin);

		guarded++;
		spin_unlock_irqrestore(&spin, flags);
		sim_user_boundary();
	}
}

TEST(spinlock_excludes, 4)
{
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, add_under_spinlock, NULL);
	sim_join_all();
	CHECK_EQ(guarded, 3 * ROUNDS);
	CHECK(spin_trylock(&spin));
	CHECK(spin_is_locked_by_me(&spin) && in_atomic() && !spin_trylock(&spin));
	spin_unlock(&spin);
	CHECK(!in_atomic());
}

/* ---- Mutex ------------------------------------------------------------------------------------------------------- */

static struct mutex mutex = MUTEX_INIT(mutex, INODE);

static void add_under_mutex(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		mutex_lock(&mutex);
		guarded++;
		if (i % 16 == 0)
			cond_resched();
		mutex_unlock(&mutex);
		sim_user_boundary();
	}
}

TEST(mutex_excludes, 4)
{
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, add_under_mutex, NULL);
	sim_join_all();
	CHECK_EQ(guarded, 3 * ROUNDS);
	CHECK(mutex_trylock(&mutex) && mutex_is_locked_by_me(&mutex) && !mutex_trylock(&mutex));
	mutex_unlock(&mutex);
}

/* ---- rwsem ------------------------------------------------------------------------------------------------------- */

static struct rwsem sem;
static u64 readers_inside;

static void read_and_write(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS / 2; i++) {
		if (sim_random_below(4)) {
			down_read(&sem);
			atomic_inc(&readers_inside);
			(void)READ_ONCE(guarded);
			__atomic_sub_fetch(&readers_inside, 1, __ATOMIC_RELAXED);
			up_read(&sem);
		} else {
			down_write(&sem);
			CHECK_EQ(READ_ONCE(readers_inside), 0);
			guarded++;
			up_write(&sem);
		}
		sim_user_boundary();
	}
}

TEST(rwsem_excludes, 4)
{
	rwsem_init(&sem, RANK_INODE);
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, read_and_write, NULL);
	sim_join_all();
	CHECK_EQ(READ_ONCE(sem.count), 0);
	CHECK(!rwsem_is_locked(&sem));
}

static void read_once(void *arg)
{
	down_read(&sem);
	WRITE_ONCE(*(u64 *)arg, READ_ONCE(guarded) + 1);
	up_read(&sem);
}

static void write_once(void *arg)
{
	(void)arg;
	down_write(&sem);
	WRITE_ONCE(guarded, 41);
	up_write(&sem);
}

/* A reader that comes after a waiting writer queues behind it: the writer does not starve. */
TEST(rwsem_is_fair, 3)
{
	u64 seen = 0;

	rwsem_init(&sem, RANK_INODE);
	down_read(&sem);
	sim_start(1, write_once, NULL);
	while (!sim_is_sleeping(1))
		cond_resched();
	CHECK(!down_read_trylock(&sem));
	sim_start(2, read_once, &seen);
	while (!sim_is_sleeping(2))
		cond_resched();
	up_read(&sem);
	sim_join_all();
	CHECK_EQ(seen, 42);
}

static long killable_result[2];

static void write_killable(void *arg)
{
	(void)arg;
	WRITE_ONCE(killable_result[0], down_write_killable(&sem));
}

/* A killed writer leaves the queue, and the waiters behind it proceed. */
TEST(rwsem_killable_writer_leaves, 3)
{
	u64 seen = 0;

	rwsem_init(&sem, RANK_INODE);
	down_read(&sem);
	sim_start(1, write_killable, NULL);
	while (!sim_is_sleeping(1))
		cond_resched();
	sim_start(2, read_once, &seen);
	while (!sim_is_sleeping(2))
		cond_resched();
	sim_kill(1);
	sim_join(1);
	sim_join(2);
	CHECK_EQ(killable_result[0], -EINTR);
	CHECK_EQ(seen, 1);
	up_read(&sem);
	CHECK_EQ(READ_ONCE(sem.count), 0);
}

/* ---- Wait queues ------------------------------------------------------------------------------------------------- */

static struct wait_queue queue = WAIT_QUEUE_INIT(queue);
static u64 turn;

static void take_turns(void *arg)
{
	u64 mine = (u64)(long)arg;

	for (unsigned i = 0; i < 200; i++) {
		wait_event(&queue, load_acquire(&turn) % 3 == mine);
		guarded++;
		store_release(&turn, turn + 1);
		wake_up_all(&queue);
		sim_user_boundary();
	}
}

TEST(wait_queue_loses_no_wakeup, 4)
{
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, take_turns, (void *)(long)(cpu - 1));
	sim_join_all();
	CHECK_EQ(guarded, 600);
}

static const int key_a, key_b;
static u64 woken_mask;

static void wait_for_key(void *key)
{
	u64 bit = 1UL << cpu_id();

	(void)wait_event_state(&queue, load_acquire(&turn) & bit, SLEEP_KILLABLE, key, thread_killed());
	(void)atomic_or(&woken_mask, bit);
}

TEST(wait_queue_wakes_by_key, 4)
{
	sim_start(1, wait_for_key, (void *)&key_a);
	sim_start(2, wait_for_key, (void *)&key_b);
	sim_start(3, wait_for_key, (void *)&key_b);
	for (unsigned cpu = 1; cpu < 4; cpu++)
		while (!sim_is_sleeping(cpu))
			cond_resched();
	store_release(&turn, ~0UL);
	CHECK_EQ(wake_up_nr(&queue, &key_a, 8), 1);
	sim_join(1);
	CHECK_EQ(READ_ONCE(woken_mask), 2);
	CHECK_EQ(wake_up_nr(&queue, &key_b, 1), 1);
	while (READ_ONCE(woken_mask) == 2) /* a waiter sets its bit after it has left the queue */
		cond_resched();
	CHECK_EQ(wake_up_nr(&queue, &key_b, 8), 1);
	sim_join_all();
	CHECK_EQ(READ_ONCE(woken_mask), 2 | 4 | 8);
}

static void wait_killably(void *result)
{
	*(long *)result = wait_event_killable(&queue, load_acquire(&turn));
}

TEST(wait_queue_killed_waiter_leaves, 2)
{
	long result = 0;

	sim_start(1, wait_killably, &result);
	while (!sim_is_sleeping(1))
		cond_resched();
	sim_kill(1);
	sim_join_all();
	CHECK_EQ(result, -EINTR);
	CHECK_EQ(wake_up_nr(&queue, NULL, 8), 0);
}

static bool is_there, is_interrupted;

/*
 * The first check finds nothing; right after it both arrive: the event with its wake-up, and a signal from the thread
 * that caused it.
 */
static bool comes_after_the_first_look(void)
{
	if (is_there)
		return true;
	is_there = is_interrupted = true;
	wake_up_all(&queue);
	return false;
}

TEST(wait_queue_event_goes_before_the_signal_of_its_end, 1)
{
	CHECK_EQ(wait_event_state(&queue, comes_after_the_first_look(), SLEEP_INTERRUPTIBLE, NULL, is_interrupted), 0);
	CHECK(is_there);
}

/* ---- RCU --------------------------------------------------------------------------------------------------------- */

struct shared {
	struct rcu_head rcu;
	u64 value;
};
static struct shared *published;
static bool stop_readers;

static void free_shared(struct rcu_head *head)
{
	struct shared *old = container_of(head, struct shared, rcu);

	old->value = 0;
	free(old);
}

static struct shared *new_shared(u64 value)
{
	struct shared *new = malloc(sizeof(*new));

	new->value = value;
	return new;
}

static void read_published(void *arg)
{
	u64 last = 0;

	(void)arg;
	while (!READ_ONCE(stop_readers)) {
		rcu_read_lock();
		const struct shared *now = load_acquire(&published);

		for (unsigned i = 0; i < 4; i++) {
			cpu_relax();
			CHECK(now->value >= last);
		}
		last = now->value;
		rcu_read_unlock();
		sim_user_boundary();
	}
}

static void replace_published(void *arg)
{
	(void)arg;
	for (u64 i = 2; i < 1500; i++) {
		struct shared *old = published;

		store_release(&published, new_shared(i));
		if (i % 64)
			call_rcu(&old->rcu, free_shared);
		else {
			synchronize_rcu();
			free_shared(&old->rcu);
		}
		sim_user_boundary();
	}
}

/* An early callback is reported as use after free by AddressSanitizer, and as a race by ThreadSanitizer. */
TEST(rcu_waits_for_readers, 4)
{
	published = new_shared(1);
	sim_start(1, replace_published, NULL);
	sim_start(2, read_published, NULL);
	sim_start(3, read_published, NULL);
	sim_join(1);
	WRITE_ONCE(stop_readers, true);
	sim_join_all();
	rcu_barrier();
	free(published);
}

static void count_callback(struct rcu_head *head)
{
	(void)head;
	atomic_inc(&guarded);
}

static struct rcu_head heads[4][100];

static void queue_callbacks(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 100; i++) {
		call_rcu(&heads[cpu_id()][i], count_callback);
		if (sim_random_below(8) == 0)
			sim_user_boundary();
	}
}

TEST(rcu_barrier_waits_for_all_cpus, 4)
{
	for (unsigned cpu = 1; cpu < 4; cpu++)
		sim_start(cpu, queue_callbacks, NULL);
	sim_join_all();
	queue_callbacks(NULL);
	rcu_barrier();
	CHECK_EQ(READ_ONCE(guarded), 400);
	CHECK(!rcu_pending());
}

static void hold_rcu(void *arg)
{
	(void)arg;
	rcu_read_lock();
	WRITE_ONCE(turn, 1);
	while (READ_ONCE(turn) != 2)
		cpu_relax();
	rcu_read_unlock();
}

/* A CPU inside an RCU section delays every grace period, however long it stays. */
TEST(rcu_section_holds_the_grace_period, 3)
{
	sim_start(1, hold_rcu, NULL);
	while (READ_ONCE(turn) != 1)
		cond_resched();
	call_rcu(&heads[0][0], count_callback);
	let_others_run();
	CHECK_EQ(READ_ONCE(guarded), 0);
	WRITE_ONCE(turn, 2);
	rcu_barrier();
	CHECK_EQ(READ_ONCE(guarded), 1);
}
