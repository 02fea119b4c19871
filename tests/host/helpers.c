/* SPDX-License-Identifier: MIT */
/*
 * Helpers shared by the tests: address spaces, accesses that must succeed, scripts over race points, counters, actors.
 */
#include "test.h"

#include "kernel/lib/string.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

/* ---- Address spaces ---------------------------------------------------------------------------------------------- */

const struct strategy_setup strategy_setups[] = {
	{ "mmap", POLICY_MMAP, SPF_VALIDATE_VMA },     { "vma", POLICY_VMA, SPF_VALIDATE_VMA },
	{ "spec/vma", POLICY_SPEC, SPF_VALIDATE_VMA }, { "spec/mm", POLICY_SPEC, SPF_VALIDATE_MM },
	{ "full/vma", POLICY_FULL, SPF_VALIDATE_VMA }, { "full/mm", POLICY_FULL, SPF_VALIDATE_MM },
};
const unsigned nr_strategy_setups = ARRAY_SIZE(strategy_setups);

void use_setup(const struct strategy_setup *setup)
{
	klog("-- %s --", setup->name);
	WRITE_ONCE(fault_policy_default, (u8)setup->policy);
	WRITE_ONCE(spf_validate, (u8)setup->validate);
}

struct mm *test_mm(enum fault_policy policy)
{
	struct mm *mm = mm_create();

	CHECK(mm);
	mm->mmap_base = 0x7f0000000000UL;
	mm->rlimit_stack = 8UL << 20;
	mm->rlimit_as = ~0UL;
	mm->rlimit_data = ~0UL;
	CHECK_EQ(mm_set_policy(mm, policy), 0);
	return mm;
}

void test_mm_put(struct mm *mm)
{
	check_quiet();
	mmput(mm);
}

vaddr_t map(struct mm *mm, u64 pages, u64 prot, u64 flags)
{
	struct mmap_request request = { .len = PAGES(pages), .prot = prot, .flags = flags };
	long addr = mm_mmap(mm, &request);

	if (addr < 0)
		sim_fail("mmap of %lu pages failed with %ld", (unsigned long)pages, addr);
	return (vaddr_t)addr;
}

void map_at(struct mm *mm, vaddr_t addr, u64 pages, u64 prot, u64 flags)
{
	struct mmap_request request = { .addr = addr, .len = PAGES(pages), .prot = prot, .flags = flags | MAP_FIXED };

	CHECK_EQ(mm_mmap(mm, &request), addr);
}

void unmap(struct mm *mm, vaddr_t addr, u64 pages)
{
	CHECK_EQ(mm_munmap(mm, addr, PAGES(pages)), 0);
}

void put(vaddr_t addr, u64 value)
{
	CHECK_EQ(sim_write(addr, value), FAULT_DONE);
}

u64 get(vaddr_t addr)
{
	u64 value;

	CHECK_EQ(sim_read(addr, &value), FAULT_DONE);
	return value;
}

void expect_get(vaddr_t addr, u64 value)
{
	u64 got = get(addr);

	if (got != value)
		sim_fail("address %#lx holds %#lx, expected %#lx", (unsigned long)addr, (unsigned long)got,
			 (unsigned long)value);
}

void put_pages(vaddr_t addr, u64 nr, u64 value)
{
	for (u64 page = 0; page < nr; page++)
		put(addr + PAGES(page), value + page);
}

void expect_pages(vaddr_t addr, u64 nr, u64 value)
{
	for (u64 page = 0; page < nr; page++)
		expect_get(addr + PAGES(page), value + page);
}

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */

void stop_at(enum race_point_id point, unsigned cpu)
{
	CHECK_EQ(race_arm(point, SIM_TID(cpu), 0), 0);
}

void let_others_run_once(void)
{
	const struct timespec moment = { .tv_nsec = 20000 };

	sim_user_boundary();
	nanosleep(&moment, NULL);
}

/* In seconds of processor time; only a hang takes that long. */
#define PATIENCE 20

u64 seconds_given(void)
{
	u64 cores = (u64)sysconf(_SC_NPROCESSORS_ONLN);
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (u64)used.tv_sec / min(cores, (u64)nr_cpus());
}

u64 patience_ends(void)
{
	return seconds_given() + PATIENCE;
}

bool patience_is_over(u64 end)
{
	return seconds_given() >= end;
}

void wait_stopped(enum race_point_id point)
{
	while (!race_stopped_at(point))
		let_others_run_once();
}

void let_go(enum race_point_id point)
{
	CHECK(race_stopped_at(point));
	race_release(point);
}

void let_others_run(void)
{
	for (unsigned i = 0; i < 100; i++)
		let_others_run_once();
}

static u64 marked[NR_COUNTERS];

void counters_mark(void)
{
	for (unsigned counter = 0; counter < NR_COUNTERS; counter++)
		marked[counter] = counter_sum(counter);
}

u64 counted(unsigned counter)
{
	return counter_sum(counter) - marked[counter];
}

/* ---- Actors ------------------------------------------------------------------------------------------------------ */

void act_read(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = sim_read(actor->addr, &actor->value);
	sim_leave_mm();
}

void act_write(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = sim_write(actor->addr, actor->value);
	sim_leave_mm();
}

static void fault_once(struct actor *actor, enum fault_access access)
{
	sim_use_mm(actor->mm);
	actor->result = fault_in(actor->mm, actor->addr, access, FAULT_USER);
	sim_leave_mm();
}

void act_read_fault(void *actor)
{
	fault_once(actor, ACCESS_READ);
}

void act_write_fault(void *actor)
{
	fault_once(actor, ACCESS_WRITE);
}

void act_munmap(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_munmap(actor->mm, actor->addr, actor->len);
	sim_leave_mm();
}

static void act_mprotect(struct actor *actor, u64 prot)
{
	sim_use_mm(actor->mm);
	actor->result = mm_mprotect(actor->mm, actor->addr, actor->len, prot, -1);
	sim_leave_mm();
}

void act_mprotect_read(void *actor)
{
	act_mprotect(actor, PROT_READ);
}

void act_mprotect_rw(void *actor)
{
	act_mprotect(actor, RW);
}

static void act_madvise(struct actor *actor, int advice)
{
	sim_use_mm(actor->mm);
	actor->result = mm_madvise(actor->mm, actor->addr, actor->len, advice);
	sim_leave_mm();
}

void act_dontneed(void *actor)
{
	act_madvise(actor, MADV_DONTNEED);
}

void act_page_out(void *actor)
{
	act_madvise(actor, MADV_PAGEOUT);
}

static bool idler_on[MAX_CPUS];

static void idle_in_mm(void *mm)
{
	sim_use_mm(mm);
	while (load_acquire(&idler_on[cpu_id()]))
		let_others_run_once();
	sim_leave_mm();
}

void idler_start(unsigned cpu, struct mm *mm)
{
	store_release(&idler_on[cpu], true);
	sim_start(cpu, idle_in_mm, mm);
	while (!(READ_ONCE(mm->cpus) & 1UL << cpu))
		let_others_run_once();
}

void idler_stop(unsigned cpu)
{
	store_release(&idler_on[cpu], false);
	sim_join(cpu);
}
