/* SPDX-License-Identifier: MIT */
/*
 * Faults that tests/gdb/why.py asks GDB's `why` about, in addition to those of user/demo/reasons.c.
 *
 * They occur on a slow disk, when no page is free, and on mappings whose operations need mmap_lock. Needs three CPUs,
 * little memory, and the first disk as swap.
 *
 * This kernel has no such operations: the debugger changes them from without_consent() on, until without_consent("").
 * Without a debugger the faults are like any others. The debugger watches the faults between watch_from_here() and
 * race_command("disarm").
 */
#include "user/lib/await.h"
#include "user/lib/race.h"

#include <sys/sysinfo.h>

#define RW (PROT_READ | PROT_WRITE)
#define TABLE (512 * PAGE)
#define KEPT                                                                                                           \
	"16384" /* KiB: the most that this kernel can reserve of 64 MiB, and more than is free once memory is filled */
#define MIN_FREE "/proc/sys/vm/min_free_kbytes"
#define SCALE "/proc/sys/vm/watermark_scale_factor"
#define LEFT (12UL << 20)

static __attribute__((noipa)) void watch_from_here(void)
{
	__asm__ volatile("nop");
}

/* `consent` names the field of struct vma_ops that shall be false; "" restores all fields. */
static __attribute__((noipa)) void without_consent(const char *consent)
{
	__asm__ volatile("nop" ::"r"(consent) : "memory");
}

/* --- a slow disk ------------------------------------------------------------------------------------------------ */

static void set_disk(const char *setting, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/ram0/%s", setting);
	MUST(write_text(path, value) > 0);
}

static void slow_disk(struct stage *s)
{
	char *p = map_pages(2, RW);

	(void)s;
	memset(p, 'x', 2 * PAGE);
	MUST(madvise(p, 2 * PAGE, MADV_PAGEOUT) == 0);
	set_disk("latency_us", "2000");
	set_disk("mode", "async");
	watch_from_here();
	peek(p);
	race_command("disarm");
	set_disk("mode", "sync");
	MUST(*p == 'x' && p[PAGE] == 'x');
}

/* --- operations that need mmap_lock ----------------------------------------------------------------------------- */

static void reluctant(const char *consent, char access)
{
	char *p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	watch_from_here();
	without_consent(consent);
	if (access == 'w')
		poke(p, 1);
	else
		peek(p);
	without_consent("");
	race_command("disarm");
}

static void reluctant_to_speculate(struct stage *s)
{
	(void)s;
	reluctant("speculative", 'r');
}

static void reluctant_without_mmap_lock(struct stage *s)
{
	(void)s;
	reluctant("without_mmap_lock", 'w');
}

/* --- no memory -------------------------------------------------------------------------------------------------- */

static void *sleep_here(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void fill_memory(void)
{
	struct sysinfo info;

	for (;;) {
		MUST(sysinfo(&info) == 0);
		if (info.freeram < LEFT)
			return;
		MUST(mmap(NULL, 1 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) != MAP_FAILED);
	}
}

static void keep_free(const char *kib)
{
	MUST(write_text(MIN_FREE, kib) > 0);
}

static pid_t find_kswapd(void)
{
	char path[64], name[32] = "";
	pid_t pid = 0;

	while (strcmp(name, "kswapd0\n")) {
		snprintf(path, sizeof(path), "/proc/%d/comm", ++pid);
		(void)read_text(path, name, sizeof(name)); /* leaves "" if there is no such process */
	}
	return pid;
}

/*
 * With its watermarks so far apart, kswapd finds too little free memory early, fills the swap area, finds nothing more
 * to reclaim, and gives up.
 */
static void tire_kswapd(void)
{
	MUST(write_text(SCALE, "3000") > 0);
	fill_memory();
	await_state(find_kswapd(), 'S');
}

/*
 * The second thread makes the kernel try speculation. Once all free memory is reserved, only the CPU's stash of pages
 * is left: one of the first pages that are touched finds no memory, and lacks nothing else.
 */
static int eat_memory(void *arg)
{
	char *p = (char *)(((uintptr_t)map_pages(1024, RW) + TABLE - 1) & -TABLE);
	pthread_t thread;

	poke(p, 1);
	MUST(pthread_create(&thread, NULL, sleep_here, NULL) == 0);
	tire_kswapd();
	keep_free(KEPT);
	watch_from_here();
	for (size_t i = PAGE; i < TABLE; i += PAGE)
		poke(p + i, 1);
	(void)arg;
	return 1;
}

static long start_eater(void *arg)
{
	return run_child(eat_memory, arg);
}

static void no_memory(struct stage *s)
{
	char before[32] = "";
	int fd = open(MIN_FREE, O_RDONLY);

	MUST(fd >= 0 && read(fd, before, sizeof(before) - 1) > 0);
	close(fd);
	actor_do(&s->actor[0], start_eater, NULL);
	CHECK_THAT("the eater is killed", killed_by(actor_finish(&s->actor[0]), SIGKILL));
	race_command("disarm");
	keep_free(before);
	MUST(write_text(SCALE, "10") > 0);
}

static const struct scene {
	const char *name;
	enum policy policy;
	void (*script)(struct stage *);
	int actors;
} scenes[] = {
	{ "vma_lock_retry_page", POLICY_VMA, slow_disk, 1 },
	{ "mmap_retry_page", POLICY_MMAP, slow_disk, 1 },
	{ "spf_abort_file_ops", POLICY_SPEC, reluctant_to_speculate, 1 },
	{ "vma_lock_abort_file_ops", POLICY_VMA, reluctant_without_mmap_lock, 1 },
	{ "spf_abort_no_memory", POLICY_SPEC, no_memory, 1 },
};

int main(void)
{
	if (!on_faultline()) {
		printf("this kernel has no fault policies: nothing to ask about\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		section(scenes[i].name);
		MUST(set_policy(scenes[i].policy));
		CHECK_THAT("there are enough CPUs", perform(scenes[i].script, scenes[i].actors));
	}
	return check_done();
}
