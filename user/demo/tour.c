/* SPDX-License-Identifier: MIT */
/*
 * Plays the scenes of GDB's guided tours (tools/gdb/tours/), which are the same whether or not a debugger is attached,
 * and of a picture in the documents.
 * Arguments: the scenes to play; default: all. Needs three CPUs, and the first disk as swap. The tours stop at touch(),
 * which makes the access in question, and at curtain(), which is called where there is something to see.
 */
#include "user/lib/disk_settings.h"
#include "user/lib/race.h"

#define RW (PROT_READ | PROT_WRITE)
#define TABLE (512 * PAGE)

/* Makes the access. A breakpoint on the function is at the nop before it, which is not repeated after the fault. */
static __attribute__((noipa)) void touch(char *p, char value)
{
	__asm__ volatile("nop");
	poke(p, value);
}

static __attribute__((noipa)) void curtain(const char *what, char *p, pid_t tid)
{
	__asm__ volatile("nop" ::"r"(what), "r"(p), "r"(tid) : "memory");
}

static long touch_step(void *p)
{
	return CATCH(touch(p, 'b'));
}

/* Returns many pages of which the first is present: the anon_vma and the page table exist, only pages are missing. */
static char *fresh_pages(void)
{
	char *p = (char *)(((uintptr_t)map_island(1024, RW) + TABLE - 1) & -TABLE);

	poke(p, 'a');
	return p;
}

static void demand_zero(struct stage *s)
{
	char *p = fresh_pages();

	(void)s;
	for (enum policy policy = POLICY_MMAP; policy <= POLICY_SPEC; policy++) {
		MUST(set_policy(policy));
		touch(p + policy * PAGE, 'a');
	}
}

static int child_main(void *arg)
{
	char *p = arg;

	MUST(*p == 'a');
	touch(p, 'c');
	return *p == 'c' ? 0 : 1;
}

static long fork_and_write(void *p)
{
	MUST(run_child(child_main, p) == 0);
	touch(p, 'd');
	return 0;
}

/* The child writes while the parent shares the page, the parent when the child has exited. Only actor 0 may fork. */
static void copy_after_fork(struct stage *s)
{
	char *p = fresh_pages();

	MUST(set_policy(POLICY_VMA));
	actor_do(&s->actor[0], fork_and_write, p);
	MUST(actor_finish(&s->actor[0]) == 0);
	MUST(*p == 'd');
}

/* Page 1 faults speculatively while page 4 of the same VMA is unmapped. */
static void speculation(struct stage *s)
{
	struct actor *victim = &s->actor[0];
	char *p = fresh_pages();

	MUST(set_policy(POLICY_SPEC));
	MUST(actor_stop_at(victim, "spec_after_walk", touch_step, p + PAGE));
	curtain("the fault is stopped", p + PAGE, victim->tid);
	MUST(munmap(p + 4 * PAGE, PAGE) == 0);
	curtain("munmap is done", p + PAGE, victim->tid);
	MUST(release("spec_after_walk"));
	MUST(actor_finish(victim) == 0);
	MUST(p[PAGE] == 'b');
}

/* The page is swapped out, and the disk is slow. */
static void swap_in(struct stage *s)
{
	char *p = fresh_pages();

	(void)s;
	MUST(set_policy(POLICY_VMA));
	MUST(madvise(p, PAGE, MADV_PAGEOUT) == 0);
	MUST(set_disk("latency_us", "2000"));
	MUST(set_disk("mode", "async"));
	touch(p, 'e');
	MUST(set_disk("mode", "sync"));
	MUST(*p == 'e');
}

static long read_for_ever(void *arg)
{
	struct stage *s = arg;
	char *p = (char *)s->value[0];

	s->flag[0] = true;
	for (; !s->flag[1]; relax())
		peek(p);
	return 0;
}

static __attribute__((noipa)) long forbid_writing(void *p)
{
	return mprotect(p, PAGE, PROT_READ);
}

/* One CPU reads a page all the time; another removes the right to write to it. */
static void shootdown(struct stage *s)
{
	struct actor *writer = &s->actor[0], *reader = &s->actor[1];
	char *p = fresh_pages();

	s->value[0] = (long)p;
	MUST(set_policy(POLICY_VMA));
	actor_do(reader, read_for_ever, s);
	while (!s->flag[0])
		relax();
	MUST(actor_stop_at(writer, "shootdown_sent", forbid_writing, p));
	curtain("the shootdown was sent", p, writer->tid);
	MUST(release("shootdown_sent"));
	MUST(actor_finish(writer) == 0);
	s->flag[1] = true;
	MUST(actor_finish(reader) == 0);
}

static long unmap(void *p)
{
	return munmap(p, PAGE);
}

/*
 * Page 1 faults, and is held when its new page is ready; then another CPU unmaps page 4 of the same VMA. The strategy
 * decides who waits: docs/pictures/three-ways.svg shows it for each, and no tour does. 2 ms: so that munmap has come as
 * far as it can.
 */
static void three_ways(struct stage *s)
{
	struct actor *victim = &s->actor[0], *unmapper = &s->actor[1];
	char *p = fresh_pages();

	poke(p + 4 * PAGE, 'a');
	MUST(actor_stop_at(victim, "anon_page_ready", touch_step, p + PAGE));
	actor_do(unmapper, unmap, p + 4 * PAGE);
	usleep(2000);
	MUST(release("anon_page_ready"));
	MUST(actor_finish(victim) == 0);
	MUST(actor_finish(unmapper) == 0);
	MUST(p[PAGE] == 'b');
}

static const struct scene {
	const char *name;
	void (*script)(struct stage *);
	int actors;
} scenes[] = {
	{ "demand-zero", demand_zero, 1 }, { "cow", copy_after_fork, 1 }, { "speculation", speculation, 1 },
	{ "swap-in", swap_in, 1 },	   { "shootdown", shootdown, 2 }, { "three-ways", three_ways, 2 },
};

int main(int argc, char **argv)
{
	if (!on_faultline()) {
		printf("this kernel has no fault policies: nothing to show\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (is_named(scenes[i].name, argc, argv)) {
			section(scenes[i].name);
			CHECK_THAT("there are enough CPUs", perform(scenes[i].script, scenes[i].actors));
		}
	return check_done();
}
