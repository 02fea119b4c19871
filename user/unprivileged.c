/* SPDX-License-Identifier: MIT */
/* What nobody but root may do: names, mounts, swap, devices, better priorities. */
#include "user/check.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

#define NOBODY 65534

static void become_nobody(void)
{
	struct rlimit none = { 0, 0 };

	MUST(setrlimit(RLIMIT_NICE, &none) == 0);
	if (geteuid() == 0)
		MUST(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void the_machine(void)
{
	struct timeval epoch = { 1, 0 };

	section("the machine");
	CHECK_ERRNO(sethostname("name", 4), EPERM);
	CHECK_ERRNO(sethostname("name", -1), EPERM);
	CHECK_ERRNO(setdomainname("name", 4), EPERM);
	CHECK_ERRNO(settimeofday(&epoch, NULL), EPERM);
	CHECK_ERRNO(syscall(SYS_reboot, 1, 2, 3, NULL), EPERM);
	CHECK_ERRNO(swapon("/no such file", 0), EPERM);
	CHECK_ERRNO(swapoff("/no such file"), EPERM);
}

static void the_tree(void)
{
	section("the tree of files");
	CHECK_ERRNO(mount("none", "/", "tmpfs", 0, NULL), EPERM);
	CHECK_ERRNO(umount2("/", 0), EPERM);
	CHECK_ERRNO(chroot("/"), EPERM);
	CHECK_ERRNO(mknod("/tmp/device of nobody", S_IFCHR | 0600, makedev(1, 3)), EPERM);
	CHECK_ERRNO(mknod("/tmp/device of nobody", S_IFBLK | 0600, makedev(1, 0)), EPERM);
}

static void priorities(void)
{
	section("priorities");
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
	CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, 4), EACCES);
	CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, -20), EACCES);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 100), 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
}

int main(void)
{
	become_nobody();
	the_machine();
	the_tree();
	priorities();
	return check_done();
}
