/* SPDX-License-Identifier: MIT */
/*
 * Tests int $0x80, the system call of 32-bit programs.
 *
 * As on a Linux without CONFIG_IA32_EMULATION it is a general protection fault: SIGSEGV from the kernel, with no
 * address, at the instruction itself. Without a handler it ends the program.
 */
#include "user/lib/check.h"

#include <ucontext.h>

static volatile long at_instruction;

static void skip(int signo, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const unsigned char *instruction = (const void *)regs[REG_RIP];

	CHECK(signo == SIGSEGV && info->si_code == SI_KERNEL && info->si_addr == NULL);
	at_instruction = instruction[0] == 0xcd && instruction[1] == 0x80;
	regs[REG_RIP] += 2;
}

static long call(long number, long argument)
{
	__asm__ volatile("int $0x80" : "+a"(number) : "b"(argument) : "memory");
	return number;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = skip, .sa_flags = SA_SIGINFO };

	MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
	CHECK_EQ(call(20, 0), 20);
	CHECK_EQ(at_instruction, 1);
	check_done();
	signal(SIGSEGV, SIG_DFL);
	return call(1, 7);
}
