/* SPDX-License-Identifier: MIT */
/*
 * Tests of the rings of fault events: each attempt that is counted is recorded, and a reader never sees a half-written
 * event.
 */
#include "test.h"

#include "disk.h"

#include "kernel/lib/string.h"
#include "mm/debug/events.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"

/*
 * Returns the number of attempts of `strategy` that ended with `end`, according to the rings, since their heads were at
 * `heads`.
 */
static u64 recorded(const u32 *heads, enum fault_strategy_id strategy, enum fault_end end)
{
	struct fault_event event;
	u64 nr = 0;

	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		struct event_cursor cursor;

		event_cursor_set(&cursor, cpu, events_recorded(cpu) - heads[cpu]);
		while (event_read(&cursor, &event))
			nr += event.type == EVENT_attempt && event.story.tried == strategy && event.story.end == end;
		CHECK_EQ(cursor.lost, 0);
	}
	return nr;
}

static void remember(u32 *heads)
{
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++)
		heads[cpu] = events_recorded(cpu);
	counters_mark();
}

static void compare(const u32 *heads)
{
	CHECK_EQ(recorded(heads, STRATEGY_SPEC, END_ANSWERED), COUNTED(spf_answered));
	CHECK_EQ(recorded(heads, STRATEGY_VMA, END_ANSWERED), COUNTED(vma_lock_answered));
	CHECK_EQ(recorded(heads, STRATEGY_MMAP, END_ANSWERED), COUNTED(mmap_answered));
	CHECK_EQ(recorded(heads, STRATEGY_SPEC, END_GAVE_UP),
		 COUNTED(spf_attempts) - COUNTED(spf_answered) - COUNTED(spf_completed));
	CHECK_EQ(recorded(heads, STRATEGY_VMA, END_GAVE_UP), COUNTED(vma_lock_abort));
	CHECK_EQ(recorded(heads, STRATEGY_MMAP, END_RETRY), REASONS(mmap_retry_page) + REASONS(mmap_retry_stack));
}

TEST(events_are_what_is_counted, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = test_mm(POLICY_DEFAULT);
		vaddr_t addr = map(mm, 64, RW, ANON);
		u32 heads[MAX_CPUS];
		u64 value;

		idler_start(1, mm);
		sim_use_mm(mm);
		remember(heads);
		for (u64 page = 0; page < 64; page++) {
			expect_get(addr + PAGES(page), 0);
			put(addr + PAGES(page), page);
		}
		CHECK_EQ(sim_read(addr - PAGES(1), &value), FAULT_NO_MAPPING);
		compare(heads);
		sim_leave_mm();
		idler_stop(1);
		test_mm_put(mm);
	}
}

/* Returns the last event of this CPU. */
static struct fault_event last_event(void)
{
	struct event_cursor cursor;
	struct fault_event event;

	event_cursor_set(&cursor, cpu_id(), 1);
	CHECK(event_read(&cursor, &event));
	return event;
}

/* Finds the last event of that type on this CPU. Returns false if there is none. */
static bool last_of(u32 type, struct fault_event *found)
{
	struct event_cursor cursor;
	struct fault_event event;
	bool any = false;

	event_cursor_set(&cursor, cpu_id(), 0);
	while (event_read(&cursor, &event))
		if (event.type == type) {
			*found = event;
			any = true;
		}
	return any;
}

TEST(events_tell_the_story, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 2, RW, ANON);
	struct fault_event event;
	u64 began = cycles();

	sim_use_mm(mm);
	put(addr + PAGES(1) + 8, 1);
	event = last_event();
	CHECK_EQ(event.type, EVENT_attempt);
	CHECK_EQ(event.tid, SIM_TID(0));
	CHECK_EQ(event.address, addr + PAGES(1));
	CHECK_EQ(event.ip, 1);
	CHECK_EQ(event.story.access, ACCESS_WRITE);
	CHECK_EQ(event.story.kind, KIND_ANON);
	CHECK_EQ(event.story.tried, STRATEGY_MMAP);
	CHECK_EQ(event.story.end, END_ANSWERED);
	CHECK_EQ(event.story.answer, FAULT_DONE);
	CHECK(began <= event.start && event.start <= event.end && event.end <= cycles());
	sim_leave_mm();
	mmap_write_lock(mm);
	mmap_write_unlock(mm);
	CHECK_EQ(last_event().type, EVENT_mmap_write);
	test_mm_put(mm);
}

/* ---- What an event records --------------------------------------------------------------------------------------- */

static void expect_attempt(enum fault_kind kind, enum fault_access access, enum fault_end end, enum fault_answer answer)
{
	struct fault_event event = last_event();

	CHECK_EQ(event.type, EVENT_attempt);
	CHECK_EQ(event.story.kind, kind);
	CHECK_EQ(event.story.access, access);
	CHECK_EQ(event.story.end, end);
	CHECK_EQ(event.story.answer, answer);
}

/* Makes one fault, which must be recorded as answered, with this kind. */
static void fault_of_kind(struct mm *mm, vaddr_t addr, enum fault_access access, enum fault_kind kind)
{
	CHECK_EQ(fault_in(mm, addr, access, FAULT_USER), FAULT_DONE);
	expect_attempt(kind, access, END_ANSWERED, FAULT_DONE);
}

/* Each kind of fault is recorded; a fault without a mapping has an unknown kind. */
TEST(events_name_the_kind_of_fault, 1)
{
	struct disk *disk = disk_create(16);

	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	FOR_EACH_SETUP (setup) {
		struct mm *mm = test_mm(POLICY_DEFAULT);
		vaddr_t addr = map(mm, 2, RW, ANON), shared = map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS);

		sim_use_mm(mm);
		fault_of_kind(mm, addr, ACCESS_READ, KIND_ANON);
		fault_of_kind(mm, addr, ACCESS_WRITE, KIND_WRITE_PROTECT);
		fault_of_kind(mm, addr, ACCESS_WRITE, KIND_NOTHING);
		fault_of_kind(mm, shared, ACCESS_WRITE, KIND_MAPPING);
		CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_PAGEOUT), 0);
		(void)swap_cache_shrink();
		fault_of_kind(mm, addr, ACCESS_READ, KIND_SWAP);
		CHECK_EQ(fault_in(mm, addr - PAGES(1000), ACCESS_READ, FAULT_USER), FAULT_NO_MAPPING);
		expect_attempt(KIND_UNKNOWN, ACCESS_READ, END_ANSWERED, FAULT_NO_MAPPING);
		sim_leave_mm();
		test_mm_put(mm);
		rcu_barrier();
		swap_cache_trim();
	}
	disk_swapoff(disk);
}

/* The last event of that type has this address and value, and its times are in order. */
static void expect_event(u32 type, u64 began, u64 address, u64 value)
{
	struct fault_event event;

	CHECK(last_of(type, &event));
	CHECK_EQ(event.address, address);
	CHECK_EQ(event.value, value);
	CHECK_EQ(event.tid, SIM_TID(0));
	CHECK(began <= event.start && event.start <= event.end && event.end <= cycles());
}

TEST(events_say_what_they_are_about, 2)
{
	struct disk *disk = disk_create(16);
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 8, RW, ANON);
	u64 began = cycles();

	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	idler_start(1, mm);
	sim_use_mm(mm);
	put_pages(addr, 8, 0);
	CHECK_EQ(mm_mprotect(mm, addr, PAGES(8), PROT_READ, -1), 0);
	expect_event(EVENT_vma_write, began, addr, addr + PAGES(8));
	expect_event(EVENT_mmap_write, began, 0, mm->mm_lock_seq - 1);
	expect_event(EVENT_shootdown, began, addr, 1UL << 1);
	began = cycles();
	CHECK_EQ(mm_madvise(mm, addr, PAGES(8), MADV_COLD), 0);
	CHECK_EQ(reclaim_pages(8), 8);
	expect_event(EVENT_reclaim, began, 0, 8);
	sim_leave_mm();
	idler_stop(1);
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	disk_swapoff(disk);
}

/* Swap-out and swap-in record the slot, and no address, since many addresses may map the page. */
TEST(events_of_swap_name_the_slot, 1)
{
	struct disk *disk = disk_create(16);
	struct mm *mm = test_mm(POLICY_MMAP), *child = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 1, RW, ANON);
	struct fault_event event;
	u64 slot;

	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	sim_use_mm(mm);
	put(addr, 1);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(1), MADV_PAGEOUT), 0);
	slot = pte_swap_slot(sim_pte(mm, addr)).val;
	CHECK(last_of(EVENT_swap_out, &event));
	CHECK_EQ(event.address, 0);
	CHECK_EQ(event.value, slot);
	(void)swap_cache_shrink();
	CHECK_EQ(mm_fork(child, mm), 0); /* a slot with two users is read through the swap cache */
	expect_get(addr, 1);
	CHECK(last_of(EVENT_swap_in, &event));
	CHECK_EQ(event.address, 0);
	CHECK_EQ(event.value, slot);
	sim_leave_mm();
	test_mm_put(child);
	test_mm_put(mm);
	rcu_barrier();
	swap_cache_trim();
	disk_swapoff(disk);
}

static bool is_a_name(const char *name)
{
	return name && *name && strcmp(name, "?");
}

static const char *name_of_event(unsigned type)
{
	return event_name(type);
}

/* Each of the nr names is one, and no two are equal. The one without a name is left out. */
static void names_differ(const char *(*name)(unsigned), unsigned nr, unsigned nameless)
{
	for (unsigned i = 0; i < nr; i++) {
		if (i == nameless)
			continue;
		CHECK(is_a_name(name(i)));
		for (unsigned other = 0; other < i; other++)
			CHECK(other == nameless || strcmp(name(i), name(other)));
	}
}

TEST(names_of_all_that_is_counted, 1)
{
	names_differ(name_of_event, NR_FAULT_EVENTS, NR_FAULT_EVENTS);
	CHECK(!strcmp(event_name(NR_FAULT_EVENTS), "?"));
	names_differ(counter_name, NR_COUNTERS, COUNT_FIRST_REASON + REASON_NONE);
	CHECK(!strcmp(counter_name(COUNT_pgfault), "pgfault"));
	CHECK(!strcmp(reason_name(REASON_vma_lock_miss), "vma_lock_miss"));
	CHECK(!*reason_name(REASON_NONE));
	CHECK(!*reason_name(NR_FAULT_REASONS));
}

#define WRITTEN 20000UL
#define MARK 0x5555000055550000UL

static u32 writers_at_work;

/* Each event holds its number in several of its parts. */
static void write_events(void *arg)
{
	(void)arg;
	for (u64 i = 0; i < WRITTEN; i++) {
		u64 number = (u64)cpu_id() << 32 | i;

		event_ended(EVENT_lock_wait, ~number, number, number ^ MARK);
		if (i % 64 == 0)
			cpu_relax();
	}
	atomic_dec_return(&writers_at_work);
}

/* Reads the whole ring once. Events must come in order, none twice, none torn. */
static u64 read_ring(unsigned cpu)
{
	struct event_cursor cursor;
	struct fault_event event;
	u64 last = 0, seen = 0;

	event_cursor_set(&cursor, cpu, 0);
	while (event_read(&cursor, &event)) {
		if (event.type != EVENT_lock_wait)
			continue;
		CHECK_EQ(event.value, event.address ^ MARK);
		CHECK_EQ(event.start, ~event.address);
		CHECK_EQ(event.address >> 32, cpu);
		CHECK(!seen || event.address > last);
		last = event.address;
		seen++;
	}
	return seen;
}

TEST(events_are_never_torn, 3)
{
	u64 seen = 0;

	WRITE_ONCE(writers_at_work, 2);
	sim_start(1, write_events, NULL);
	sim_start(2, write_events, NULL);
	while (READ_ONCE(writers_at_work)) {
		seen += read_ring(1) + read_ring(2);
		cpu_relax();
	}
	sim_join_all();
	seen += read_ring(1) + read_ring(2);
	CHECK(seen >= 2 * (EVENT_RING_DEFAULT - 1));
	CHECK_EQ(events_recorded(1), WRITTEN);
}
