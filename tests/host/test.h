/* SPDX-License-Identifier: MIT */
/*
 * The test framework: macros and helpers for tests of mm/ on the simulated machine. A test is a function with a name
 * and a number of CPUs. It runs in a process of its own, on a fresh machine, as CPU 0. At its end all that it allocated
 * must have been freed, and the kernel's own checks must hold.
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
	const char *last_words; /* NULL, or part of the panic message that the test must end with */
	struct test *next;
};
void test_register(struct test *test);
bool test_exists(const char *name);

/* TEST(name, nr_cpus) { ... }, and TEST_DIES(name, nr_cpus, "part of the panic message") { ... } */
#define TEST(id, cpus) TEST_DIES(id, cpus, NULL)
#define TEST_DIES(id, cpus, words)                                                                                     \
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
/*
 * Creates an address space whose only user is the test, until CPUs use it. test_mm_put() checks it, and drops that
 * user.
 */
struct mm *test_mm(enum fault_policy policy);
void test_mm_put(struct mm *mm);
/* The body of FOR_EACH_SETUP() runs once for each policy and value of spf_validate. */
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

/* Like the system calls, but a failure fails the test; map_at() maps at exactly that address. */
vaddr_t map(struct mm *mm, u64 pages, u64 prot, u64 flags);
void map_at(struct mm *mm, vaddr_t addr, u64 pages, u64 prot, u64 flags);
void unmap(struct mm *mm, vaddr_t addr, u64 pages);

/* User accesses by the thread of this CPU, which must succeed. */
void put(vaddr_t addr, u64 value);
u64 get(vaddr_t addr);
void expect_get(vaddr_t addr, u64 value);
/* The same for each of nr pages: the first holds `value`, the next one `value` + 1, ... */
void put_pages(vaddr_t addr, u64 nr, u64 value);
void expect_pages(vaddr_t addr, u64 nr, u64 value);

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */
/* Stop the thread of `cpu` when it next reaches the point; wait until it has stopped there; let it continue. */
void stop_at(enum race_point_id point, unsigned cpu);
void wait_stopped(enum race_point_id point);
void let_go(enum race_point_id point);
/* Let other CPUs run for a while, so that what must not happen has time to happen. */
void let_others_run(void);
void let_others_run_once(void);
/* Lets them run until cond holds, however slow the host is. Fails with the message `...` if it takes far too long. */
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
 * Returns the processor time that this process has used so far, in seconds, divided by the number of processors: less
 * than the clock says if other processes use them too. Simulated CPUs use all the time that they get, even asleep.
 */
u64 seconds_given(void);
u64 patience_ends(void);
bool patience_is_over(u64 end);

/* Returns how often something was counted since counters_mark(). */
void counters_mark(void);
u64 counted(unsigned counter);
#define COUNTED(name) counted(COUNT_##name)
#define REASONS(name) counted(COUNT_FIRST_REASON + REASON_##name)

/* Actors: threads of an address space that do one thing. Most scripts consist of them. */
struct actor {
	struct mm *mm;
	vaddr_t addr;
	u64 value; /* to be written, or that was read */
	u64 len;
	long result;
};
void act_read(void *actor);
void act_write(void *actor);
/*
 * Only the fault: neither the CPU's walk before it nor the access that is retried after it. By then, a writer that was
 * waiting for the fault may have changed the mapping.
 */
void act_read_fault(void *actor);
void act_write_fault(void *actor);
void act_munmap(void *actor);
void act_mprotect_read(void *actor);
void act_mprotect_rw(void *actor);
void act_dontneed(void *actor);
void act_page_out(void *actor);
/* Keeps a CPU in the address space, doing nothing, until idler_stop(): with a second user, speculation is tried. */
void idler_start(unsigned cpu, struct mm *mm);
void idler_stop(unsigned cpu);

/*
 * Fails the test unless the checks at the end of every test hold; may also be called within one. => all other CPUs
 * idle.
 */
void check_quiet(void);

#endif
