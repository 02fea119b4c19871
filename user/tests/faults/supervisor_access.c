/* SPDX-License-Identifier: MIT */
/*
 * Tests user-mode instructions that QEMU before 9.1 runs partly as a supervisor: iretq, lretq and a far call, from user
 * mode to user mode. The returns must work; a far call must work, or raise a signal at once, but never hang. (QEMU 7.2
 * also truncates the stack pointer of a far call to 32 bits.)
 *
 * The stack is first a page that was never touched, then one that was.
 */
#include "user/lib/check.h"

#define RW (PROT_READ | PROT_WRITE)

static int interrupt_return(void *stack)
{
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp\n\t"
			 "mov %%ss, %%eax; push %%rax; push %%rbx; pushf; mov %%cs, %%eax; push %%rax\n\t"
			 "lea 1f(%%rip), %%rax; push %%rax; iretq\n1:" ::"r"(stack)
			 : "rax", "rbx", "memory", "cc");
	return 0;
}

static int far_return(void *stack)
{
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; mov %%cs, %%eax; push %%rax\n\t"
			 "lea 1f(%%rip), %%rax; push %%rax; lretq\n1: mov %%rbx, %%rsp" ::"r"(stack)
			 : "rax", "rbx", "memory");
	return 0;
}

/* ... and releases three words that lie above the address. */
static int far_return_and_release(void *stack)
{
	void *end;

	__asm__ volatile("mov %%rsp, %%rbx; lea -24(%1), %%rsp; mov %%cs, %%eax; push %%rax\n\t"
			 "lea 1f(%%rip), %%rax; push %%rax; lretq $24\n1: mov %%rsp, %0; mov %%rbx, %%rsp"
			 : "=&r"(end)
			 : "r"(stack)
			 : "rax", "rbx", "memory");
	return end == stack ? 0 : 1;
}

static int far_call(void *stack)
{
	struct {
		uint32_t offset; /* programs lie below 4 GiB */
		uint16_t selector;
	} __attribute__((packed)) target;

	__asm__ volatile("lea 1f(%%rip), %%rax; mov %%eax, (%1); mov %%cs, %%eax; mov %%ax, 4(%1)\n\t"
			 "mov %%rsp, %%rbx; mov %0, %%rsp; lcall *(%1)\n1: mov %%rbx, %%rsp" ::"r"(stack),
			 "r"(&target)
			 : "rax", "rbx", "memory");
	return 0;
}

static void check(const char *name, int (*instruction)(void *stack))
{
	char *stack = map_island(1, RW);
	int fresh = run_child(instruction, stack + PAGE / 2), touched;

	poke(stack, 1);
	touched = run_child(instruction, stack + PAGE / 2);
	printf("%s: %s\n", name,
	       exited_with(fresh, 0) && exited_with(touched, 0)		  ? "done"
	       : killed_by(fresh, SIGSEGV) && killed_by(touched, SIGSEGV) ? "SIGSEGV"
									  : "neither done nor SIGSEGV");
}

int main(void)
{
	check("iretq", interrupt_return);
	check("lretq", far_return);
	check("lretq $24", far_return_and_release);
	check("lcall", far_call);
	return check_done();
}
