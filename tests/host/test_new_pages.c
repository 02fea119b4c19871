/* SPDX-License-Identifier: MIT */
/*
 * Tests that a page to which the program has not written reads as zeros, whichever way the program gets it. The memory
 * that is allocated next is filled beforehand, in the allocator and in this CPU's page stash: pages are zero after
 * boot.
 */
#include "hoard.h"
#include "sim_file.h"
#include "test.h"

#include "kernel/lib/string.h"
#include "mm/cache/mapping.h"
#include "mm/page/page_alloc.h"
#include "mm/reclaim/lazyfree.h"
#include "mm/table/pgtable.h"
#include "mm/vma/vma.h"

#define NR_PAGES 4
#define NR_DIRTY 2048
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)
#define STACK_TOP 0x7ffff0000000UL
#define HEAP 0x400000000000UL

static struct mm *mm;

/* Fills free memory, single pages and larger blocks. The pages freed last are allocated first. */
static void dirty_memory(void)
{
	struct hoard hoard = { 0 };

	hoard_take(&hoard, nr_free_pages() - NR_DIRTY);
	for (void **block = hoard.first; block; block = *block)
		memset(block + 1, 0xa5, PAGE_SIZE - sizeof(*block));
	hoard_give_all(&hoard);
}

static void begin(void)
{
	dirty_memory();
	mm = test_mm(POLICY_DEFAULT);
	mm->start_brk = mm->brk = HEAP;
	sim_use_mm(mm);
}

static void end(void)
{
	sim_leave_mm();
	test_mm_put(mm);
}

/* Checks that the mapped page is zero from that word on. */
static void expect_zeros(vaddr_t addr, unsigned from)
{
	const u64 *words = page_to_virt(pte_page(sim_pte(mm, addr)));

	for (unsigned word = from; word < PAGE_SIZE / sizeof(u64); word++)
		if (READ_ONCE(words[word]))
			sim_fail("word %u of the new page at %#lx is %#lx", word, (unsigned long)addr,
				 (unsigned long)words[word]);
}

/* Of nr pages the first is only read, the second only written, the third read and then written; and so on. */
static void touch(vaddr_t addr, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		if (i % 3 != 1)
			expect_get(addr + PAGES(i), 0);
		if (i % 3 != 0)
			put(addr + PAGES(i), ~0UL);
		expect_zeros(addr + PAGES(i), i % 3 != 0);
	}
}

/* Fills the pages, lets the advice free them, and touches them again. */
static void touch_again(vaddr_t addr, unsigned nr, int advice)
{
	for (unsigned i = 0; i < nr; i++)
		for (unsigned word = 0; word < PAGE_SIZE / sizeof(u64); word += 8)
			put(addr + PAGES(i) + word * sizeof(u64), ~0UL);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(nr), advice), 0);
	if (advice == MADV_FREE)
		CHECK_EQ(mm_drop_lazy(mm), nr);
	touch(addr, nr);
}

TEST(p3_anonymous_memory_reads_zeros, 1)
{
	vaddr_t addr;

	begin();
	addr = map(mm, NR_PAGES, RW, ANON);
	touch(addr, NR_PAGES);
	touch_again(addr, NR_PAGES, MADV_DONTNEED);
	touch_again(addr, NR_PAGES, MADV_FREE);
	unmap(mm, addr, NR_PAGES);
	map_at(mm, addr, NR_PAGES, RW, ANON);
	touch(addr, NR_PAGES);
	addr = map(mm, NR_PAGES, RW, ANON | MAP_POPULATE);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_POPULATE_WRITE), 0);
	for (unsigned i = 0; i < NR_PAGES; i++)
		expect_zeros(addr + PAGES(i), 0);
	end();
}

TEST(p3_heap_and_stack_read_zeros, 1)
{
	begin();
	CHECK_EQ(mm_brk(mm, HEAP + PAGES(NR_PAGES)), HEAP + PAGES(NR_PAGES));
	touch(HEAP, NR_PAGES);
	CHECK_EQ(mm_brk(mm, HEAP), HEAP);
	CHECK_EQ(mm_brk(mm, HEAP + PAGES(NR_PAGES)), HEAP + PAGES(NR_PAGES));
	touch(HEAP, NR_PAGES);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(1), false), 0);
	touch(STACK_TOP - PAGES(NR_PAGES), NR_PAGES); /* which makes it grow */
	end();
}

TEST(p3_shared_memory_reads_zeros, 1)
{
	vaddr_t addr;

	begin();
	addr = map(mm, NR_PAGES, RW, SHARED);
	touch(addr, NR_PAGES);
	touch_again(addr, NR_PAGES, MADV_REMOVE);
	end();
}

/* Shrinks the object to a page and a half, and grows it again. */
static void truncate_to_a_half(struct mapping *mapping)
{
	CHECK_EQ(mapping_truncate(mapping, PAGES(1) + PAGE_SIZE / 2), 0);
	CHECK_EQ(mapping_truncate(mapping, PAGES(NR_PAGES)), 0);
}

static void fill_page(vaddr_t addr)
{
	for (u64 offset = 0; offset < PAGE_SIZE; offset += sizeof(u64))
		put(addr + offset, ~0UL);
}

/* The half page behind the end and the pages behind it read as zeros, in shared memory and in a file on a disk. */
TEST(p3_what_was_truncated_reads_zeros, 1)
{
	struct sim_file *file;
	struct mapping *mapping;
	vaddr_t addr;

	begin();
	file = sim_file_create(NR_PAGES);
	for (unsigned kind = 0; kind < 2; kind++) {
		addr = kind ? sim_file_map(mm, file, NR_PAGES, MAP_SHARED) : map(mm, NR_PAGES, RW, SHARED);
		mapping = sim_vma(mm, addr)->mapping;
		fill_page(addr + PAGES(1));
		fill_page(addr + PAGES(2));
		truncate_to_a_half(mapping);
		CHECK_EQ(get(addr + PAGES(1)), ~0UL);
		expect_zeros(addr + PAGES(1), PAGE_SIZE / 2 / sizeof(u64));
		if (!kind) {
			expect_get(addr + PAGES(2), 0);
			expect_zeros(addr + PAGES(2), 0);
		}
		unmap(mm, addr, NR_PAGES);
	}
	sim_file_destroy(file);
	end();
}

/* When the kernel writes to a part of a new page, the rest reads as zeros. */
TEST(p3_rest_of_a_written_page_reads_zeros, 1)
{
	const u64 word = ~0UL;
	struct mapping *mapping;
	vaddr_t addr;

	begin();
	addr = map(mm, NR_PAGES, RW, SHARED);
	mapping = sim_vma(mm, addr)->mapping;
	CHECK_EQ(mapping_write(mapping, PAGES(1), &word, sizeof(word)), sizeof(word));
	CHECK_EQ(get(addr + PAGES(1)), word);
	expect_zeros(addr + PAGES(1), 1);
	end();
}

/* A page table that is not empty would map what its page's last user left there. */
TEST(p3_page_tables_are_empty, 1)
{
	begin();
	for (u64 place = 1; place < 20; place++) {
		map_at(mm, place << 40, 1, RW, ANON);
		put(place << 40, place);
		for (u64 page = 1; page < PTRS_PER_TABLE; page++)
			CHECK(pte_none(sim_pte(mm, (place << 40) + PAGES(page))));
		CHECK_EQ(sim_walk(mm, (place << 40) + PMD_SIZE).state, PT_NONE);
	}
	end();
}
