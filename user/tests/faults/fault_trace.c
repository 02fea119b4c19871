/* SPDX-License-Identifier: MIT */
/* Tests /proc/fault_trace: it shows each fault of ours once, with all its details, and events are in order. */
#include "user/lib/check.h"
#include "user/lib/faultline.h"

#include <sys/sysinfo.h>

#define NR 40 /* fewer than one ring holds */

static char trace[1 << 20];

static bool read_trace(void)
{
	return read_text("/proc/fault_trace", trace, sizeof(trace)) > 0;
}

/* Returns how many lines contain both texts. *line is the last of them. */
static unsigned int lines_with(const char *one, const char *other, char *line, size_t size)
{
	unsigned int nr = 0;

	for (const char *p = trace, *end; *p; p = *end ? end + 1 : end) {
		char text[512];

		end = strchrnul(p, '\n');
		snprintf(text, sizeof(text), "%.*s", (int)(end - p), p);
		if (!strstr(text, one) || !strstr(text, other))
			continue;
		nr++;
		snprintf(line, size, "%s", text);
	}
	return nr;
}

static __attribute__((noinline)) void write_pages(char *p)
{
	for (size_t i = 0; i < NR; i++)
		((volatile char *)p)[i * PAGE] = 1;
}

static void check_writes(enum policy policy, const char *strategy)
{
	char *p = map_island(NR, PROT_READ | PROT_WRITE), one[64], other[64], line[512] = "";
	unsigned long ip = 0;

	section(policy_name(policy));
	MUST(set_policy(policy));
	write_pages(p);
	CHECK(read_trace());
	snprintf(one, sizeof(one), "tid=%d attempt strategy=%s ", (int)getpid(), strategy);
	for (size_t i = 0, missing = 0; i <= NR; i++) {
		if (i == NR) {
			CHECK_EQ(missing, 0);
			break;
		}
		snprintf(other, sizeof(other), " address=0x%lx ", (unsigned long)p + i * PAGE);
		missing += lines_with(one, other, line, sizeof(line)) != 1;
	}
	CHECK(strstr(line, " access=write from=user kind=anon end=answered answer=done"));
	CHECK(sscanf(strstr(line, " ip=0x") ?: "", " ip=0x%lx", &ip) == 1);
	CHECK_THAT("the instruction is one of write_pages()",
		   ip >= (unsigned long)write_pages && ip < (unsigned long)write_pages + 256);
}

static void check_writers(void)
{
	char one[64], line[512];
	char *p = map_island(4, PROT_READ | PROT_WRITE);

	section("changes of the address space");
	MUST(munmap(p, PAGE) == 0);
	CHECK(read_trace());
	snprintf(one, sizeof(one), "tid=%d mmap_write seq=", (int)getpid());
	CHECK(lines_with(one, "", line, sizeof(line)) > 0);
	snprintf(one, sizeof(one), "tid=%d vma_write vma=0x%lx-", (int)getpid(), (unsigned long)p);
	CHECK(lines_with(one, "", line, sizeof(line)) > 0);
}

static void check_order(void)
{
	unsigned long long last = 0;
	size_t backwards = 0, nr = 0;

	section("events are in the order of their ends");
	for (const char *p = strchr(trace, '['); p; p = strstr(p + 1, "\n[") ? strstr(p + 1, "\n[") + 1 : NULL) {
		unsigned int cpu;
		unsigned long long s, ns, duration;

		/*
		 * A flush may interrupt the recording of another event: it ends before that event, but follows it in
		 * the trace.
		 */
		if (sscanf(p, "[%u] %llu.%llu +%llu", &cpu, &s, &ns, &duration) != 4 ||
		    memmem(p, strcspn(p, "\n"), " flush ", 7))
			continue;
		backwards += s * 1000000000ULL + ns + duration + 2 < last; /* each is rounded down */
		last = s * 1000000000ULL + ns + duration;
		nr++;
	}
	CHECK(nr > NR);
	CHECK_EQ(backwards, 0);
}

/* With a slow swap area: the page is swapped out, and a fault that swaps it in waits for it, which drops the lock. */
static void check_swap(void)
{
	char *p = map_island(1, PROT_READ | PROT_WRITE), one[64], at[64], line[512];
	struct sysinfo info;
	bool waited = false;

	if (sysinfo(&info) || !info.totalswap)
		return;
	section("swap");
	snprintf(one, sizeof(one), "tid=%d ", (int)getpid());
	snprintf(at, sizeof(at), "page_wait address=0x%lx ", (unsigned long)p);
	p[0] = 1;
	/* A page that is still being written out needs no read: then it is swapped out again. */
	for (;;) {
		MUST(madvise(p, PAGE, MADV_PAGEOUT) == 0);
		usleep(5000);
		(void)*(volatile char *)p;
		MUST(read_trace());
		waited = lines_with(one, at, line, sizeof(line)) > 0;
		if (waited)
			break;
	}
	CHECK(waited);
	snprintf(at, sizeof(at), " address=0x%lx ", (unsigned long)p);
	CHECK(lines_with("kind=swap end=retry reason=vma_lock_retry_page", at, line, sizeof(line)) > 0);
	CHECK(lines_with("kind=swap end=answered answer=done again=1", at, line, sizeof(line)) > 0);
	CHECK(lines_with(one, "swap_out slot=0x", line, sizeof(line)) > 0);
	CHECK(lines_with(one, "swap_in slot=0x", line, sizeof(line)) > 0);
}

int main(void)
{
	MUST(on_faultline());
	MUST(run_on_cpu(0));
	check_writes(POLICY_MMAP, "mmap");
	check_writes(POLICY_VMA, "vma");
	check_writers();
	check_order();
	check_swap();
	return check_done();
}
