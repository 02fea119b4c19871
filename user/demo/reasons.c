/* SPDX-License-Identifier: MIT */
/*
 * Forces every reason for which an attempt is skipped or gives up, with one script each, and checks that the reason is
 * counted. The names are those of mm/reasons.h. Arguments: the reasons to force; default: all. Needs three CPUs;
 * a reason that needs more CPUs than there are is reported as a failure.
 */
#include "user/lib/await.h"
#include "user/lib/disk_settings.h"
#include "user/lib/race.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define TABLE (512 * PAGE)

/* Maps memory for one script, away from all other mappings. */
static char *fresh(size_t nr, int prot)
{
	return map_island(nr, prot);
}

/* Returns a page whose VMA has an anon_vma and whose page table exists, so that only the page itself is missing. */
static char *prepared(void)
{
	char *p = (char *)(((uintptr_t)fresh(1024, RW) + TABLE - 1) & -TABLE);

	poke(p, 1);
	return p + PAGE;
}

/* --- no script needed: one access ------------------------------------------------------------------------------- */

static void kernel_access(struct stage *s)
{
	int fds[2];
	char *p = prepared();

	MUST(pipe(fds) == 0);
	MUST(write(fds[1], "x", 1) == 1);
	vmstat_read(&s->before);
	CHECK_EQ(read(fds[0], p, 1), 1);
	close(fds[0]), close(fds[1]);
}

static void nowhere(struct stage *s)
{
	char *p = fresh(2, RW);

	MUST(munmap(p, PAGE) == 0);
	vmstat_read(&s->before);
	CHECK_THAT("and the access ends with SIGSEGV", step_write(p) == SIGSEGV && caught.code == SEGV_MAPERR);
}

/* Maps four pages of a new memfd; the first page is present and the page table exists. */
static char *memfd_pages(void)
{
	int fd = syscall(SYS_memfd_create, "reasons", 0);
	char *p;

	MUST(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0 && write(fd, "x", 1) == 1);
	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	close(fd);
	peek(p);
	return p;
}

static void read_hole(struct stage *s)
{
	char *p = memfd_pages();

	vmstat_read(&s->before);
	CHECK_EQ(step_read(p + PAGE), 0);
}

static void write_file(struct stage *s)
{
	char *p = memfd_pages();

	vmstat_read(&s->before);
	CHECK_EQ(step_write(p + PAGE), 0);
}

static void first_write(struct stage *s)
{
	char *p = fresh(1, RW);

	peek(p);
	vmstat_read(&s->before);
	CHECK_EQ(step_write(p), 0);
}

static char *growing(void)
{
	char *base = mmap(NULL, 1024 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *p;

	MUST(base != MAP_FAILED && munmap(base, 1024 * PAGE) == 0);
	p = mmap(base + 1000 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(p != MAP_FAILED);
	poke(p + 2 * PAGE, 1);
	return p;
}

static void in_a_stack(struct stage *s)
{
	char *p = growing();

	vmstat_read(&s->before);
	CHECK_EQ(step_write(p + PAGE), 0);
}

static void below_a_stack(struct stage *s)
{
	char *p = growing();

	vmstat_read(&s->before);
	CHECK_EQ(step_write(p - PAGE), 0);
}

static void forbidden(struct stage *s)
{
	char *p = fresh(1, PROT_READ);

	peek(p);
	vmstat_read(&s->before);
	CHECK_THAT("and the access ends with SIGSEGV", step_write(p) == SIGSEGV && caught.code == SEGV_ACCERR);
}

static void far_away(struct stage *s)
{
	char *p = mmap(NULL, 4UL << 30, RW, ANON | MAP_NORESERVE, -1, 0);

	MUST(p != MAP_FAILED);
	madvise(p, 4UL << 30, MADV_NOHUGEPAGE);
	poke(p, 1);
	vmstat_read(&s->before);
	CHECK_EQ(step_write(p + (2UL << 30)), 0);
	munmap(p, 4UL << 30);
}

static void next_table(struct stage *s)
{
	char *p = mmap(NULL, 1UL << 30, RW, ANON | MAP_NORESERVE, -1, 0), *q;

	MUST(p != MAP_FAILED);
	madvise(p, 1UL << 30, MADV_NOHUGEPAGE);
	/* Two tables on the same side of a 1 GiB border, so that only the lowest level is missing. */
	q = (char *)(((uintptr_t)p + TABLE - 1) & -TABLE);
	if (((uintptr_t)q >> 30) != (((uintptr_t)q + 2 * TABLE) >> 30))
		q += 2 * TABLE;
	poke(q, 1);
	vmstat_read(&s->before);
	CHECK_EQ(step_write(q + TABLE), 0);
	munmap(p, 1UL << 30);
}

/* --- scripts ---------------------------------------------------------------------------------------------------- */

/* One actor stops in mprotect of `changed`, with the VMA marked as being changed; another one faults at `faulted`. */
static void faults_beside_writer(struct stage *s, char *changed, char *faulted, const char *reason)
{
	struct actor *writer = &s->actor[0], *victim = &s->actor[1];

	CHECK(actor_stop_at(writer, "mprotect_after_vma", step_protect_none, changed));
	vmstat_read(&s->before);
	actor_do(victim, step_write, faulted);
	CHECK_THAT("the fault gives up beside the writer", wait_counted(s, reason));
	while (state_of(getpid(), victim->tid) != 'D') /* until it tries mmap, and sleeps there */
		usleep(1000);
	CHECK(release("mprotect_after_vma"));
	CHECK_EQ(actor_finish(writer), 0);
	CHECK_THAT("and is answered when the writer is done", actor_finish(victim) == 0);
}

static void odd_count(struct stage *s)
{
	char *p = prepared();

	faults_beside_writer(s, p + 4 * PAGE, p, "spf_abort_odd_count");
}

static void write_locked(struct stage *s)
{
	char *p = prepared();

	faults_beside_writer(s, p + 4 * PAGE, p, "vma_lock_abort_write_locked");
}

static void anon_vma_contended(struct stage *s)
{
	char *other = prepared(), *p = fresh(1, RW);

	peek(p);
	faults_beside_writer(s, other, p, "vma_lock_abort_anon_vma");
}

/* The victim stops at a point; the director changes something; the victim continues. */
static void change_under(struct stage *s, const char *point, char *p, long (*change)(void *), void *arg, long want)
{
	struct actor *victim = &s->actor[0];

	CHECK(actor_stop_at(victim, point, step_write, p));
	vmstat_read(&s->before);
	CHECK_EQ(change(arg), 0);
	CHECK(release(point));
	CHECK_EQ(actor_finish(victim), want);
}

static void changed_reading(struct stage *s)
{
	char *p = prepared();

	change_under(s, "spec_after_snapshot", p, step_protect_none, p + 4 * PAGE, 0);
}

static void changed_before_ptl(struct stage *s)
{
	char *p = prepared();

	change_under(s, "spec_after_walk", p, step_protect_none, p + 4 * PAGE, 0);
}

static void changed_after_ptl(struct stage *s)
{
	char *p = prepared();

	change_under(s, "spec_before_ptl", p, step_protect_none, p + 4 * PAGE, 0);
}

static long unmap_tables(void *p)
{
	return munmap(p, 2 * TABLE);
}

static void pmd_changed(struct stage *s)
{
	char *p = (char *)(((uintptr_t)fresh(4 * 512, RW) + TABLE - 1) & -TABLE);

	poke(p, 1);
	change_under(s, "spec_before_ptl", p + PAGE, unmap_tables, p, SIGSEGV);
}

static void outside(struct stage *s)
{
	char *p = fresh(8, RW);

	poke(p, 1);
	change_under(s, "spec_after_find", p + 7 * PAGE, step_unmap, p + 7 * PAGE, SIGSEGV);
}

static void vma_outside(struct stage *s)
{
	char *p = fresh(8, RW);

	poke(p, 1);
	change_under(s, "vma_after_find", p + 7 * PAGE, step_unmap, p + 7 * PAGE, SIGSEGV);
}

static void detached(struct stage *s)
{
	char *p = fresh(1, RW);

	change_under(s, "vma_after_find", p, step_unmap, p, SIGSEGV);
}

/* One actor stops before its commit with the PTE lock held; another one faults in the same page table. */
static void ptl_busy(struct stage *s)
{
	struct actor *holder = &s->actor[0], *victim = &s->actor[1];
	char *p = prepared();

	CHECK(actor_stop_at(holder, "commit_before_set", step_write, p));
	vmstat_read(&s->before);
	actor_do(victim, step_write, p + PAGE);
	CHECK_THAT("the fault gives up", wait_counted(s, "spf_abort_ptl_busy"));
	CHECK(release("commit_before_set"));
	CHECK(actor_finish(holder) == 0 && actor_finish(victim) == 0);
}

/* --- swap: on the first disk, which is reserved for it ---------------------------------------------------------- */

/* Returns a page that was swapped out. With an asynchronous disk it stays in the swap cache after its write. */
static char *swapped_out(const char *mode)
{
	char *p = prepared();

	MUST(set_disk("latency_us", "50000"));
	MUST(set_disk("mode", mode));
	poke(p, 'x');
	MUST(madvise(p, PAGE, MADV_PAGEOUT) == 0);
	MUST(set_disk("mode", "sync"));
	return p;
}

static void not_in_swap_cache(struct stage *s)
{
	char *p = swapped_out("sync");

	vmstat_read(&s->before);
	CHECK_EQ(step_read(p), 0);
	CHECK_EQ(*p, 'x');
}

/* One actor holds the page's lock; another one needs it. */
static void swap_page_locked(struct stage *s)
{
	struct actor *holder = &s->actor[0], *victim = &s->actor[1];
	char *p = swapped_out("async");

	CHECK(actor_stop_at(holder, "swap_page_locked", step_read, p));
	vmstat_read(&s->before);
	actor_do(victim, step_read, p);
	CHECK_THAT("the fault gives up", wait_counted(s, "spf_abort_swap_page_locked"));
	CHECK(release("swap_page_locked"));
	CHECK(actor_finish(holder) == 0 && actor_finish(victim) == 0);
	CHECK_EQ(*p, 'x');
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* A child with two threads takes all memory. The OOM killer kills the process that has the most, which is the child. */
static void *sleep_here(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static int eat_memory(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, sleep_here, NULL);
	for (;;) {
		char *p = mmap(NULL, 64 * TABLE, RW, ANON | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		for (size_t i = 0; i < 64 * TABLE; i += PAGE)
			poke(p + i, 1);
	}
	(void)arg;
}

static long start_eater(void *arg)
{
	return run_child(eat_memory, arg);
}

static void no_memory(struct stage *s)
{
	vmstat_read(&s->before);
	actor_do(&s->actor[0], start_eater, NULL);
	CHECK_THAT("the eater is killed", killed_by(actor_finish(&s->actor[0]), SIGKILL));
}

/* --- the list --------------------------------------------------------------------------------------------------- */

static const struct test {
	const char *reason;
	enum policy policy;
	void (*script)(struct stage *);
	int actors;
} tests[] = {
	{ "spf_skip_not_user", POLICY_SPEC, kernel_access, 1 },
	{ "spf_skip_single_thread", POLICY_SPEC, NULL, 0 },
	{ "spf_abort_odd_count", POLICY_SPEC, odd_count, 2 },
	{ "spf_abort_no_vma", POLICY_SPEC, nowhere, 1 },
	{ "spf_abort_changed_reading", POLICY_SPEC, changed_reading, 1 },
	{ "spf_abort_changed_before_ptl", POLICY_SPEC, changed_before_ptl, 1 },
	{ "spf_abort_changed_after_ptl", POLICY_SPEC, changed_after_ptl, 1 },
	{ "spf_abort_page_not_cached", POLICY_SPEC, read_hole, 1 },
	{ "spf_abort_file_write", POLICY_SPEC, write_file, 1 },
	{ "spf_abort_no_anon_vma", POLICY_SPEC, first_write, 1 },
	{ "spf_abort_growing", POLICY_SPEC, in_a_stack, 1 },
	{ "spf_abort_outside", POLICY_SPEC, outside, 1 },
	{ "spf_abort_access", POLICY_SPEC, forbidden, 1 },
	{ "spf_abort_upper_table", POLICY_SPEC, far_away, 1 },
	{ "spf_abort_pmd_none", POLICY_SPEC, next_table, 1 },
	{ "spf_abort_pmd_changed", POLICY_SPEC, pmd_changed, 1 },
	{ "spf_abort_ptl_busy", POLICY_SPEC, ptl_busy, 2 },
	{ "spf_abort_swap_not_cached", POLICY_SPEC, not_in_swap_cache, 1 },
	{ "spf_abort_swap_page_locked", POLICY_SPEC, swap_page_locked, 2 },
	{ "spf_abort_no_memory", POLICY_SPEC, no_memory, 1 },
	{ "vma_lock_skip_not_user", POLICY_VMA, kernel_access, 1 },
	{ "vma_lock_miss", POLICY_VMA, nowhere, 1 },
	{ "vma_lock_abort_write_locked", POLICY_VMA, write_locked, 2 },
	{ "vma_lock_detached", POLICY_VMA, detached, 1 },
	{ "vma_lock_abort_outside", POLICY_VMA, vma_outside, 1 },
	{ "vma_lock_abort_stack", POLICY_VMA, below_a_stack, 1 },
	{ "vma_lock_abort_anon_vma", POLICY_VMA, anon_vma_contended, 2 },
	{ "mmap_retry_stack", POLICY_MMAP, below_a_stack, 1 },
};

static const struct test *current;

/* Runs on the director's thread. */
static void run_script(struct stage *s)
{
	current->script(s);
	vmstat_read(&s->now);
}

static void check_counted(struct stage *s)
{
	run_script(s);
	CHECK_THAT("counted", vmstat_delta(&s->before, &s->now, current->reason) > 0);
}

/* Needs a process that never had a second thread. */
static int touch_alone(void *arg)
{
	static struct vmstat before, after;
	char *p = prepared();

	vmstat_read(&before);
	poke(p, 1);
	vmstat_read(&after);
	(void)arg;
	return vmstat_delta(&before, &after, current->reason) ? 0 : 1;
}

static void run(const struct test *test)
{
	section(test->reason);
	current = test;
	MUST(set_policy(test->policy));
	if (!test->script)
		CHECK_THAT("counted", run_child(touch_alone, NULL) == 0);
	else
		CHECK_THAT("there are enough CPUs for the script", perform(check_counted, test->actors));
}

int main(int argc, char **argv)
{
	if (!on_faultline()) {
		printf("this kernel has no fault policies: nothing to force\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (is_named(tests[i].reason, argc, argv))
			run(&tests[i]);
	return check_done();
}
