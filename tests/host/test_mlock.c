/* SPDX-License-Identifier: MIT */
/*
 * Tests of mlock, mlockall and their kin: results, which are Linux's; the pages that they populate; and RLIMIT_MEMLOCK,
 * at each call that it limits.
 */
#include "test.h"

#include "mm/vma/vma.h"

#define ARENA 0x10000000000UL
#define LIMIT 6
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

static struct mm *mm;

static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	sim_use_mm(mm);
}

static void end(void)
{
	sim_may_lock_memory = true;
	sim_leave_mm();
	test_mm_put(mm);
}

/* An unprivileged program that may lock LIMIT pages. */
static void begin_limited(void)
{
	begin();
	mm->rlimit_memlock = PAGES(LIMIT) + PAGE_SIZE - 1; /* a partial page does not count */
	sim_may_lock_memory = false;
}

static long mmap_flags(vaddr_t addr, u64 pages, u64 flags)
{
	const struct mmap_request request = { .addr = addr, .len = PAGES(pages), .prot = RW, .flags = flags };

	return mm_mmap(mm, &request);
}

static u64 flags_at(vaddr_t addr)
{
	return sim_vma(mm, addr)->flags & VM_LOCK_FLAGS;
}

/* Of the first `nr` pages of the arena, exactly [first, last] have entries. With first > last, none has. */
static void expect_there(u64 first, u64 last, u64 nr)
{
	for (u64 page = 0; page < nr; page++)
		CHECK_EQ(!pte_none(sim_pte(mm, ARENA + PAGES(page))), page >= first && page <= last);
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

TEST(mlock_answers, 1)
{
	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	map_at(mm, ARENA + PAGES(4), 1, PROT_NONE, ANON);
	map_at(mm, ARENA + PAGES(6), 1, RW, ANON);
	CHECK_EQ(mm_mlock(mm, ARENA, 0, false), 0);
	CHECK_EQ(mm_mlock(mm, ARENA, -PAGES(1), false), -EINVAL);
	CHECK_EQ(mm_munlock(mm, ARENA, -PAGES(1)), -EINVAL);
	CHECK_EQ(mm->locked_pages, 0);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(5), PAGES(2), false), -ENOMEM);
	CHECK_EQ(mm->locked_pages, 0);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(2), PAGES(5), true), -ENOMEM); /* done up to the hole */
	CHECK_EQ(mm->locked_pages, 3);
	CHECK_EQ(mm_munlock(mm, ARENA + PAGES(4), PAGES(3)), -ENOMEM);
	CHECK_EQ(mm->locked_pages, 2);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(3), PAGES(2), false),
		 -ENOMEM);	       /* an inaccessible page cannot be populated, */
	CHECK_EQ(mm->locked_pages, 3); /* ... but is locked */
	expect_there(3, 3, 5);
	CHECK_EQ(mm_munlock(mm, ARENA, PAGES(5)), 0);
	CHECK_EQ(mm->locked_pages, 0);
	CHECK_EQ(mm_mlockall(mm, 0), -EINVAL);
	CHECK_EQ(mm_mlockall(mm, 8 | MCL_CURRENT), -EINVAL);
	CHECK_EQ(mm_mlockall(mm, MCL_ONFAULT), -EINVAL);
	CHECK_EQ(mm->locked_pages + mm->def_flags, 0);
	end();
}

/* A partial page is locked as a whole, at either end. */
TEST(mlock_rounds_to_pages, 1)
{
	begin();
	map_at(mm, ARENA, 8, RW, ANON);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(3) - 1, PAGES(1) + 2, false), 0);
	CHECK_EQ(mm->locked_pages, 3);
	expect_there(2, 4, 8);
	CHECK_EQ(mm_munlock(mm, ARENA + PAGES(4) - 1, 1), 0);
	CHECK_EQ(mm->locked_pages, 2);
	CHECK_EQ(flags_at(ARENA + PAGES(3)), 0);
	end();
}

/* Nothing can be populated beyond the end of an object. */
TEST(mlock_beyond_the_end_of_an_object, 1)
{
	struct mapping *mapping = mapping_create(PAGES(2), true);
	const struct mmap_request request = {
		.addr = ARENA,
		.len = PAGES(4),
		.prot = RW,
		.flags = MAP_SHARED | MAP_FIXED,
		.mapping = mapping,
		.ops = &mapping_vma_ops,
		.file_writable = true,
	};

	begin();
	CHECK_EQ(mm_mmap(mm, &request), ARENA);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(4), false), -ENOMEM);
	CHECK_EQ(mm->locked_pages, 4);
	expect_there(0, 1, 4);
	end();
	mapping_put(mapping);
}

static void act_mlock_dying(void *arg)
{
	struct actor *actor = arg;

	sim_kill(cpu_id());
	actor->result = mm_mlock(actor->mm, actor->addr, actor->len, false);
}

/* A killed thread does not populate all that it has locked. */
TEST(mlock_ends_for_the_dying, 2)
{
	struct actor dying = { .addr = ARENA, .len = PAGES(4) };

	begin();
	map_at(mm, ARENA, 4, RW, ANON);
	dying.mm = mm;
	sim_start(1, act_mlock_dying, &dying);
	sim_join(1);
	CHECK_EQ(dying.result, -EINTR);
	CHECK(pte_none(sim_pte(mm, ARENA)));
	end();
}

/* ---- What is populated, and how ---------------------------------------------------------------------------------- */

/*
 * Private memory is populated as if written to, so that no fault remains; shared memory as if read, so that it is not
 * dirtied.
 */
TEST(mlock_brings_in_what_it_locks, 1)
{
	u64 faults;

	begin();
	map_at(mm, ARENA, 2, RW, ANON);
	map_at(mm, ARENA + PAGES(2), 2, RW, MAP_SHARED | MAP_ANONYMOUS);
	map_at(mm, ARENA + PAGES(4), 2, PROT_READ, ANON);
	map_at(mm, ARENA + PAGES(6), 2, RW, ANON);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(6), PAGES(1), true), 0);
	expect_there(1, 0, 8);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(6), false), 0);
	expect_there(0, 5, 8);
	CHECK(pte_write(sim_pte(mm, ARENA)));
	CHECK(!pte_dirty(sim_pte(mm, ARENA + PAGES(2))));
	CHECK(!pte_counted_page(sim_pte(mm, ARENA + PAGES(4)))); /* the zero page */
	CHECK_EQ(mm_rss(mm, RSS_ANON), 2);
	CHECK_EQ(mm_rss(mm, RSS_SHMEM), 2);
	faults = thread_nr_faults();
	put_pages(ARENA, 2, 1);
	CHECK_EQ(thread_nr_faults(), faults);
	CHECK_EQ(flags_at(ARENA), VM_LOCKED);
	CHECK_EQ(flags_at(ARENA + PAGES(6)), VM_LOCK_FLAGS);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(6), PAGES(2), false), 0); /* no longer only on fault */
	CHECK_EQ(flags_at(ARENA + PAGES(6)), VM_LOCKED);
	expect_there(0, 7, 8);
	end();
}

TEST(mlockall_locks_what_is_there_and_what_comes, 1)
{
	begin();
	map_at(mm, ARENA, 2, RW, ANON);
	map_at(mm, ARENA + PAGES(2), 1, PROT_NONE, ANON);
	map_at(mm, ARENA + PAGES(3), 2, PROT_READ, ANON);
	map_at(mm, ARENA + PAGES(5), 2, RW, MAP_DROPPABLE | MAP_ANONYMOUS);
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE), 0);
	CHECK_EQ(mm->locked_pages, 0);
	expect_there(1, 0, 8);
	map_at(mm, ARENA + PAGES(7), 1, RW, ANON);
	CHECK_EQ(mm->locked_pages, 1);
	expect_there(7, 7, 8);
	CHECK_EQ(mm_mlockall(mm, MCL_CURRENT | MCL_ONFAULT), 0); /* and no future mappings */
	CHECK_EQ(mm->locked_pages, 6);				 /* droppable memory is never locked */
	CHECK_EQ(flags_at(ARENA), VM_LOCK_FLAGS);
	expect_there(7, 7, 8);
	CHECK_EQ(mm_mlockall(mm, MCL_CURRENT | MCL_FUTURE), 0); /* inaccessible memory is skipped */
	CHECK_EQ(flags_at(ARENA), VM_LOCKED);
	CHECK_EQ(flags_at(ARENA + PAGES(5)), 0);
	for (u64 page = 0; page < 8; page++)
		CHECK_EQ(!pte_none(sim_pte(mm, ARENA + PAGES(page))), page != 2 && page != 5 && page != 6);
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE | MCL_ONFAULT), 0);
	map_at(mm, ARENA + PAGES(8), 1, RW, ANON);
	CHECK_EQ(flags_at(ARENA + PAGES(8)), VM_LOCK_FLAGS);
	CHECK(pte_none(sim_pte(mm, ARENA + PAGES(8))));
	CHECK_EQ(mm_munlockall(mm), 0);
	CHECK_EQ(mm->locked_pages + mm->def_flags, 0);
	end();
}

/* If future mappings are locked, the heap is populated as it grows. */
TEST(mlockall_of_the_heap_to_come, 1)
{
	begin();
	mm->start_brk = mm->brk = ARENA + 8;
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE), 0);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(2)), ARENA + PAGES(2));
	expect_there(1, 1, 4); /* the page in which the heap begins belongs to the data */
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE | MCL_ONFAULT), 0);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(4)), ARENA + PAGES(4));
	expect_there(1, 1, 4);
	CHECK_EQ(mm->locked_pages, 3);
	end();
}

/* ---- RLIMIT_MEMLOCK ---------------------------------------------------------------------------------------------- */

/* Without a limit and without the capability, even an empty mlock fails. */
TEST(mlock_needs_a_right_or_a_limit, 1)
{
	begin_limited();
	mm->rlimit_memlock = 0;
	map_at(mm, ARENA, 1, RW, ANON);
	CHECK_EQ(mm_mlock(mm, ARENA, 0, false), -EPERM);
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE), -EPERM);
	CHECK_EQ(mmap_flags(0, 1, ANON | MAP_LOCKED), -EPERM);
	CHECK_EQ(mm_munlock(mm, ARENA, PAGES(1)), 0);
	CHECK_EQ(mm_munlockall(mm), 0);
	mm->rlimit_memlock = PAGE_SIZE - 1;
	CHECK_EQ(mm_mlock(mm, ARENA, 0, false), 0);
	CHECK_EQ(mm_mlock(mm, ARENA, 1, false), -ENOMEM);
	sim_may_lock_memory = true;
	mm->rlimit_memlock = 0;
	CHECK_EQ(mm_mlock(mm, ARENA, 1, false), 0);
	CHECK_EQ(mm_mlockall(mm, MCL_CURRENT), 0);
	end();
}

TEST(mlock_limit, 1)
{
	begin_limited();
	map_at(mm, ARENA, 16, RW, ANON);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(LIMIT) + 1, false), -ENOMEM);
	CHECK_EQ(mm->locked_pages, 0);
	expect_there(1, 0, 16);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(4), false), 0);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(8), PAGES(3), false), -ENOMEM);
	CHECK_EQ(mm_mlock(mm, ARENA, PAGES(4), false), 0); /* pages that are locked twice count once */
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(2), PAGES(4), false), 0);
	CHECK_EQ(mm->locked_pages, LIMIT);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(1), PAGES(LIMIT), false), -ENOMEM);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(8), PAGES(1), true), -ENOMEM);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(1), -PAGES(1), false), -ENOMEM);
	CHECK_EQ(mm_munlock(mm, ARENA, PAGES(1)), 0);
	CHECK_EQ(mm_mlock(mm, ARENA + PAGES(8), PAGES(1), true), 0);
	CHECK_EQ(mm->locked_pages, LIMIT);
	end();
}

TEST(mlockall_limit, 1)
{
	begin_limited();
	map_at(mm, ARENA, LIMIT + 1, RW, ANON);
	CHECK_EQ(mm_mlockall(mm, MCL_CURRENT | MCL_FUTURE), -ENOMEM);
	CHECK_EQ(mm->locked_pages + mm->def_flags, 0);
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE), 0); /* existing mappings do not count, */
	CHECK_EQ(mm->def_flags, VM_LOCKED);	  /* ... since they are not locked */
	unmap(mm, ARENA, 1);
	CHECK_EQ(mm_mlockall(mm, MCL_CURRENT), 0);
	CHECK_EQ(mm->locked_pages, LIMIT);
	CHECK_EQ(mm->def_flags, 0);
	end();
}

/* A call that would lock more pages than the limit fails, and one up to the limit succeeds. */
TEST(mlock_limit_of_growth, 1)
{
	vaddr_t stack;

	begin_limited();
	mm->start_brk = mm->brk = ARENA + PAGES(64);
	CHECK_EQ(mmap_flags(0, LIMIT + 1, ANON | MAP_LOCKED), -EAGAIN);
	map_at(mm, ARENA, 4, RW, ANON | MAP_LOCKED);
	expect_there(0, 3, 4);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(LIMIT + 1), MREMAP_MAYMOVE, 0), -EAGAIN);
	CHECK_EQ(mm_mremap(mm, ARENA, PAGES(4), PAGES(LIMIT), 0, 0), ARENA);
	expect_there(0, 5, 6);
	CHECK_EQ(mm_munlock(mm, ARENA, PAGES(2)), 0);
	CHECK_EQ(mm_mlockall(mm, MCL_FUTURE), 0);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(67)), ARENA + PAGES(64));
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(66)), ARENA + PAGES(66));
	CHECK_EQ(mmap_flags(0, 1, ANON), -EAGAIN);
	CHECK_EQ(mm_brk(mm, ARENA + PAGES(64)), ARENA + PAGES(64));
	stack = (vaddr_t)mmap_flags(0, 1, ANON | MAP_GROWSDOWN);
	CHECK_EQ(mm->locked_pages, LIMIT - 1);
	put(stack - PAGES(1), 1);
	CHECK_EQ(sim_write(stack - PAGES(2), 1), FAULT_NO_MAPPING);
	CHECK_EQ(mm->locked_pages, LIMIT);
	end();
}
