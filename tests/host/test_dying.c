/* SPDX-License-Identifier: MIT */
/*
 * Calls of a killed thread while another thread holds mmap_lock: they stop waiting for it, return -EINTR and change
 * nothing.
 */
#include "test.h"

#include "mm/vma/vma.h"

#define ARENA 0x10000000000UL

static struct mm *mm, *child;

static long call_mmap(void)
{
	const struct mmap_request request = { .len = PAGES(1), .prot = RW, .flags = ANON };

	return mm_mmap(mm, &request);
}

static long call_munmap(void)
{
	return mm_munmap(mm, ARENA, PAGES(1));
}

static long call_mprotect(void)
{
	return mm_mprotect(mm, ARENA, PAGES(1), PROT_READ, -1);
}

static long call_mremap(void)
{
	return mm_mremap(mm, ARENA, PAGES(4), PAGES(8), MREMAP_MAYMOVE, 0);
}

static long call_brk(void)
{
	return mm_brk(mm, ARENA + PAGES(16));
}

static long call_madvise(void)
{
	return mm_madvise(mm, ARENA, PAGES(1), MADV_DONTFORK);
}

static long call_populate(void)
{
	return mm_madvise(mm, ARENA, PAGES(1), MADV_POPULATE_WRITE);
}

static long call_mlock(void)
{
	return mm_mlock(mm, ARENA, PAGES(1), false);
}

static long call_munlock(void)
{
	return mm_munlock(mm, ARENA, PAGES(4));
}

static long call_mlockall(void)
{
	return mm_mlockall(mm, MCL_CURRENT | MCL_FUTURE);
}

static long call_munlockall(void)
{
	return mm_munlockall(mm);
}

static long call_fork(void)
{
	return mm_fork(child, mm);
}

static long (*const calls[])(void) = {
	call_mmap,  call_munmap,  call_mprotect, call_mremap,	  call_brk,  call_madvise,
	call_mlock, call_munlock, call_mlockall, call_munlockall, call_fork,
};

struct dying {
	long (*call)(void);
	long result;
};

static void call_dying(void *arg)
{
	struct dying *dying = arg;

	sim_kill(cpu_id());
	dying->result = dying->call();
}

static long result_of(long (*call)(void))
{
	struct dying dying = { .call = call };

	sim_start(1, call_dying, &dying);
	sim_join(1);
	return dying.result;
}

static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	child = test_mm(POLICY_MMAP);
	mm->start_brk = mm->brk = ARENA + PAGES(8);
	map_at(mm, ARENA, 4, RW, ANON);
	CHECK_EQ(mm_mlockall(mm, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT), 0);
}

static void end(void)
{
	test_mm_put(child);
	test_mm_put(mm);
}

TEST(calls_of_the_dying_change_nothing, 2)
{
	const struct vma *vma;
	u64 flags;

	begin();
	vma = sim_vma(mm, ARENA);
	flags = vma->flags;
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		mmap_write_lock(mm);
		CHECK_EQ(result_of(calls[i]), -EINTR);
		mmap_write_unlock(mm);
		CHECK_EQ(mm->nr_vmas, 1);
		CHECK_EQ(mm->total_pages, 4);
		CHECK_EQ(mm->locked_pages, 4);
		CHECK_EQ(mm->def_flags, VM_LOCK_FLAGS);
		CHECK_EQ(vma->flags, flags);
		CHECK_EQ(mm->brk, ARENA + PAGES(8));
		CHECK_EQ(mm_rss_total(mm), 0);
	}
	CHECK_EQ(child->nr_vmas, 0);
	end();
}

/* The lock is free, but a killed thread populates no more pages. */
TEST(population_ends_for_the_dying, 2)
{
	begin();
	CHECK_EQ(result_of(call_populate), -EINTR);
	CHECK_EQ(mm_rss_total(mm), 0);
	end();
}
