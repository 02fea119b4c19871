/* SPDX-License-Identifier: MIT */
/* Tests sched_setaffinity, sched_getaffinity, getcpu and sched_yield on any number of CPUs. */
#include "user/lib/check.h"

#include <pthread.h>
#include <sched.h>

static int nr_cpus;

static void masks(void)
{
	cpu_set_t all, one, now;

	section("masks");
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	nr_cpus = CPU_COUNT(&all);
	CHECK(nr_cpus >= 1);
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) == nr_cpus);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &one));
	CHECK_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void everywhere(void)
{
	cpu_set_t all, one;
	int bad = 0, visited = 0;

	section("on every CPU in turn");
	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
		bad += sched_getcpu() != cpu;
		sched_yield();
		bad += sched_getcpu() != cpu;
		visited++;
	}
	CHECK(visited == nr_cpus && bad == 0);
	sched_setaffinity(0, sizeof(all), &all);
}

static void *inherits(void *arg)
{
	cpu_set_t now;

	sched_getaffinity(0, sizeof(now), &now);
	(void)arg;
	return (void *)(intptr_t)CPU_COUNT(&now);
}

static int child(void *arg)
{
	return (int)(intptr_t)inherits(arg);
}

static void inheritance(void)
{
	cpu_set_t all, one;
	pthread_t thread;
	void *value;

	section("threads and children inherit it");
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
	MUST(pthread_create(&thread, NULL, inherits, NULL) == 0);
	pthread_join(thread, &value);
	CHECK_EQ((intptr_t)value, 1);
	CHECK(exited_with(run_child(child, NULL), 1));
	sched_setaffinity(0, sizeof(all), &all);
}

static volatile unsigned int progress[2];
static volatile int stop;

static void *busy(void *arg)
{
	int id = (int)(intptr_t)arg;

	while (!stop)
		progress[id]++;
	return NULL;
}

static void preemption(void)
{
	pthread_t threads[2];
	cpu_set_t all, one;

	section("two busy threads share one CPU");
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
	for (intptr_t i = 0; i < 2; i++)
		MUST(pthread_create(&threads[i], NULL, busy, (void *)i) == 0);
	while (!progress[0] || !progress[1])
		sched_yield();
	stop = 1;
	pthread_join(threads[0], NULL), pthread_join(threads[1], NULL);
	CHECK(progress[0] > 0 && progress[1] > 0);
	sched_setaffinity(0, sizeof(all), &all);
}

static void errors(void)
{
	cpu_set_t set;

	section("errors");
	CPU_ZERO(&set);
	CHECK_ERRNO(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	CPU_SET(1023, &set);
	CHECK_ERRNO(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
	CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 65, &set), EINVAL);
	CHECK_ERRNO(syscall(SYS_sched_getaffinity, 1 << 29, 128, &set), ESRCH);
	CHECK_ERRNO(syscall(SYS_sched_getaffinity, -1, 128, &set), ESRCH);
	CHECK_EQ(sched_yield(), 0);
}

int main(void)
{
	masks();
	everywhere();
	inheritance();
	preemption();
	errors();
	return check_done();
}
