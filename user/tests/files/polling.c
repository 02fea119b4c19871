/* SPDX-License-Identifier: MIT */
/* Tests waiting for files with poll, select, eventfd and FIFOs, signals that interrupt a wait, and record locks. */
#include "user/lib/await.h"
#include "user/lib/check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>

/* A closed descriptor. The test opens it first, because select() does not look beyond the descriptor table's end. */
#define CLOSED_FD 99

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void pipes(void)
{
	struct pollfd p[3];
	int fds[2], n;
	long start;

	section("poll on a pipe");
	MUST(pipe(fds) == 0);
	p[0] = (struct pollfd){ fds[0], POLLIN, 0x55 };
	p[1] = (struct pollfd){ fds[1], POLLOUT, 0x55 };
	p[2] = (struct pollfd){ -1, POLLIN, 0x55 };
	CHECK_EQ(poll(p, 3, 0), 1);
	CHECK(p[0].revents == 0 && p[1].revents == POLLOUT && p[2].revents == 0);
	start = now_ms();
	CHECK_EQ(poll(p, 1, 50), 0);
	CHECK(now_ms() - start >= 50);
	MUST(write(fds[1], "abc", 3) == 3);
	CHECK_EQ(poll(p, 1, -1), 1);
	CHECK_EQ(p[0].revents, POLLIN);
	CHECK_EQ(ioctl(fds[0], FIONREAD, &n), 0);
	CHECK_EQ(n, 3);
	close(fds[1]);
	CHECK_EQ(poll(p, 1, -1), 1);
	CHECK_EQ(p[0].revents, POLLIN | POLLHUP);
	char buf[8];
	CHECK_EQ(read(fds[0], buf, 8), 3);
	CHECK_EQ(poll(p, 1, -1), 1);
	CHECK_EQ(p[0].revents, POLLHUP);
	p[1].fd = 99;
	CHECK_EQ(poll(p + 1, 1, 0), 1);
	CHECK_EQ(p[1].revents, POLLNVAL);
	CHECK_ERRNO(poll((void *)8, 1, 0), EFAULT);
	CHECK_EQ(poll(NULL, 0, 1), 0);
	close(fds[0]);
	MUST(pipe(fds) == 0);
	close(fds[0]);
	p[0] = (struct pollfd){ fds[1], POLLOUT, 0 };
	CHECK_EQ(poll(p, 1, 0), 1);
	CHECK_EQ(p[0].revents, POLLOUT | POLLERR);
	close(fds[1]);
}

static void *writer(void *arg)
{
	usleep(20000);
	return (void *)write(*(int *)arg, "x", 1);
}

static void selecting(void)
{
	struct timeval tv = { 0, 10000 };
	int fds[2], nfds;
	pthread_t thread;
	fd_set in, out;

	section("select");
	MUST(pipe(fds) == 0);
	nfds = fds[1] + 1;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fds[0], &in);
	FD_SET(fds[1], &out);
	CHECK_EQ(select(nfds, &in, &out, NULL, NULL), 1);
	CHECK(!FD_ISSET(fds[0], &in) && FD_ISSET(fds[1], &out));
	FD_SET(fds[0], &in);
	CHECK_EQ(select(nfds, &in, NULL, NULL, &tv), 0);
	CHECK(!FD_ISSET(fds[0], &in));
	FD_SET(fds[0], &in);
	MUST(pthread_create(&thread, NULL, writer, &fds[1]) == 0);
	CHECK_EQ(select(nfds, &in, NULL, NULL, NULL), 1);
	CHECK(FD_ISSET(fds[0], &in));
	pthread_join(thread, NULL);
	CHECK_ERRNO(select(-1, NULL, NULL, NULL, &tv), EINVAL);
	MUST(dup2(fds[0], CLOSED_FD) == CLOSED_FD && close(CLOSED_FD) == 0);
	FD_ZERO(&in);
	FD_SET(CLOSED_FD, &in);
	CHECK_ERRNO(select(CLOSED_FD + 1, &in, NULL, NULL, &tv), EBADF);
	tv.tv_usec = -1;
	CHECK_ERRNO(select(0, NULL, NULL, NULL, &tv), EINVAL);
	close(fds[0]);
	close(fds[1]);
}

static void *event_writer(void *arg)
{
	uint64_t value = 5;

	usleep(20000);
	return (void *)write(*(int *)arg, &value, 8);
}

static void events(void)
{
	int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	uint64_t value = 0;
	pthread_t thread;

	section("eventfd");
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	CHECK_EQ(read(fd, &value, 8), 8);
	CHECK_EQ(value, 3);
	CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
	CHECK_ERRNO(read(fd, &value, 7), EINVAL);
	value = ~0UL - 1;
	CHECK_EQ(write(fd, &value, 8), 8);
	value = 1;
	CHECK_ERRNO(write(fd, &value, 8), EAGAIN);
	value = ~0UL;
	CHECK_ERRNO(write(fd, &value, 8), EINVAL);
	CHECK_EQ(read(fd, &value, 8), 8);
	CHECK_EQ(fcntl(fd, F_SETFL, O_RDWR), 0);
	MUST(pthread_create(&thread, NULL, event_writer, &fd) == 0);
	CHECK_EQ(read(fd, &value, 8), 8);
	CHECK_EQ(value, 5);
	pthread_join(thread, NULL);
	close(fd);
	fd = eventfd(2, EFD_SEMAPHORE);
	CHECK_EQ(read(fd, &value, 8), 8);
	CHECK_EQ(value, 1);
	CHECK_ERRNO(eventfd(0, 0x10), EINVAL);
	close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct timespec ts = { 5, 0 }, tiny = { 0, 1000000 };
	struct pollfd p = { -1, POLLIN, 0 };
	sigset_t set, none;

	section("signals end a wait, in spite of SA_RESTART");
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 20000); /* repeatedly, because the first may arrive before the wait begins */
	CHECK_ERRNO(poll(&p, 1, 5000), EINTR);
	CHECK_ERRNO(select(0, NULL, NULL, NULL, &(struct timeval){ 5, 0 }), EINTR);
	ualarm(0, 0);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGALRM);
	CHECK_EQ(ppoll(&p, 1, &tiny, NULL), 0);
	CHECK_ERRNO(ppoll(&p, 1, &ts, &none), EINTR);
	CHECK_EQ(ppoll(&p, 1, &tiny, &none), 0);
	raise(SIGALRM);
	CHECK_ERRNO(pselect(0, NULL, NULL, NULL, &ts, &none), EINTR);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	CHECK_ERRNO(syscall(SYS_ppoll, &p, 1, &ts, &none, 4), EINVAL);
}

static int fifo_reader(void *arg)
{
	int fd = open(arg, O_RDONLY);
	char buf[8];

	return read(fd, buf, 8) == 2 && read(fd, buf, 8) == 0 ? 7 : 8;
}

static void fifos(void)
{
	char path[] = "/tmp/polling-XXXXXX";
	struct stat st;
	int status, fd;
	pid_t pid;

	section("FIFOs");
	MUST(mkstemp(path) >= 0 && unlink(path) == 0);
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(stat(path, &st), 0);
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_ERRNO(open(path, O_WRONLY | O_NONBLOCK), ENXIO);
	alarm(10);			    /* if the next call waits for the other end */
	CHECK_ERRNO(open(path, 3), EINVAL); /* neither for reading nor for writing */
	alarm(0);
	pid = fork();
	if (!pid)
		_exit(fifo_reader(path));
	fd = open(path, O_WRONLY);
	CHECK_EQ(write(fd, "ab", 2), 2);
	close(fd);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 7));
	fd = open(path, O_RDONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, &st, 1), 0);
	close(fd);
	CHECK_EQ(unlink(path), 0);
}

static void record_locks(void)
{
	char path[] = "/tmp/polling-XXXXXX";
	int fd = mkstemp(path), asked[2], status;
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 };
	pid_t pid;
	char c;

	section("record locks");
	MUST(pipe(asked) == 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &l), 0);
	pid = fork();
	if (!pid) {
		struct flock q = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 0 };
		bool refused = fcntl(fd, F_SETLK, &q) == -1 && errno == EAGAIN;
		bool told = fcntl(fd, F_GETLK, &q) == 0 && q.l_type == F_WRLCK && q.l_start == 10 && q.l_len == 10 &&
			    q.l_pid == getppid();
		q = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
		bool beside = fcntl(fd, F_SETLK, &q) == 0;
		MUST(write(asked[1], "x", 1) == 1);
		q = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 2 };
		bool waited = fcntl(fd, F_SETLKW, &q) == 0;
		_exit(refused + 2 * told + 4 * beside + 8 * waited);
	}
	MUST(read(asked[0], &c, 1) == 1);
	usleep(30000); /* so that the child usually waits; the result is the same if it does not */
	l = (struct flock){ .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 2 };
	CHECK_EQ(fcntl(fd, F_SETLK, &l), 0);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 15));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_EQ(fcntl(fd, F_GETLK, &l), 0);
	CHECK_EQ(l.l_type, F_UNLCK);
	l.l_type = 7;
	CHECK_ERRNO(fcntl(fd, F_SETLK, &l), EINVAL);
	close(fd);
	unlink(path);
}

struct waiter {
	int fd, error;
	volatile pid_t tid;
};

static void *wait_for_lock(void *arg)
{
	struct waiter *w = arg;
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	w->tid = (pid_t)syscall(SYS_gettid);
	w->error = fcntl(w->fd, F_SETLKW, &l) ? errno : 0;
	return NULL;
}

/* Runs in a child: locks the whole file. Returns 0 on success. */
static int lock_all(void *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(open(path, O_RDWR), F_SETLK, &l) ? 1 : 0;
}

/* The lock is granted after the descriptor was closed, so no later close would release it. */
static void record_lock_of_a_closed_file(void)
{
	char path[] = "/tmp/polling-XXXXXX";
	struct waiter w = { .fd = mkstemp(path) };
	int locked[2], over[2], status;
	pthread_t thread;
	pid_t pid;
	char c;

	section("a descriptor that is closed while a thread waits for its lock");
	MUST(w.fd >= 0 && pipe(locked) == 0 && pipe(over) == 0);
	pid = fork();
	if (!pid) {
		close(over[1]);
		MUST(lock_all(path) == 0 && write(locked[1], "x", 1) == 1);
		_exit(read(over[0], &c, 1) != 0);
	}
	MUST(read(locked[0], &c, 1) == 1);
	MUST(pthread_create(&thread, NULL, wait_for_lock, &w) == 0);
	await_sleep(&w.tid);
	CHECK_EQ(close(w.fd), 0);
	close(over[1]);
	pthread_join(thread, NULL);
	CHECK_EQ(w.error, EBADF);
	MUST(waitpid(pid, &status, 0) == pid && exited_with(status, 0));
	CHECK_THAT("nothing is locked", exited_with(run_child(lock_all, path), 0));
	close(locked[0]), close(locked[1]), close(over[0]);
	unlink(path);
}

/* Tests ranges that begin before the start of the file. */
static void record_lock_ranges(void)
{
	static const struct {
		off_t start, len;
	} wrong[] = { { -1, 0 }, { -1, 1 }, { -1, INT64_MIN }, { 10, -11 } };
	char path[] = "/tmp/polling-XXXXXX";
	int fd = mkstemp(path);

	section("ranges of record locks");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, wrong[i].start, wrong[i].len };

		CHECK_ERRNO(fcntl(fd, F_SETLK, &l), EINVAL);
	}
	close(fd);
	unlink(path);
}

int main(void)
{
	pipes();
	selecting();
	events();
	interrupted();
	fifos();
	record_locks();
	record_lock_of_a_closed_file();
	record_lock_ranges();
	return check_done();
}
