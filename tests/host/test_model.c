/* SPDX-License-Identifier: MIT */
/*
 * Tests of address spaces against a model with one record for each page, changed as the manual pages say. Random calls
 * and accesses, in several address spaces that fork from each other, must have the same outcome in both.
 */
#include "test.h"

#include "kernel/lib/string.h"

#define BASE 0x40000000UL
#define SPAN 640 /* pages; they span two page tables */
#define MAX_LEN 40
#define SPACES 4
#define OBJECTS 512

struct model_page {
	u8 prot;
	bool mapped, shared;
	u32 object, index; /* of shared memory */
	u64 value;	   /* of private memory */
};

struct space {
	struct mm *mm;
	struct model_page pages[SPAN];
};
static struct space spaces[SPACES];
static u64 objects[OBJECTS][MAX_LEN]; /* shared memory: the first word of each page */
static unsigned nr_objects;

static struct space *space; /* the one in use */
static u64 first, nr;	    /* the range of the call */

static vaddr_t addr_of(u64 page)
{
	return BASE + PAGES(page);
}

static void pick_range(void)
{
	first = sim_random_below(SPAN);
	nr = 1 + sim_random_below(min((u64)SPAN - first, (u64)MAX_LEN));
}

static u8 pick_prot(void)
{
	static const u8 prots[] = { PROT_NONE, PROT_READ, PROT_WRITE, RW, RW, RW, PROT_READ | PROT_EXEC };

	return prots[sim_random_below(ARRAY_SIZE(prots))];
}

static u64 *model_word(struct model_page *page)
{
	return page->shared ? &objects[page->object][page->index] : &page->value;
}

/* ---- The calls --------------------------------------------------------------------------------------------------- */

static void call_mmap(void)
{
	bool shared = nr_objects < OBJECTS && sim_random_below(4) == 0;
	u8 prot = pick_prot();

	pick_range();
	map_at(space->mm, addr_of(first), nr, prot, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE));
	for (u64 i = 0; i < nr; i++)
		space->pages[first + i] = (struct model_page){
			.mapped = true, .prot = prot, .shared = shared, .object = nr_objects, .index = (u32)i
		};
	nr_objects += shared;
}

static void call_munmap(void)
{
	pick_range();
	unmap(space->mm, addr_of(first), nr);
	memset(space->pages + first, 0, nr * sizeof(space->pages[0]));
}

/* mprotect changes everything up to the first hole. */
static void call_mprotect(void)
{
	u8 prot = pick_prot();
	long expected = 0;

	pick_range();
	for (u64 i = 0; i < nr && !expected; i++) {
		if (space->pages[first + i].mapped)
			space->pages[first + i].prot = prot;
		else
			expected = -ENOMEM;
	}
	CHECK_EQ(mm_mprotect(space->mm, addr_of(first), PAGES(nr), prot, -1), expected);
}

/* MADV_DONTNEED skips holes. */
static void call_dontneed(void)
{
	long expected = 0;

	pick_range();
	for (u64 i = 0; i < nr; i++) {
		if (!space->pages[first + i].mapped)
			expected = -ENOMEM;
		space->pages[first + i].value = 0;
	}
	CHECK_EQ(mm_madvise(space->mm, addr_of(first), PAGES(nr), MADV_DONTNEED), expected);
}

static bool same_mapping(u64 page)
{
	const struct model_page *a = &space->pages[first], *b = &space->pages[page];

	return b->mapped && b->prot == a->prot && b->shared == a->shared &&
	       (!a->shared || (b->object == a->object && b->index == a->index + (page - first)));
}

static bool is_hole(u64 page, u64 len)
{
	for (u64 i = page; i < page + len; i++)
		if (i >= SPAN || space->pages[i].mapped)
			return false;
	return true;
}

/*
 * Moves only what the model regards as one mapping. The kernel may have two VMAs there, which do not merge: then the
 * result is -EFAULT and nothing moves.
 */
static void call_mremap(void)
{
	u64 to = sim_random_below(SPAN), flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	long result;

	pick_range();
	if (!space->pages[first].mapped)
		return;
	for (u64 i = 1; i < nr; i++)
		if (!same_mapping(first + i))
			nr = i;
	if (!is_hole(to, nr))
		return;
	result = mm_mremap(space->mm, addr_of(first), PAGES(nr), PAGES(nr), flags, addr_of(to));
	if (result == -EFAULT)
		return;
	CHECK_EQ(result, addr_of(to));
	memcpy(space->pages + to, space->pages + first, nr * sizeof(space->pages[0]));
	memset(space->pages + first, 0, nr * sizeof(space->pages[0]));
}

static void leave_and_forget(struct space *old)
{
	if (!old->mm)
		return;
	test_mm_put(old->mm);
	old->mm = NULL;
}

static void call_fork(void)
{
	struct space *child = &spaces[sim_random_below(SPACES)];

	if (child == space)
		return;
	leave_and_forget(child);
	child->mm = test_mm(POLICY_DEFAULT);
	CHECK_EQ(mm_fork(child->mm, space->mm), 0);
	memcpy(child->pages, space->pages, sizeof(child->pages));
}

/* ---- Accesses ---------------------------------------------------------------------------------------------------- */

static enum fault_answer expected_answer(const struct model_page *page, bool write)
{
	if (!page->mapped)
		return FAULT_NO_MAPPING;
	if (write ? !(page->prot & PROT_WRITE) : page->prot == PROT_NONE)
		return FAULT_NO_ACCESS;
	return FAULT_DONE;
}

static void access_write(void)
{
	u64 where = sim_random_below(SPAN), value = sim_random();
	struct model_page *page = &space->pages[where];
	enum fault_answer expected = expected_answer(page, true);

	CHECK_EQ(sim_write(addr_of(where), value), expected);
	if (expected == FAULT_DONE)
		*model_word(page) = value;
}

static void access_read(void)
{
	u64 where = sim_random_below(SPAN), value;
	struct model_page *page = &space->pages[where];
	enum fault_answer expected = expected_answer(page, false);

	CHECK_EQ(sim_read(addr_of(where), &value), expected);
	if (expected == FAULT_DONE)
		CHECK_EQ(value, *model_word(page));
}

static void call_populate(void)
{
	long expected = 0;

	pick_range();
	for (u64 i = 0; i < nr && !expected; i++) {
		const struct model_page *page = &space->pages[first + i];

		expected = !page->mapped ? -ENOMEM : page->prot & PROT_WRITE ? 0 : -EINVAL;
	}
	CHECK_EQ(mm_madvise(space->mm, addr_of(first), PAGES(nr), MADV_POPULATE_WRITE), expected);
}

static void one_step(void)
{
	u64 action = sim_random_below(100);

	if (action < 34)
		access_write();
	else if (action < 68)
		access_read();
	else if (action < 76)
		call_mmap();
	else if (action < 80)
		call_munmap();
	else if (action < 88)
		call_mprotect();
	else if (action < 92)
		call_dontneed();
	else if (action < 96)
		call_mremap();
	else if (action < 98)
		call_populate();
	else
		call_fork();
}

static void compare_everything(void)
{
	for (u64 where = 0; where < SPAN; where++) {
		struct model_page *page = &space->pages[where];
		u64 value;

		CHECK_EQ(sim_read(addr_of(where), &value), expected_answer(page, false));
		if (expected_answer(page, false) == FAULT_DONE)
			CHECK_EQ(value, *model_word(page));
	}
}

static void run_in(struct space *chosen, unsigned steps)
{
	space = chosen;
	if (!space->mm)
		return;
	sim_use_mm(space->mm);
	while (steps--)
		one_step();
	compare_everything();
	sim_leave_mm();
}

static void run_model(void)
{
	memset(spaces, 0, sizeof(spaces));
	memset(objects, 0, sizeof(objects));
	nr_objects = 0;
	spaces[0].mm = test_mm(POLICY_DEFAULT);
	for (unsigned turn = 0; turn < 50; turn++)
		run_in(&spaces[sim_random_below(SPACES)], 60);
	for (unsigned i = 0; i < SPACES; i++) {
		run_in(&spaces[i], 0);
		leave_and_forget(&spaces[i]);
	}
}

TEST(model_of_the_address_space, 1)
{
	FOR_EACH_SETUP (setup)
		run_model();
}
