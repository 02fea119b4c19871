/* SPDX-License-Identifier: MIT */
/* Tests the trap flag: a SIGTRAP follows each instruction while it is set, and the handler itself is not traced. */
#include "user/lib/check.h"

#include <ucontext.h>

#define RFLAGS_TF 0x100UL

static volatile int traps, flagged, told;

static unsigned long flags_now(void)
{
	unsigned long flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	return flags;
}

static void on_trap(int signo, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signo;
	traps = traps + 1;
	if ((regs[REG_EFL] & RFLAGS_TF) && !(flags_now() & RFLAGS_TF))
		flagged = flagged + 1;
	if (info->si_code == TRAP_TRACE && info->si_addr == (void *)regs[REG_RIP])
		told = told + 1;
}

/* Sets the flag, runs three instructions, of which the second is getpid if `call`, and clears the flag by three. */
static void step(bool call)
{
	long number = SYS_getpid;

	traps = flagged = told = 0;
	if (call)
		__asm__ volatile("sub $256, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; nop; syscall; nop; "
				 "pushfq; andq $~0x100, (%%rsp); popfq; add $256, %%rsp"
				 : "+a"(number)
				 :
				 : "rcx", "r11", "memory", "cc");
	else
		__asm__ volatile("sub $256, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; nop; nop; nop; "
				 "pushfq; andq $~0x100, (%%rsp); popfq; add $256, %%rsp"
				 :
				 :
				 : "memory", "cc");
}

/*
 * The instruction int1 is not reported as a step, even if the last debug exception was one. Older versions of QEMU
 * treat it as an undefined instruction; then there is nothing to compare.
 */
static void no_step(void)
{
	int signo;

	section("int1");
	catch_faults(0);
	signo = CATCH(__asm__ volatile(".byte 0xf1"));
	CHECK(signo == SIGILL || (signo == SIGTRAP && caught.code == TRAP_BRKPT));
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	MUST(sigaction(SIGTRAP, &sa, NULL) == 0);
	section("plain instructions");
	step(false);
	CHECK_EQ(traps, 6);
	CHECK_EQ(told, 6);
	CHECK_EQ(flagged, 5); /* the last instruction has cleared the flag */
	section("a system call among them");
	step(true);
	CHECK(traps >= 5 && flagged >= 4);
	no_step();
	return check_done();
}
