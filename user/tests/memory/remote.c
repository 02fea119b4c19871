/* SPDX-License-Identifier: MIT */
/* Tests access to another process: process_vm_readv and process_vm_writev, pidfds, process_madvise. */
#include "user/lib/await.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define NR_PAGES 16UL
#define SIZE (NR_PAGES * PAGE)

static char *memory, *copy;

static pid_t start_paused(void)
{
	pid_t pid = fork_until_ready();

	if (pid == 0) {
		memset(memory, 'c', SIZE);
		say_ready();
		for (;;)
			pause();
	}
	return pid;
}

static ssize_t fetch(pid_t pid, void *from, size_t n)
{
	struct iovec local = { copy, n }, remote = { from, n };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

static void reading(pid_t pid)
{
	section("process_vm_readv");
	CHECK_EQ(fetch(pid, memory, SIZE), SIZE);
	CHECK(copy[0] == 'c' && copy[SIZE - 1] == 'c');
	CHECK(memory[0] == 'p' && memory[SIZE - 1] == 'p');
	CHECK_ERRNO(fetch(pid, (void *)8, 100), EFAULT);
	CHECK_ERRNO(fetch(999999, memory, 100), ESRCH);
	CHECK_EQ(fetch(pid, memory, 0), 0);
	CHECK_ERRNO(process_vm_readv(pid, NULL, 0, NULL, 0, 1), EINVAL);
}

static void writing(pid_t pid)
{
	struct iovec local[2] = { { "0123456789", 10 }, { "abcdefghij", 10 } };
	struct iovec remote[2] = { { memory + PAGE - 3, 6 }, { memory + 5 * PAGE, 14 } };

	section("process_vm_writev");
	CHECK_EQ(process_vm_writev(pid, local, 2, remote, 2, 0), 20);
	CHECK_EQ(fetch(pid, memory + PAGE - 3, 6), 6);
	CHECK(memcmp(copy, "012345", 6) == 0);
	CHECK_EQ(fetch(pid, memory + 5 * PAGE, 14), 14);
	CHECK(memcmp(copy, "6789abcdefghij", 14) == 0);
	CHECK(memory[5 * PAGE] == 'p');
}

static void pidfds(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	siginfo_t info = { 0 };

	section("pidfds");
	MUST(fd >= 0);
	CHECK_EQ(poll(&poller, 1, 0), 0);
	CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	CHECK_ERRNO(waitid(P_PIDFD, fd, &info, WEXITED), EAGAIN);
	CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG), 0);
	CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
	CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
	CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), 0);
	CHECK_THAT("it can be read when the process has ended", poll(&poller, 1, -1) == 1 && poller.revents & POLLIN);
	CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED), 0);
	CHECK(info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH);
	CHECK_ERRNO(waitid(P_PIDFD, fd, &info, WEXITED), ECHILD);
	close(fd);
	CHECK_ERRNO(waitid(P_PIDFD, -1, &info, WEXITED), EINVAL);
	CHECK_ERRNO(syscall(SYS_pidfd_open, 999999, 0), ESRCH);
	CHECK_ERRNO(syscall(SYS_pidfd_open, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_pidfd_open, 1, 1), EINVAL);
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), EBADF);
}

static void advice(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec ranges[2] = { { memory, PAGE }, { memory + 2 * PAGE, 2 * PAGE } };

	section("process_madvise");
	MUST(fd >= 0);
	CHECK_EQ(syscall(SYS_process_madvise, fd, ranges, 2, MADV_COLD, 0), 3 * PAGE);
	CHECK_ERRNO(syscall(SYS_process_madvise, fd, ranges, 2, 12345, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_process_madvise, fd, ranges, 2, MADV_COLD, 1), EINVAL);
	CHECK_ERRNO(syscall(SYS_process_madvise, -1, ranges, 2, MADV_COLD, 0), EBADF);
	close(fd);
}

int main(void)
{
	pid_t pid;

	memory = map_pages(NR_PAGES, PROT_READ | PROT_WRITE);
	copy = map_pages(NR_PAGES, PROT_READ | PROT_WRITE);
	memset(memory, 'p', SIZE);
	pid = start_paused();
	reading(pid);
	writing(pid);
	pidfds(pid);
	advice();
	return check_done();
}
