/* SPDX-License-Identifier: MIT */
/*
 * Stress tests (storms): threads fault while others call munmap, mprotect, mremap, madvise and fork, under a fuzzed
 * schedule, and check each value that they read. Each page is shared by all threads: thread n owns word n of it, and
 * remembers what it wrote there last.
 */
#include "test.h"

#include "disk.h"
#include "kernel/sync/mutex.h"
#include "mm/page/page_alloc.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/reclaim/reclaim.h"
#include "mm/swap/swap.h"

#define THREADS 3
#define STEADY 1060 /* pages; three page tables, the outer ones in part */
#define FLEETING 40
#define MOVING 24

static struct mm *mm;
static vaddr_t steady;	 /* keeps its contents; its rights change */
static vaddr_t fleeting; /* MADV_DONTNEED or MADV_FREE at any time: reads as zero or as written */
static vaddr_t moving;	 /* at one of two places */
static vaddr_t places[2];
static unsigned rounds;
static bool swapping; /* pages are swapped out to disks[] at any time */
static bool failing;  /* disks fail: one access may find that its page cannot be read, and the next that it can */
static u64 nr_failed;
/* memory is short: calls and faults may fail with no memory, and must then have changed nothing */
static bool scarce;
static u64 nr_refused; /* ... and how often they did */

struct thread_state {
	u64 steady[STEADY], fleeting[FLEETING], moving[MOVING];
	u64 stamp;
};
static struct thread_state states[THREADS + 1];

static struct thread_state *mine(void)
{
	return &states[cpu_id()];
}

/* The address of this thread's word in a page. */
static vaddr_t word(vaddr_t base, u64 page)
{
	return base + PAGES(page) + 8 * cpu_id();
}

static u64 new_stamp(void)
{
	return ++mine()->stamp << 8 | cpu_id();
}

/* Returns whether the access was made. It may not have been if memory is scarce or disks fail. */
static bool done(enum fault_answer answer)
{
	if (scarce && answer == FAULT_OUT_OF_MEMORY) {
		atomic_inc(&nr_refused);
		return false;
	}
	if (failing && answer == FAULT_IO_ERROR) {
		atomic_inc(&nr_failed);
		return false;
	}
	CHECK_EQ(answer, FAULT_DONE);
	return true;
}

static bool succeeded(long result)
{
	if (scarce && result == -ENOMEM) {
		atomic_inc(&nr_refused);
		return false;
	}
	CHECK_EQ(result, 0);
	return true;
}

/* ---- The actions of each thread ---------------------------------------------------------------------------------- */

/* The write may be refused: another thread makes pages read-only for a moment. */
static void steady_write(void)
{
	u64 page = sim_random_below(STEADY), stamp = new_stamp();
	enum fault_answer answer = sim_write(word(steady, page), stamp);

	if (answer != FAULT_NO_ACCESS && done(answer))
		mine()->steady[page] = stamp;
}

static void steady_read(void)
{
	u64 page = sim_random_below(STEADY), value;

	if (done(sim_read(word(steady, page), &value)))
		CHECK_EQ(value, mine()->steady[page]);
}

static void steady_protect(void)
{
	u64 first = sim_random_below(STEADY), nr = 1 + sim_random_below(min(STEADY - first, 64UL));

	(void)succeeded(mm_mprotect(mm, steady + PAGES(first), PAGES(nr), PROT_READ, -1));
	sim_user_boundary();
	(void)succeeded(mm_mprotect(mm, steady + PAGES(first), PAGES(nr), RW, -1));
}

static void fleeting_write(void)
{
	u64 page = sim_random_below(FLEETING), stamp = new_stamp();

	if (done(sim_write(word(fleeting, page), stamp)))
		mine()->fleeting[page] = stamp;
}

static void fleeting_read(void)
{
	u64 page = sim_random_below(FLEETING), value;

	if (!done(sim_read(word(fleeting, page), &value)))
		return;
	if (value && value != mine()->fleeting[page])
		sim_fail("page %lu holds %#lx, neither zero nor what was written last (%#lx)", (unsigned long)page,
			 (unsigned long)value, (unsigned long)mine()->fleeting[page]);
	if (!value)
		mine()->fleeting[page] = 0; /* it must stay zero */
}

static void fleeting_drop(void)
{
	u64 first = sim_random_below(FLEETING), nr = 1 + sim_random_below(FLEETING - first);

	CHECK_EQ(mm_madvise(mm, fleeting + PAGES(first), PAGES(nr), sim_random_below(2) ? MADV_DONTNEED : MADV_FREE),
		 0);
}

/* Drops the pages that MADV_FREE has marked, unless they were written to since. */
static void fleeting_reclaim(void)
{
	(void)mm_drop_lazy(mm);
}

/* The mapping may have moved, or may move between the accesses. */
static void moving_access(void)
{
	vaddr_t base = READ_ONCE(moving);
	u64 page = sim_random_below(MOVING), value, stamp = new_stamp();

	if (sim_read(word(base, page), &value) == FAULT_DONE)
		CHECK_EQ(value, mine()->moving[page]);
	if (sim_write(word(base, page), stamp) == FAULT_DONE)
		mine()->moving[page] = stamp;
}

static struct mutex mover = MUTEX_INIT(mover, FILES);

static void moving_move(void)
{
	vaddr_t to;
	long result;

	mutex_lock(&mover);
	to = places[moving == places[0]];
	result = mm_mremap(mm, moving, PAGES(MOVING), PAGES(MOVING), MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (result > 0 || succeeded(result)) {
		CHECK_EQ(result, to);
		WRITE_ONCE(moving, to);
	}
	mutex_unlock(&mover);
}

/* Only this thread uses this memory, so it knows all its contents. */
static void fill_own_mapping(vaddr_t base, u64 nr)
{
	u64 stamp = new_stamp(), written = 0, value;

	while (written < nr && done(sim_write(base + PAGES(written), stamp + written)))
		written++;
	for (u64 page = 0; page < written; page++)
		if (done(sim_read(base + PAGES(page), &value)))
			CHECK_EQ(value, stamp + page);
}

/*
 * Punches a hole and unmaps the rest. If memory is scarce, the hole may be refused; unmapping a whole VMA is retried
 * until it succeeds.
 */
static void own_mapping(void)
{
	u64 nr = 1 + sim_random_below(20), hole = sim_random_below(nr), value;
	struct mmap_request request = { .len = PAGES(nr), .prot = RW, .flags = ANON };
	long base = mm_mmap(mm, &request);

	if (base < 0) {
		(void)succeeded(base);
		return;
	}
	fill_own_mapping((vaddr_t)base, nr);
	if (succeeded(mm_munmap(mm, (vaddr_t)base + PAGES(hole), PAGES(1)))) {
		(void)sim_read((vaddr_t)base + PAGES(hole), &value); /* no mapping, or another thread's new one */
		while (hole && !succeeded(mm_munmap(mm, (vaddr_t)base, PAGES(hole))))
			sim_user_boundary();
		base += (long)PAGES(hole + 1);
		nr -= hole + 1;
	}
	while (nr && !succeeded(mm_munmap(mm, (vaddr_t)base, PAGES(nr))))
		sim_user_boundary();
}

/* After the fork, neither process sees what the other writes. */
static void compare_child(void)
{
	u64 value;

	for (unsigned i = 0; i < 12; i++) {
		u64 page = sim_random_below(STEADY);

		if (sim_write(word(steady, page), ~0UL) == FAULT_DONE && done(sim_read(word(steady, page), &value)))
			CHECK_EQ(value, ~0UL);
		page = (page + 1 + sim_random_below(STEADY - 1)) % STEADY;
		if (done(sim_read(word(steady, page), &value)) && value != ~0UL)
			CHECK_EQ(value, mine()->steady[page]);
	}
}

static void fork_and_compare(void)
{
	struct mm *child = mm_create();

	if (!child) {
		CHECK(scarce);
		return;
	}
	if (!succeeded(mm_fork(child, mm))) {
		mmput(child);
		return;
	}
	sim_leave_mm();
	sim_use_mm(child);
	compare_child();
	sim_leave_mm();
	mmput(child);
	sim_use_mm(mm);
	steady_read();
}

static void page_out(void)
{
	static const u64 sizes[] = { STEADY, FLEETING, MOVING };
	const vaddr_t bases[] = { steady, fleeting, READ_ONCE(moving) };
	unsigned which = (unsigned)sim_random_below(ARRAY_SIZE(sizes));
	u64 first = sim_random_below(sizes[which]), nr = 1 + sim_random_below(min(sizes[which] - first, 48UL));
	long result = mm_madvise(mm, bases[which] + PAGES(first), PAGES(nr), MADV_PAGEOUT);

	CHECK(!result || result == -ENOMEM); /* the mapping has moved */
}

static void one_action(u64 forks)
{
	u64 action = sim_random_below(64);

	if (swapping && sim_random_below(6) == 0)
		page_out();

	if (action < 20)
		steady_write();
	else if (action < 36)
		steady_read();
	else if (action < 40)
		steady_protect();
	else if (action < 46)
		fleeting_write();
	else if (action < 52)
		fleeting_read();
	else if (action < 54)
		fleeting_drop();
	else if (action < 55)
		fleeting_reclaim();
	else if (action < 58)
		moving_access();
	else if (action < 60)
		moving_move();
	else if (action < 63)
		own_mapping();
	else if (sim_random_below(4) < forks)
		fork_and_compare();
}

static u64 nr_inside;

/* A single thread would neither speculate nor send shootdowns. */
static void wait_for_all(void)
{
	(void)atomic_add_return(&nr_inside, 1UL);
	while (READ_ONCE(nr_inside) < THREADS) {
		sim_user_boundary();
		cond_resched();
	}
}

/* A read error concerns only the access that meets it: what was written is still there. */
static void expect_in_the_end(u64 page)
{
	u64 value;

	while (!done(sim_read(word(steady, page), &value)))
		cond_resched();
	CHECK_EQ(value, mine()->steady[page]);
}

static void storm_thread(void *forks)
{
	sim_use_mm(mm);
	wait_for_all();
	for (unsigned i = 0; i < rounds; i++)
		one_action((u64)(long)forks);
	for (u64 page = 0; page < STEADY && !scarce; page++)
		expect_in_the_end(page);
	sim_leave_mm();
}

/* ---- The storms -------------------------------------------------------------------------------------------------- */

static bool storm_is_over, beside_is_up;

/* Runs beside the storm: changes policies while threads fault. */
static void change_policies(void *arg)
{
	(void)arg;
	while (!READ_ONCE(storm_is_over)) {
		CHECK_EQ(mm_set_policy(mm, sim_random_below(NR_POLICIES)), 0);
		WRITE_ONCE(spf_validate, (u8)sim_random_below(2));
		WRITE_ONCE(fault_policy_default, (u8)(1 + sim_random_below(NR_POLICIES - 1)));
		WRITE_ONCE(beside_is_up, true);
		sim_user_boundary();
		cond_resched();
	}
}

static void make_address_space(void)
{
	for (unsigned cpu = 0; cpu <= THREADS; cpu++)
		states[cpu] = (struct thread_state){ 0 };
	mm = test_mm(POLICY_DEFAULT);
	steady = map(mm, STEADY, RW, ANON);
	fleeting = map(mm, FLEETING, RW, ANON);
	places[0] = 0x300000000000UL;
	places[1] = 0x3000401fd000UL; /* spans two page tables */
	moving = places[0];
	map_at(mm, moving, MOVING, RW, ANON);
}

/*
 * A storm that never used its strategy would prove nothing. How often it does depends on how the host schedules its
 * threads.
 */
static void check_strategy_was_used(void)
{
	u8 policy = fault_policy_default;

	if (policy == POLICY_SPEC || policy == POLICY_FULL)
		CHECK(COUNTED(speculative_pgfault) > 0);
	if (policy == POLICY_VMA || policy == POLICY_FULL)
		CHECK(COUNTED(vma_lock_success) > 0);
	CHECK(COUNTED(tlb_shootdowns) > 0);
}

static void storm(u64 schedule, long forks, unsigned nr_rounds, sim_func *beside)
{
	make_address_space();
	counters_mark();
	rounds = nr_rounds;
	WRITE_ONCE(nr_inside, 0);
	WRITE_ONCE(storm_is_over, false);
	schedule_fuzz_seed(schedule);
	if (beside) {
		WRITE_ONCE(beside_is_up, false);
		sim_start(THREADS + 1, beside, NULL);
		while (!READ_ONCE(beside_is_up))
			let_others_run_once();
	}
	for (unsigned cpu = 1; cpu <= THREADS; cpu++)
		sim_start(cpu, storm_thread, (void *)forks);
	for (unsigned cpu = 1; cpu <= THREADS; cpu++)
		sim_join(cpu);
	WRITE_ONCE(storm_is_over, true);
	sim_join_all();
	schedule_fuzz_seed(0);
	if (!beside)
		check_strategy_was_used();
	test_mm_put(mm);
}

TEST(storm_of_everything, THREADS + 1)
{
	FOR_EACH_SETUP (setup)
		storm(sim_seed() * 8 + setup->policy, 0, 700, NULL);
}

TEST(storm_with_forks, THREADS + 1)
{
	FOR_EACH_SETUP (setup)
		storm(sim_seed() * 8 + setup->policy, 4, 350, NULL);
}

TEST(storm_without_fuzzing, THREADS + 1)
{
	FOR_EACH_SETUP (setup)
		storm(0, 1, 700, NULL);
}

TEST(storm_while_policies_change, THREADS + 2)
{
	storm(sim_seed(), 1, 1500, change_policies);
}

/* Waits for a while, and until one more call or fault has found no memory. */
static void sit_on_it(void)
{
	u64 moments = sim_random_below(400), before = READ_ONCE(nr_refused);

	while ((moments || READ_ONCE(nr_refused) == before) && !READ_ONCE(storm_is_over)) {
		moments -= moments != 0;
		sim_user_boundary();
		cond_resched();
	}
}

/* Runs beside the storm: takes nearly all memory from time to time, and gives it back. */
static void hoard(void *arg)
{
	(void)arg;
	while (!READ_ONCE(storm_is_over)) {
		struct list_head hoarded = LIST_HEAD_INIT(hoarded);
		struct page *page, *next;

		while ((page = alloc_page(0)))
			list_add(&hoarded, &page->lru);
		WRITE_ONCE(beside_is_up, true);
		sit_on_it();
		list_for_each_safe (page, next, &hoarded, lru)
			free_pages(page, 0);
		page_alloc_drain();
		for (u64 i = sim_random_below(100); i; i--)
			cond_resched();
	}
}

/* Calls and faults find no memory, concurrently with everything else. */
TEST(storm_without_enough_memory, THREADS + 2)
{
	scarce = true;
	FOR_EACH_SETUP (setup)
		storm(sim_seed() * 8 + setup->policy, 3, 400, hoard);
	CHECK(READ_ONCE(nr_refused) > 0);
}

/* ---- Swap -------------------------------------------------------------------------------------------------------- */

#define SWAPPER (THREADS + 2)

static struct disk *disks[2];
static u64 nr_swapped_in, nr_swapped_out;

static void set_error_rate(struct disk *disk, unsigned direction)
{
	if (direction == 1 || failing)
		WRITE_ONCE(disk->error_rate[direction], sim_random_below(2) * 16);
}

/*
 * Runs beside the storm: completes the disks' requests; at times the disks are asynchronous, or fail to write or read.
 */
static void play_disks(void *arg)
{
	(void)arg;
	while (!READ_ONCE(storm_is_over) || sim_running(SWAPPER)) {
		struct disk *disk = disks[sim_random_below(2)];

		if (sim_random_below(64) == 0)
			WRITE_ONCE(disk->async, !disk->async);
		if (sim_random_below(64) == 0)
			set_error_rate(disk, (unsigned)sim_random_below(2));
		while (sim_random_below(8) && disk_complete_one(disk))
			;
		WRITE_ONCE(beside_is_up, true);
		sim_user_boundary();
		cond_resched();
	}
	for (unsigned i = 0; i < 2; i++) {
		WRITE_ONCE(disks[i]->async, false);
		WRITE_ONCE(disks[i]->error_rate[0], 0);
		disk_complete_all(disks[i]);
	}
}

/* Also runs beside the storm: reclaims, and swaps one disk off and on. A disk that cannot be read stays on. */
static void swap_off_and_on(void *arg)
{
	int result;

	(void)arg;
	while (!READ_ONCE(storm_is_over)) {
		for (u64 i = sim_random_below(200); i; i--) {
			sim_user_boundary();
			cond_resched();
		}
		(void)reclaim_pages(sim_random_below(64));
		if (sim_random_below(4))
			continue;
		result = swap_area_remove((unsigned)swap_area_on(disks[1]));
		CHECK(!result || (failing && result == -EIO));
		if (!result)
			disk_swapon(disks[1], 5);
	}
}

static void storm_of_swap(const struct strategy_setup *setup, unsigned nr_rounds)
{
	swapping = true;
	for (unsigned i = 0; i < 2; i++) {
		disks[i] = disk_create(8192);
		disks[i]->error_rate[0] = failing ? 16 : 0;
		disk_swapon(disks[i], 5);
	}
	WRITE_ONCE(storm_is_over, false);
	sim_start(SWAPPER, swap_off_and_on, NULL);
	storm(sim_seed() * 8 + setup->policy, 2, nr_rounds, play_disks);
	nr_swapped_in += COUNTED(pswpin);
	nr_swapped_out += COUNTED(pswpout);
	rcu_barrier();
	swap_cache_trim();
	disk_swapoff(disks[0]);
	disk_swapoff(disks[1]);
}

/* The storm must end with no wrong byte, and with no slot, page or reference left. */
TEST(storm_of_swap, THREADS + 3)
{
	FOR_EACH_SETUP (setup)
		storm_of_swap(setup, 250);
	CHECK(nr_swapped_in > 0 && nr_swapped_out > 0);
}

/* The same with read errors from time to time: only the access that meets the error fails, and swapoff. */
TEST(storm_of_swap_with_read_errors, THREADS + 3)
{
	u64 end = patience_ends();

	failing = true;
	do
		FOR_EACH_SETUP (setup)
			storm_of_swap(setup, 120);
	/* how much is read from the disks depends on the schedule */
	while (!READ_ONCE(nr_failed) && !patience_is_over(end));
	CHECK(nr_failed > 0);
}

/* ---- No update is lost ------------------------------------------------------------------------------------------- */

#define COUNTER_PAGES 6
#define INCREMENTS 1500

/*
 * Increments a counter in user memory with a compare-and-exchange: a write to a page that is being copied would be lost
 * (S1).
 */
static void increment(vaddr_t addr)
{
	u64 value = 0, found;

	while (done(sim_cmpxchg(addr, value, value + 1, &found)) && found != value)
		value = found;
}

static void increment_counters(void *arg)
{
	(void)arg;
	sim_use_mm(mm);
	for (unsigned i = 0; i < INCREMENTS; i++)
		increment(steady + PAGES(sim_random_below(COUNTER_PAGES)));
	sim_leave_mm();
}

static void fork_on_and_on(void *arg)
{
	(void)arg;
	sim_use_mm(mm);
	while (!READ_ONCE(storm_is_over)) {
		struct mm *child = test_mm(POLICY_DEFAULT);

		CHECK_EQ(mm_fork(child, mm), 0);
		mmput(child);
		sim_user_boundary();
	}
	sim_leave_mm();
}

static u64 sum_of_counters(void)
{
	u64 sum = 0;

	sim_use_mm(mm);
	for (u64 page = 0; page < COUNTER_PAGES; page++)
		sum += get(steady + PAGES(page));
	sim_leave_mm();
	return sum;
}

TEST(storm_loses_no_update, THREADS + 2)
{
	FOR_EACH_SETUP (setup) {
		mm = test_mm(POLICY_DEFAULT);
		steady = map(mm, COUNTER_PAGES, RW, ANON);
		WRITE_ONCE(storm_is_over, false);
		schedule_fuzz_seed(sim_seed() * 8 + setup->policy);
		sim_start(THREADS + 1, fork_on_and_on, NULL);
		for (unsigned cpu = 1; cpu <= THREADS; cpu++)
			sim_start(cpu, increment_counters, NULL);
		for (unsigned cpu = 1; cpu <= THREADS; cpu++)
			sim_join(cpu);
		WRITE_ONCE(storm_is_over, true);
		sim_join_all();
		schedule_fuzz_seed(0);
		CHECK_EQ(sum_of_counters(), THREADS * INCREMENTS);
		test_mm_put(mm);
	}
}

/* ---- Growing stacks ---------------------------------------------------------------------------------------------- */

#define STACK_TOP 0x7ffff0000000UL
#define STACK_PAGES 1500

/*
 * Goes down the stack in steps, as a program does, while other threads do the same in the same stack, and forks copy
 * it.
 */
static void go_down_the_stack(void *arg)
{
	vaddr_t where = STACK_TOP;
	u64 depth = 0;

	(void)arg;
	sim_use_mm(mm);
	while (depth + 20 < STACK_PAGES) {
		depth += 1 + sim_random_below(20);
		where = word(STACK_TOP - PAGES(depth), 0);
		put(where, depth);
		expect_get(where, depth);
	}
	expect_get(where, depth);
	sim_leave_mm();
}

TEST(storm_of_growing_stacks, THREADS + 2)
{
	FOR_EACH_SETUP (setup) {
		mm = test_mm(POLICY_DEFAULT);
		CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(2), false), 0);
		WRITE_ONCE(storm_is_over, false);
		schedule_fuzz_seed(sim_seed() * 8 + setup->policy);
		sim_start(THREADS + 1, fork_on_and_on, NULL);
		for (unsigned cpu = 1; cpu <= THREADS; cpu++)
			sim_start(cpu, go_down_the_stack, NULL);
		for (unsigned cpu = 1; cpu <= THREADS; cpu++)
			sim_join(cpu);
		WRITE_ONCE(storm_is_over, true);
		sim_join_all();
		schedule_fuzz_seed(0);
		test_mm_put(mm);
	}
}
