/* SPDX-License-Identifier: MIT */
/* Race points: arming, stopping and releasing, and the seeded schedule fuzzer. See race.h. */
#include "mm/debug/race.h"

#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"

enum point_state {
	POINT_IDLE,
	POINT_ARMED,
	POINT_TAKEN,   /* a thread has arrived, and is about to store its id */
	POINT_STOPPED, /* a thread is stopped there */
};

/* All fields atomic: a point is armed and released by one CPU while other CPUs run through it. */
static struct {
	u32 state;
	s32 tid;  /* armed: the thread to stop, 0 for any; stopped: the thread that is stopped */
	u32 skip; /* passes still to let through */
} points[NR_RACE_POINTS];

static const char *const names[NR_RACE_POINTS] = {
#define X(name, where) [RACE_##name] = #name,
	RACE_POINTS(X)
#undef X
};

bool race_armed;
bool schedule_fuzz_on;

/* Called after each change of a point. A briefly wrong value only costs a check, or a pass before arming is seen. */
static void update_armed(void)
{
	bool any = READ_ONCE(schedule_fuzz_on);

	for (unsigned id = 0; id < NR_RACE_POINTS; id++)
		any |= READ_ONCE(points[id].state) != POINT_IDLE;
	WRITE_ONCE(race_armed, any);
}

static bool skip_this_pass(enum race_point_id id)
{
	u32 skip = READ_ONCE(points[id].skip);

	while (skip)
		if (__atomic_compare_exchange_n(&points[id].skip, &skip, skip - 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* Holds the thread until the point is released or, so that no program can wedge the machine, until it is killed. */
static void race_stop_here(enum race_point_id id, int tid)
{
	WRITE_ONCE(points[id].tid, tid);
	if (!atomic_cas(&points[id].state, (u32)POINT_TAKEN, (u32)POINT_STOPPED))
		return; /* disarmed in between */
	while (load_acquire(&points[id].state) == POINT_STOPPED && !thread_killed())
		cpu_relax();
	(void)atomic_cas(&points[id].state, (u32)POINT_STOPPED, (u32)POINT_IDLE); /* killed, not released */
	update_armed();
}

void race_hit(enum race_point_id id)
{
	int tid, wanted;

	schedule_point();
	if (READ_ONCE(points[id].state) != POINT_ARMED || !current_thread())
		return;
	tid = thread_id(current_thread());
	wanted = READ_ONCE(points[id].tid);
	if ((wanted && wanted != tid) || skip_this_pass(id))
		return;
	/* Of several threads that arrive at once, one stops. */
	if (atomic_cas(&points[id].state, (u32)POINT_ARMED, (u32)POINT_TAKEN))
		race_stop_here(id, tid);
}

int race_arm(enum race_point_id id, int tid, unsigned skip)
{
	if (id >= NR_RACE_POINTS || tid < 0)
		return -EINVAL;
	if (READ_ONCE(points[id].state) == POINT_STOPPED)
		return -EBUSY;
	WRITE_ONCE(points[id].state, POINT_IDLE);
	WRITE_ONCE(points[id].tid, tid);
	WRITE_ONCE(points[id].skip, skip);
	store_release(&points[id].state, POINT_ARMED);
	update_armed();
	return 0;
}

void race_release(enum race_point_id id)
{
	store_release(&points[id].state, POINT_IDLE);
	update_armed();
}

void race_disarm_all(void)
{
	for (unsigned id = 0; id < NR_RACE_POINTS; id++)
		race_release(id);
}

int race_stopped_at(enum race_point_id id)
{
	return load_acquire(&points[id].state) == POINT_STOPPED ? READ_ONCE(points[id].tid) : 0;
}

bool race_is_armed(enum race_point_id id)
{
	return READ_ONCE(points[id].state) == POINT_ARMED;
}

const char *race_point_name(enum race_point_id id)
{
	return names[id];
}

int race_point_by_name(const char *name)
{
	for (unsigned id = 0; id < NR_RACE_POINTS; id++)
		if (!strcmp(names[id], name))
			return id;
	return -1;
}

size_t race_format(char *buf, size_t size)
{
	size_t len = 0;

	for (unsigned id = 0; id < NR_RACE_POINTS; id++) {
		size_t room = len < size ? size - len : 0;
		int tid = race_stopped_at(id);

		if (tid)
			len += ksnprintf(buf + len, room, "%s hit tid=%d\n", names[id], tid);
		else
			len += ksnprintf(buf + len, room, "%s %s\n", names[id], race_is_armed(id) ? "armed" : "idle");
	}
	return len;
}

/* ---- Schedules --------------------------------------------------------------------------------------------------- */

/*
 * One generator for each CPU: which CPU draws when is itself part of the schedule. Another CPU may reseed it, hence
 * READ_ONCE and WRITE_ONCE.
 */
STATIC_PER_CPU(u64, generator);

static u64 race_next_random(void)
{
	u64 x = READ_ONCE(this_cpu(generator)); /* xorshift64, Marsaglia 2003 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	WRITE_ONCE(this_cpu(generator), x);
	return x;
}

void schedule_fuzz(void)
{
	u64 draw = race_next_random();

	/* One point in eight yields, occasionally for long enough that other CPUs get far ahead. */
	if (draw & 7)
		return;
	for (u64 pauses = 1 + (draw >> 3) % ((draw >> 20) % 8 ? 3 : 40); pauses; pauses--)
		cpu_relax();
}

void schedule_fuzz_seed(u64 seed)
{
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		WRITE_ONCE(per_cpu(generator, cpu), (seed + 1) * 0x9e3779b97f4a7c15UL + cpu * 0xbf58476d1ce4e5b9UL + 1);
	WRITE_ONCE(schedule_fuzz_on, seed != 0);
	update_armed();
}
