/* SPDX-License-Identifier: MIT */
/* Tests pthreads as musl implements them: create, join, detach, thread-local storage, all locks, cancellation. */
#include "user/lib/check.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define NR_THREADS 8
#define ROUNDS 2000

static __thread int local = 5;
static __thread char local_buffer[3 * PAGE];

static void start(pthread_t *threads, int nr, void *(*fn)(void *))
{
	for (intptr_t i = 0; i < nr; i++)
		MUST(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
}

/* Joins the threads. Returns the sum of their results. */
static long join(pthread_t *threads, int nr)
{
	long sum = 0;
	void *value;

	for (int i = 0; i < nr; i++) {
		MUST(pthread_join(threads[i], &value) == 0);
		sum += (intptr_t)value;
	}
	return sum;
}

static void *use_local(void *arg)
{
	intptr_t id = (intptr_t)arg;

	if (local != 5)
		return (void *)1000;
	local += id;
	for (size_t i = 0; i < sizeof(local_buffer); i++)
		if (local_buffer[i])
			return (void *)2000;
	memset(local_buffer, id + 1, sizeof(local_buffer));
	sched_yield();
	return (void *)(intptr_t)(local == 5 + id && local_buffer[2 * PAGE] == id + 1 ? id : 3000);
}

static void local_storage(void)
{
	pthread_t threads[NR_THREADS];

	section("thread-local storage");
	start(threads, NR_THREADS, use_local);
	CHECK_EQ(join(threads, NR_THREADS), NR_THREADS * (NR_THREADS - 1) / 2);
	CHECK(local == 5 && local_buffer[0] == 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile long counter;

static void *count(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter = counter + 1;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void mutexes(void)
{
	pthread_t threads[NR_THREADS];
	pthread_mutexattr_t attr;
	pthread_mutex_t checked;

	section("mutexes");
	start(threads, NR_THREADS, count);
	join(threads, NR_THREADS);
	CHECK_EQ(counter, NR_THREADS * ROUNDS);
	CHECK_EQ(pthread_mutex_trylock(&mutex), 0);
	CHECK_EQ(pthread_mutex_trylock(&mutex), EBUSY);
	CHECK_EQ(pthread_mutex_timedlock(&mutex, &(struct timespec){ 1, 0 }), ETIMEDOUT);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&checked, &attr);
	CHECK_EQ(pthread_mutex_lock(&checked), 0);
	CHECK_EQ(pthread_mutex_lock(&checked), EDEADLK);
	CHECK_EQ(pthread_mutex_unlock(&checked), 0);
	CHECK_EQ(pthread_mutex_unlock(&checked), EPERM);
}

/* A buffer of numbers: producers wait for room, consumers for numbers. */
static struct {
	long slot[4];
	int used;
} ring;

static void *produce(void *arg)
{
	for (long i = 1; i <= ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		while (ring.used == 4)
			pthread_cond_wait(&cond, &mutex);
		ring.slot[ring.used++] = i;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	(void)arg;
	return NULL;
}

static void *consume(void *arg)
{
	long sum = 0;

	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		while (ring.used == 0)
			pthread_cond_wait(&cond, &mutex);
		sum += ring.slot[--ring.used];
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	(void)arg;
	return (void *)sum;
}

static void conditions(void)
{
	pthread_t producers[2], consumers[2];

	section("condition variables");
	start(producers, 2, produce);
	start(consumers, 2, consume);
	join(producers, 2);
	CHECK_EQ(join(consumers, 2), (long)ROUNDS * (ROUNDS + 1));
	pthread_mutex_lock(&mutex);
	CHECK_EQ(pthread_cond_timedwait(&cond, &mutex, &(struct timespec){ 1, 0 }), ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
}

static pthread_barrier_t barrier;
static int phase_of[4];

static void *phases(void *arg)
{
	int id = (int)(intptr_t)arg;
	intptr_t bad = 0, serial = 0;

	for (int phase = 1; phase <= 50; phase++) {
		phase_of[id] = phase;
		serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
		for (int i = 0; i < 4; i++)
			bad += phase_of[i] != phase;
		pthread_barrier_wait(&barrier);
	}
	return (void *)(serial + bad * 1000);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long left, right;

static void *read_or_write(void *arg)
{
	intptr_t bad = 0;

	for (int i = 0; i < 500; i++) {
		if ((intptr_t)arg % 4 == 0) {
			pthread_rwlock_wrlock(&rwlock);
			left++;
			right++;
		} else {
			pthread_rwlock_rdlock(&rwlock);
			bad += left != right;
		}
		pthread_rwlock_unlock(&rwlock);
	}
	return (void *)bad;
}

static sem_t semaphore;

static void *post(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		sem_post(&semaphore);
	return NULL;
}

static void other_locks(void)
{
	pthread_t threads[NR_THREADS];
	int value;

	section("barriers, read-write locks, semaphores");
	pthread_barrier_init(&barrier, NULL, 4);
	start(threads, 4, phases);
	CHECK_EQ(join(threads, 4), 50);
	start(threads, NR_THREADS, read_or_write);
	CHECK_EQ(join(threads, NR_THREADS), 0);
	CHECK_EQ(left, NR_THREADS / 4 * 500);
	sem_init(&semaphore, 0, 0);
	start(threads, 4, post);
	for (int i = 0; i < 400; i++)
		sem_wait(&semaphore);
	join(threads, 4);
	CHECK(sem_getvalue(&semaphore, &value) == 0 && value == 0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int times_initialised;
static pthread_key_t key;
static volatile int destroyed;

static void initialise(void)
{
	times_initialised++;
}

static void destroy(void *value)
{
	__atomic_fetch_add(&destroyed, (int)(intptr_t)value, __ATOMIC_SEQ_CST);
}

static void *use_key(void *arg)
{
	pthread_once(&once, initialise);
	pthread_setspecific(key, (void *)((intptr_t)arg + 1));
	return pthread_getspecific(key);
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		sleep(1000);
	return arg;
}

static void *detached(void *arg)
{
	memset(local_buffer, 1, sizeof(local_buffer));
	sem_post(&semaphore);
	return arg;
}

static void life(void)
{
	pthread_t threads[4];
	pthread_attr_t attr;
	void *value;

	section("once, keys, cancellation, detached threads");
	pthread_key_create(&key, destroy);
	start(threads, 4, use_key);
	CHECK_EQ(join(threads, 4), 10);
	CHECK(times_initialised == 1 && destroyed == 10);
	start(threads, 1, sleep_for_ever);
	CHECK_EQ(pthread_cancel(threads[0]), 0);
	CHECK(pthread_join(threads[0], &value) == 0 && value == PTHREAD_CANCELED);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (int i = 0; i < 64; i++) {
		MUST(pthread_create(&threads[0], &attr, detached, NULL) == 0);
		sem_wait(&semaphore);
	}
	CHECK_THAT("sixty-four detached threads came and went", true);
	start(threads, 4, detached);
	join(threads, 4);
}

static void *deep_stack(void *arg)
{
	volatile char big[100 * PAGE];

	for (size_t i = 0; i < sizeof(big); i += PAGE)
		big[i] = 1;
	(void)arg;
	return (void *)(intptr_t)(big[0] + big[99 * PAGE]);
}

static void stacks(void)
{
	pthread_t threads[NR_THREADS];
	pthread_attr_t attr;
	char *stack = map_pages(128, PROT_READ | PROT_WRITE);
	int ones = 0;
	void *value;

	section("stacks");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 20);
	for (int i = 0; i < NR_THREADS; i++)
		MUST(pthread_create(&threads[i], &attr, deep_stack, NULL) == 0);
	CHECK_EQ(join(threads, NR_THREADS), 2 * NR_THREADS);
	pthread_attr_setstack(&attr, stack, 128 * PAGE);
	MUST(pthread_create(&threads[0], &attr, deep_stack, NULL) == 0);
	CHECK(pthread_join(threads[0], &value) == 0 && value == (void *)2);
	for (size_t i = 0; i < 128 * PAGE; i++)
		ones += stack[i] == 1;
	CHECK_THAT("it ran on the stack it was given", ones >= 100);
}

int main(void)
{
	local_storage();
	mutexes();
	conditions();
	other_locks();
	life();
	stacks();
	return check_done();
}
