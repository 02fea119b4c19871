/* SPDX-License-Identifier: MIT */
/*
 * Tests what only root may do: names, mounts, swap, devices, better priorities, access to and signals for others, their
 * limits and how they are scheduled. Also tests that signals name their sender.
 */
#include "user/lib/await.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define NOBODY 65534

static bool was_root;	/* otherwise no process of another user can be started */
static bool gave_limit; /* to ALIKE: a root without CAP_SYS_RESOURCE cannot */
static char memory[2 * PAGE] __attribute__((aligned(PAGE)));

static void become(unsigned group)
{
	if (was_root)
		MUST(setgid(group) == 0 && setuid(NOBODY) == 0);
}

static void become_nobody(void)
{
	struct rlimit none = { 0, 0 };

	MUST(setrlimit(RLIMIT_NICE, &none) == 0 && setrlimit(RLIMIT_RTPRIO, &none) == 0);
	become(NOBODY);
}

/* ---- Other processes --------------------------------------------------------------------------------------------- */

enum other { ROOT, ALIKE, NOT_DUMPABLE, OTHER_GROUP, NR_OTHERS };
static pid_t others[NR_OTHERS];

/* Starts a process that waits until it is killed or its parent ends. */
static pid_t start(enum other which)
{
	pid_t pid = fork_until_ready();

	if (!pid) {
		MUST(setrlimit(RLIMIT_NICE, &(struct rlimit){ 0, 0 }) == 0);
		if (which != ROOT)
			become(which == OTHER_GROUP ? NOBODY - 1 : NOBODY);
		prctl(PR_SET_DUMPABLE, which != NOT_DUMPABLE);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		say_ready();
		for (;;)
			pause();
	}
	return pid;
}

static long advise(int pidfd, void *start, int advice)
{
	struct iovec range = { start, PAGE };

	return syscall(SYS_process_madvise, pidfd, &range, 1UL, advice, 0);
}

static long copy(long call, pid_t pid, size_t size)
{
	struct iovec local = { memory, size }, remote = { memory + PAGE, size };

	return syscall(call, pid, &local, 1UL, &remote, 1UL, 0UL);
}

#define REFUSED(call, error) CHECK(!was_root || ((call) == -1 && errno == (error)))

static void others_memory(void)
{
	section("other processes' memory");
	for (enum other which = ROOT; which < NR_OTHERS; which++) {
		int pidfd = (int)syscall(SYS_pidfd_open, others[which], 0);

		if (which == ALIKE) { /* may be inspected, not slowed down; Linux may have more rules about copies */
			REFUSED(advise(pidfd, memory, MADV_DONTNEED), EINVAL);
			REFUSED(advise(pidfd, memory, MADV_PAGEOUT), EPERM);
		} else {
			REFUSED(copy(SYS_process_vm_readv, others[which], 8), EPERM);
			REFUSED(copy(SYS_process_vm_writev, others[which], 8), EPERM);
			REFUSED(advise(pidfd, memory, MADV_DONTNEED), EACCES);
			REFUSED(advise(pidfd, memory, MADV_PAGEOUT), EACCES);
		}
		CHECK_EQ(copy(SYS_process_vm_readv, others[which], 0), 0);
		close(pidfd);
	}
	CHECK_EQ(copy(SYS_process_vm_readv, getpid(), 8), 8);
	CHECK(!was_root || prctl(PR_GET_DUMPABLE) != 1);
}

static void others_lives(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, others[ROOT], 0);

	section("other processes' lives");
	REFUSED(kill(others[ROOT], SIGKILL), EPERM);
	REFUSED(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), EPERM);
	REFUSED(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), EPERM);
	close(pidfd);
	CHECK_EQ(kill(others[OTHER_GROUP], 0), 0);
}

static void others_limits(void)
{
	struct rlimit limit;

	section("other processes' limits");
	for (enum other which = ROOT; which < NR_OTHERS; which++) {
		if (which == ROOT || which == OTHER_GROUP) {
			REFUSED(prlimit(others[which], RLIMIT_CORE, NULL, &limit), EPERM);
			REFUSED(prlimit(others[which], RLIMIT_CORE, &(struct rlimit){ 0, 0 }, NULL), EPERM);
		} else {
			CHECK_EQ(prlimit(others[which], RLIMIT_CORE, NULL, &limit), 0);
			CHECK_EQ(prlimit(others[which], RLIMIT_CORE, &(struct rlimit){ 0, 0 }, NULL), 0);
		}
	}
	CHECK_ERRNO(prlimit(others[ALIKE], RLIMIT_CORE, &(struct rlimit){ 0, 1 }, NULL), EPERM);
}

static void others_schedules(void)
{
	struct sched_param none = { .sched_priority = 0 }, one = { .sched_priority = 1 };
	unsigned long cpus[128];
	void *head;
	size_t size;

	section("how other processes are scheduled");
	for (enum other which = ROOT; which < NR_OTHERS; which++) {
		pid_t pid = others[which];

		CHECK(sched_getaffinity(pid, sizeof(cpus), (cpu_set_t *)cpus) == 0);
		CHECK_EQ(syscall(SYS_sched_getparam, pid, &(struct sched_param){ 0 }), 0);
		if (which == ROOT) {
			REFUSED(sched_setaffinity(pid, sizeof(cpus), (cpu_set_t *)cpus), EPERM);
			REFUSED(syscall(SYS_sched_setscheduler, pid, SCHED_OTHER, &none), EPERM);
			REFUSED(syscall(SYS_sched_setparam, pid, &none), EPERM);
			REFUSED(setpriority(PRIO_PROCESS, (id_t)pid, 5), EPERM);
		} else {
			CHECK_EQ(sched_setaffinity(pid, sizeof(cpus), (cpu_set_t *)cpus), 0);
			CHECK_EQ(syscall(SYS_sched_setscheduler, pid, SCHED_OTHER, &none), 0);
			CHECK_EQ(syscall(SYS_sched_setparam, pid, &none), 0);
			CHECK_EQ(setpriority(PRIO_PROCESS, (id_t)pid, 5), 0);
		}
		if (which == ROOT || which == NOT_DUMPABLE || which == OTHER_GROUP)
			REFUSED(syscall(SYS_get_robust_list, pid, &head, &size), EPERM);
		else
			CHECK_EQ(syscall(SYS_get_robust_list, pid, &head, &size), 0);
	}
	REFUSED(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &one), EPERM);
	REFUSED(syscall(SYS_sched_setscheduler, others[ALIKE], SCHED_RR, &one), EPERM);
	CHECK_ERRNO(syscall(SYS_sched_setscheduler, 999999, 77, &none), ESRCH);
	REFUSED(setpriority(PRIO_PROCESS, (id_t)others[NOT_DUMPABLE], 4), EACCES);
	CHECK_THAT("the limit of the other process counts",
		   !gave_limit || setpriority(PRIO_PROCESS, (id_t)others[ALIKE], 4) == 0);
}

/* ---- The sender of a signal -------------------------------------------------------------------------------------- */

static bool next_names_me(int signo)
{
	siginfo_t info = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	return sigwaitinfo(&set, &info) == signo && info.si_uid == getuid();
}

static int leave(void *arg)
{
	(void)arg;
	return 0;
}

static void senders(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0), fds[2];
	int file = memfd_create("file", 0);
	struct rlimit limit, none = { 0, 0 };
	siginfo_t info = { 0 };
	sigset_t set;
	pid_t pid;

	section("signals name the user who sent them");
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	MUST(kill(getpid(), SIGUSR1) == 0);
	CHECK_THAT("kill", next_names_me(SIGUSR1));
	MUST(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0) == 0);
	CHECK_THAT("pidfd_send_signal", next_names_me(SIGUSR1));
	close(pidfd);
	pid = start_child(leave, NULL);
	CHECK_THAT("the end of a child", next_names_me(SIGCHLD));
	CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_uid == getuid());
	MUST(pipe(fds) == 0);
	close(fds[0]);
	CHECK_ERRNO(write(fds[1], "x", 1), EPIPE);
	CHECK_THAT("a pipe without readers", next_names_me(SIGPIPE));
	close(fds[1]);
	MUST(file >= 0 && getrlimit(RLIMIT_FSIZE, &limit) == 0);
	none.rlim_max = limit.rlim_max;
	MUST(setrlimit(RLIMIT_FSIZE, &none) == 0);
	MUST(write(file, "x", 1) == -1 && errno == EFBIG);
	MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK_THAT("a file larger than the limit", next_names_me(SIGXFSZ));
	close(file);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- The machine ------------------------------------------------------------------------------------------------- */

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

static void look_around(void)
{
	become_nobody();
	the_machine();
	the_tree();
	priorities();
	others_memory();
	others_lives();
	others_limits();
	others_schedules();
	senders();
	_exit(check_done());
}

int main(void)
{
	int status;
	pid_t pid;

	was_root = geteuid() == 0;
	for (enum other which = ROOT; which < NR_OTHERS; which++)
		others[which] = start(which);
	gave_limit = was_root && prlimit(others[ALIKE], RLIMIT_NICE, &(struct rlimit){ 40, 40 }, NULL) == 0;
	fflush(stdout);
	pid = fork();
	if (!pid)
		look_around();
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	for (enum other which = ROOT; which < NR_OTHERS; which++)
		kill(others[which], SIGKILL);
	return WEXITSTATUS(status);
}
