/* SPDX-License-Identifier: MIT */
/* wait4 and waitid: which child, how it ended, WNOHANG, WNOWAIT, SIGCHLD, orphans, errors. */
#include "user/lib/check.h"

#include <sys/resource.h>

static int leave(void *arg)
{
	return (int)(intptr_t)arg;
}

static int hang(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static void wait_four(void)
{
	struct rusage usage;
	int status = 0;
	pid_t a, b;

	section("wait4");
	a = start_child(leave, (void *)3);
	b = start_child(leave, (void *)4);
	CHECK(waitpid(b, &status, 0) == b && exited_with(status, 4));
	CHECK(wait4(-1, &status, 0, &usage) == a && exited_with(status, 3));
	CHECK_ERRNO(waitpid(-1, &status, 0), ECHILD);
	CHECK_ERRNO(waitpid(a, &status, 0), ECHILD);
	CHECK_ERRNO(waitpid(1 << 29, &status, WNOHANG), ECHILD);
	CHECK_ERRNO(waitpid(-1, &status, 0x800), EINVAL);
	a = start_child(hang, NULL);
	CHECK_EQ(waitpid(a, &status, WNOHANG), 0);
	kill(a, SIGTERM);
	CHECK(waitpid(a, &status, 0) == a && killed_by(status, SIGTERM));
	a = start_child(hang, NULL);
	kill(a, SIGKILL);
	CHECK(waitpid(0, &status, 0) == a && killed_by(status, SIGKILL));
}

static void wait_id(void)
{
	siginfo_t info;
	pid_t pid;

	section("waitid");
	pid = start_child(leave, (void *)7);
	CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	CHECK(info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 7 && info.si_signo == SIGCHLD);
	CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED), 0);
	CHECK(info.si_pid == pid && info.si_status == 7);
	CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
	pid = start_child(hang, NULL);
	CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOHANG), 0);
	CHECK_EQ(info.si_pid, 0);
	kill(pid, SIGKILL);
	CHECK_EQ(waitid(P_PID, pid, &info, WEXITED), 0);
	CHECK(info.si_code == CLD_KILLED && info.si_status == SIGKILL);
	CHECK_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
	CHECK_ERRNO(waitid((idtype_t)77, 0, &info, WEXITED), EINVAL);
}

static volatile int children_ended, last_code, last_status;

static void on_child(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)context;
	children_ended++;
	last_code = info->si_code;
	last_status = info->si_status;
}

static void signals(void)
{
	struct sigaction sa = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART };
	int status;
	pid_t pid;

	section("SIGCHLD");
	sigaction(SIGCHLD, &sa, NULL);
	pid = start_child(leave, (void *)5);
	CHECK(waitpid(pid, &status, 0) == pid && exited_with(status, 5));
	CHECK(children_ended == 1 && last_code == CLD_EXITED && last_status == 5);
	signal(SIGCHLD, SIG_IGN);
	start_child(leave, NULL);
	CHECK_THAT("ignored: children are reaped by themselves", waitpid(-1, &status, 0) == -1 && errno == ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

static int reports[2];

/* A grandchild whose parent dies gets another parent. */
static int orphan(void *arg)
{
	pid_t parent = getpid();
	char answer;

	(void)arg;
	if (fork() == 0) {
		while (getppid() == parent)
			usleep(1000);
		answer = getppid() != 0 ? 'y' : 'n';
		_exit(write(reports[1], &answer, 1) != 1);
	}
	return 0;
}

static void orphans(void)
{
	char answer = 'n';

	section("orphans");
	MUST(pipe(reports) == 0);
	CHECK_EQ(run_child(orphan, NULL), 0);
	MUST(read(reports[0], &answer, 1) == 1);
	CHECK_THAT("a new parent takes them", answer == 'y');
}

static void many(void)
{
	int status, sum = 0;
	pid_t pids[50];

	section("fifty children");
	for (intptr_t i = 0; i < 50; i++)
		pids[i] = start_child(leave, (void *)i);
	for (int i = 0; i < 50; i++) {
		MUST(waitpid(pids[i], &status, 0) == pids[i]);
		sum += WEXITSTATUS(status);
	}
	CHECK_EQ(sum, 49 * 50 / 2);
}

int main(void)
{
	wait_four();
	wait_id();
	signals();
	orphans();
	many();
	return check_done();
}
