/* SPDX-License-Identifier: MIT */
/* Pipes and descriptors: order, blocking, end of file, EPIPE, O_NONBLOCK, dup, readv and writev. */
#include "user/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>

static void basics(void)
{
	char buf[64];
	int fds[2];

	section("bytes come out in order");
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(write(fds[1], "hello ", 6), 6);
	CHECK_EQ(write(fds[1], "world", 5), 5);
	CHECK_EQ(read(fds[0], buf, 3), 3);
	CHECK_EQ(read(fds[0], buf + 3, 60), 8);
	CHECK(memcmp(buf, "hello world", 11) == 0);
	CHECK_EQ(write(fds[1], buf, 0), 0);
	CHECK_ERRNO(write(fds[0], "x", 1), EBADF);
	CHECK_ERRNO(read(fds[1], buf, 1), EBADF);
	CHECK_ERRNO(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	CHECK_EQ(close(fds[1]), 0);
	CHECK_THAT("end of file", read(fds[0], buf, 1) == 0);
	CHECK_EQ(close(fds[0]), 0);
	CHECK_ERRNO(close(fds[0]), EBADF);
}

static void nonblocking(void)
{
	static char block[4096];
	int fds[2], n = 0;

	section("O_NONBLOCK");
	CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	CHECK_ERRNO(read(fds[0], block, 1), EAGAIN);
	while (write(fds[1], block, sizeof(block)) == sizeof(block))
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK_THAT("64 KiB fit", n == 16);
	CHECK_EQ(read(fds[0], block, sizeof(block)), sizeof(block));
	CHECK_EQ(write(fds[1], block, sizeof(block)), sizeof(block));
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERRNO(write(fds[1], block, 1), EPIPE);
	close(fds[1]);
	CHECK_ERRNO(pipe2(fds, 0x40), EINVAL);
}

static int write_to_nobody(void *arg)
{
	int *fds = arg;

	signal(SIGPIPE, SIG_DFL);
	close(fds[0]);
	return write(fds[1], "x", 1) == 1;
}

static void broken(void)
{
	int fds[2];

	section("SIGPIPE");
	MUST(pipe(fds) == 0);
	close(fds[0]);
	CHECK(killed_by(run_child(write_to_nobody, fds), SIGPIPE));
	close(fds[1]);
}

#define BULK (1 << 20)

static void *feed(void *arg)
{
	unsigned char buf[5000];
	int fd = (int)(intptr_t)arg;
	size_t sent = 0;

	while (sent < BULK) {
		size_t n = BULK - sent < sizeof(buf) ? BULK - sent : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = (sent + i) % 251;
		if (write(fd, buf, n) != (ssize_t)n)
			return (void *)1;
		sent += n;
	}
	close(fd);
	return NULL;
}

static void bulk(void)
{
	unsigned char buf[3000];
	size_t got = 0, bad = 0;
	pthread_t thread;
	void *value;
	int fds[2];
	ssize_t n;

	section("a megabyte through a pipe, both sides blocking in turn");
	MUST(pipe(fds) == 0);
	MUST(pthread_create(&thread, NULL, feed, (void *)(intptr_t)fds[1]) == 0);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			bad += buf[i] != got++ % 251;
	pthread_join(thread, &value);
	CHECK_EQ(got, BULK);
	CHECK(bad == 0 && value == NULL);
	close(fds[0]);
}

static void duplicates(void)
{
	char buf[8] = "";
	int fds[2], copy;

	section("dup, dup2, dup3, fcntl");
	MUST(pipe(fds) == 0);
	CHECK((copy = dup(fds[1])) > fds[1]);
	CHECK_EQ(close(fds[1]), 0);
	CHECK_EQ(write(copy, "dup", 3), 3);
	CHECK_EQ(dup2(copy, 200), 200);
	CHECK_EQ(write(200, "two", 3), 3);
	CHECK(read(fds[0], buf, 6) == 6 && memcmp(buf, "duptwo", 6) == 0);
	CHECK_EQ(fcntl(copy, F_DUPFD, 100), 100);
	CHECK_EQ(fcntl(copy, F_DUPFD_CLOEXEC, 100), 101);
	CHECK(fcntl(100, F_GETFD) == 0 && fcntl(101, F_GETFD) == FD_CLOEXEC);
	CHECK_ERRNO(syscall(SYS_dup3, copy, copy, 0), EINVAL);
	CHECK_EQ(dup2(copy, copy), copy);
	CHECK_ERRNO(dup2(999, 5), EBADF);
	CHECK_ERRNO(dup(-1), EBADF);
	CHECK_ERRNO(fcntl(copy, 9999), EINVAL);
	close(copy), close(200), close(100), close(101);
	CHECK_THAT("end of file after the last copy is closed", read(fds[0], buf, 1) == 0);
	close(fds[0]);
}

static void resizing(void)
{
	static unsigned char buf[70000];
	size_t bad = 0;
	int fds[2];

	section("a page that was read in part is not free; F_SETPIPE_SZ keeps what is in the pipe");
	MUST(pipe2(fds, O_NONBLOCK) == 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i % 251;
	CHECK_EQ(write(fds[1], buf, sizeof(buf)), 65536);
	CHECK_EQ(read(fds[0], buf, 100), 100);
	CHECK_ERRNO(write(fds[1], buf, 100), EAGAIN);
	CHECK_EQ(fcntl(fds[1], F_SETPIPE_SZ, 131072), 131072);
	CHECK_EQ(write(fds[1], buf + 65536, 100), 100);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 65536);
	for (size_t i = 0; i < 65536; i++)
		bad += buf[i] != (i + 100) % 251;
	CHECK_EQ(bad, 0);
	close(fds[0]), close(fds[1]);
}

static void vectors(void)
{
	char a[4], b[4], c[4];
	struct iovec out[3] = { { "abc", 3 }, { "", 0 }, { "defgh", 5 } };
	struct iovec in[3] = { { a, 2 }, { b, 4 }, { c, 4 } };
	int fds[2];

	section("readv and writev");
	MUST(pipe(fds) == 0);
	CHECK_EQ(writev(fds[1], out, 3), 8);
	CHECK_EQ(readv(fds[0], in, 3), 8);
	CHECK(memcmp(a, "ab", 2) == 0 && memcmp(b, "cdef", 4) == 0 && memcmp(c, "gh", 2) == 0);
	CHECK_EQ(writev(fds[1], out, 0), 0);
	CHECK_ERRNO(writev(fds[1], out, -1), EINVAL);
	CHECK_ERRNO(writev(fds[1], out, 1025), EINVAL);
	out[0].iov_len = -1;
	CHECK_ERRNO(writev(fds[1], out, 1), EINVAL);
	close(fds[0]), close(fds[1]);
}

int main(void)
{
	basics();
	nonblocking();
	broken();
	bulk();
	duplicates();
	vectors();
	resizing();
	return check_done();
}
