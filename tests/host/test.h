/* SPDX-License-Identifier: MIT */
/*
 * The test framework. A test is a function with a name and a number of CPUs; it runs in a process of its own, on a fresh
 * machine, as CPU 0. After it, everything it has used must have been given back and the kernel's own checks must hold.
 */
#ifndef HOST_TEST_H
#define HOST_TEST_H

#define _GNU_SOURCE /* MREMAP_* */
#include "sim.h"

#include "kernel/lib/errno.h"
#include "mm/calls/mmap.h"
#include "mm/debug/counters.h"
#include "mm/debug/race.h"
#include "mm/fault/policy.h"

#include <sys/mman.h>

struct test {
	const char *name;
	void (*func)(void);
	unsigned nr_cpus;
	const char *last_words; /* NULL, or what its panic must say: the test of a check */
	struct test *next;
};
void test_register(struct test *test);
bool test_exists(const char *name);

/* TEST(name, nr_cpus) { ... }, and TEST_DIES(name, nr_cpus, "part of the last words") { ... } */
#define TEST(id, cpus) TEST_DIES(id, cpus, NULL)
#define TEST_DIES(id, cpus, words)                                                                                              \
	static void test_##id(void);                                                                                   \
	__attribute__((constructor)) static void register_##id(void)                                                   \
	{                                                                                                              \
		static struct test test = { #id, test_##id, (cpus), (words), NULL };                                   \
                                                                                                                       \
		test_register(&test);                                                                                  \
	}                                                                                                              \
	static void test_##id(void)

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			sim_fail("%s:%d: %s does not hold", __FILE__, __LINE__, #cond);                                \
	} while (0)
#define CHECK_EQ(got, expected)                                                                                        \
	do {                                                                                                           \
		long _got = (long)(got), _expected = (long)(expected);                                                 \
		if (_got != _expected)                                                                                 \
			sim_fail("%s:%d: %s is %#lx (%ld), expected %#lx (%ld)", __FILE__, __LINE__, #got, _got, _got, \
				 _expected, _expected);                                                                \
	} while (0)

/* ---- Address spaces ---------------------------------------------------------------------------------------------- */
/* One that a test may fill: its only user is the test, until CPUs use it. test_mm_put() checks it, and lets it go. */
struct mm *test_mm(enum fault_policy policy);
void test_mm_put(struct mm *mm);
/* Several policies, one after the other: the body runs for each, with spf_validate set as well. */
struct strategy_setup {
	const char *name;
	enum fault_policy policy;
	enum spf_validate validate;
};
extern const struct strategy_setup strategy_setups[];
extern const unsigned nr_strategy_setups;
#define FOR_EACH_SETUP(setup)                                                                                          \
	for (const struct strategy_setup *setup = strategy_setups;                                                     \
	     setup < strategy_setups + nr_strategy_setups && (use_setup(setup), true); setup++)
void use_setup(const struct strategy_setup *setup);

#define PAGES(n) ((u64)(n) << PAGE_SHIFT)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* As the system calls; map() insists on success, map_at() on that address. */
vaddr_t map(struct mm *mm, u64 pages, u64 prot, u64 flags);
void map_at(struct mm *mm, vaddr_t addr, u64 pages, u64 prot, u64 flags);
void unmap(struct mm *mm, vaddr_t addr, u64 pages);

/* User accesses that must succeed, by the thread of this CPU. */
void put(vaddr_t addr, u64 value);
u64 get(vaddr_t addr);
void expect_get(vaddr_t addr, u64 value);
/* The same for each of so many pages: the first has `value`, the next one `value` + 1, ... */
void put_pages(vaddr_t addr, u64 nr, u64 value);
void expect_pages(vaddr_t addr, u64 nr, u64 value);

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */
/* Stops the thread of `cpu` when it next comes to the point, waits until it stands there, lets it go on. */
void stop_at(enum race_point_id point, unsigned cpu);
void wait_stopped(enum race_point_id point);
void let_go(enum race_point_id point);
/* Lets other CPUs run for a while: for what must not happen. */
void let_others_run(void);
void let_others_run_once(void);
/* Lets them run until cond holds: for what must happen, however slow the machine is; at last fails and says `...`. */
#define let_others_run_until(cond, ...)                                                                                \
	do {                                                                                                           \
		u64 _end = patience_ends();                                                                            \
                                                                                                                       \
		while (!(cond)) {                                                                                      \
			if (patience_is_over(_end))                                                                    \
				sim_fail(__VA_ARGS__);                                                                 \
			let_others_run_once();                                                                         \
		}                                                                                                      \
	} while (0)
/*
 * What the processors of this machine, all together, have given this process so far: when others use them too, less than the
 * clock says. The simulated CPUs use all they get, even asleep.
 */
u64 seconds_given(void);
u64 patience_ends(void);
bool patience_is_over(u64 end);

/* How often something was counted since counters_mark(). */
void counters_mark(void);
u64 counted(unsigned counter);
#define COUNTED(name) counted(COUNT_##name)
#define REASONS(name) counted(COUNT_FIRST_REASON + REASON_##name)

/* The actors of most scripts: threads of one address space that do one thing. */
struct actor {
	struct mm *mm;
	vaddr_t addr;
	u64 value; /* to write, or what was read */
	u64 len;
	long result;
};
void act_read(void *actor);
void act_write(void *actor);
/*
 * The fault alone: neither the CPU's walk before it nor the access that is made again after it, which a writer that the fault
 * let go may meet with another mapping.
 */
void act_read_fault(void *actor);
void act_write_fault(void *actor);
void act_munmap(void *actor);
void act_mprotect_read(void *actor);
void act_mprotect_rw(void *actor);
void act_dontneed(void *actor);
void act_page_out(void *actor);
/* Uses the address space and does nothing until `idler_stop`: so that speculation is tried. */
void idler_start(unsigned cpu, struct mm *mm);
void idler_stop(unsigned cpu);

/* Panics of the checks that every test ends with; also for the middle of one. => all other CPUs idle. */
void check_quiet(void);

#endif
