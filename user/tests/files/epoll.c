/* SPDX-License-Identifier: MIT */
/* Tests epoll: level- and edge-triggered watches, what ends them, which waiters are woken, and errors. */
#include "user/lib/await.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#define SYS_epoll_pwait2_ 441

static int watch(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data.u64 = data };

	return epoll_ctl(ep, op, fd, &e);
}

/* Returns the ready events as text: "data:events data:events". */
static const char *ready(int ep, int max)
{
	static char text[256];
	struct epoll_event e[16];
	int n = epoll_wait(ep, e, max, 0);
	char *at = text;

	*at = 0;
	for (int i = 0; i < n; i++)
		at += sprintf(at, "%s%lu:%x", i ? " " : "", (unsigned long)e[i].data.u64, e[i].events);
	return text;
}

#define READY(ep, want) CHECK(!strcmp(ready(ep, 16), want))

static void drain(int fd)
{
	char buf[64];

	MUST(read(fd, buf, sizeof(buf)) > 0);
}

static void refusals(void)
{
	int ep, fds[2], file = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_RDWR);
	struct epoll_event e;
	int closed;

	section("what is refused");
	CHECK_ERRNO(syscall(SYS_epoll_create, 0), EINVAL);
	CHECK_ERRNO(epoll_create1(1), EINVAL);
	ep = epoll_create1(EPOLL_CLOEXEC);
	CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	MUST(pipe(fds) == 0 && (closed = dup(fds[0])) >= 0 && close(closed) == 0);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_ADD, closed, EPOLLIN, 0), EBADF);
	CHECK_ERRNO(watch(closed, EPOLL_CTL_ADD, fds[0], EPOLLIN, 0), EBADF);
	CHECK_ERRNO(watch(fds[0], EPOLL_CTL_ADD, fds[1], EPOLLIN, 0), EINVAL);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 0), EINVAL);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_ADD, file, EPOLLIN, 0), EPERM);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_ADD, null, EPOLLIN, 0), EPERM);
	CHECK_ERRNO(watch(ep, 9, fds[0], EPOLLIN, 0), EINVAL);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN, 0), ENOENT);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL), ENOENT);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], (void *)8), EFAULT);
	CHECK_EQ(watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 0), 0);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 0), EEXIST);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL);
	CHECK_ERRNO(watch(ep, EPOLL_CTL_ADD, fds[1], EPOLLOUT | EPOLLONESHOT | EPOLLEXCLUSIVE, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(ep, &e, 0, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(ep, &e, -1, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(ep, (void *)(1UL << 63), 1, 0), EFAULT);
	CHECK_ERRNO(epoll_wait(fds[0], &e, 1, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(closed, &e, 1, 0), EBADF);
	MUST(write(fds[1], "x", 1) == 1);
	CHECK_ERRNO(epoll_wait(ep, (void *)8, 1, 0), EFAULT);
	CHECK_ERRNO(read(ep, &e, 1), EINVAL);
	for (int i = 0; i < 2; i++)
		close(fds[i]);
	close(file);
	close(null);
	close(ep);
}

static void levels(void)
{
	int ep = epoll_create1(0), fds[2];

	section("level-triggered: reported as long as it is ready");
	MUST(pipe(fds) == 0);
	MUST(watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 1) == 0 && watch(ep, EPOLL_CTL_ADD, fds[1], EPOLLOUT, 2) == 0);
	READY(ep, "2:4");
	READY(ep, "2:4");
	MUST(write(fds[1], "abc", 3) == 3);
	READY(ep, "2:4 1:1");
	drain(fds[0]);
	READY(ep, "2:4");
	MUST(watch(ep, EPOLL_CTL_MOD, fds[1], 0, 3) == 0);
	READY(ep, "");
	MUST(epoll_ctl(ep, EPOLL_CTL_DEL, fds[1], NULL) == 0);
	close(fds[1]);
	READY(ep, "1:10");
	close(fds[0]);
	READY(ep, "");
	close(ep);
}

static void edges(void)
{
	int ep = epoll_create1(0), fds[2];

	section("edge-triggered: reported at each event; one-shot: reported once");
	MUST(pipe(fds) == 0);
	MUST(watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLET, 1) == 0);
	READY(ep, "");
	MUST(write(fds[1], "a", 1) == 1);
	READY(ep, "1:1");
	READY(ep, "");
	MUST(write(fds[1], "b", 1) == 1);
	READY(ep, "1:1");
	READY(ep, "");
	MUST(watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLET, 2) == 0);
	READY(ep, "2:1");
	READY(ep, "");
	drain(fds[0]);
	MUST(write(fds[1], "c", 1) == 1);
	READY(ep, "2:1");
	MUST(watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 3) == 0);
	READY(ep, "3:1");
	MUST(write(fds[1], "d", 1) == 1);
	READY(ep, "");
	MUST(watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 4) == 0);
	READY(ep, "4:1");
	close(fds[1]);
	READY(ep, "");
	close(fds[0]);
	close(ep);
}

static void turns(void)
{
	int ep = epoll_create1(0), fd[3];
	struct pollfd p = { ep, POLLIN, 0 };

	section("more files are ready than fit into the array; an epoll can be polled");
	for (int i = 0; i < 3; i++) {
		fd[i] = eventfd(0, EFD_NONBLOCK);
		MUST(watch(ep, EPOLL_CTL_ADD, fd[i], EPOLLIN, (uint64_t)i) == 0);
	}
	CHECK_EQ(poll(&p, 1, 0), 0);
	for (int i = 0; i < 3; i++)
		MUST(eventfd_write(fd[i], 1) == 0);
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK(!strcmp(ready(ep, 2), "0:1 1:1"));
	CHECK(!strcmp(ready(ep, 2), "2:1 0:1"));
	CHECK(!strcmp(ready(ep, 2), "1:1 2:1"));
	for (int i = 0; i < 3; i++)
		drain(fd[i]);
	CHECK_EQ(poll(&p, 1, 0), 0);
	READY(ep, "");
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(ep);
}

static void ends(void)
{
	int ep = epoll_create1(0), fds[2], other;

	section("a watch ends with the open file, not with the descriptor");
	MUST(pipe(fds) == 0);
	MUST(watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 1) == 0);
	MUST(write(fds[1], "x", 1) == 1);
	other = dup(fds[0]);
	close(fds[0]);
	READY(ep, "1:1");
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, other, NULL), ENOENT);
	close(other);
	READY(ep, "");
	MUST(pipe(fds) == 0);
	MUST(watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 2) == 0);
	close(ep);
	MUST(write(fds[1], "x", 1) == 1); /* wakes no watch: the epoll instance is closed */
	drain(fds[0]);
	close(fds[0]);
	close(fds[1]);
}

struct sleeper {
	int ep;
	volatile pid_t tid;
	struct epoll_event got;
	int n;
};

static void *sleep_in_wait(void *arg)
{
	struct sleeper *s = arg;

	s->tid = gettid();
	s->n = epoll_wait(s->ep, &s->got, 1, -1);
	return NULL;
}

static void sleeping(void)
{
	struct sleeper s = { .ep = epoll_create1(0) };
	struct timespec before, after;
	pthread_t thread;
	int fds[2];

	section("a wait sleeps until another thread writes, adds or closes a file");
	MUST(pipe(fds) == 0);
	for (int how = 0; how < 3; how++) {
		s.tid = 0;
		if (how != 1)
			MUST(watch(s.ep, EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLET, 7) == 0);
		MUST(pthread_create(&thread, NULL, sleep_in_wait, &s) == 0);
		await_sleep(&s.tid);
		if (how == 0)
			MUST(write(fds[1], "x", 1) == 1);
		else if (how == 1)
			MUST(watch(s.ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 7) == 0);
		else
			close(fds[1]);
		MUST(pthread_join(thread, NULL) == 0);
		CHECK(s.n == 1 && s.got.data.u64 == 7);
		CHECK_EQ(s.got.events, how == 2 ? EPOLLHUP : EPOLLIN);
		MUST(epoll_ctl(s.ep, EPOLL_CTL_DEL, fds[0], NULL) == 0);
		if (how == 1)
			drain(fds[0]);
	}
	close(fds[0]);
	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK_EQ(epoll_wait(s.ep, &s.got, 1, 20), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 20000000);
	close(s.ep);
}

static volatile int handled;

static void on_signal(int sig)
{
	handled = sig;
}

static void masks(void)
{
	int ep = epoll_create1(0);
	struct epoll_event e;
	struct timespec none = { 0, 0 }, bad = { 0, -1 };
	sigset_t set, empty, now;

	section("epoll_pwait: the mask of the call");
	sigemptyset(&empty);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && signal(SIGUSR1, on_signal) != SIG_ERR && raise(SIGUSR1) == 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(handled, 0);
	CHECK_ERRNO(epoll_pwait(ep, &e, 1, -1, &empty), EINTR);
	CHECK_EQ(handled, SIGUSR1);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	CHECK_EQ(epoll_pwait(ep, &e, 1, 0, &empty), 0);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	CHECK_EQ(syscall(SYS_epoll_pwait2_, ep, &e, 1, &none, NULL, 0), 0);
	CHECK_ERRNO(syscall(SYS_epoll_pwait2_, ep, &e, 1, &bad, NULL, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_epoll_pwait2_, ep, &e, 1, &none, &empty, 3), EINVAL);
	close(ep);
}

/* --- many at once: edge-triggered watches miss no write ------------------------ */

#define NR_FDS 4
#define NR_WRITES 500

static int storm_ep, storm_fd[NR_FDS], storm_stop;
static uint64_t storm_sum;

static void *consume(void *arg)
{
	for (;;) {
		struct epoll_event e;
		eventfd_t value;

		MUST(epoll_wait(storm_ep, &e, 1, -1) == 1);
		if ((int)e.data.u64 == storm_stop)
			return arg;
		while (eventfd_read((int)e.data.u64, &value) == 0)
			__atomic_fetch_add(&storm_sum, value, __ATOMIC_SEQ_CST);
	}
}

static void *produce(void *arg)
{
	int *fd = arg;

	for (int i = 0; i < NR_WRITES; i++) {
		MUST(eventfd_write(*fd, 1) == 0);
		if (i % 64 == 0) { /* removes the watch and adds it again */
			MUST(epoll_ctl(storm_ep, EPOLL_CTL_DEL, *fd, NULL) == 0);
			MUST(watch(storm_ep, EPOLL_CTL_ADD, *fd, EPOLLIN | EPOLLET, (uint64_t)*fd) == 0);
		}
	}
	return NULL;
}

static void storm(void)
{
	pthread_t producer[NR_FDS], consumer[2];

	section("producers, consumers, and watches that come and go");
	storm_ep = epoll_create1(0);
	storm_stop = eventfd(0, 0);
	for (int i = 0; i < NR_FDS; i++) {
		storm_fd[i] = eventfd(0, EFD_NONBLOCK);
		MUST(watch(storm_ep, EPOLL_CTL_ADD, storm_fd[i], EPOLLIN | EPOLLET, (uint64_t)storm_fd[i]) == 0);
	}
	for (int i = 0; i < 2; i++)
		MUST(pthread_create(&consumer[i], NULL, consume, NULL) == 0);
	for (int i = 0; i < NR_FDS; i++)
		MUST(pthread_create(&producer[i], NULL, produce, &storm_fd[i]) == 0);
	for (int i = 0; i < NR_FDS; i++)
		MUST(pthread_join(producer[i], NULL) == 0);
	while (__atomic_load_n(&storm_sum, __ATOMIC_SEQ_CST) < NR_FDS * NR_WRITES)
		usleep(1000); /* forever, if an edge was lost */
	MUST(watch(storm_ep, EPOLL_CTL_ADD, storm_stop, EPOLLIN, (uint64_t)storm_stop) == 0);
	MUST(eventfd_write(storm_stop, 1) == 0);
	for (int i = 0; i < 2; i++)
		MUST(pthread_join(consumer[i], NULL) == 0);
	CHECK_EQ(storm_sum, NR_FDS * NR_WRITES);
}

int main(void)
{
	refusals();
	levels();
	edges();
	turns();
	ends();
	sleeping();
	masks();
	storm();
	return check_done();
}
