/* SPDX-License-Identifier: MIT */
/*
 * Races of fork, and of lazily freed pages: writes by other CPUs while entries are write-protected, or marked by
 * MADV_FREE.
 */
#include "race_stage.h"

#include "mm/reclaim/lazyfree.h"
#include "mm/vma/vma.h"

/*
 * fork has write-protected all entries, but not flushed yet. CPU 1 writes: it must not copy the page yet, while CPU 3
 * still writes to it through an old translation. When fork returns, CPU 3 has no old translation of any page.
 */
TEST(s1_fork_against_write_fault, 4)
{
	FOR_EACH_STRATEGY (setup) {
		u64 value;

		child = test_mm(POLICY_DEFAULT);
		puppet_start();
		CHECK_EQ(puppet_do(true, true, addr, 100), FAULT_DONE);
		CHECK_EQ(puppet_do(true, true, addr + PAGES(15), 115), FAULT_DONE);
		change_until(RACE_fork_before_flush, act_fork);
		faulter.addr = addr + 8;
		sim_start(1, act_write, &faulter);
		let_others_run();
		/* through the old translation: this CPU has not been told to flush */
		CHECK(puppet_do(true, false, addr, 300));
		go_on(RACE_fork_before_flush, 2);
		CHECK(!puppet_do(true, false, addr + PAGES(15), 400)); /* not flushed by a fault */
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 300);
		puppet_stop();
		sim_use_mm(child);
		value = get(addr); /* the write went to the page while it was shared */
		CHECK_EQ(value, 300);
		expect_get(addr + 8, 0);
		expect_get(addr + PAGES(15), 115);
		sim_leave_mm();
		test_mm_put(child);
	}
}

/* fork waits for a fault that holds the VMA lock before it copies the VMA. */
TEST(v1_fork_waits_for_vma_readers, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	child = test_mm(POLICY_DEFAULT);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_locked, act_write_fault);
	sim_start(2, act_fork, &other);
	wait_asleep(2);
	CHECK(pte_write(sim_pte(mm, addr))); /* nothing is write-protected yet */
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.result, 0);
	CHECK(pte_present(sim_pte(mm, addr + PAGES(5))));
	CHECK(pte_present(sim_pte(child, addr + PAGES(5))));
	CHECK(pte_page(sim_pte(child, addr + PAGES(5))) == pte_page(sim_pte(mm, addr + PAGES(5))));
	test_mm_put(child);
	end();
}

static u32 walk_done;

/* A walk over all address spaces, such as that of swapoff, which has just reached the child. */
static void act_hold_child(void *arg)
{
	(void)arg;
	mmap_read_lock(child);
	while (!load_acquire(&walk_done))
		cond_resched();
	mmap_read_unlock(child);
}

TEST(v21_fork_waits_for_a_walk_over_all_address_spaces, 3)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	child = test_mm(POLICY_DEFAULT);
	store_release(&walk_done, 0);
	sim_start(1, act_hold_child, NULL);
	let_others_run_until(rwsem_is_locked(&child->mmap_lock), "the walk has not begun");
	sim_start(2, act_fork, &other);
	let_others_run();
	CHECK(sim_running(2));
	store_release(&walk_done, 1);
	sim_join(1);
	sim_join(2);
	CHECK_EQ(other.result, 0);
	CHECK(pte_present(sim_pte(child, addr)));
	test_mm_put(child);
	end();
}

/* ---- Lazily freed pages ------------------------------------------------------------------------------------------ */

static void act_free_lazily(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_madvise(actor->mm, actor->addr, actor->len, MADV_FREE);
	sim_leave_mm();
}

/*
 * A page is freed lazily while CPU 3 can write to it through a translation that is already dirty. If that translation
 * survived, its writes would set no dirty bit, and would be dropped with the page.
 */
TEST(w4_lazy_free_flushes_dirty_translations, 4)
{
	FOR_EACH_STRATEGY (setup) {
		puppet_start();
		CHECK_EQ(puppet_do(true, true, addr, 1), FAULT_DONE);
		other.len = PAGES(16);
		change_now(act_free_lazily);
		CHECK_EQ(puppet_do(true, true, addr, 2), FAULT_DONE);
		CHECK_EQ(mm_drop_lazy(mm), 1);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 2);
		CHECK_EQ(puppet_do(false, true, addr + PAGES(15), 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 0);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 1);
		CHECK_EQ(mm_drop_lazy(mm), 0);
		puppet_stop();
	}
}

/*
 * CPU 2's MADV_FREE is about to mark pages. CPU 1, short of memory, drops those marked before. Those marked afterwards
 * are found by the next call.
 */
TEST(r4_lazily_freed_pages_are_found_later, 4)
{
	begin(POLICY_FULL, SPF_VALIDATE_VMA);
	sim_use_mm(mm);
	put(addr + PAGES(5), 1);
	CHECK_EQ(mm_madvise(mm, addr + PAGES(5), PAGES(1), MADV_FREE), 0);
	sim_leave_mm();
	other = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(1) };
	change_until(RACE_lazyfree_before_mark, act_free_lazily);
	CHECK_EQ(mm_drop_lazy(mm), 1);
	go_on(RACE_lazyfree_before_mark, 2);
	CHECK_EQ(other.result, 0);
	CHECK_EQ(mm_drop_lazy(mm), 1);
	CHECK(pte_none(sim_pte(mm, addr)));
	end();
}

/* ---- Entries that map no page ------------------------------------------------------------------------------------ */

static void set_raw(struct mm *where, vaddr_t at, u64 value)
{
	spinlock_t *ptl;
	pte_t *ptep;

	mmap_read_lock(where);
	ptep = pte_lock(where, at, &ptl);
	pte_xchg(ptep, (pte_t){ value });
	spin_unlock(ptl);
	mmap_read_unlock(where);
}

/* Such entries give the bits another meaning: the number of a slot, the kind of a marker. */
TEST(entries_of_other_kinds_survive_a_fork, 1)
{
	static const u64 values[] = {
		PTE_MARKER | 1UL << PAGE_SHIFT,
		PTE_MARKER | PTE_DIRTY | 1UL << PAGE_SHIFT,
		PTE_SWAP | (u64)SWAP_DEVICE_SPECIAL << 2 | 5UL << PAGE_SHIFT,
		PTE_SWAP | (u64)(SWAP_DEVICE_SPECIAL + 7) << 2 | 5UL << PAGE_SHIFT,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		begin(POLICY_FULL, SPF_VALIDATE_VMA);
		child = test_mm(POLICY_DEFAULT);
		set_raw(mm, addr + PAGES(3), values[i]);
		CHECK_EQ(mm_fork(child, mm), 0);
		CHECK_EQ(sim_pte(mm, addr + PAGES(3)).val, values[i]);
		CHECK_EQ(sim_pte(child, addr + PAGES(3)).val, values[i]);
		set_raw(mm, addr + PAGES(3), 0);
		set_raw(child, addr + PAGES(3), 0);
		test_mm_put(child);
		end();
	}
}

TEST_DIES(protection_is_asked_of_a_page_only, 1, "protection bits are those of an entry that maps a page")
{
	CHECK(!pte_write((pte_t){ PTE_SWAP | 5UL << PAGE_SHIFT }));
}
