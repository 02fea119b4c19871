/* SPDX-License-Identifier: MIT */
/*
 * Tests that a failing memory call changes nothing: each call is made while each resource that it needs is short, in
 * turn. If it returns an error, the mappings, the counts and the contents of memory must be as before. A new call is a
 * new line of CALLS.
 *
 * Where Linux leaves a call partly done when it fails, so does this kernel: a call on several VMAs changes them one
 * after the other. Then each VMA is as before or as the complete call would have left it: no VMA is left split.
 */
#include "test.h"

#include "mm/cache/mapping.h"
#include "mm/vma/vma_change.h"

#define ARENA 0x10000000000UL
#define ARENA_PAGES 128
#define P(page) (ARENA + PAGES(page))
#define STACK_TOP (P(ARENA_PAGES) + (1UL << 32))
#define FAR (ARENA + (1UL << 30))		/* the only mapping of its page table */
#define ACROSS (ARENA + (1UL << 31) - PAGES(2)) /* half in one page table, half in the next */
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)
#define MOVE_TO (MREMAP_MAYMOVE | MREMAP_FIXED)

static struct mm *mm;
static struct mapping *object; /* stands for a file */
static u64 bytes[ARENA_PAGES]; /* what each page holds; 0: it was never touched */

/* ---- The stage --------------------------------------------------------------------------------------------------- */

static long mmap_at(u64 page, u64 nr_pages, u64 prot, u64 flags)
{
	const struct mmap_request request = { .addr = P(page), .len = PAGES(nr_pages), .prot = prot, .flags = flags };

	return mm_mmap(mm, &request);
}

static long mmap_object(u64 page, u64 nr_pages, u64 flags)
{
	const struct mmap_request request = { .addr = P(page),
					      .len = PAGES(nr_pages),
					      .prot = RW,
					      .flags = flags,
					      .pgoff = 4,
					      .mapping = object,
					      .ops = &mapping_vma_ops,
					      .file_writable = true };

	return mm_mmap(mm, &request);
}

/* Writes to every third page, so that a round is quick. */
static void fill(u64 page, u64 nr_pages)
{
	for (u64 i = page; i < page + nr_pages; i += 3)
		put(P(i), bytes[i] = 1000 + i);
}

static void build_stage(void)
{
	mm = test_mm(POLICY_MMAP);
	sim_use_mm(mm);
	CHECK_EQ(mmap_at(0, 8, RW, ANON | MAP_FIXED), P(0));
	CHECK_EQ(mmap_at(8, 4, RW, SHARED | MAP_FIXED), P(8));
	fill(0, 12);
	CHECK_EQ(mmap_at(12, 8, RW, ANON | MAP_FIXED), P(12)); /* has no anon_vma yet, unlike the VMA after the next */
	CHECK_EQ(mmap_at(20, 4, PROT_READ, ANON | MAP_FIXED), P(20));
	CHECK_EQ(mmap_at(24, 8, RW, ANON | MAP_FIXED), P(24));
	fill(24, 8);
	CHECK_EQ(mmap_object(36, 8, MAP_PRIVATE | MAP_FIXED), P(36));
	CHECK_EQ(mmap_object(44, 4, MAP_SHARED | MAP_FIXED), P(44));
	fill(36, 12);
	CHECK_EQ(mmap_at(48, 8, RW, ANON | MAP_FIXED | MAP_LOCKED), P(48));
	CHECK_EQ(mmap_at(64, 16, RW, ANON | MAP_FIXED), P(64));
	fill(48, 8);
	fill(64, 16);
	mm->start_brk = mm->brk = P(100);
	CHECK_EQ(mm_brk(mm, P(104)), P(104));
	fill(100, 4);
	map_at(mm, FAR, 2, RW, ANON);
	map_at(mm, ACROSS, 4, RW, ANON);
	put(FAR, FAR);
	put_pages(ACROSS, 4, ACROSS);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(2), false), 0);
	put(STACK_TOP - 8, 1);
}

static void end_stage(void)
{
	sim_leave_mm();
	mmput(mm);
}

/* ---- What must be unchanged after an error ----------------------------------------------------------------------- */

struct place {
	u64 flags, pgoff;
	enum { NONE, OBJECT, OTHER } mapping;
	bool mapped, begins; /* begins: a VMA begins here */
};

struct picture {
	struct place places[ARENA_PAGES];
	u64 nr_vmas, nr_tables, outside, total, data, exec, stack, shared, locked, rss[NR_RSS_KINDS];
	vaddr_t brk;
};

static u64 pages_outside(void)
{
	struct vma *vma;
	u64 sum = 0;

	mmap_read_lock(mm);
	vma_tree_for_each (vma, &mm->tree)
		if (vma->end <= P(0) || vma->start >= P(ARENA_PAGES))
			sum += (vma->start >> PAGE_SHIFT) * vma_pages(vma) + vma->flags;
	mmap_read_unlock(mm);
	return sum;
}

static void take_picture(struct picture *picture)
{
	*picture = (struct picture){ .nr_vmas = mm->nr_vmas,
				     .nr_tables = mm->nr_tables,
				     .outside = pages_outside(),
				     .total = mm->total_pages,
				     .data = mm->data_pages,
				     .exec = mm->exec_pages,
				     .stack = mm->stack_pages,
				     .shared = mm->shared_pages,
				     .locked = mm->locked_pages,
				     .brk = mm->brk };
	for (unsigned kind = 0; kind < NR_RSS_KINDS; kind++)
		picture->rss[kind] = mm_rss(mm, kind);
	for (u64 page = 0; page < ARENA_PAGES; page++) {
		const struct vma *vma = sim_vma(mm, P(page));

		if (vma)
			picture->places[page] =
				(struct place){ .flags = vma->flags,
						.pgoff = vma->pgoff + ((P(page) - vma->start) >> PAGE_SHIFT),
						.mapping = !vma->mapping	    ? NONE
							   : vma->mapping == object ? OBJECT
										    : OTHER,
						.mapped = true,
						.begins = vma->start == P(page) };
	}
}

static bool same_rules(const struct place *a, const struct place *b)
{
	return a->flags == b->flags && a->pgoff == b->pgoff && a->mapping == b->mapping && a->mapped == b->mapped;
}

static bool same_picture(const struct picture *a, const struct picture *b)
{
	for (u64 page = 0; page < ARENA_PAGES; page++)
		if (!same_rules(&a->places[page], &b->places[page]) || a->places[page].begins != b->places[page].begins)
			return false;
	for (unsigned kind = 0; kind < NR_RSS_KINDS; kind++)
		if (a->rss[kind] != b->rss[kind])
			return false;
	return a->nr_vmas == b->nr_vmas && a->nr_tables == b->nr_tables && a->outside == b->outside &&
	       a->total == b->total && a->data == b->data && a->exec == b->exec && a->stack == b->stack &&
	       a->shared == b->shared && a->locked == b->locked && a->brk == b->brk;
}

/* Each page is as before or as after the complete call, and a VMA begins only where one did or would. */
static bool is_between(const struct picture *now, const struct picture *before, const struct picture *after)
{
	for (u64 page = 0; page < ARENA_PAGES; page++) {
		const struct place *place = &now->places[page];

		if (!same_rules(place, &before->places[page]) && !same_rules(place, &after->places[page]))
			return false;
		if (place->begins && !before->places[page].begins && !after->places[page].begins)
			return false;
	}
	return true;
}

static bool bytes_are_there(void)
{
	u64 value;

	if (sim_read(FAR, &value) != FAULT_DONE || value != FAR || sim_read(ACROSS, &value) != FAULT_DONE ||
	    value != ACROSS)
		return false;
	for (u64 page = 0; page < ARENA_PAGES; page++)
		if (bytes[page] && (sim_read(P(page), &value) != FAULT_DONE || value != bytes[page]))
			return false;
	return true;
}

/* ---- The calls --------------------------------------------------------------------------------------------------- */

static long fork_once(void)
{
	struct mm *child = mm_create();
	int error = child ? mm_fork(child, mm) : -ENOMEM;

	if (!error)
		check_quiet(); /* what the child has must be complete although memory was short */
	if (child)
		mmput(child);
	return error;
}

static long brk_to(vaddr_t brk)
{
	return mm_brk(mm, brk) == (long)brk ? 0 : -ENOMEM; /* brk has no other way to report an error */
}

static long touch_stack(u64 nr_pages)
{
	return sim_write(STACK_TOP - PAGES(nr_pages), 1) == FAULT_DONE ? 0 : -ENOMEM;
}

#define MOVE(page, nr, to, new_nr, flags) mm_mremap(mm, P(page), PAGES(nr), PAGES(new_nr), flags, P(to))
#define PROTECT(page, nr, prot) mm_mprotect(mm, P(page), PAGES(nr), prot, -1)
#define ADVISE(page, nr, advice) mm_madvise(mm, P(page), PAGES(nr), advice)

/* name, how much of the state an error must leave unchanged, the call */
#define CALLS(X)                                                                                                       \
	X(mmap_anywhere, ALL, mmap_at(-(ARENA >> PAGE_SHIFT), 4, RW, ANON))                                            \
	X(mmap_in_a_hole, ALL, mmap_at(32, 2, RW, ANON | MAP_FIXED))                                                   \
	X(mmap_over_one, ALL, mmap_at(8, 4, RW, ANON | MAP_FIXED))                                                     \
	X(mmap_joins_two, ALL, mmap_at(20, 4, RW, ANON | MAP_FIXED))                                                   \
	X(mmap_joins_two_that_reach_in, ALL, mmap_at(18, 8, RW, ANON | MAP_FIXED))                                     \
	X(mmap_inside, ALL, mmap_at(26, 2, PROT_READ, ANON | MAP_FIXED))                                               \
	X(mmap_inside_alike, ALL, mmap_at(26, 2, RW, ANON | MAP_FIXED))                                                \
	X(mmap_over_many, ALL, mmap_at(2, 70, PROT_READ, ANON | MAP_FIXED))                                            \
	X(mmap_over_all, ALL, mmap_at(0, 128, RW, ANON | MAP_FIXED))                                                   \
	X(mmap_shared, ALL, mmap_at(56, 4, RW, SHARED | MAP_FIXED))                                                    \
	X(mmap_shared_over_many, ALL, mmap_at(6, 40, RW, SHARED | MAP_FIXED))                                          \
	X(mmap_object_over_many, ALL, mmap_object(6, 30, MAP_PRIVATE | MAP_FIXED))                                     \
	X(mmap_object_joins, ALL, mmap_object(40, 4, MAP_SHARED | MAP_FIXED))                                          \
	X(mmap_locked_over, ALL, mmap_at(22, 4, RW, ANON | MAP_FIXED | MAP_LOCKED))                                    \
	X(munmap_edge, ALL, mm_munmap(mm, P(0), PAGES(2)))                                                             \
	X(munmap_inside, ALL, mm_munmap(mm, P(2), PAGES(2)))                                                           \
	X(munmap_inside_shared, ALL, mm_munmap(mm, P(9), PAGES(2)))                                                    \
	X(munmap_many, ALL, mm_munmap(mm, P(4), PAGES(62)))                                                            \
	X(mprotect_edge, ALL, PROTECT(0, 2, PROT_READ))                                                                \
	X(mprotect_inside, ALL, PROTECT(2, 2, PROT_READ))                                                              \
	X(mprotect_inside_object, ALL, PROTECT(38, 2, PROT_READ))                                                      \
	X(mprotect_joins_below, ALL, PROTECT(20, 2, RW))                                                               \
	X(mprotect_joins_above, ALL, PROTECT(22, 2, RW))                                                               \
	X(mprotect_joins_two, ALL, PROTECT(20, 4, RW))                                                                 \
	X(mprotect_many, PARTS, PROTECT(2, 26, PROT_READ))                                                             \
	X(mprotect_over_a_gap, PARTS, PROTECT(26, 12, PROT_READ))                                                      \
	X(mremap_grows, ALL, MOVE(24, 8, 0, 11, 0))                                                                    \
	X(mremap_grows_and_moves, ALL, MOVE(0, 8, 0, 16, MREMAP_MAYMOVE))                                              \
	X(mremap_part_grows_and_moves, ALL, MOVE(2, 2, 0, 6, MREMAP_MAYMOVE))                                          \
	X(mremap_object_grows_and_moves, ALL, MOVE(38, 4, 0, 12, MREMAP_MAYMOVE))                                      \
	X(mremap_shrinks, ALL, MOVE(64, 16, 0, 8, 0))                                                                  \
	X(mremap_part_shrinks, ALL, MOVE(64, 8, 0, 4, 0))                                                              \
	X(mremap_to_a_hole, ALL, MOVE(64, 16, 106, 20, MOVE_TO))                                                       \
	X(mremap_over_one, ALL, MOVE(64, 4, 8, 4 + 1, MOVE_TO))                                                        \
	X(mremap_over_part, ALL, MOVE(24, 8, 66, 8 + 1, MOVE_TO))                                                      \
	X(mremap_over_many, ALL, MOVE(64, 16, 6, 40, MOVE_TO))                                                         \
	X(mremap_over_far, ALL, mm_mremap(mm, P(64), PAGES(4), PAGES(5), MOVE_TO, FAR))                                \
	X(mremap_across_tables, ALL, mm_mremap(mm, ACROSS, PAGES(4), PAGES(5), MOVE_TO, ACROSS + (1UL << 30)))         \
	X(mremap_across_over_far, ALL, mm_mremap(mm, ACROSS, PAGES(4), PAGES(5), MOVE_TO, FAR - PAGES(2)))             \
	X(mremap_across_the_first_tables, ALL, mm_mremap(mm, ACROSS, PAGES(4), PAGES(5), MOVE_TO, PAGES(510)))         \
	X(mremap_object_over_many, ALL, MOVE(36, 8, 4, 12, MOVE_TO))                                                   \
	X(mremap_up_inside_itself, ALL, MOVE(66, 2, 70, 3, MOVE_TO))                                                   \
	X(mremap_down_inside_itself, ALL, MOVE(74, 2, 66, 3, MOVE_TO))                                                 \
	X(mremap_behind_itself, ALL, MOVE(66, 2, 80, 3, MOVE_TO))                                                      \
	X(mremap_before_itself, ALL, MOVE(70, 2, 61, 3, MOVE_TO))                                                      \
	X(mremap_untouched_beside, ALL, MOVE(14, 2, 20, 4, MOVE_TO))                                                   \
	X(mremap_untouched_between, ALL, MOVE(14, 2, 18, 6, MOVE_TO))                                                  \
	X(mremap_untouched_end_beside, ALL, MOVE(18, 2, 20, 3, MOVE_TO))                                               \
	X(mremap_untouched_end_between, ALL, MOVE(18, 2, 20, 4, MOVE_TO))                                              \
	X(mremap_shorter_over, ALL, MOVE(64, 12, 8, 3, MOVE_TO))                                                       \
	X(mremap_shorter_than_its_vmas, ALL, MOVE(4, 30, 106, 2, MOVE_TO))                                             \
	X(mremap_same_length, ALL, MOVE(64, 8, 8, 8, MOVE_TO))                                                         \
	X(mremap_several, PARTS, MOVE(0, 24, 70, 24, MOVE_TO))                                                         \
	X(mremap_leaves_the_source, ALL, MOVE(64, 16, 0, 16, MREMAP_MAYMOVE | MREMAP_DONTUNMAP))                       \
	X(mremap_leaves_the_source_over, ALL, MOVE(64, 16, 6, 16, MOVE_TO | MREMAP_DONTUNMAP))                         \
	X(mremap_a_second_view, ALL, MOVE(8, 0, 24, 4, MOVE_TO))                                                       \
	X(brk_grows, ALL, brk_to(P(108)))                                                                              \
	X(brk_shrinks, ALL, brk_to(P(102)))                                                                            \
	X(madvise_edge, ALL, ADVISE(4, 4, MADV_DONTFORK))                                                              \
	X(madvise_inside, ALL, ADVISE(4, 2, MADV_DONTFORK))                                                            \
	X(madvise_many, PARTS, ADVISE(4, 26, MADV_SEQUENTIAL))                                                         \
	X(madvise_over_a_gap, PARTS, ADVISE(28, 10, MADV_DONTDUMP))                                                    \
	X(madvise_wipe, ALL, ADVISE(26, 2, MADV_WIPEONFORK))                                                           \
	X(madvise_free, ALL, ADVISE(2, 2, MADV_FREE))                                                                  \
	X(madvise_populate, PARTS, ADVISE(12, 8, MADV_POPULATE_WRITE))                                                 \
	X(mlock_inside, PARTS, mm_mlock(mm, P(26), PAGES(2), false))                                                   \
	X(mlock_on_fault, ALL, mm_mlock(mm, P(26), PAGES(2), true))                                                    \
	X(mlock_many, PARTS, mm_mlock(mm, P(2), PAGES(24), true))                                                      \
	X(munlock_inside, ALL, mm_munlock(mm, P(50), PAGES(2)))                                                        \
	X(fork, ALL, fork_once())                                                                                      \
	X(stack_grows, PARTS, touch_stack(8))

enum extent { ALL, PARTS };

#define X(name, extent, call)                                                                                          \
	static long call_##name(void)                                                                                  \
	{                                                                                                              \
		return call;                                                                                           \
	}
CALLS(X)
#undef X

static const struct call {
	const char *name;
	enum extent extent;
	long (*func)(void);
} calls[] = {
#define X(name, extent, call) { #name, extent, call_##name },
	CALLS(X)
#undef X
};

/* ---- Shortages --------------------------------------------------------------------------------------------------- */

enum shortage { ONE_ALLOCATION, ALLOCATIONS, MAP_COUNT, ADDRESS_SPACE, DATA, NR_SHORTAGES };
static const char *const shortage_names[] = { "one allocation", "allocations", "the map count", "address space",
					      "data" };

static unsigned nr_errors;

static void begin_shortage(enum shortage shortage, u64 n)
{
	if (shortage <= ALLOCATIONS)
		sim_fail_allocation(n, shortage == ALLOCATIONS);
	else if (shortage == MAP_COUNT)
		sysctl_max_map_count = mm->nr_vmas + n - 1;
	else if (shortage == ADDRESS_SPACE)
		mm->rlimit_as = PAGES(mm->total_pages + 2 * n - 2);
	else
		mm->rlimit_data = PAGES(mm->data_pages + 2 * n - 2);
}

/* Ends the shortage. Returns whether the resource may have been short. */
static bool end_shortage(enum shortage shortage, u64 n)
{
	if (shortage <= ALLOCATIONS)
		return sim_allocation_failed();
	sysctl_max_map_count = DEFAULT_MAX_MAP_COUNT;
	mm->rlimit_as = mm->rlimit_data = ~0UL;
	return n < 10;
}

static struct picture before, now, after;

static void look_at_error(const struct call *call, enum shortage shortage, u64 n, long result)
{
	nr_errors++;
	if (result != -ENOMEM && result != -EAGAIN)
		sim_fail("%s, short of %s (%lu), answers %ld", call->name, shortage_names[shortage], (unsigned long)n,
			 result);
	take_picture(&now);
	if (call->extent == ALL ? !same_picture(&now, &before) : !is_between(&now, &before, &after))
		sim_fail("%s, short of %s (%lu), has failed and left other mappings", call->name,
			 shortage_names[shortage], (unsigned long)n);
	if ((call->extent == ALL || same_picture(&now, &before)) && !bytes_are_there())
		sim_fail("%s, short of %s (%lu), has failed and left other bytes", call->name, shortage_names[shortage],
			 (unsigned long)n);
}

/* Makes the call with a shortage. Returns false if the resource was not short. */
static bool call_short(const struct call *call, enum shortage shortage, u64 n)
{
	long result;
	bool was_short;

	build_stage();
	take_picture(&before);
	begin_shortage(shortage, n);
	result = call->func();
	was_short = end_shortage(shortage, n);
	if (result < 0 && was_short)
		look_at_error(call, shortage, n, result);
	CHECK_EQ(sim_check_tree(mm), mm->nr_vmas);
	end_stage();
	return was_short;
}

static void call_in_peace(const struct call *call)
{
	build_stage();
	(void)call->func();
	take_picture(&after);
	sim_leave_mm();
	test_mm_put(mm);
}

static void each_call_short_of(enum shortage shortage)
{
	object = mapping_create(PAGES(64), true);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		call_in_peace(&calls[i]);
		for (u64 n = 1; call_short(&calls[i], shortage, n); n++)
			;
		rcu_barrier();
	}
	mapping_put(object);
	CHECK(nr_errors > 10); /* the test is worthless if nothing fails */
}

TEST(a1_calls_short_of_one_allocation, 1)
{
	each_call_short_of(ONE_ALLOCATION);
}

TEST(a1_calls_short_of_all_allocations, 1)
{
	each_call_short_of(ALLOCATIONS);
}

TEST(a1_calls_short_of_mappings, 1)
{
	each_call_short_of(MAP_COUNT);
}

TEST(a1_calls_short_of_address_space, 1)
{
	each_call_short_of(ADDRESS_SPACE);
}

TEST(a1_calls_short_of_data, 1)
{
	each_call_short_of(DATA);
}
