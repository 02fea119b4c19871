/* SPDX-License-Identifier: MIT */
/*
 * Tests 32-bit code in a 64-bit program, as Wine runs it, entered and left by far jumps.
 *
 * Its faults raise the same signals as those of 64-bit code, handlers return to it, and its ways of making a system
 * call are not supported but do the kernel no harm.
 */
#include "user/lib/check.h"

#include <ucontext.h>

#define RW (PROT_READ | PROT_WRITE)
#define USER_CS32 0x23
#define USER_CS 0x33
#define USER_DS 0x2b

static char *code;   /* a page for instructions and, at its end, a stack, below 4 GiB */
static unsigned eax; /* its value after the instructions */

extern char back_in_64[];

/* rsp and rbp are saved in memory, since 32-bit code may lose the upper halves of registers. */
static __attribute__((noinline)) void run32(const char *bytes, size_t size)
{
	static unsigned long saved[2];
	struct {
		unsigned char opcode;
		unsigned address;
		unsigned short selector;
	} __attribute__((packed)) back = { 0xea, (unsigned)(unsigned long)back_in_64, USER_CS },
				  into = { 0, (unsigned)(unsigned long)code, USER_CS32 };
	unsigned long *memory = saved;
	char *stack = code + PAGE - 64, *pointer = (char *)&into.address;

	memcpy(code, bytes, size);
	memcpy(code + size, &back, sizeof(back));
	__asm__ volatile(
		"mov %%rsp, (%0); mov %%rbp, 8(%0); mov %3, %%ds; mov %1, %%rsp; ljmp *(%2); .global back_in_64\n"
		"back_in_64: mov %4, %%ecx; mov (%%rcx), %%rsp; mov 8(%%rcx), %%rbp"
		: "+a"(memory), "+c"(stack), "+d"(pointer)
		: "b"(USER_DS), "i"(saved)
		: "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	eax = (unsigned)(unsigned long)memory;
}

#define RUN(bytes) run32(bytes, sizeof(bytes) - 1)

static bool raises(const char *bytes, size_t size, int signo, int si_code, uintptr_t addr)
{
	bool same = CATCH(run32(bytes, size)) == signo && caught.code == si_code && caught.addr == addr;

	if (!same)
		printf("     got signal %d, code %d, address %#lx\n", caught.signo, caught.code, caught.addr);
	return same;
}

#define RAISES(bytes, signo, si_code, addr) raises(bytes, sizeof(bytes) - 1, signo, si_code, addr)

static void plain(void)
{
	section("to 32-bit code and back");
	CHECK(CATCH(RUN("\xb8\x2a\0\0\0")) == 0 && eax == 42); /* mov $42, %eax */
	CHECK(CATCH(RUN("\x40")) == 0);			       /* inc %eax: a prefix in 64-bit code */
	CHECK(CATCH(RUN("\x6a\x07\x58")) == 0 && eax == 7);    /* push $7; pop %eax */
	CHECK(CATCH(RUN("\x6a\x2b\x17")) == 0);		       /* push $USER_DS; pop %ss */
	CHECK(CATCH(RUN("\x31\xc0\xce")) == 0);		       /* xor %eax, %eax; into */
}

static void faults(void)
{
	section("faults");
	CHECK(RAISES("\x0f\x0b", SIGILL, ILL_ILLOPN, (uintptr_t)code));	      /* ud2 */
	CHECK(RAISES("\xcc", SIGTRAP, SI_KERNEL, 0));			      /* int3 */
	CHECK(RAISES("\xb8\xff\xff\xff\x7f\x40\xce", SIGSEGV, SI_KERNEL, 0)); /* mov $INT_MAX, %eax; inc %eax; into */
	CHECK(RAISES("\xb8\xff\xff\xff\xff\x6a\x01\x6a\0\x62\x04\x24", SIGSEGV, SI_KERNEL, 0)); /* bound -1 in 0..1 */
	CHECK(RAISES("\x6a\0\x17", SIGSEGV, SI_KERNEL, 0));					/* push $0; pop %ss */
	CHECK(RAISES("\x6a\x18\x1f", SIGSEGV, SI_KERNEL, 0));		   /* push $0x18; pop %ds */
	CHECK(RAISES("\xea\0\0\0\0\x10\0", SIGSEGV, SI_KERNEL, 0));	   /* ljmp $0x10:0 */
	CHECK(RAISES("\xfa", SIGSEGV, SI_KERNEL, 0));			   /* cli */
	CHECK(RAISES("\xa1\x10\0\0\0", SIGSEGV, SEGV_MAPERR, 16));	   /* mov 16, %eax */
	CHECK(RAISES("\xb8\x10\0\0\0\xff\xe0", SIGSEGV, SEGV_MAPERR, 16)); /* mov $16, %eax; jmp *%eax */
}

/* The system calls have number 20, getpid. */
static void calls(void)
{
	section("no system calls");
	CHECK(RAISES("\xb8\x14\0\0\0\xcd\x80", SIGSEGV, SI_KERNEL, 0)); /* int $0x80 */
	CATCH(RUN("\xb8\x14\0\0\0\x0f\x05")); /* syscall: Intel's CPUs do not know it in 32-bit code */
	CHECK((caught.signo == 0 && (int)eax == -ENOSYS) || (caught.signo == SIGILL && caught.code == ILL_ILLOPN));
	CATCH(RUN("\xb8\x14\0\0\0\x0f\x34")); /* sysenter: AMD's CPUs do not know it in 64-bit mode */
	CHECK(caught.signo == SIGSEGV || caught.signo == SIGILL);
}

static volatile unsigned short seen_cs;

static void note_selector(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	seen_cs = (unsigned short)((ucontext_t *)context)->uc_mcontext.gregs[REG_CSGSFS];
}

/* Makes the handler return to an invalid code selector. */
static void spoil_selector(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_CSGSFS] |= 0xfff8;
}

static int return_spoiled(void *arg)
{
	struct sigaction sa = { .sa_sigaction = spoil_selector, .sa_flags = SA_SIGINFO };

	(void)arg;
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && signal(SIGSEGV, SIG_DFL) != SIG_ERR);
	raise(SIGUSR1);
	return 0;
}

static void handlers(void)
{
	struct sigaction sa = { .sa_sigaction = note_selector, .sa_flags = SA_SIGINFO | SA_ONSTACK }, before;

	section("a handler sees which code it interrupted, and returns to it");
	MUST(sigaction(SIGTRAP, &sa, &before) == 0);
	__asm__ volatile("int3");
	CHECK_EQ(seen_cs, USER_CS);
	RUN("\xcc\x40"); /* int3; inc %eax */
	CHECK_EQ(seen_cs, USER_CS32);
	MUST(sigaction(SIGTRAP, &before, NULL) == 0);
	CHECK(killed_by(run_child(return_spoiled, NULL), SIGSEGV));
}

int main(void)
{
	static char handler_stack[1 << 16];
	stack_t alternate = { .ss_sp = handler_stack, .ss_size = sizeof(handler_stack) };

	MUST(sigaltstack(&alternate, NULL) == 0);
	catch_faults(SA_ONSTACK);
	code = mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	MUST(code != MAP_FAILED);
	plain();
	faults();
	handlers();
	calls();
	return check_done();
}
