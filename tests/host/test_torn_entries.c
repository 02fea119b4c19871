/* SPDX-License-Identifier: MIT */
/*
 * Tests of page-table entries that are read and written in two halves, as on machines where they are wider than a word:
 * the value that a fault has read may mix two entries, or be half of one. Seed 000 compares it under the lock before it
 * is used; so does this kernel, on such a machine only. CPU 1 faults, CPU 2 changes the entry, CPU 3 is another thread
 * of the address space.
 */
#include "test.h"

#include "disk.h"

#include "mm/swap/swap.h"

#define NR_PAGES 40
#define LOW_BITS 16 /* the lower half has four bits of a slot's offset */

static struct disk *disk;
static struct mm *mm;
static vaddr_t addr; /* of NR_PAGES swapped-out pages; page n holds n + 100 */
static struct actor faulter, other;
static struct sim_tearing tearing;

static swap_slot_t slot_of(u64 page)
{
	return pte_swap_slot(sim_pte(mm, addr + PAGES(page)));
}

static void begin(const struct strategy_setup *setup)
{
	WRITE_ONCE(spf_validate, (u8)setup->validate);
	sim_quirks = (struct sim_mmu_quirks){ 0 };
	disk = disk_create(128);
	disk_swapon(disk, SWAP_PRIORITY_NEXT);
	mm = test_mm(setup->policy);
	addr = map(mm, NR_PAGES, RW, ANON);
	sim_use_mm(mm);
	put_pages(addr, NR_PAGES, 100);
	CHECK_EQ(mm_madvise(mm, addr, PAGES(NR_PAGES), MADV_PAGEOUT), 0);
	sim_leave_mm();
	faulter = other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(1), .value = 777 };
	idler_start(3, mm);
	counters_mark();
}

static void end(void)
{
	sim_tearing = NULL;
	idler_stop(3);
	test_mm_put(mm);
	swap_cache_trim();
	disk_swapoff(disk);
}

/* Accesses entries in two halves from here on, and makes that CPU stop between the halves of the page's entry. */
static void tear(u64 page, unsigned cpu, bool writes)
{
	vaddr_t where = addr + PAGES(page);

	tearing = (struct sim_tearing){ .low_bits = LOW_BITS, .cpu = cpu, .writes = writes };
	tearing.entry = &pte_offset(sim_walk(mm, where).pmd, where)->val;
	sim_tearing = &tearing;
}

static void wait_between_halves(void)
{
	let_others_run_until(load_acquire(&tearing.stopped), "no thread reads or writes half of the entry");
}

static void act_write_and_page_out(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	put(actor->addr, actor->value);
	sim_leave_mm();
	act_page_out(arg);
}

static void expect_value(u64 value)
{
	sim_use_mm(mm);
	expect_get(addr, value);
	sim_leave_mm();
}

/*
 * The page moves from one slot to another between the halves, and the value read names a third slot, which belongs to
 * another page. That slot is not read.
 */
TEST(t1_torn_entry_is_not_followed, 4)
{
	FOR_EACH_SETUP (setup) {
		begin(setup);
		CHECK_EQ(swap_slot_offset(slot_of(0)), 1);
		CHECK_EQ(swap_slot_offset(slot_of(32)), 0x21);
		tear(0, 1, false);
		sim_start(1, act_read_fault, &faulter);
		wait_between_halves();
		sim_start(2, act_write_and_page_out, &other);
		sim_join(2);
		CHECK_EQ(swap_slot_offset(slot_of(0)), 0x29);
		store_release(&tearing.go_on, true);
		sim_join(1);
		CHECK_EQ(tearing.nr_torn, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(COUNTED(pswpin), 1); /* for the write; none from slot 0x21 */
		expect_value(777);
		end();
	}
}

/*
 * Half of the entry is written: such a value is no valid entry. A fault that sees it waits for the lock; speculation
 * gives up.
 */
TEST(t1_half_written_entry_is_not_decoded, 4)
{
	FOR_EACH_SETUP (setup) {
		begin(setup);
		sim_use_mm(mm);
		put(addr, 777);
		sim_leave_mm();
		tear(0, 2, true);
		sim_start(2, act_page_out, &other);
		wait_between_halves();
		CHECK_EQ(pte_kind(sim_pte(mm, addr)), PTE_KIND_MARKER);
		sim_start(1, act_read_fault, &faulter);
		for (unsigned i = 0; i < 20; i++)
			let_others_run();
		CHECK(sim_running(1));
		store_release(&tearing.go_on, true);
		sim_join(2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		expect_value(777);
		end();
	}
}
