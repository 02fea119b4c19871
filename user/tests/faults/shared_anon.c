/* SPDX-License-Identifier: MIT */
/* Tests that parent and children share shared anonymous memory, also pages that are first touched after the fork. */
#include "user/lib/check.h"

#define RW (PROT_READ | PROT_WRITE)
#define NR 16

static char *memory;

static int child(void *arg)
{
	(void)arg;
	if (peek(memory) != 1 || peek(memory + PAGE) != 0)
		return 1;
	for (int i = 0; i < NR; i++)
		poke(memory + i * PAGE, 50 + i);
	return 0;
}

static void both_ways(void)
{
	bool same = true;

	section("over fork");
	poke(memory, 1);
	CHECK_EQ(run_child(child, NULL), 0);
	for (int i = 0; i < NR; i++)
		same &= peek(memory + i * PAGE) == 50 + i;
	CHECK_THAT("the parent sees every page the child wrote", same);
}

static void counter(void)
{
	unsigned int *count = (unsigned int *)(memory + 3 * PAGE);
	pid_t pids[4];
	int status;

	section("four processes count together");
	*count = 0;
	fflush(stdout);
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		MUST(pids[i] >= 0);
		if (pids[i] == 0) {
			for (int n = 0; n < 10000; n++)
				__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		MUST(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	CHECK_EQ(*count, 40000);
}

static int protects(void *arg)
{
	(void)arg;
	if (mprotect(memory, PAGE, PROT_READ) || CATCH(poke(memory, 1)) != SIGSEGV || caught.code != SEGV_ACCERR)
		return 1;
	if (madvise(memory, NR * PAGE, MADV_DONTNEED) || peek(memory) != 77)
		return 2;
	return munmap(memory, NR * PAGE) ? 3 : 0;
}

static void rights(void)
{
	section("rights and mappings belong to each process");
	poke(memory, 77);
	CHECK_EQ(run_child(protects, NULL), 0);
	CHECK(CATCH(poke(memory, 78)) == 0 && peek(memory) == 78);
}

static void remap(void)
{
	char *p = mremap(memory, NR * PAGE, 2 * NR * PAGE, MREMAP_MAYMOVE);

	section("growth beyond the object");
	CHECK(p != MAP_FAILED);
	CHECK(peek(p) == 78);
	CHECK_THAT("the object doesn't grow: SIGBUS", CATCH(peek(p + NR * PAGE)) == SIGBUS);
	CHECK_EQ(caught.code, BUS_ADRERR);
	CHECK(caught_at(p + NR * PAGE));
	munmap(p, 2 * NR * PAGE);
}

int main(void)
{
	catch_faults(0);
	memory = mmap(NULL, NR * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(memory != MAP_FAILED);
	both_ways();
	counter();
	rights();
	remap();
	return check_done();
}
