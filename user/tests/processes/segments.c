/* SPDX-License-Identifier: MIT */
/*
 * Tests programs that load DS, ES, FS and GS themselves, and so change the FS and GS bases without the kernel: each
 * thread keeps its own values, and no other thread is affected. All threads run on one CPU, so that each finds there
 * what the other one left.
 */
#include "user/lib/check.h"

#include <sched.h>

#define ARCH_SET_GS 0x1001
#define ARCH_GET_GS 0x1004
#define USER_DATA 0x2b /* the selector that SS has */

static int to_child[2], to_parent[2];

static long raw(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}

static unsigned int selectors(void)
{
	unsigned short ds, es, fs, gs;

	__asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
			 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	return (ds ? 1u : 0) | (es ? 2u : 0) | (fs ? 4u : 0) | (gs ? 8u : 0);
}

/*
 * The child has no thread-local storage after this, so it makes its system calls directly. When the parent has run, it
 * exits with its selectors.
 */
static int loads(void *arg)
{
	unsigned short selector = (unsigned short)(long)arg;
	unsigned int found;
	unsigned long base = 1;

	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(selector) : "memory");
	for (int i = 0; i < 20; i++) {
		raw(SYS_write, to_parent[1], (long)"x", 1);
		raw(SYS_read, to_child[0], (long)&found, 1);
	}
	found = selectors();
	raw(SYS_arch_prctl, ARCH_GET_GS, (long)&base, 0);
	raw(SYS_exit_group, (long)(found | (base ? 16 : 0)), 0, 0);
	return 0;
}

static void beside(unsigned short selector, const char *name)
{
	static __thread int mine;
	char byte;
	int status;
	pid_t pid;

	section(name);
	mine = 4711;
	MUST(pipe(to_child) == 0 && pipe(to_parent) == 0);
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, &mine) == 0);
	pid = fork();
	if (pid == 0)
		loads((void *)(long)selector);
	for (int i = 0; i < 20; i++) {
		MUST(read(to_parent[0], &byte, 1) == 1);
		MUST(mine++ == 4711 + i);
		MUST(write(to_child[1], "y", 1) == 1);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(mine, 4731);
	CHECK(WIFEXITED(status) && (WEXITSTATUS(status) & 15) == (selector ? 15 : 0));
	if (selector)
		CHECK((WEXITSTATUS(status) & 16) == 0);
	void *base = NULL;
	MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
	CHECK(base == &mine);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
}

static void after_set(void)
{
	unsigned long base = 1;
	unsigned short selector = USER_DATA;

	section("arch_prctl takes the selector away again");
	__asm__ volatile("mov %0, %%gs" : : "r"(selector));
	MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
	CHECK_EQ(base, 0);
	CHECK_EQ(selectors() & 8, 8);
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234000) == 0);
	CHECK_EQ(selectors() & 8, 0);
	MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
	CHECK_EQ(base, 0x1234000);
}

int main(void)
{
	cpu_set_t one;

	MUST(sched_getaffinity(0, sizeof(one), &one) == 0);
	for (int cpu = 0, found = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &one) && found++)
			CPU_CLR(cpu, &one);
	}
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
	beside(0, "null selectors in one process leave another's bases alone");
	beside(USER_DATA, "data selectors in one process leave another's bases alone, and are its own");
	after_set();
	return check_done();
}
