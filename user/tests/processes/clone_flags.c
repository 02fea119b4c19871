/* SPDX-License-Identifier: MIT */
/* Tests clone and clone3 by raw calls: what their flags share, thread ids that are written and cleared, and errors. */
#include "user/lib/check.h"
#include "user/lib/futex.h"
#include "user/lib/raw_clone.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000UL
#endif

#define STACK_PAGES 16
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static volatile int shared_value;
static volatile pid_t seen_pid, seen_tid, seen_ppid;
static int32_t parent_tid, child_tid;

static char *new_stack(void)
{
	return map_pages(STACK_PAGES, PROT_READ | PROT_WRITE) + STACK_PAGES * PAGE;
}

static int look(void *arg)
{
	shared_value = (int)(intptr_t)arg;
	seen_pid = getpid();
	seen_tid = syscall(SYS_gettid);
	seen_ppid = getppid();
	return 7;
}

static int wait_for(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, __WALL) == pid);
	return status;
}

static void processes(void)
{
	pid_t pid;

	section("processes");
	shared_value = 0;
	pid = clone(look, new_stack(), SIGCHLD, (void *)1);
	CHECK(pid > 0);
	CHECK_THAT("exit status is the function's value", exited_with(wait_for(pid), 7));
	CHECK_THAT("memory is copied", shared_value == 0);
	pid = clone(look, new_stack(), CLONE_VM | SIGCHLD, (void *)2);
	CHECK(exited_with(wait_for(pid), 7));
	CHECK_THAT("CLONE_VM: memory is shared", shared_value == 2);
	CHECK(seen_pid == pid && seen_tid == pid && seen_ppid == getpid());
	pid = clone(look, new_stack(), CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)3);
	CHECK_THAT("CLONE_VFORK: the child was first", shared_value == 3);
	CHECK(exited_with(wait_for(pid), 7));
	pid = clone(look, new_stack(), CLONE_VM, (void *)4);
	CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	CHECK_THAT("without an exit signal it needs __WALL", exited_with(wait_for(pid), 7));
}

static void ids(void)
{
	pid_t pid;

	section("thread ids that are written and cleared");
	pid = clone(look, new_stack(), CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, (void *)5,
		    &parent_tid, NULL, &child_tid);
	wait_for(pid);
	CHECK(parent_tid == pid && child_tid == pid);
	pid = raw_clone(look, new_stack(), CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, (void *)6, NULL, NULL,
			&child_tid);
	wait_for(pid);
	CHECK_EQ(child_tid, 0);
	parent_tid = child_tid = 0;
	pid = clone(look, new_stack(), CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, (void *)7, &parent_tid, NULL,
		    &child_tid);
	wait_for(pid);
	CHECK_THAT("without CLONE_VM only the parent's word changes here", parent_tid == pid && child_tid == 0);
}

/* Ends a raw thread: the kernel clears its tid word and wakes the waiter. */
static int thread_body(void *arg)
{
	look(arg);
	syscall(SYS_exit, 0);
	return 0;
}

static void thread(void)
{
	pid_t tid;
	int32_t now;

	section("threads");
	child_tid = -1;
	tid = raw_clone(thread_body, new_stack(), THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, (void *)8,
			&parent_tid, NULL, &child_tid);
	CHECK(tid > 0 && parent_tid == tid);
	while ((now = __atomic_load_n(&child_tid, __ATOMIC_SEQ_CST)) != 0)
		futex((uint32_t *)&child_tid, FUTEX_WAIT, now, NULL, NULL, 0);
	CHECK_THAT("the tid word was cleared and its waiter woken", child_tid == 0);
	CHECK(shared_value == 8 && seen_pid == getpid() && seen_tid == tid && tid != getpid());
	CHECK_ERRNO(waitpid(tid, NULL, __WALL), ECHILD);
}

static int close_it(void *arg)
{
	return close((int)(intptr_t)arg);
}

static int change_handler(void *arg)
{
	signal(SIGUSR2, SIG_IGN);
	(void)arg;
	return 0;
}

static void tables(void)
{
	struct sigaction sa;
	int fd = dup(1);

	section("descriptor and handler tables");
	wait_for(clone(close_it, new_stack(), SIGCHLD, (void *)(intptr_t)fd));
	CHECK(fcntl(fd, F_GETFD) == 0);
	wait_for(clone(close_it, new_stack(), CLONE_FILES | SIGCHLD, (void *)(intptr_t)fd));
	CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
	wait_for(clone(change_handler, new_stack(), SIGCHLD, NULL));
	CHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
	wait_for(clone(change_handler, new_stack(), CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL));
	CHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
}

static void errors(void)
{
	section("errors");
	CHECK_ERRNO(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, THREAD | CLONE_SETTLS, new_stack(), 0, 0, 0x8000000000000000), EPERM);
}

struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};

static pid_t clone3(struct clone3_args *args, size_t size)
{
	return (pid_t)syscall(SYS_clone3, args, size);
}

static void pidfds(void)
{
	struct clone3_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	siginfo_t info = { 0 };
	int fd = -1;
	pid_t pid;

	section("clone3 and CLONE_PIDFD");
	args.pidfd = (uint64_t)(uintptr_t)&fd;
	args.parent_tid = (uint64_t)(uintptr_t)&parent_tid;
	args.flags |= CLONE_PARENT_SETTID;
	pid = clone3(&args, sizeof(args));
	if (pid == 0)
		_exit(9);
	CHECK(pid > 0 && parent_tid == pid && fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK_EQ(waitid((idtype_t)3 /* P_PIDFD */, (id_t)fd, &info, WEXITED), 0);
	CHECK(info.si_pid == pid && info.si_status == 9);
	close(fd);
	fd = -1;
	pid = clone(look, new_stack(), CLONE_VM | CLONE_PIDFD | SIGCHLD, (void *)10, &fd);
	CHECK(exited_with(wait_for(pid), 7) && fd >= 0);
	close(fd);
}

static void handler(int sig)
{
	(void)sig;
}

static void cleared_handlers(void)
{
	struct clone3_args args = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	struct sigaction sa;
	pid_t pid;

	section("CLONE_CLEAR_SIGHAND");
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	pid = clone3(&args, sizeof(args));
	if (pid == 0) {
		bool cleared = sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL;

		_exit(cleared && sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
	}
	CHECK(exited_with(wait_for(pid), 1));
}

static volatile sig_atomic_t nr_exit_signals;

static void count_exit_signal(int signo)
{
	(void)signo;
	nr_exit_signals++;
}

/* Makes a grandchild with that exit signal. It outlives its parent, and exits when the pipe `until` is closed. */
static pid_t orphan_with(int signo, int until[2])
{
	int told[2], status;
	pid_t child, orphan;
	char c;

	MUST(pipe(told) == 0 && pipe(until) == 0);
	child = fork();
	if (child == 0) {
		orphan = (pid_t)syscall(SYS_clone, signo, 0, 0, 0, 0);
		if (orphan == 0) {
			close(until[1]);
			_exit(read(until[0], &c, 1) == 0 ? 9 : 8);
		}
		_exit(write(told[1], &orphan, sizeof(orphan)) != sizeof(orphan));
	}
	MUST(read(told[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	MUST(waitpid(child, &status, 0) == child && exited_with(status, 0));
	close(told[0]), close(told[1]);
	return orphan;
}

/* The exit signal becomes SIGCHLD. Otherwise any process could send init any signal. */
static void exit_signal_of_orphan(void)
{
	int until[2], status;
	pid_t orphan;

	section("an orphan's exit signal to its new parent is SIGCHLD");
	signal(SIGUSR1, count_exit_signal);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	orphan = orphan_with(SIGUSR1, until);
	close(until[1]);
	CHECK_THAT("it is not a clone child any more", waitpid(orphan, &status, 0) == orphan && exited_with(status, 9));
	CHECK_EQ(nr_exit_signals, 0);
	close(until[0]);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
	signal(SIGUSR1, SIG_DFL);
}

static void clone3_errors(void)
{
	struct {
		struct clone3_args args;
		uint64_t more;
	} large = { .args = { .exit_signal = SIGCHLD } };
	struct clone3_args args = { .exit_signal = SIGCHLD };

	section("errors of clone3");
	CHECK_ERRNO(clone3(&args, 56), EINVAL);
	CHECK_ERRNO(clone3(&args, 5000), E2BIG);
	CHECK_ERRNO(clone3(NULL, sizeof(args)), EFAULT);
	large.more = 1;
	CHECK_ERRNO(clone3((void *)&large, sizeof(large)), E2BIG);
	args.flags = SIGCHLD;
	CHECK_ERRNO(clone3(&args, sizeof(args)), EINVAL);
	args.flags = CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND;
	CHECK_ERRNO(clone3(&args, sizeof(args)), EINVAL);
	args.flags = 0;
	args.exit_signal = 65;
	CHECK_ERRNO(clone3(&args, sizeof(args)), EINVAL);
	args.exit_signal = SIGCHLD;
	args.stack = 4096;
	CHECK_ERRNO(clone3(&args, sizeof(args)), EINVAL);
	args.stack = 0;
	args.flags = CLONE_PIDFD;
	CHECK_ERRNO(clone3(&args, sizeof(args)), EFAULT);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &parent_tid, 0, 0), EINVAL);
}

int main(void)
{
	processes();
	ids();
	thread();
	tables();
	errors();
	pidfds();
	cleared_handlers();
	clone3_errors();
	exit_signal_of_orphan();
	return check_done();
}
