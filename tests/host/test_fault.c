/* SPDX-License-Identifier: MIT */
/*
 * Tests of every kind of fault, under every strategy and both validations: what the program reads, and what the entry
 * holds.
 */
#include "test.h"

#include "mm/cache/mapping.h"
#include "mm/vma/rmap.h"

/* Creates an address space that the test uses, with a second user so that speculation is tried. */
static struct mm *begin(void)
{
	struct mm *mm = test_mm(POLICY_DEFAULT);

	idler_start(1, mm);
	sim_use_mm(mm);
	counters_mark();
	return mm;
}

static void end(struct mm *mm)
{
	sim_leave_mm();
	idler_stop(1);
	test_mm_put(mm);
}

static enum fault_answer read_answer(vaddr_t addr)
{
	u64 value;

	return sim_read(addr, &value);
}

TEST(fault_anonymous_memory, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();
		vaddr_t addr = map(mm, 1200, RW, ANON);

		for (u64 page = 0; page < 1200; page += 3) {
			expect_get(addr + PAGES(page), 0);
			CHECK(pte_special(sim_pte(mm, addr + PAGES(page))));
			CHECK(!pte_write(sim_pte(mm, addr + PAGES(page))));
			put(addr + PAGES(page) + 8, page);
			expect_get(addr + PAGES(page), 0);
			expect_get(addr + PAGES(page) + 8, page);
			put(addr + PAGES(page + 1), page + 1);
		}
		CHECK_EQ(mm_rss(mm, RSS_ANON), 800);
		CHECK_EQ(COUNTED(zero_page_maps), 400);
		for (u64 page = 0; page < 1200; page += 3)
			expect_get(addr + PAGES(page + 1), page + 1);
		unmap(mm, addr, 1200);
		CHECK_EQ(read_answer(addr), FAULT_NO_MAPPING);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 0);
		CHECK_EQ(mm->nr_tables, 1);
		end(mm);
	}
}

static int new_key(struct mm *mm)
{
	int key;

	mmap_write_lock(mm);
	key = mm_key_alloc(mm, 0);
	mmap_write_unlock(mm);
	CHECK(key > 0);
	return key;
}

/* Each combination of what the key and the VMA permit, on a page that is present and on one that is not. */
TEST(fault_protection_keys, 2)
{
	sim_have_keys();
	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();
		int key = new_key(mm);
		vaddr_t addr = map(mm, 4, RW | PROT_EXEC, ANON);

		put(addr, 1);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), RW | PROT_EXEC, key), 0);
		put(addr, 2);
		keys_write(KEY_NO_WRITE << 2 * key);
		CHECK_EQ(sim_write(addr, 3), FAULT_NO_KEY);
		CHECK_EQ(sim_write(addr + PAGES(1), 3), FAULT_NO_KEY);
		expect_get(addr, 2);
		expect_get(addr + PAGES(1), 0);
		keys_write(KEY_NO_ACCESS << 2 * key);
		CHECK_EQ(read_answer(addr), FAULT_NO_KEY);
		CHECK_EQ(read_answer(addr + PAGES(2)), FAULT_NO_KEY);
		CHECK_EQ(sim_exec(addr), FAULT_DONE);
		CHECK_EQ(sim_exec(addr + PAGES(3)), FAULT_DONE);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), RW, 0), 0); /* flushes the translations cached with the key */
		put(addr, 4);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), PROT_READ, key), 0);
		CHECK_EQ(sim_write(addr, 5), FAULT_NO_KEY); /* the key is checked first */
		keys_write(0);
		CHECK_EQ(sim_write(addr, 5), FAULT_NO_ACCESS);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(4), PROT_EXEC, -1), 0);
		CHECK_EQ(read_answer(addr), FAULT_NO_KEY);
		CHECK_EQ(sim_exec(addr), FAULT_DONE);
		keys_write(0);
		end(mm);
	}
}

/* A new key is set to its initial rights, and the rights of other keys do not change. */
TEST(key_comes_with_its_rights, 2)
{
	struct mm *mm;
	int key, other;

	sim_have_keys();
	mm = begin();
	key = new_key(mm);
	keys_write(KEY_NO_WRITE << 2 * key);
	mmap_write_lock(mm);
	other = mm_key_alloc(mm, KEY_NO_ACCESS);
	mmap_write_unlock(mm);
	CHECK_EQ(other, key + 1);
	CHECK_EQ(keys_read(), KEY_NO_WRITE << 2 * key | KEY_NO_ACCESS << 2 * other);
	keys_write(0);
	end(mm);
}

/* As on x86 Linux, memory that can be written or executed can be read. */
TEST(fault_access_rights, 2)
{
	static const struct {
		u64 prot;
		bool read, write, exec;
	} rights[] = {
		{ PROT_NONE, 0, 0, 0 },
		{ PROT_READ, 1, 0, 0 },
		{ PROT_WRITE, 1, 1, 0 },
		{ PROT_EXEC, 1, 0, 1 },
		{ PROT_READ | PROT_WRITE, 1, 1, 0 },
		{ PROT_READ | PROT_EXEC, 1, 0, 1 },
	};

	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();

		for (unsigned i = 0; i < ARRAY_SIZE(rights); i++)
			for (unsigned shared = 0; shared < 2; shared++) {
				vaddr_t addr =
					map(mm, 4, rights[i].prot, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE));

				CHECK_EQ(read_answer(addr), rights[i].read ? FAULT_DONE : FAULT_NO_ACCESS);
				CHECK_EQ(sim_write(addr, 1), rights[i].write ? FAULT_DONE : FAULT_NO_ACCESS);
				CHECK_EQ(sim_write(addr + PAGES(1), 1), rights[i].write ? FAULT_DONE : FAULT_NO_ACCESS);
				CHECK_EQ(sim_exec(addr), rights[i].exec ? FAULT_DONE : FAULT_NO_ACCESS);
				CHECK_EQ(sim_exec(addr + PAGES(2)), rights[i].exec ? FAULT_DONE : FAULT_NO_ACCESS);
			}
		CHECK_EQ(read_answer(0x1000), FAULT_NO_MAPPING);
		CHECK_EQ(sim_write(0x1000, 1), FAULT_NO_MAPPING);
		end(mm);
	}
}

/* K3: a read of write-only memory must not be answered with "already mapped". */
TEST(k3_write_only_memory_can_be_read, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();
		vaddr_t addr = map(mm, 2, PROT_WRITE, ANON);

		put(addr, 7);
		expect_get(addr, 7);
		expect_get(addr + PAGES(1), 0);
		put(addr + PAGES(1), 8);
		expect_get(addr + PAGES(1), 8);
		end(mm);
	}
}

/*
 * Faults repeatedly on an entry that permits the access. Returns how many such faults it takes until the answer is
 * FAULT_NO_PROGRESS, or `most` if that many do not suffice. After every `other` faults the thread faults in the same
 * way at another address; 0: never. With `counted` each fault is counted for the thread, as the handler does; a system
 * call that only asks for the page does not count.
 */
static unsigned refused_faults(struct mm *mm, vaddr_t addr, unsigned other, bool counted)
{
	const unsigned most = 15000;

	for (unsigned n = 1; n <= most; n++) {
		enum fault_answer answer = fault_in(mm, addr, ACCESS_READ, FAULT_USER);

		if (answer == FAULT_NO_PROGRESS)
			return n;
		CHECK_EQ(answer, FAULT_DONE);
		if (counted)
			thread_count_fault();
		if (other && n % other == 0) {
			CHECK_EQ(fault_in(mm, addr + PAGES(1), ACCESS_READ, FAULT_USER), FAULT_DONE);
			thread_count_fault();
		}
	}
	return most;
}

/* K3: ... and "the entry permits the access" must not be the answer for ever if it never helps. */
TEST(k3_fault_without_progress_is_told, 2)
{
	struct mm *mm = begin();
	vaddr_t addr = map(mm, 2, RW, ANON);

	put(addr, 7);
	put(addr + PAGES(1), 8);
	CHECK_EQ(refused_faults(mm, addr, 0, true), 10001);
	CHECK_EQ(refused_faults(mm, addr, 9000, true), 15000);
	CHECK_EQ(refused_faults(mm, addr, 0, false), 15000);
	CHECK_EQ(fault_in(mm, addr, ACCESS_WRITE, FAULT_USER), FAULT_DONE);
	expect_get(addr, 7);
	end(mm);
}

TEST(fault_after_mprotect, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();
		vaddr_t addr = map(mm, 8, RW, ANON);

		put_pages(addr, 8, 1);
		CHECK_EQ(mm_mprotect(mm, addr + PAGES(2), PAGES(4), PROT_NONE, -1), 0);
		CHECK_EQ(read_answer(addr + PAGES(3)), FAULT_NO_ACCESS);
		CHECK(pte_maps_page(sim_pte(mm, addr + PAGES(3))) && !pte_present(sim_pte(mm, addr + PAGES(3))));
		CHECK_EQ(mm_mprotect(mm, addr + PAGES(2), PAGES(4), PROT_READ, -1), 0);
		expect_get(addr + PAGES(3), 4);
		CHECK_EQ(sim_write(addr + PAGES(3), 1), FAULT_NO_ACCESS);
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(8), RW, -1), 0);
		for (u64 page = 0; page < 8; page++) {
			expect_get(addr + PAGES(page), page + 1);
			put(addr + PAGES(page), page + 100);
			expect_get(addr + PAGES(page), page + 100);
		}
		CHECK_EQ(COUNTED(cow_copies), 0);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 8);
		end(mm);
	}
}

static void use_other_mm(struct mm *mm)
{
	sim_leave_mm();
	sim_use_mm(mm);
}

/* After fork, parent and child see only their own writes; the last owner of a page writes to it without a copy. */
TEST(fault_copy_on_write, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *parent = begin(), *child = test_mm(POLICY_DEFAULT);
		vaddr_t addr = map(parent, 6, RW, ANON);

		put_pages(addr, 4, 1);
		expect_get(addr + PAGES(4), 0);
		CHECK_EQ(mm_fork(child, parent), 0);
		counters_mark();
		put(addr, 100); /* the parent copies */
		CHECK_EQ(COUNTED(cow_copies), 1);
		use_other_mm(child);
		expect_get(addr, 1);
		put(addr, 200); /* the child is the last owner */
		CHECK_EQ(COUNTED(cow_reuses), 1);
		put(addr + PAGES(1), 300); /* the child copies */
		put(addr + PAGES(4), 400); /* the zero page */
		CHECK_EQ(COUNTED(cow_copies), 3);
		expect_get(addr + PAGES(2), 3);
		check_quiet();
		use_other_mm(parent);
		expect_get(addr, 100);
		expect_get(addr + PAGES(1), 2);
		expect_get(addr + PAGES(4), 0);
		put(addr + PAGES(1), 5); /* the parent is the last owner */
		CHECK_EQ(COUNTED(cow_reuses), 2);
		test_mm_put(child);
		put(addr + PAGES(2), 6); /* the child has exited */
		CHECK_EQ(COUNTED(cow_reuses), 3);
		CHECK_EQ(COUNTED(cow_copies), 3);
		end(parent);
	}
}

TEST(fault_shared_anonymous_memory, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *parent = begin(), *child = test_mm(POLICY_DEFAULT);
		vaddr_t addr = map(parent, 4, RW, MAP_SHARED | MAP_ANONYMOUS);

		put(addr, 1);
		expect_get(addr + PAGES(1), 0);
		CHECK_EQ(mm_fork(child, parent), 0);
		use_other_mm(child);
		expect_get(addr, 1);
		put(addr, 2);
		put(addr + PAGES(1), 3);
		put(addr + PAGES(2), 4);
		use_other_mm(parent);
		expect_get(addr, 2);
		expect_get(addr + PAGES(1), 3);
		expect_get(addr + PAGES(2), 4);
		CHECK_EQ(mm_rss(parent, RSS_SHMEM), 3);
		CHECK_EQ(mm_rss(parent, RSS_ANON), 0);
		test_mm_put(child);
		end(parent);
	}
}

static vaddr_t map_mapping(struct mm *mm, struct mapping *mapping, u64 pages, u64 prot, u64 flags)
{
	struct mmap_request request = { .len = PAGES(pages),
					.prot = prot,
					.flags = flags,
					.mapping = mapping,
					.ops = &mapping_vma_ops,
					.file_writable = true };
	long addr = mm_mmap(mm, &request);

	CHECK(addr > 0);
	return (vaddr_t)addr;
}

TEST(fault_pages_of_a_file, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();
		struct mapping *mapping = mapping_create(PAGES(2) + 100, false);
		u64 value = 0x1234;
		vaddr_t shared, private;

		CHECK_EQ(mapping_write(mapping, PAGES(1), &value, 8), 8);
		shared = map_mapping(mm, mapping, 4, RW, MAP_SHARED);
		private = map_mapping(mm, mapping, 4, RW, MAP_PRIVATE);
		expect_get(shared + PAGES(1), value);
		expect_get(private + PAGES(1), value);
		put(private + PAGES(1), 1);
		expect_get(shared + PAGES(1), value);
		put(private, 2); /* never read before */
		expect_get(shared, 0);
		put(shared + PAGES(1), 3);
		expect_get(private + PAGES(1), 1);
		CHECK_EQ(mapping_read(mapping, PAGES(1), &value, 8), 8);
		CHECK_EQ(value, 3);
		expect_get(shared + PAGES(2), 0);
		CHECK_EQ(read_answer(shared + PAGES(3)), FAULT_BEYOND_END);
		CHECK_EQ(sim_write(private + PAGES(3), 1), FAULT_BEYOND_END);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 2);
		mapping_truncate(mapping, PAGES(1));
		CHECK_EQ(read_answer(shared + PAGES(1)), FAULT_BEYOND_END);
		expect_get(shared, 0);
		end(mm);
		mapping_put(mapping);
	}
}

#define STACK_TOP 0x7ffff0000000UL

TEST(fault_grows_the_stack, 2)
{
	FOR_EACH_SETUP (setup) {
		struct mm *mm = begin();

		CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
		put(STACK_TOP - 8, 1);
		put(STACK_TOP - PAGES(10), 2);
		CHECK_EQ(REASONS(mmap_retry_stack), 1);
		expect_get(STACK_TOP - PAGES(7), 0);
		expect_get(STACK_TOP - PAGES(10), 2);
		CHECK_EQ(sim_write(STACK_TOP - (9UL << 20), 3), FAULT_NO_MAPPING); /* RLIMIT_STACK */
		expect_get(STACK_TOP - 8, 1);
		end(mm);
	}
}

static void take_all_pages(struct list_head *taken)
{
	struct page *page;

	while ((page = alloc_page(0)))
		list_add(taken, &page->lru);
}

static void give_pages_back(struct list_head *taken)
{
	struct page *page, *next;

	list_for_each_safe (page, next, taken, lru)
		free_pages(page, 0);
	list_init(taken);
}

/* Without memory the answer is FAULT_OUT_OF_MEMORY and nothing is lost; with memory the same access succeeds. */
TEST(fault_without_memory, 2)
{
	FOR_EACH_SETUP (setup) {
		struct list_head taken = LIST_HEAD_INIT(taken);
		struct mm *parent = begin(), *child = test_mm(POLICY_DEFAULT);
		vaddr_t addr = map(parent, 2048, RW, ANON);

		put(addr, 1);
		expect_get(addr + PAGES(1), 0);
		CHECK_EQ(mm_fork(child, parent), 0);
		rcu_barrier(); /* RCU callbacks would otherwise free some memory later */
		take_all_pages(&taken);
		CHECK_EQ(sim_write(addr, 2), FAULT_OUT_OF_MEMORY);
		CHECK_EQ(sim_write(addr + PAGES(1), 2), FAULT_OUT_OF_MEMORY);
		CHECK_EQ(sim_write(addr + PAGES(2), 2), FAULT_OUT_OF_MEMORY);
		CHECK_EQ(sim_write(addr + PAGES(1600), 2), FAULT_OUT_OF_MEMORY); /* no memory for the page table */
		expect_get(addr, 1);
		give_pages_back(&taken);
		put(addr, 2);
		put(addr + PAGES(1), 3);
		put(addr + PAGES(1600), 4);
		expect_get(addr, 2);
		test_mm_put(child);
		end(parent);
	}
}

/* A thread that is killed while it waits for mmap_lock answers FAULT_KILLED. */
TEST(fault_of_a_killed_thread, 3)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	struct actor actor = { .mm = mm, .addr = map(mm, 1, RW, ANON) };

	mmap_write_lock(mm);
	sim_start(1, act_write, &actor);
	while (!sim_is_sleeping(1))
		cond_resched();
	sim_kill(1);
	sim_join(1);
	CHECK_EQ(actor.result, FAULT_KILLED);
	mmap_write_unlock(mm);
	test_mm_put(mm);
}

TEST(fault_signals, 1)
{
	struct fault_signal sig;

	CHECK(!fault_signal(FAULT_DONE, &sig) && !fault_signal(FAULT_OUT_OF_MEMORY, &sig) &&
	      !fault_signal(FAULT_KILLED, &sig));
	CHECK(fault_signal(FAULT_NO_MAPPING, &sig) && sig.signo == 11 && sig.code == 1);
	CHECK(fault_signal(FAULT_NO_ACCESS, &sig) && sig.signo == 11 && sig.code == 2);
	CHECK(fault_signal(FAULT_BEYOND_END, &sig) && sig.signo == 7 && sig.code == 2);
}
