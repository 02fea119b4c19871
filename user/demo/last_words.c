/* SPDX-License-Identifier: MIT */
/*
 * Processes that die of SIGSEGV or SIGBUS, each in another way, without a handler.
 *
 * The test that runs this program checks what --explain says about them.
 */
#include "user/lib/faultline.h"

#include <alloca.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096UL
#define NOT_CANONICAL 0x8000123456789abcUL
#define KERNELS 0xffffffff80100000UL

static char *map(int protection)
{
	return mmap(NULL, 2 * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void write_to(uintptr_t address)
{
	*(volatile char *)address = 1;
}

static void write_unmapped(void)
{
	char *page = map(PROT_READ | PROT_WRITE);

	munmap(page, 2 * PAGE);
	write_to((uintptr_t)page);
}

static void read_forbidden(void)
{
	(void)*(volatile char *)map(PROT_NONE);
}

static void write_read_only(void)
{
	write_to((uintptr_t)map(PROT_READ));
}

static void execute_data(void)
{
	((void (*)(void))map(PROT_READ | PROT_WRITE))();
}

static void overflow_stack(void)
{
	for (;;)
		*(volatile char *)alloca(PAGE) = 1;
}

static void read_beyond_end(void)
{
	FILE *file = tmpfile();

	ftruncate(fileno(file), 1);
	(void)((volatile char *)mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fileno(file), 0))[PAGE];
}

static void write_not_canonical(void)
{
	write_to(NOT_CANONICAL);
}

static void jump_not_canonical(void)
{
	((void (*)(void))NOT_CANONICAL)();
}

static void write_kernels(void)
{
	write_to(KERNELS);
}

static void halt(void)
{
	__asm__ volatile("hlt");
}

int main(void)
{
	static void (*const ends[])(
		void) = { write_unmapped,  read_forbidden,	write_read_only,    execute_data,  overflow_stack,
			  read_beyond_end, write_not_canonical, jump_not_canonical, write_kernels, halt };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int status;
		pid_t child = fork();

		if (child == 0) {
			ends[i]();
			_exit(1);
		}
		waitpid(child, &status, 0);
		printf("%zu %s\n", i, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "has not died");
	}
	return 0;
}
