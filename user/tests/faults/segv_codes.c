/* SPDX-License-Identifier: MIT */
/*
 * Tests the signal, si_code and si_addr of every kind of bad access, and the signal that kills a process without a
 * handler.
 */
#include "user/lib/check.h"

#define RW (PROT_READ | PROT_WRITE)

static bool raised(int signo, int code, void *addr)
{
	bool same = caught.signo == signo && caught.code == code && caught_at(addr);

	if (!same)
		printf("     got signal %d code %d, address %s\n", caught.signo, caught.code,
		       caught_at(addr) ? "as expected" : "another");
	return same;
}

static void call(void *address)
{
	((void (*)(void))address)();
}

static void missing(void)
{
	char *p = map_island(2, RW);

	MUST(munmap(p + PAGE, PAGE) == 0);
	section("nothing mapped there: SEGV_MAPERR");
	CHECK(CATCH(peek(p + PAGE + 123)) && raised(SIGSEGV, SEGV_MAPERR, p + PAGE + 123));
	CHECK(CATCH(poke(p + PAGE, 1)) && raised(SIGSEGV, SEGV_MAPERR, p + PAGE));
	CHECK(CATCH(call(p + PAGE)) && raised(SIGSEGV, SEGV_MAPERR, p + PAGE));
	CHECK(CATCH(peek(NULL)) && raised(SIGSEGV, SEGV_MAPERR, NULL));
	CHECK(CATCH(poke((char *)8, 1)) && raised(SIGSEGV, SEGV_MAPERR, (void *)8));
	CHECK(CATCH(call(NULL)) && raised(SIGSEGV, SEGV_MAPERR, NULL));
	CHECK_THAT("an access across the border names the missing page",
		   CATCH(*(volatile long *)(p + PAGE - 4)) && raised(SIGSEGV, SEGV_MAPERR, p + PAGE));
}

static void forbidden(void)
{
	char *ro = map_island(1, PROT_READ), *none = map_island(1, PROT_NONE), *rw = map_island(1, RW);

	section("mapped, but not for that: SEGV_ACCERR");
	CHECK(CATCH(poke(ro + 5, 1)) && raised(SIGSEGV, SEGV_ACCERR, ro + 5));
	CHECK(CATCH(peek(ro)) == 0);
	CHECK(CATCH(poke(ro + 5, 1)) && raised(SIGSEGV, SEGV_ACCERR, ro + 5));
	CHECK(CATCH(peek(none)) && raised(SIGSEGV, SEGV_ACCERR, none));
	CHECK(CATCH(poke(none + 4095, 1)) && raised(SIGSEGV, SEGV_ACCERR, none + 4095));
	CHECK(CATCH(call(none)) && raised(SIGSEGV, SEGV_ACCERR, none));
	rw[16] = (char)0xc3;
	CHECK(CATCH(call(rw + 16)) && raised(SIGSEGV, SEGV_ACCERR, rw + 16));
	CHECK(CATCH(call(&rw)) && raised(SIGSEGV, SEGV_ACCERR, &rw));
	CHECK(CATCH(poke((char *)forbidden, 1)) && raised(SIGSEGV, SEGV_ACCERR, forbidden));
}

static void kernel_half(void)
{
	char *kernel = (char *)0xffffffff80000000;

	section("kernel and non-canonical addresses");
	CHECK(CATCH(peek(kernel)) && raised(SIGSEGV, SEGV_MAPERR, kernel));
	CHECK(CATCH(poke(kernel, 1)) && raised(SIGSEGV, SEGV_MAPERR, kernel));
	CHECK(CATCH(call(kernel)) && raised(SIGSEGV, SEGV_MAPERR, kernel));
	CHECK(CATCH(peek((char *)0xffff888000000000)) == SIGSEGV);
	CHECK(CATCH(peek((char *)0xffffffffffffffff)) == SIGSEGV);
	CHECK(CATCH(peek((char *)0x7ffffffff000)) == SIGSEGV);
	CHECK(CATCH(peek((char *)0x800000000000)) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(poke((char *)0xdeadbeefdeadbeef, 1)) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(call((char *)0x1234567890abcdef)) == SIGSEGV);
}

static void divide(void)
{
	__asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax; div %%ecx" ::: "eax", "ecx", "edx");
}

static void divide_overflow(void)
{
	__asm__ volatile("mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idiv %%ecx" ::: "eax", "ecx", "edx");
}

static void instructions(void)
{
	section("instructions");
	CHECK(CATCH(divide()) == SIGFPE && caught.code == FPE_INTDIV);
	CHECK(CATCH(divide_overflow()) == SIGFPE && caught.code == FPE_INTDIV);
	CHECK(CATCH(__asm__ volatile("ud2")) == SIGILL && caught.code == ILL_ILLOPN);
	CHECK(CATCH(__asm__ volatile("int3")) == SIGTRAP && caught.code == SI_KERNEL);
	CHECK(CATCH(__asm__ volatile("cli")) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(__asm__ volatile("hlt")) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(__asm__ volatile("outb %%al, $0x80" ::: "memory")) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(__asm__ volatile("mov %%cr3, %%rax" ::: "rax")) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(__asm__ volatile("rdmsr" ::: "rax", "rdx")) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(__asm__ volatile("int $0x40")) && raised(SIGSEGV, SI_KERNEL, NULL));
	CHECK(CATCH(__asm__ volatile("lgdt (%%rsp)" ::: "memory")) && raised(SIGSEGV, SI_KERNEL, NULL));
}

static int die_cli(void *arg)
{
	(void)arg;
	__asm__ volatile("cli");
	return 0;
}

static int die_write(void *arg)
{
	poke(arg, 1);
	return 0;
}

static int die_jump(void *arg)
{
	call(arg);
	return 0;
}

static int die_divide(void *arg)
{
	(void)arg;
	divide();
	return 0;
}

static int die_illegal(void *arg)
{
	(void)arg;
	__asm__ volatile("ud2");
	return 0;
}

static int die_stack(void *arg)
{
	(void)arg;
	__asm__ volatile("xor %%esp, %%esp; push %%rax" ::: "memory");
	return 0;
}

static int die_kernel_stack(void *arg)
{
	(void)arg;
	__asm__ volatile("mov $0xffffffff80000000, %%rsp; push %%rax" ::: "memory");
	return 0;
}

/* A handler is installed, but its frame cannot be pushed: the signal kills the process, and nothing loops. */
static int die_handler_without_stack(void *arg)
{
	(void)arg;
	catch_faults(0);
	__asm__ volatile("mov $0x1000, %%esp; ud2" ::: "memory");
	return 0;
}

static void deaths(void)
{
	section("without a handler");
	signal(SIGSEGV, SIG_DFL), signal(SIGFPE, SIG_DFL), signal(SIGILL, SIG_DFL);
	print_status("write to nowhere", run_child(die_write, (void *)16));
	print_status("write to the kernel", run_child(die_write, (void *)0xffffffff80000000));
	print_status("jump to nowhere", run_child(die_jump, (void *)16));
	print_status("jump into data", run_child(die_jump, &checks_made));
	print_status("jump to a non-canonical address", run_child(die_jump, (void *)0x8000000000000000));
	print_status("divide by zero", run_child(die_divide, NULL));
	print_status("illegal instruction", run_child(die_illegal, NULL));
	print_status("cli", run_child(die_cli, NULL));
	print_status("no stack", run_child(die_stack, NULL));
	print_status("kernel stack pointer", run_child(die_kernel_stack, NULL));
	print_status("handler without a stack", run_child(die_handler_without_stack, NULL));
}

static int ignored(void *arg)
{
	signal(SIGSEGV, SIG_IGN);
	poke(arg, 1);
	return 0;
}

static int blocked(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	catch_faults(0);
	poke(arg, 1);
	return 0;
}

static void forced(void)
{
	section("a fault's signal can't be ignored or blocked");
	print_status("ignored", run_child(ignored, NULL));
	print_status("blocked", run_child(blocked, NULL));
}

int main(void)
{
	catch_faults(0);
	missing();
	forbidden();
	kernel_half();
	instructions();
	deaths();
	forced();
	return check_done();
}
