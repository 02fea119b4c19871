/* SPDX-License-Identifier: MIT */
/*
 * Tests bad user pointers handed to system calls, which must fail with EFAULT and do no harm.
 *
 * Nothing is mapped at the address, the access rights do not suffice, the address is the kernel's, or the buffer runs
 * into an unmapped page half way.
 */
#include "user/lib/check.h"

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#define RW (PROT_READ | PROT_WRITE)
#define FUTEX_WAIT_PRIVATE 128

static char *missing, *readonly, *none, *border; /* border: the last mapped byte is border[-1] */
static int fds[2];

/* Calls that write through the pointer: each must fail with EFAULT. */
static void output_pointers(const char *name, char *p)
{
	sigset_t *set = (sigset_t *)p;

	printf("-- pointers to write through: %s\n", name);
	MUST(write(fds[1], "abcdefgh", 8) == 8);
	CHECK_ERRNO(syscall(SYS_read, fds[0], p, 8), EFAULT);
	MUST(syscall(SYS_read, fds[0], (char[8]){ 0 }, 8) == 8);
	CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_gettimeofday, p, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_clock_getres, CLOCK_REALTIME, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_getrusage, RUSAGE_SELF, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_uname, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_getcwd, p, 64), EFAULT);
	CHECK_ERRNO(syscall(SYS_pipe2, p, 0), EFAULT);
	CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 64, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, set, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, p, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_sigaltstack, NULL, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_getrandom, p, 16, 0), EFAULT);
	CHECK_ERRNO(syscall(SYS_sysinfo, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_fstat, fds[0], p), EFAULT);
	CHECK_ERRNO(syscall(SYS_mincore, missing - PAGE, PAGE, p), EFAULT);
}

/* Calls that read through the pointer: each must fail with EFAULT. */
static void input_pointers(const char *name, char *p)
{
	printf("-- pointers to read through: %s\n", name);
	CHECK_ERRNO(syscall(SYS_write, fds[1], p, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_writev, fds[1], p, 1), EFAULT);
	CHECK_ERRNO(syscall(SYS_nanosleep, p, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_openat, -100, p, 0, 0), EFAULT);
	CHECK_ERRNO(syscall(SYS_execve, p, NULL, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, p, NULL, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_sigaltstack, p, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_sched_setaffinity, 0, 64, p), EFAULT);
	CHECK_ERRNO(syscall(SYS_prlimit64, 0, RLIMIT_STACK, p, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_futex, (uintptr_t)p & -4, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT);
}

/* A transfer that runs into a bad page fails, although a read copies the bytes before that page. */
static void partial(void)
{
	char back[16];
	struct iovec iov[2] = { { border - 4, 4 }, { missing, 4 } };

	section("transfers that run into a bad page");
	memcpy(border - 4, "wxyz", 4);
	CHECK_THAT("a pipe takes whole pieces or none, as Linux does", syscall(SYS_write, fds[1], border - 4, 8) == -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(syscall(SYS_writev, fds[1], iov, 2), -1);
	CHECK_EQ(errno, EFAULT);
	MUST(write(fds[1], "12345678", 8) == 8);
	CHECK_THAT("a read that doesn't fit says so", syscall(SYS_read, fds[0], border - 4, 8) == -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_THAT("but its first bytes have arrived", memcmp(border - 4, "1234", 4) == 0);
	CHECK_EQ(read(fds[0], back, 8), 8);
	CHECK_THAT("and are still in the pipe", memcmp(back, "12345678", 8) == 0);
	CHECK_EQ(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, border - 8), -1);
	CHECK_EQ(errno, EFAULT);
}

/* The kernel's accesses fault pages in as the program's do. */
static void demand(void)
{
	char *p = map_island(4, RW), *stack_like;

	section("valid pointers to pages that are not mapped yet");
	MUST(write(fds[1], "abcdefgh", 8) == 8);
	CHECK_EQ(syscall(SYS_read, fds[0], p + PAGE - 4, 8), 8);
	CHECK(memcmp(p + PAGE - 4, "abcdefgh", 8) == 0);
	CHECK_EQ(syscall(SYS_write, fds[1], p + 3 * PAGE, 8), 8);
	CHECK_EQ(syscall(SYS_read, fds[0], p + 3 * PAGE, 8), 8);
	CHECK_EQ(p[3 * PAGE], 0);
	stack_like = mmap(NULL, 512 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(stack_like != MAP_FAILED && munmap(stack_like, 512 * PAGE) == 0);
	stack_like =
		mmap(stack_like + 511 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(stack_like != MAP_FAILED);
	CHECK_THAT("a read may grow a stack", syscall(SYS_clock_gettime, CLOCK_REALTIME, stack_like - 100) == 0);
}

int main(void)
{
	border = map_island(4, RW);
	MUST(munmap(border + 2 * PAGE, PAGE) == 0);
	border += 2 * PAGE;
	missing = border;
	readonly = map_island(1, PROT_READ);
	none = map_island(1, PROT_NONE);
	MUST(pipe(fds) == 0);

	output_pointers("nothing mapped", missing);
	output_pointers("read-only", readonly);
	output_pointers("PROT_NONE", none);
	output_pointers("kernel", (char *)0xffffffff80000000);
	output_pointers("direct map", (char *)0xffff888000000000);
	output_pointers("non-canonical", (char *)0x8000000000000000);
	output_pointers("end of the user half", (char *)0x7ffffffff000);
	input_pointers("nothing mapped", missing);
	input_pointers("PROT_NONE", none);
	input_pointers("kernel", (char *)0xffffffff80000000);
	input_pointers("non-canonical", (char *)0x8000000000000000);
	input_pointers("last byte of all", (char *)-8);
	partial();
	demand();
	return check_done();
}
