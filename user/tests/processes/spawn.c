/* SPDX-License-Identifier: MIT */
/*
 * Tests starting programs: posix_spawn, vfork and execve, execve from a thread, arguments and environment,
 * close-on-exec, errors. The program runs itself through /proc/self/exe; after a first argument of "child", the second
 * one selects what the child does.
 */
#include "user/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>

static char self[] = "/proc/self/exe";

static int child(int argc, char **argv)
{
	const char *what = argv[2];

	if (strcmp(what, "exit") == 0)
		return atoi(argv[3]);
	if (strcmp(what, "say") == 0) {
		printf("child says:");
		for (int i = 3; i < argc; i++)
			printf(" [%s]", argv[i]);
		printf(" SPAWN=%s\n", getenv("SPAWN") ? getenv("SPAWN") : "(none)");
		return 0;
	}
	if (strcmp(what, "fd") == 0)
		return fcntl(atoi(argv[3]), F_GETFD) >= 0;
	if (strcmp(what, "handler") == 0) {
		struct sigaction sa;

		sigaction(SIGUSR1, NULL, &sa);
		return (sa.sa_handler == SIG_DFL) + 2 * (signal(SIGUSR2, SIG_DFL) == SIG_IGN);
	}
	return 99;
}

static int spawn(char **argv, char **env)
{
	int status;
	pid_t pid;

	fflush(stdout);
	MUST(posix_spawn(&pid, self, NULL, NULL, argv, env) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	return status;
}

static int spawn_number(char *what, int number)
{
	char text[16];
	char *argv[] = { self, "child", what, text, NULL }, *env[] = { NULL };

	snprintf(text, sizeof(text), "%d", number);
	return spawn(argv, env);
}

static void spawning(void)
{
	char *say[] = { self, "child", "say", "one", "", "two words", NULL };
	char *env[] = { "SPAWN=yes", NULL }, *no_env[] = { NULL };
	posix_spawn_file_actions_t actions;
	char *null_argv[] = { self, "child", "say", "hidden", NULL };
	int status;
	pid_t pid;

	section("posix_spawn");
	CHECK(exited_with(spawn_number("exit", 42), 42));
	CHECK_EQ(spawn(say, env), 0);
	CHECK_EQ(spawn(say, no_env), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	fflush(stdout);
	CHECK_EQ(posix_spawn(&pid, self, &actions, NULL, null_argv, no_env), 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_EQ(posix_spawn(&pid, "/no/such/program", NULL, NULL, null_argv, no_env), ENOENT);
}

static void inheritance(void)
{
	int fds[2];

	section("what an execve keeps");
	MUST(pipe(fds) == 0);
	CHECK(exited_with(spawn_number("fd", fds[0]), 1));
	MUST(fcntl(fds[0], F_SETFD, FD_CLOEXEC) == 0);
	CHECK_THAT("close-on-exec", exited_with(spawn_number("fd", fds[0]), 0));
	signal(SIGUSR1, (void (*)(int))spawning);
	signal(SIGUSR2, SIG_IGN);
	CHECK_THAT("handlers are reset, ignored signals stay ignored", exited_with(spawn_number("handler", 0), 3));
	close(fds[0]);
	close(fds[1]);
}

static void vforking(void)
{
	char *argv[] = { self, "child", "exit", "9", NULL }, *env[] = { NULL };
	volatile int touched = 0;
	int status;
	pid_t pid;

	section("vfork");
	fflush(stdout);
	pid = vfork();
	if (pid == 0) {
		touched = 1;
		execve(self, argv, env);
		_exit(127);
	}
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 9));
	CHECK_THAT("the child ran in our memory, and first", touched == 1);
	pid = vfork();
	if (pid == 0)
		_exit(5);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(exited_with(status, 5));
}

static void *exec_here(void *arg)
{
	char *argv[] = { self, "child", "exit", "11", NULL }, *env[] = { NULL };

	execve(self, argv, env);
	return arg;
}

static void *spin(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static int exec_from_thread(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, spin, NULL);
	pthread_create(&thread, NULL, exec_here, NULL);
	spin(arg);
	return 1;
}

static void threads(void)
{
	section("execve in a thread ends all others");
	CHECK(exited_with(run_child(exec_from_thread, NULL), 11));
}

static void errors(void)
{
	static char huge[256 * 1024];
	char *argv[] = { self, huge, NULL }, *env[] = { NULL };

	section("errors");
	memset(huge, 'x', sizeof(huge) - 1);
	CHECK_ERRNO(execve(self, argv, env), E2BIG);
	CHECK_ERRNO(execve("/", argv, env), EACCES);
	CHECK_ERRNO(execve("", argv, env), ENOENT);
	CHECK_ERRNO(execve("/proc/self/exe/x", argv, env), ENOTDIR);
	CHECK_ERRNO(syscall(SYS_execve, self, 1, NULL), EFAULT);
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "child") == 0)
		return child(argc, argv);
	spawning();
	inheritance();
	vforking();
	threads();
	errors();
	return check_done();
}
