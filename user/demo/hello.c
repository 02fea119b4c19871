/* SPDX-License-Identifier: MIT */
/* The first program that runs: tests the stack that main gets, the auxiliary vector, and thread-local storage. */
#include "user/lib/check.h"

#include <elf.h>
#include <sys/auxv.h>

extern char **environ;

static __thread int tls_data = 42;
static __thread int tls_bss;
static int data = 7;
static int bss;

static void check_arguments(int argc, char **argv)
{
	section("arguments and environment");
	CHECK(argc >= 1);
	CHECK(argv[argc] == NULL);
	for (int i = 1; i < argc; i++)
		printf("argv[%d] = \"%s\"\n", i, argv[i]);
	CHECK(environ != NULL);
	if (getenv("HELLO"))
		printf("HELLO=%s\n", getenv("HELLO"));
}

static void check_auxv(void)
{
	const Elf64_Phdr *phdr = (const void *)getauxval(AT_PHDR);
	const char *random = (const void *)getauxval(AT_RANDOM);
	unsigned long nr = getauxval(AT_PHNUM);
	bool found_load = false;

	section("auxiliary vector");
	CHECK_EQ(getauxval(AT_PAGESZ), 4096);
	CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	CHECK_EQ(getauxval(AT_CLKTCK), 100);
	CHECK_EQ(getauxval(AT_UID), getuid());
	CHECK_EQ(getauxval(AT_EUID), geteuid());
	CHECK_EQ(getauxval(AT_GID), getgid());
	CHECK_EQ(getauxval(AT_EGID), getegid());
	CHECK_EQ(getauxval(AT_SECURE), 0);
	CHECK(getauxval(AT_ENTRY) != 0);
	CHECK(getauxval(AT_HWCAP) != 0);
	CHECK(random != NULL);
	CHECK(random && memcmp(random, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) != 0);
	CHECK(phdr != NULL && nr > 0);
	for (unsigned long i = 0; phdr && i < nr; i++)
		found_load |= phdr[i].p_type == PT_LOAD;
	CHECK(found_load);
	CHECK(getauxval(AT_EXECFN) && strlen((char *)getauxval(AT_EXECFN)) > 0);
	CHECK(getauxval(AT_PLATFORM) && strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
}

static void check_storage(void)
{
	unsigned long sp;

	section("storage");
	CHECK_EQ(tls_data, 42);
	CHECK_EQ(tls_bss, 0);
	CHECK_EQ(data, 7);
	CHECK_EQ(bss, 0);
	tls_data++, tls_bss++, data++, bss++;
	CHECK(tls_data == 43 && tls_bss == 1 && data == 8 && bss == 1);
	__asm__("mov %%rsp, %0" : "=r"(sp));
	CHECK(sp < 0x7ffffffff000 && sp > 0x7f0000000000);
}

int main(int argc, char **argv)
{
	printf("hello, world\n");
	check_arguments(argc, argv);
	check_auxv();
	check_storage();
	return check_done();
}
