/* SPDX-License-Identifier: MIT */
/* Tests execve: scripts and interpreters, errors, too many arguments, threads, and the parent-death signal. */
#include "user/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define SELF "/proc/self/exe"
#define PARENT_DEATH "parent-death"
#define SCRIPT "./script" /* in a directory of our own */

static char own_path[512];

static void write_script(const char *first_line, int mode)
{
	int fd;

	unlink(SCRIPT);
	fd = open(SCRIPT, O_CREAT | O_EXCL | O_WRONLY, 0700);
	MUST(fd >= 0);
	MUST(dprintf(fd, "%s\nsecond line\n", first_line) > 0);
	MUST(close(fd) == 0);
	MUST(chmod(SCRIPT, mode) == 0);
}

static int say_arguments(int argc, char **argv)
{
	printf("arguments:");
	for (int i = 1; i < argc; i++)
		printf(" [%s]", argv[i]);
	printf("\nthe only thread: %d\n", getpid() == syscall(SYS_gettid));
	return 0;
}

static int run_script(void *arg)
{
	char *argv[] = { "replaced", "one", "", "two words", NULL };

	(void)arg;
	execv(SCRIPT, argv);
	return 100 + errno;
}

static void scripts(void)
{
	char line[600];

	section("scripts");
	snprintf(line, sizeof(line), "#!%s say", own_path);
	write_script(line, 0755);
	CHECK_EQ(run_child(run_script, NULL), 0);
	snprintf(line, sizeof(line), "#!  %s \t say it again \t ", own_path);
	write_script(line, 0755);
	CHECK_EQ(run_child(run_script, NULL), 0);
}

static int try_script(const char *line, int mode)
{
	char *argv[] = { "x", NULL };

	write_script(line, mode);
	errno = 0;
	execv(SCRIPT, argv);
	return errno;
}

static void refusals(void)
{
	section("what is refused");
	CHECK_EQ(try_script("#!/no/such/interpreter", 0755), ENOENT);
	CHECK_EQ(try_script("#!", 0755), ENOEXEC);
	CHECK_EQ(try_script("#!   ", 0755), ENOEXEC);
	CHECK_EQ(try_script("neither ELF nor script", 0755), ENOEXEC);
	CHECK_EQ(try_script("#!" SCRIPT, 0755), ELOOP);
	CHECK_EQ(try_script("#!/tmp", 0755), EACCES);
	CHECK_EQ(try_script("#!/proc/self/exe", 0644), EACCES);
	CHECK_ERRNO(execv("/tmp", (char *[]){ "x", NULL }), EACCES);
	CHECK_ERRNO(execv("", (char *[]){ "x", NULL }), ENOENT);
	CHECK_ERRNO(execv(SCRIPT "/below", (char *[]){ "x", NULL }), ENOTDIR);
}

static void too_much(void)
{
	char *big = malloc(200000), **many = calloc(400001, sizeof(*many));
	char **volatile nowhere = (char **)8; /* hidden from the compiler */

	section("too much");
	MUST(big && many);
	memset(big, 'x', 199999);
	big[199999] = '\0';
	CHECK_ERRNO(execv(SELF, (char *[]){ "x", big, NULL }), E2BIG);
	for (int i = 0; i < 400000; i++)
		many[i] = "y";
	CHECK_ERRNO(execv(SELF, many), E2BIG);
	CHECK_ERRNO(execve(SELF, nowhere, NULL), EFAULT);
	CHECK_ERRNO(execve(SELF, (char *[]){ "x", (char *)8, NULL }, NULL), EFAULT);
	free(many);
	free(big);
}

static void *exec_from_here(void *arg)
{
	(void)arg;
	execv(SELF, (char *[]){ "x", "say", "from a thread", NULL });
	_exit(100 + errno);
}

static void *run_on(void *arg)
{
	for (;;)
		__asm__ volatile("pause");
	return arg;
}

static int with_threads(void *arg)
{
	pthread_t thread;

	(void)arg;
	for (int i = 0; i < 3; i++)
		MUST(pthread_create(&thread, NULL, run_on, NULL) == 0);
	MUST(pthread_create(&thread, NULL, exec_from_here, NULL) == 0);
	pause();
	return 99;
}

static void failing_in_threads(void)
{
	pthread_t thread;

	section("a failed execve leaves the threads alone");
	MUST(pthread_create(&thread, NULL, run_on, NULL) == 0);
	CHECK_EQ(try_script("neither ELF nor script", 0755), ENOEXEC);
	CHECK_EQ(pthread_kill(thread, 0), 0);
}

/* Requests SIGUSR1 for its parent's end, and executes a program that reports which signal is requested. */
static int asks_and_execs(void *arg)
{
	(void)arg;
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
	execv(SELF, (char *[]){ "x", PARENT_DEATH, NULL });
	return 100 + errno;
}

static int says_parent_death(void)
{
	int sig = -1;

	MUST(prctl(PR_GET_PDEATHSIG, &sig) == 0);
	return sig;
}

static int does_not_inherit(void *arg)
{
	int status;
	pid_t child;

	(void)arg;
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
	child = fork();
	if (!child)
		_exit(says_parent_death());
	MUST(waitpid(child, &status, 0) == child);
	return WEXITSTATUS(status);
}

static int becomes_another(void *arg)
{
	bool another;

	(void)arg;
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
	another = geteuid() == 0 && setuid(65534) == 0;
	return says_parent_death() != (another ? 0 : SIGUSR1);
}

static void parent_death(void)
{
	section("the parent-death signal is kept by execve, but cleared by fork and by a change of user");
	CHECK(exited_with(run_child(asks_and_execs, NULL), SIGUSR1));
	CHECK(exited_with(run_child(does_not_inherit, NULL), 0));
	CHECK(exited_with(run_child(becomes_another, NULL), 0));
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/exec-forms-XXXXXX";

	if (argc > 1 && !strcmp(argv[1], PARENT_DEATH))
		return says_parent_death();
	if (argc > 1)
		return say_arguments(argc, argv);
	MUST(mkdtemp(dir) && chdir(dir) == 0);
	MUST(readlink(SELF, own_path, sizeof(own_path) - 1) > 0);
	scripts();
	refusals();
	too_much();
	section("execve from a thread");
	CHECK_EQ(run_child(with_threads, NULL), 0);
	failing_in_threads();
	parent_death();
	MUST(unlink(SCRIPT) == 0 && rmdir(dir) == 0);
	return check_done();
}
