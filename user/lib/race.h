/* SPDX-License-Identifier: MIT */
/*
 * Support for race scripts: a director thread gives steps to actor threads, each on a CPU of its own, and forces an
 * order of events with the kernel's race points.
 *
 * A thread that is stopped at a race point may hold mmap_lock or have write-protected everything for a fork. Until it
 * is released, the director and the actors must not fault: their stacks and all of struct stage lie in shared anonymous
 * memory, which fork does not write-protect, and which is touched beforehand. Until then, scripts use only plain loads
 * and stores, race_command() and vmstat_read(). Only actor 0 may fork: its stack is private, because on a shared stack
 * the child would run on the same memory as its parent.
 */
#ifndef USER_RACE_H
#define USER_RACE_H

#include "user/lib/check.h"
#include "user/lib/faultline.h"

#include <pthread.h>

#define MAX_ACTORS 3
#define ACTOR_STACK (64 * PAGE)

typedef long (*actor_step)(void *arg);

struct actor {
	pthread_t thread;
	int cpu;
	volatile pid_t tid;
	actor_step volatile step; /* what to do next; NULL: nothing */
	void *volatile arg;
	volatile long result; /* of the last step */
	volatile bool leave;
};

/* All data that is written while a thread is stopped at a race point. */
struct stage {
	struct actor actor[MAX_ACTORS];
	struct vmstat before, now;
	int nr_cpus;
	volatile bool flag[4]; /* for scripts */
	volatile long value[8];
	void (*script)(struct stage *);
};

/* Returns true if the arguments name the script, or if there are none. */
UNUSED static bool is_named(const char *script, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], script) == 0)
			return true;
	return argc == 1;
}

UNUSED static void relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

UNUSED static void *actor_main(void *arg)
{
	struct actor *a = arg;

	run_on_cpu(a->cpu);
	catch_faults(0);
	__atomic_store_n(&a->tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!a->leave) {
		if (a->step) {
			a->result = a->step(a->arg);
			__atomic_store_n(&a->step, NULL, __ATOMIC_SEQ_CST);
		}
		relax();
	}
	return NULL;
}

/* Gives the actor a step to run; returns at once. */
UNUSED static void actor_do(struct actor *a, actor_step step, void *arg)
{
	a->arg = arg;
	__atomic_store_n(&a->step, step, __ATOMIC_SEQ_CST);
}

/* Waits until the actor has finished its step. Returns the step's result. */
UNUSED static long actor_finish(struct actor *a)
{
	while (__atomic_load_n(&a->step, __ATOMIC_SEQ_CST))
		relax();
	return a->result;
}

UNUSED static bool actor_busy(struct actor *a)
{
	return __atomic_load_n(&a->step, __ATOMIC_SEQ_CST) != NULL;
}

/* Returns true if a thread is stopped at the point. */
UNUSED static bool race_stopped(const char *point)
{
	char text[4096], wanted[64];
	int fd = open(RACE_FILE, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	snprintf(wanted, sizeof(wanted), "%s hit", point);
	return strstr(text, wanted) != NULL;
}

/*
 * Gives the actor a step, and waits until it stops at the point. Returns false if the step ended without reaching it.
 * There is no time-out, because the machine may be slow: the test runner ends a script that hangs.
 */
UNUSED static bool actor_stop_at(struct actor *a, const char *point, actor_step step, void *arg)
{
	if (race_command("arm %s tid=%d", point, a->tid) < 0)
		return false;
	actor_do(a, step, arg);
	while (!race_stopped(point)) {
		if (!actor_busy(a) && !race_stopped(point))
			return false;
		usleep(1000);
	}
	return true;
}

UNUSED static bool release(const char *point)
{
	return race_command("release %s", point) > 0;
}

/* Returns how often a counter has counted since `before`. */
UNUSED static uint64_t counted(struct stage *s, const char *name)
{
	return vmstat_read(&s->now) ? vmstat_delta(&s->before, &s->now, name) : 0;
}

/*
 * Waits until a counter has moved since `before`, for a thread that sleeps right after it counts. Returns false after a
 * minute without a change; on a loaded machine it may take that long.
 */
UNUSED static bool wait_counted(struct stage *s, const char *name)
{
	for (int i = 0; i < 60000; i++) {
		if (counted(s, name))
			return true;
		usleep(1000);
	}
	return false;
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

/* Writes 1. Returns the signal that the write raised, or 0. */
UNUSED static long step_write(void *p)
{
	return CATCH(poke(p, 1));
}

UNUSED static long step_read(void *p)
{
	return CATCH(peek(p));
}

UNUSED static long step_protect_none(void *p)
{
	return mprotect(p, PAGE, PROT_NONE);
}

UNUSED static long step_protect_write(void *p)
{
	return mprotect(p, PAGE, PROT_READ | PROT_WRITE);
}

UNUSED static long step_unmap(void *p)
{
	return munmap(p, PAGE);
}

UNUSED static long step_dontneed(void *p)
{
	return madvise(p, PAGE, MADV_DONTNEED);
}

/* --- the stage -------------------------------------------------------------------------------------------------- */

UNUSED static pthread_t start_on_stack(char *stack, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	memset(stack, 0, ACTOR_STACK);
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, ACTOR_STACK);
	MUST(pthread_create(&thread, &attr, fn, arg) == 0);
	return thread;
}

UNUSED static void *director_main(void *arg)
{
	struct stage *s = arg;

	run_on_cpu(0);
	catch_faults(0);
	s->script(s);
	return NULL;
}

/*
 * Runs a script on a stage of its own, with nr actors on CPUs 1, 2, …; the director runs on CPU 0. Returns false if
 * there are too few CPUs.
 */
UNUSED static bool perform(void (*script)(struct stage *), int nr)
{
	size_t size = sizeof(struct stage) + PAGE + MAX_ACTORS * ACTOR_STACK;
	char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *stacks = shared + ((sizeof(struct stage) + PAGE - 1) & -PAGE);
	char *private = map_pages(ACTOR_STACK / PAGE, PROT_READ | PROT_WRITE);
	struct stage *s = (struct stage *)shared;
	pthread_t director;

	MUST(shared != MAP_FAILED);
	memset(shared, 0, size);
	s->nr_cpus = count_cpus();
	s->script = script;
	if (s->nr_cpus <= nr)
		return false;
	for (int i = 0; i < nr; i++) {
		s->actor[i].cpu = i + 1;
		s->actor[i].thread = start_on_stack(i ? stacks + i * ACTOR_STACK : private, actor_main, &s->actor[i]);
		while (!s->actor[i].tid)
			relax();
	}
	director = start_on_stack(stacks, director_main, s);
	pthread_join(director, NULL);
	race_command("disarm");
	for (int i = 0; i < nr; i++) {
		s->actor[i].leave = true;
		pthread_join(s->actor[i].thread, NULL);
	}
	munmap(shared, size);
	munmap(private, ACTOR_STACK);
	return true;
}

#endif
