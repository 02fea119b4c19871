/* SPDX-License-Identifier: MIT */
/*
 * The framework of all test programs: checks that print what they checked, a report of how a child ended, and a catcher
 * for SIGSEGV and related signals that records the siginfo.
 *
 * The output must be the same on Linux and on Faultline, byte for byte, so nothing here prints an address, a process id
 * or a time. A program ends with "return check_done();": status 0 if every check held, 1 otherwise.
 */
#ifndef USER_CHECK_H
#define USER_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define UNUSED __attribute__((unused))

static unsigned int checks_made, checks_failed;

/* Start a group of checks. */
UNUSED static void section(const char *name)
{
	printf("== %s\n", name);
	fflush(stdout);
}

UNUSED static bool check_report(bool ok, const char *what, const char *file, int line)
{
	int saved = errno;

	checks_made++;
	if (ok) {
		printf("ok   %s\n", what);
	} else {
		checks_failed++;
		printf("FAIL %s (%s:%d, errno %d)\n", what, file, line, saved);
	}
	fflush(stdout);
	errno = saved;
	return ok;
}

/* Checks that `what` holds. Prints the expression itself: keep addresses out of it. */
#define CHECK(what) check_report(!!(what), #what, __FILE__, __LINE__)

/* Like CHECK, but prints `words` instead of the expression. */
#define CHECK_THAT(words, what) check_report(!!(what), words, __FILE__, __LINE__)

UNUSED static bool check_equal(long got, long want, const char *what, const char *file, int line)
{
	if (got != want)
		printf("     got %ld, want %ld\n", got, want);
	return check_report(got == want, what, file, line);
}

/* Checks that two integers are equal, and prints both if they are not. */
#define CHECK_EQ(got, want) check_equal((long)(got), (long)(want), #got " == " #want, __FILE__, __LINE__)

UNUSED static bool check_errno(bool failed, int want, const char *what, const char *file, int line)
{
	int got = failed ? errno : 0;

	if (got != want)
		printf("     got errno %d (%s), want %d\n", got, got ? strerror(got) : "success", want);
	return check_report(got == want, what, file, line);
}

/* Checks that a call fails with exactly this errno. The cast makes it fit calls that return a pointer, such as mmap. */
#define CHECK_ERRNO(call, want)                                                                                        \
	(errno = 0, check_errno((long)(call) == -1, want, #call " -> " #want, __FILE__, __LINE__))

/* For set-up that no check covers: ends the program if it fails. */
#define MUST(what)                                                                                                     \
	do {                                                                                                           \
		if (!(what)) {                                                                                         \
			printf("FAIL %s:%d: %s: %s\n", __FILE__, __LINE__, #what, strerror(errno));                    \
			fflush(stdout);                                                                                \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

/* Prints the tally. Returns the value for main to return. */
UNUSED static int check_done(void)
{
	printf("%u checks, %u failed\n", checks_made, checks_failed);
	fflush(stdout);
	return checks_failed ? 1 : 0;
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

/* Maps nr pages of private anonymous memory, 4 KiB pages only. Ends the program on failure. */
UNUSED static char *map_pages(size_t nr, int prot)
{
	char *p = mmap(NULL, nr * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	madvise(p, nr * PAGE, MADV_NOHUGEPAGE);
	return p;
}

/*
 * Maps nr pages in the middle of a PROT_NONE reservation, so that they merge with no neighbour and no other mapping
 * lies beside them.
 */
UNUSED static char *map_island(size_t nr, int prot)
{
	char *p = mmap(NULL, (nr + 32) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(p != MAP_FAILED);
	MUST(munmap(p + 16 * PAGE, nr * PAGE) == 0);
	p = mmap(p + 16 * PAGE, nr * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	MUST(p != MAP_FAILED);
	madvise(p, nr * PAGE, MADV_NOHUGEPAGE);
	return p;
}

/* Sets the first byte of each page: `value`, `value` + 1, ... */
UNUSED static void fill_pages(char *p, size_t nr, int value)
{
	for (size_t i = 0; i < nr; i++)
		p[i * PAGE] = (char)(value + (int)i);
}

UNUSED static bool pages_hold(const char *p, size_t nr, int value)
{
	for (size_t i = 0; i < nr; i++)
		if (p[i * PAGE] != (char)(value + (int)i))
			return false;
	return true;
}

/* Returns how many of the pages are resident. */
UNUSED static int resident(char *p, size_t nr)
{
	unsigned char vec[64];
	int n = 0;

	MUST(nr <= sizeof(vec) && mincore(p, nr * PAGE, vec) == 0);
	for (size_t i = 0; i < nr; i++)
		n += vec[i] & 1;
	return n;
}

/* --- faults ---------------------------------------------------------------------------------------------------- */

struct caught {
	int signo; /* 0: nothing was raised */
	int code;
	uintptr_t addr; /* an integer: the compiler may assume that a pointer cannot point to some variable of a test */
};

static __thread struct caught caught;
static __thread sigjmp_buf catch_env;
static __thread volatile bool catching;

UNUSED static void catch_handler(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (!catching) {
		static const char words[] = "FAIL unexpected fault\n";

		if (write(1, words, sizeof(words) - 1) < 0)
			_exit(101);
		_exit(100);
	}
	caught.signo = signo;
	caught.code = info->si_code;
	caught.addr = (uintptr_t)info->si_addr;
	siglongjmp(catch_env, 1);
}

/* Catch SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP from now on; `extra` is SA_ONSTACK or 0. */
UNUSED static void catch_faults(int extra)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction sa = { .sa_sigaction = catch_handler, .sa_flags = SA_SIGINFO | extra };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		MUST(sigaction(signals[i], &sa, NULL) == 0);
}

UNUSED static bool caught_at(const volatile void *addr)
{
	return caught.addr == (uintptr_t)addr;
}

/* Runs a statement. Evaluates to the signal that it raised, or 0; the details are in `caught`. */
#define CATCH(statement)                                                                                               \
	({                                                                                                             \
		caught = (struct caught){ 0 };                                                                         \
		if (sigsetjmp(catch_env, 1) == 0) {                                                                    \
			catching = true;                                                                               \
			statement;                                                                                     \
		}                                                                                                      \
		catching = false;                                                                                      \
		caught.signo;                                                                                          \
	})

/* Accesses one byte. The empty asm hides from the compiler where the pointer comes from. */
UNUSED static char peek(const void *p)
{
	__asm__("" : "+r"(p));
	return *(const volatile char *)p;
}

UNUSED static void poke(void *p, char value)
{
	__asm__("" : "+r"(p));
	*(volatile char *)p = value;
}

/* --- children -------------------------------------------------------------------------------------------------- */

/* Runs fn in a forked child, which exits with its value. */
UNUSED static pid_t start_child(int (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	return pid;
}

/* Like start_child(), but waits for the child and returns its wait status. */
UNUSED static int run_child(int (*fn)(void *), void *arg)
{
	pid_t pid = start_child(fn, arg);
	int status;

	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR);
	return status;
}

UNUSED static bool exited_with(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

UNUSED static bool killed_by(int status, int signo)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == signo;
}

/* Prints one line: "name: exit 3" or "name: signal 11". */
UNUSED static void print_status(const char *name, int status)
{
	if (WIFEXITED(status))
		printf("%s: exit %d\n", name, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: signal %d\n", name, WTERMSIG(status));
	else
		printf("%s: status 0x%x\n", name, status);
	fflush(stdout);
}

#endif
