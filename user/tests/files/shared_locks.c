/* SPDX-License-Identifier: MIT */
/* Locks between processes, in shared memory: mutex, condition, semaphore, barrier; a robust mutex whose owner dies. */
#include "user/lib/check.h"

#include <pthread.h>
#include <semaphore.h>

#define CHILDREN 4
#define ROUNDS 500

struct shared {
	pthread_mutex_t mutex, robust;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	sem_t sem;
	volatile long counter;
	volatile int turn;
};

static struct shared *s;

static void initialise(void)
{
	pthread_mutexattr_t attr;
	pthread_condattr_t cond_attr;
	pthread_barrierattr_t barrier_attr;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(s != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->mutex, &attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->robust, &attr);
	pthread_condattr_init(&cond_attr);
	pthread_condattr_setpshared(&cond_attr, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&s->cond, &cond_attr);
	pthread_barrierattr_init(&barrier_attr);
	pthread_barrierattr_setpshared(&barrier_attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&s->barrier, &barrier_attr, CHILDREN);
	sem_init(&s->sem, 1, 0);
}

/* Runs fn in all children at once. Returns how many of them succeeded. */
static int in_children(int (*fn)(long))
{
	pid_t pids[CHILDREN];
	int status, good = 0;

	fflush(stdout);
	for (long i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		MUST(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(fn(i));
	}
	for (int i = 0; i < CHILDREN; i++) {
		MUST(waitpid(pids[i], &status, 0) == pids[i]);
		good += status == 0;
	}
	return good;
}

static int count(long id)
{
	(void)id;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&s->mutex);
		s->counter = s->counter + 1;
		pthread_mutex_unlock(&s->mutex);
	}
	return 0;
}

static int take_turns(long id)
{
	for (int i = 0; i < 50; i++) {
		pthread_mutex_lock(&s->mutex);
		while (s->turn % CHILDREN != id)
			pthread_cond_wait(&s->cond, &s->mutex);
		s->turn = s->turn + 1;
		pthread_cond_broadcast(&s->cond);
		pthread_mutex_unlock(&s->mutex);
	}
	return 0;
}

static int meet(long id)
{
	int serial = 0;

	(void)id;
	for (int i = 0; i < 50; i++)
		if (pthread_barrier_wait(&s->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			serial++;
	__atomic_fetch_add(&s->counter, serial, __ATOMIC_SEQ_CST);
	return 0;
}

static int post(long id)
{
	(void)id;
	for (int i = 0; i < 100; i++)
		sem_post(&s->sem);
	return 0;
}

static int die_with_lock(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&s->robust);
	kill(getpid(), SIGKILL);
	return 0;
}

static int leave_with_lock(void *arg)
{
	(void)arg;
	return pthread_mutex_lock(&s->robust);
}

static void *thread_with_lock(void *arg)
{
	pthread_mutex_lock(&s->robust);
	return arg;
}

static void robust(void)
{
	pthread_t thread;

	section("a robust mutex whose owner has exited");
	CHECK(killed_by(run_child(die_with_lock, NULL), SIGKILL));
	CHECK_EQ(pthread_mutex_lock(&s->robust), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&s->robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&s->robust), 0);
	CHECK_EQ(run_child(leave_with_lock, NULL), 0);
	CHECK_EQ(pthread_mutex_trylock(&s->robust), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&s->robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&s->robust), 0);
	pthread_create(&thread, NULL, thread_with_lock, NULL);
	pthread_join(thread, NULL);
	CHECK_EQ(pthread_mutex_lock(&s->robust), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_unlock(&s->robust), 0);
	CHECK_EQ(pthread_mutex_lock(&s->robust), ENOTRECOVERABLE);
}

int main(void)
{
	int value;

	initialise();
	section("locks between four processes");
	CHECK_EQ(in_children(count), CHILDREN);
	CHECK_EQ(s->counter, CHILDREN * ROUNDS);
	CHECK_EQ(in_children(take_turns), CHILDREN);
	CHECK_EQ(s->turn, CHILDREN * 50);
	s->counter = 0;
	CHECK_EQ(in_children(meet), CHILDREN);
	CHECK_EQ(s->counter, 50);
	CHECK_EQ(in_children(post), CHILDREN);
	for (int i = 0; i < CHILDREN * 100; i++)
		sem_wait(&s->sem);
	CHECK(sem_getvalue(&s->sem, &value) == 0 && value == 0);
	robust();
	return check_done();
}
