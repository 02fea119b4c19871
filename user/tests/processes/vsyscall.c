/* SPDX-License-Identifier: MIT */
/*
 * Tests the vsyscall page, which programs older than the vDSO call: its three functions, the signal for a bad pointer,
 * that nothing else in the page can be called, and that the page is neither readable nor writable.
 */
#include "user/lib/check.h"

#include <sys/time.h>
#include <time.h>

#define VSYSCALL 0xffffffffff600000UL
#define GETTIMEOFDAY VSYSCALL
#define TIME (VSYSCALL + 0x400)
#define GETCPU (VSYSCALL + 0x800)
#define KERNEL_POINTER 0xffff888000000000UL

static long call(unsigned long function, unsigned long first, unsigned long second)
{
	/* getcpu's third argument is ignored. */
	return ((long (*)(unsigned long, unsigned long, unsigned long))function)(first, second, 16);
}

static void functions(void)
{
	static struct timeval tv, now;
	static struct timezone tz = { 77, 77 };
	static time_t seconds;
	static unsigned int cpu = 9999, node = 9999;

	section("the three functions");
	CHECK_EQ(call(GETTIMEOFDAY, (uintptr_t)&tv, (uintptr_t)&tz), 0);
	gettimeofday(&now, NULL);
	CHECK(now.tv_sec - tv.tv_sec <= 1 && tv.tv_usec < 1000000 && tz.tz_minuteswest == 0);
	CHECK_EQ(call(GETTIMEOFDAY, 0, 0), 0);
	CHECK(call(TIME, (uintptr_t)&seconds, 0) == seconds && seconds - now.tv_sec <= 1);
	CHECK(call(TIME, 0, 0) - seconds <= 1);
	CHECK_EQ(call(GETCPU, (uintptr_t)&cpu, (uintptr_t)&node), 0);
	CHECK(cpu < 1024 && node == 0);
	CHECK_EQ(call(GETCPU, 0, 0), 0);
}

static bool raised(int code, unsigned long addr)
{
	if (caught.code != code || caught.addr != addr)
		printf("     got code %d, address %s\n", caught.code, caught.addr == addr ? "as expected" : "another");
	return caught.signo == SIGSEGV && caught.code == code && caught.addr == addr;
}

static void bad_pointers(void)
{
	static long there[2];

	section("a bad pointer is SIGSEGV");
	CHECK(CATCH(call(GETTIMEOFDAY, 16, 0)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(GETTIMEOFDAY, (uintptr_t)there, 16)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(GETTIMEOFDAY, (uintptr_t)functions, 0)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(TIME, 16, 0)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(GETCPU, 0, 16)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(GETTIMEOFDAY, KERNEL_POINTER, 0)) && raised(SEGV_MAPERR, KERNEL_POINTER));
	CHECK(CATCH(call(GETTIMEOFDAY, 0x8000000000000000, 0)) && raised(SEGV_MAPERR, 0x8000000000000000));
	CHECK(CATCH(call(TIME, KERNEL_POINTER, 0)) && raised(SEGV_MAPERR, KERNEL_POINTER));
	CHECK(CATCH(call(TIME, 0, KERNEL_POINTER)) == 0);
	CHECK(CATCH(call(GETCPU, 0, KERNEL_POINTER)) && raised(SEGV_MAPERR, KERNEL_POINTER));
}

static void other_places(void)
{
	section("nothing else in the page is a function, and next to it there is nothing");
	CHECK(CATCH(call(VSYSCALL + 1, 0, 0)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(TIME + 0x10, 0, 0)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(VSYSCALL + 0xc00, 0, 0)) && raised(SI_KERNEL, 0));
	CHECK(CATCH(call(VSYSCALL + PAGE, 0, 0)) && raised(SEGV_MAPERR, VSYSCALL + PAGE));
	CHECK(CATCH(call(VSYSCALL - PAGE, 0, 0)) && raised(SEGV_MAPERR, VSYSCALL - PAGE));
	CHECK(CATCH(peek((char *)TIME)) && raised(SEGV_MAPERR, TIME));
	CHECK(CATCH(poke((char *)VSYSCALL, 1)) && raised(SEGV_MAPERR, VSYSCALL));
}

/* Calls a function with a stack from which no return address can be read. */
static int call_without_stack(void *arg)
{
	(void)arg;
	__asm__ volatile("mov $64, %%rsp; jmp *%0" ::"r"(TIME) : "memory");
	return 0;
}

static void listed(void)
{
	char line[256], found[256] = "", last[256] = "";
	FILE *maps = fopen("/proc/self/maps", "r");

	section("in the list of mappings");
	MUST(maps);
	while (fgets(line, sizeof(line), maps)) {
		strcpy(last, line);
		if (strstr(line, "[vsyscall]"))
			strcpy(found, line);
	}
	fclose(maps);
	printf("%s", found);
	CHECK_THAT("it comes last", !strcmp(found, last));
	CHECK_ERRNO(munmap((void *)VSYSCALL, PAGE), EINVAL);
	CHECK_ERRNO(write(1, (void *)VSYSCALL, 1), EFAULT);
}

int main(void)
{
	catch_faults(0);
	functions();
	bad_pointers();
	other_places();
	CHECK(killed_by(run_child(call_without_stack, NULL), SIGSEGV));
	listed();
	return check_done();
}
