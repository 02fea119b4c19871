/* SPDX-License-Identifier: MIT */
/* Tests signals and threads: directed signals, process-wide ones, a mask for each thread, faults in several threads. */
#include "user/lib/check.h"

#include <pthread.h>
#include <semaphore.h>

#define NR_THREADS 4

static sem_t ready, go;
static __thread int mine;
static int total;

static void note(int signo)
{
	(void)signo;
	mine++;
	__atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST);
}

static void *wait_for_mine(void *arg)
{
	sem_post(&ready);
	while (*(volatile int *)&mine == 0)
		sched_yield();
	(void)arg;
	return (void *)(intptr_t)mine;
}

static void directed(void)
{
	pthread_t threads[NR_THREADS];
	long sum = 0;
	void *value;

	section("directed at a thread");
	signal(SIGUSR1, note);
	for (int i = 0; i < NR_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, wait_for_mine, NULL) == 0);
	for (int i = 0; i < NR_THREADS; i++)
		sem_wait(&ready);
	for (int i = 0; i < NR_THREADS; i++)
		CHECK_EQ(pthread_kill(threads[i], SIGUSR1), 0);
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &value);
		sum += (intptr_t)value;
	}
	CHECK(sum == NR_THREADS && mine == 0);
}

static void *take_signal(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	(void)arg;
	return (void *)(intptr_t)sigwaitinfo(&set, NULL);
}

static void process_wide(void)
{
	pthread_t thread;
	sigset_t set;
	void *value;

	section("sent to the process, taken by the thread that waits for it");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	MUST(pthread_create(&thread, NULL, take_signal, NULL) == 0);
	kill(getpid(), SIGUSR2);
	pthread_join(thread, &value);
	CHECK_EQ((intptr_t)value, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *unblocked(void *arg)
{
	sem_wait(&go);
	(void)arg;
	return (void *)(intptr_t)mine;
}

static void blocked_in_main(void)
{
	pthread_t thread;
	sigset_t set;
	void *value;

	section("blocked in the main thread, handled in another");
	total = 0;
	MUST(pthread_create(&thread, NULL, unblocked, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	while (!__atomic_load_n(&total, __ATOMIC_SEQ_CST))
		sched_yield();
	sem_post(&go);
	pthread_join(thread, &value);
	CHECK((intptr_t)value == 1 && mine == 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *fault_and_recover(void *arg)
{
	char *p = map_pages(1, PROT_READ);
	volatile intptr_t good = 0;

	for (int i = 0; i < 200; i++)
		if (CATCH(poke(p + i, 1)) == SIGSEGV && caught_at(p + i))
			good = good + 1;
	(void)arg;
	return (void *)good;
}

static void faults(void)
{
	pthread_t threads[NR_THREADS];
	long sum = 0;
	void *value;

	section("each thread catches its own faults");
	catch_faults(0);
	for (int i = 0; i < NR_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, fault_and_recover, NULL) == 0);
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &value);
		sum += (intptr_t)value;
	}
	CHECK_EQ(sum, 200 * NR_THREADS);
}

static void *fault_for_good(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	poke(NULL, 1);
	return arg;
}

static void *spin(void *arg)
{
	for (;;)
		sched_yield();
	return arg;
}

static int threads_that_die(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, spin, NULL);
	pthread_create(&thread, NULL, arg ? fault_for_good : spin, NULL);
	for (;;)
		pause();
	return 0;
}

static void deaths(void)
{
	pid_t pid;
	int status;

	section("one thread's fault ends the whole process");
	CHECK(killed_by(run_child(threads_that_die, "fault"), SIGSEGV));
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(threads_that_die(NULL));
	usleep(20000);
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_THAT("SIGKILL ends all its threads", killed_by(status, SIGKILL));
}

int main(void)
{
	directed();
	process_wide();
	blocked_in_main();
	faults();
	deaths();
	return check_done();
}
