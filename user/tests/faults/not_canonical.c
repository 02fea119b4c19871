/* SPDX-License-Identifier: MIT */
/*
 * Tests returns to user mode at non-canonical addresses: as the address of a signal handler, and in a context that a
 * handler has edited. The process is killed by SIGSEGV, and no other process is affected.
 */
#include "user/lib/check.h"

#include <ucontext.h>

#define NOWHERE 0x8000000000001234UL

static void edit_context(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[16] = NOWHERE; /* REG_RIP */
}

static void handler_is_nowhere(void)
{
	signal(SIGUSR1, (void (*)(int))NOWHERE);
	raise(SIGUSR1);
}

static void context_goes_nowhere(void)
{
	struct sigaction sa = { .sa_sigaction = edit_context, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
}

static void fault_handler_is_nowhere(void)
{
	signal(SIGSEGV, (void (*)(int))NOWHERE);
	poke((void *)8, 1);
}

static int death_of(void (*dies)(void))
{
	int status = 0;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (!pid) {
		dies();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int main(void)
{
	CHECK_EQ(death_of(handler_is_nowhere), SIGSEGV);
	CHECK_EQ(death_of(context_goes_nowhere), SIGSEGV);
	CHECK_EQ(death_of(fault_handler_is_nowhere), SIGSEGV);
	return check_done();
}
