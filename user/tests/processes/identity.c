/* SPDX-License-Identifier: MIT */
/* Tests small calls: ids, names, getrandom, uname, sysinfo, membarrier, arch_prctl, and unknown call numbers. */
#include "user/lib/check.h"

#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_SET_GS 0x1001
#define ARCH_GET_GS 0x1004
#define MEMBARRIER_QUERY 0
#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED 16

static void ids(void)
{
	section("ids");
	CHECK(getpid() > 0 && syscall(SYS_gettid) == getpid());
	CHECK(getpgid(0) == getpgrp());
	CHECK(getuid() == geteuid() && getgid() == getegid());
	CHECK_EQ(syscall(SYS_set_tid_address, NULL), getpid());
	CHECK_ERRNO(getpgid(1 << 29), ESRCH);
	umask(022);
	CHECK_EQ(umask(022), 022);
}

static void random_bytes(void)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };

	section("getrandom");
	CHECK_EQ(getrandom(a, sizeof(a), 0), 64);
	CHECK_EQ(getrandom(b, sizeof(b), GRND_NONBLOCK), 64);
	CHECK(memcmp(a, b, 64) != 0);
	CHECK_EQ(getrandom(a, 0, 0), 0);
	CHECK_ERRNO(getrandom(a, 1, 0x80), EINVAL);
}

static void names(void)
{
	struct utsname uts;
	struct sysinfo info;
	char name[16];

	section("names and sizes");
	CHECK(uname(&uts) == 0 && strcmp(uts.sysname, "Linux") == 0 && strcmp(uts.machine, "x86_64") == 0);
	CHECK(uts.release[0] >= '3' && uts.release[0] <= '9');
	CHECK(sysinfo(&info) == 0 && info.totalram > info.freeram && info.mem_unit >= 1);
	CHECK_EQ(prctl(PR_SET_NAME, "a-rather-long-name"), 0);
	CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a-rather-long-n") == 0);
	CHECK_ERRNO(prctl(0x12345678, 0, 0, 0, 0), EINVAL);
	CHECK_EQ(sysconf(_SC_PAGESIZE), 4096);
}

static void segments(void)
{
	unsigned long fs = 0, gs = 1;

	section("arch_prctl");
	CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs) == 0 && *(unsigned long *)fs == fs);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)&fs) == 0);
	CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) == 0 && gs == (unsigned long)&fs);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(gs));
	CHECK(gs == fs);
	CHECK_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffffffff80000000), EPERM);
	CHECK_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_FS, 0x8000000000000000), EPERM);
	CHECK_ERRNO(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
}

static void barriers(void)
{
	section("membarrier");
	CHECK((syscall(SYS_membarrier, MEMBARRIER_QUERY, 0, 0) & 24) == 24);
	CHECK_ERRNO(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0), EPERM);
	CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0), 0);
	CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0), 0);
	CHECK_ERRNO(syscall(SYS_membarrier, 0x12345, 0, 0), EINVAL);
}

static void unknown(void)
{
	section("unknown calls");
	CHECK_ERRNO(syscall(9999), ENOSYS);
	CHECK_ERRNO(syscall(-1), ENOSYS);
	CHECK_THAT("the upper half of the number is ignored", syscall((1L << 40) | SYS_getpid) == getpid());
}

int main(void)
{
	ids();
	random_bytes();
	names();
	segments();
	barriers();
	unknown();
	return check_done();
}
