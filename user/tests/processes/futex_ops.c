/* SPDX-License-Identifier: MIT */
/* Tests raw futex operations: wait, wake, bitsets, requeue, time-outs, private and shared words, and errors. */
#include "user/lib/await.h"
#include "user/lib/futex.h"

#include <pthread.h>

#define WAITERS 4

static uint32_t word, other;
static volatile pid_t tids[WAITERS]; /* 0: has not reached its wait */
static volatile int woken;
static int wait_op;
static uint32_t wait_bits;

static struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec now;

	clock_gettime(clock, &now);
	now.tv_nsec += ms * 1000000;
	now.tv_sec += now.tv_nsec / 1000000000;
	now.tv_nsec %= 1000000000;
	return now;
}

static void *waiter(void *arg)
{
	uint32_t bits = wait_op == FUTEX_WAIT_BITSET ? wait_bits << (intptr_t)arg : 0;
	long result;

	tids[(intptr_t)arg] = gettid();
	result = futex(&word, wait_op | FUTEX_PRIVATE, 1, NULL, NULL, bits);
	__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	return (void *)result;
}

/* Starts a thread that waits, and returns when it sleeps. */
static void start(pthread_t *thread, int id, void *(*fn)(void *), void *arg)
{
	tids[id] = 0;
	MUST(pthread_create(thread, NULL, fn, arg) == 0);
	await_sleep(&tids[id]);
}

/* Starts the waiters one after the other, so that they queue in this order. */
static void start_waiters(pthread_t *threads, int op)
{
	woken = 0;
	wait_op = op;
	word = 1;
	for (intptr_t i = 0; i < WAITERS; i++)
		start(&threads[i], i, waiter, (void *)i);
}

static bool woken_becomes(int n)
{
	while (woken < n)
		usleep(1000);
	return woken == n;
}

static long join_all(pthread_t *threads)
{
	long sum = 0;
	void *value;

	for (int i = 0; i < WAITERS; i++) {
		MUST(pthread_join(threads[i], &value) == 0);
		sum += (long)value;
	}
	return sum;
}

static void wait_and_wake(void)
{
	pthread_t threads[WAITERS];

	section("wait and wake");
	word = 1;
	CHECK_EQ(futex_wake(&word, 10), 0);
	CHECK_ERRNO(futex_wait(&word, 2), EAGAIN);
	start_waiters(threads, FUTEX_WAIT);
	CHECK_EQ(woken, 0);
	CHECK_EQ(futex_wake(&word, 1), 1);
	CHECK(woken_becomes(1));
	CHECK_EQ(futex_wake(&word, 2), 2);
	CHECK(woken_becomes(3));
	CHECK_EQ(futex_wake(&word, 100), 1);
	CHECK_EQ(join_all(threads), 0);
}

static void bitsets(void)
{
	pthread_t threads[WAITERS];

	section("bitsets");
	wait_bits = 1;
	start_waiters(threads, FUTEX_WAIT_BITSET);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE, 10, NULL, NULL, 0x30), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE, 10, NULL, NULL, 0x4), 1);
	CHECK(woken_becomes(1));
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE, 1, NULL, NULL, 0x3), 1);
	CHECK_EQ(futex_wake(&word, 10), 2);
	CHECK_EQ(join_all(threads), 0);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERRNO(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE, 1, NULL, NULL, 0), EINVAL);
}

static void requeue(void)
{
	pthread_t threads[WAITERS];

	section("requeue");
	start_waiters(threads, FUTEX_WAIT);
	CHECK_EQ(futex(&word, FUTEX_REQUEUE | FUTEX_PRIVATE, 1, (void *)2, &other, 0), 3);
	CHECK(woken_becomes(1));
	CHECK_EQ(futex_wake(&other, 1), 1);
	CHECK(woken_becomes(2));
	CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE, 0, (void *)10, &other, 7), EAGAIN);
	CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE, 0, (void *)10, &other, 1), 1);
	CHECK_EQ(futex_wake(&word, 10), 0);
	CHECK_EQ(futex_wake(&other, 10), 2);
	CHECK_EQ(join_all(threads), 0);
}

static void requeue_to_itself(void)
{
	pthread_t threads[WAITERS];

	section("requeue to the same word: each waiter counts once");
	start_waiters(threads, FUTEX_WAIT);
	CHECK_EQ(futex(&word, FUTEX_REQUEUE | FUTEX_PRIVATE, 0, (void *)100, &word, 0), 4);
	CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE, 1, (void *)100, &word, 1), 4);
	CHECK(woken_becomes(1));
	CHECK_EQ(futex_wake(&word, 10), 3);
	CHECK_EQ(join_all(threads), 0);
}

/*
 * FUTEX_WAKE_OP changes `other`, wakes waiters on `word`, and those on `other` if its old value passes the comparison.
 */
static void wake_op(void)
{
	const uint32_t add_1_if_eq_5 = 1U << 28 | 0U << 24 | 1 << 12 | 5,
		       set_9_if_gt_7 = 0U << 28 | 4U << 24 | 9 << 12 | 7;
	pthread_t threads[WAITERS];

	section("wake and change");
	start_waiters(threads, FUTEX_WAIT);
	other = 5;
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE, 2, (void *)10, &other, add_1_if_eq_5), 2);
	CHECK_EQ(other, 6);
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE, 10, (void *)10, &other, set_9_if_gt_7), 2);
	CHECK_EQ(other, 9);
	CHECK_EQ(join_all(threads), 0);
	CHECK_ERRNO(futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE, 1, (void *)1, &other, 7U << 28), ENOSYS);
}

static void timeouts(void)
{
	struct timespec soon = { 0, 5000000 }, past = { 1, 0 }, until;

	section("time-outs");
	word = 1;
	CHECK_ERRNO(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE, 1, &soon, NULL, 0), ETIMEDOUT);
	until = in_ms(CLOCK_MONOTONIC, 5);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE, 1, &until, NULL, ~0U), ETIMEDOUT);
	until = in_ms(CLOCK_REALTIME, 5);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME, 1, &until, NULL, ~0U),
		    ETIMEDOUT);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE, 1, &past, NULL, ~0U), ETIMEDOUT);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE, 1, &(struct timespec){ 0, 1000000000 }, NULL, 0), EINVAL);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE, 1, &(struct timespec){ -1, 0 }, NULL, 0), EINVAL);
}

static void *wait_shared(void *arg)
{
	tids[0] = gettid();
	return (void *)futex(arg, FUTEX_WAIT, 1, NULL, NULL, 0);
}

static int child_waits(uint32_t *words)
{
	return futex(&words[0], FUTEX_WAIT, 1, NULL, NULL, 0) == 0 ? 0 : 1;
}

static void shared(void)
{
	uint32_t *words = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *twin;
	pthread_t thread;
	int status;
	pid_t pid;
	void *value;

	section("shared words");
	MUST((void *)words != MAP_FAILED);
	words[0] = 1;
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(child_waits(words));
	await_state(pid, 'S');
	CHECK_EQ(futex(&words[0], FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_THAT("a child in another address space was woken", status == 0);

	twin = mremap(words, 0, PAGE, MREMAP_MAYMOVE);
	MUST((void *)twin != MAP_FAILED && twin != words);
	start(&thread, 0, wait_shared, words);
	CHECK_THAT("woken through another mapping of the same word", futex(twin, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
	CHECK(pthread_join(thread, &value) == 0 && value == NULL);
}

static void interrupted(int signo)
{
	(void)signo;
}

static void *wait_interrupted(void *arg)
{
	long result;

	(void)arg;
	tids[0] = gettid();
	result = futex(&word, FUTEX_WAIT | FUTEX_PRIVATE, 1, &(struct timespec){ 1000, 0 }, NULL, 0);
	return (void *)(intptr_t)(result == -1 ? errno : 0);
}

static void signals(void)
{
	struct sigaction sa = { .sa_handler = interrupted };
	pthread_t thread;
	void *value;

	section("a signal interrupts a wait");
	sigaction(SIGUSR1, &sa, NULL);
	word = 1;
	start(&thread, 0, wait_interrupted, NULL);
	pthread_kill(thread, SIGUSR1);
	MUST(pthread_join(thread, &value) == 0);
	CHECK_EQ((intptr_t)value, EINTR);
}

static void errors(void)
{
	char *none = map_island(1, PROT_NONE), *fresh = map_island(1, PROT_READ | PROT_WRITE);
	char *constant = map_island(1, PROT_READ);

	section("errors");
	CHECK_ERRNO(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT | FUTEX_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERRNO(futex((uint32_t *)((char *)&word + 2), FUTEX_WAKE | FUTEX_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERRNO(futex(&word, 77, 1, NULL, NULL, 0), ENOSYS);
	CHECK_ERRNO(futex((uint32_t *)none, FUTEX_WAIT | FUTEX_PRIVATE, 1, NULL, NULL, 0), EFAULT);
	CHECK_ERRNO(futex((uint32_t *)none, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT);
	CHECK_ERRNO(futex((uint32_t *)0xffffffff80000000, FUTEX_WAIT | FUTEX_PRIVATE, 1, NULL, NULL, 0), EFAULT);
	CHECK_ERRNO(futex(NULL, FUTEX_WAIT | FUTEX_PRIVATE, 1, NULL, NULL, 0), EFAULT);
	CHECK_ERRNO(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE, 1, none, NULL, 0), EFAULT);
	CHECK_THAT("a word on a page that is not mapped yet is zero",
		   futex((uint32_t *)fresh, FUTEX_WAIT | FUTEX_PRIVATE, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
	CHECK_EQ(futex((uint32_t *)(fresh + 8), FUTEX_WAKE | FUTEX_PRIVATE, 1, NULL, NULL, 0), 0);
	CHECK_THAT("a read-only word of private memory cannot be waited on as shared",
		   futex((uint32_t *)constant, FUTEX_WAIT, 1, NULL, NULL, 0) == -1 && errno == EFAULT);
	CHECK_ERRNO(futex((uint32_t *)constant, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
	CHECK_EQ(futex((uint32_t *)constant, FUTEX_WAKE | FUTEX_PRIVATE, 1, NULL, NULL, 0), 0);
}

int main(void)
{
	wait_and_wake();
	bitsets();
	requeue();
	requeue_to_itself();
	wake_op();
	timeouts();
	shared();
	signals();
	errors();
	return check_done();
}
