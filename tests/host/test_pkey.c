/* SPDX-License-Identifier: MIT */
/* Tests of protection keys: allocation, the keys of VMAs, and the key that hides execute-only memory. */
#include "test.h"

#include "mm/vma/pkey.h"

#define ARENA 0x10000000000UL
#define NR_KEYS 16

static struct mm *mm;

static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	sim_use_mm(mm);
	map_at(mm, ARENA, 4, RW, ANON);
}

static void end(void)
{
	keys_write(0);
	sim_leave_mm();
	test_mm_put(mm);
}

static int take(u32 rights)
{
	int key;

	mmap_write_lock(mm);
	key = mm_key_alloc(mm, rights);
	mmap_write_unlock(mm);
	return key;
}

static int give(int key)
{
	int error;

	mmap_write_lock(mm);
	error = mm_key_free(mm, key);
	mmap_write_unlock(mm);
	return error;
}

TEST(keys_are_taken_and_given_back, 1)
{
	sim_have_keys();
	begin();
	for (int key = 1; key < NR_KEYS; key++)
		CHECK_EQ(take(0), key); /* key 0 is always allocated */
	CHECK_EQ(take(0), -ENOSPC);
	CHECK_EQ(give(7), 0);
	CHECK_EQ(give(7), -EINVAL);
	CHECK_EQ(give(-1), -EINVAL);
	CHECK_EQ(give(NR_KEYS), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), RW, 7), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), RW, 6), 0);
	CHECK_EQ(take(KEY_NO_WRITE), 7);
	CHECK_EQ(keys_read(), (u32)KEY_NO_WRITE << 14);
	CHECK_EQ(take(0), -ENOSPC);
	CHECK_EQ(give(15), 0);
	CHECK_EQ(take(0), 15);
	end();
}

/* A VMA keeps its key until it is given another, and its neighbours keep theirs. */
TEST(keys_of_vmas, 1)
{
	int key;

	sim_have_keys();
	begin();
	key = take(0);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(2), RW, key), 0);
	CHECK_EQ(mm_key_at(mm, ARENA), 0);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(1)), key);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(2)), key);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(3)), 0);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(4)), 0); /* not mapped */
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(4), PROT_READ, -1), 0);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(2)), key);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(3)), 0);
	CHECK_EQ(give(key), 0);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(2)), key);
	end();
}

/*
 * The execute-only key is allocated when it is first needed, cannot be used otherwise, is closed again if the program
 * has opened it, and is removed from memory that becomes readable.
 */
TEST(keys_hide_what_may_only_be_executed, 1)
{
	int hidden;

	sim_have_keys();
	begin();
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_EXEC, -1), 0);
	hidden = (int)mm_key_at(mm, ARENA);
	CHECK_EQ(hidden, 1);
	CHECK_EQ(keys_read(), KEY_NO_ACCESS << 2 * hidden);
	CHECK_EQ(give(hidden), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(1), RW, hidden), -EINVAL);
	CHECK_EQ(take(0), hidden + 1);
	keys_write(0);
	map_at(mm, ARENA + PAGES(3), 1, PROT_EXEC, ANON);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(3)), hidden);
	CHECK_EQ(keys_read(), KEY_NO_ACCESS << 2 * hidden);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_EXEC | PROT_READ, -1), 0);
	CHECK_EQ(mm_key_at(mm, ARENA), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(1), PROT_EXEC, hidden + 1), 0); /* an explicit key is used, */
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(1), RW, -1), 0);		 /* ... and kept */
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(1)), hidden + 1);
	end();
}

/* If no key is left, execute-only memory is readable as well. */
TEST(keys_run_out_for_what_may_only_be_executed, 1)
{
	sim_have_keys();
	begin();
	while (take(0) > 0)
		;
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_EXEC, -1), 0);
	CHECK_EQ(mm_key_at(mm, ARENA), 0);
	CHECK_EQ(keys_read(), 0);
	CHECK_EQ(give(5), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA + PAGES(1), PAGES(1), PROT_EXEC, -1), 0);
	CHECK_EQ(mm_key_at(mm, ARENA + PAGES(1)), 5);
	end();
}

/* Results as on Linux on a CPU without protection keys. */
TEST(keys_of_a_cpu_without, 1)
{
	begin();
	CHECK_EQ(take(0), -EINVAL);
	CHECK_EQ(take(0), -ENOSPC);
	CHECK_EQ(give(0), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_READ, 0), -EINVAL);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_EXEC, -1), 0);
	map_at(mm, ARENA + PAGES(1), 1, PROT_EXEC, ANON);
	CHECK_EQ(mm_key_at(mm, ARENA) + mm_key_at(mm, ARENA + PAGES(1)), 0);
	end();
}

/* As on Linux, even key 0 can be freed, and is then the next one allocated, also as the execute-only key. */
TEST(keys_0_is_a_key_like_others, 1)
{
	sim_have_keys();
	begin();
	CHECK_EQ(give(0), 0);
	CHECK_EQ(give(0), -EINVAL);
	CHECK_EQ(take(0), 0);
	CHECK_EQ(give(0), 0);
	CHECK_EQ(mm_mprotect(mm, ARENA, PAGES(1), PROT_EXEC, -1), 0);
	CHECK_EQ(mm->execute_only_key, 0);
	CHECK_EQ(keys_read(), KEY_NO_ACCESS);
	end();
}
