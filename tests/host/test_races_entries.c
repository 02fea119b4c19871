/* SPDX-License-Identifier: MIT */
/* Races on single entries: two faults on one entry, copies and flushes, accessed and dirty bits. */
#include "race_stage.h"

#include "sim_file.h"

#include "mm/reclaim/lazyfree.h"
#include "mm/table/tlb.h"

/* If another thread has resolved the fault first, that is success, and its page stays. */
TEST(k4_second_fault_on_one_page, 4)
{
	FOR_EACH_STRATEGY (setup) {
		puppet_start();
		faulter.addr = addr + PAGES(5) + 8;
		fault_until(RACE_anon_page_ready, act_write);
		CHECK_EQ(puppet_do(true, true, addr + PAGES(5), 3), FAULT_DONE);
		go_on(RACE_anon_page_ready, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		puppet_do(false, true, addr + PAGES(5), 0);
		CHECK_EQ(puppet.value, 3);
		puppet_do(false, true, addr + PAGES(5) + 8, 0);
		CHECK_EQ(puppet.value, 1);
		CHECK_EQ(mm_rss(mm, RSS_ANON), 3);
		puppet_stop();
	}
}

static void act_populate(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_madvise(mm, actor->addr, PAGES(1), MADV_POPULATE_WRITE);
	sim_leave_mm();
}

/* The entry changes during the fault, which ends without having mapped a page. MADV_POPULATE_WRITE must try again. */
TEST(populated_page_is_there, 4)
{
	FOR_EACH_STRATEGY (setup) {
		faulter.addr = other.addr = addr + PAGES(5);
		other.len = PAGES(1);
		sim_use_mm(mm);
		expect_get(faulter.addr, 0); /* the zero page will be copied */
		sim_leave_mm();
		fault_until(RACE_anon_page_ready, act_populate);
		change_now(act_dontneed);
		CHECK(pte_none(sim_pte(mm, faulter.addr)));
		go_on(RACE_anon_page_ready, 1);
		CHECK_EQ(faulter.result, 0);
		CHECK(pte_write(sim_pte(mm, faulter.addr)));
	}
}

/* CPU 3 has the old page in its TLB and has interrupts disabled. As long as it has, no CPU may see the copy. */
static bool deaf;

static void read_then_be_deaf(void *arg)
{
	u64 value;

	sim_use_mm(mm);
	CHECK_EQ(sim_read((vaddr_t)arg, &value), FAULT_DONE);
	irq_disable();
	WRITE_ONCE(deaf, true);
	while (READ_ONCE(deaf))
		cpu_relax();
	CHECK(sim_tlb_holds((vaddr_t)arg));
	irq_enable();
	CHECK(!sim_tlb_holds((vaddr_t)arg));
	while (sim_running(1))
		sim_user_boundary();
	CHECK_EQ(sim_read((vaddr_t)arg, &value), FAULT_DONE);
	CHECK_EQ(value, 1);
	sim_leave_mm();
}

TEST(k5_copy_is_seen_after_the_flush, 4)
{
	FOR_EACH_STRATEGY (setup) {
		child = test_mm(POLICY_DEFAULT);
		CHECK_EQ(mm_fork(child, mm), 0);
		sim_start(3, read_then_be_deaf, (void *)addr);
		while (!READ_ONCE(deaf))
			cond_resched();
		sim_start(1, act_write, &faulter);
		let_others_run_until(pte_none(sim_pte(mm, addr)), "the old page's entry is not cleared");
		let_others_run();
		CHECK(sim_running(1));
		CHECK(pte_none(sim_pte(mm, addr)));
		WRITE_ONCE(deaf, false);
		sim_join(1);
		sim_join(3);
		CHECK_EQ(faulter.result, FAULT_DONE);
		test_mm_put(child);
	}
}

/*
 * CPU 1 has set its bit in the mask, but not yet loaded the page tables: munmap waits for it, since it could otherwise
 * keep freed translations.
 */
TEST(k7_mask_before_tables, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	fault_until(RACE_switch_mask_set, act_read);
	sim_start(2, act_munmap, &other);
	let_others_run();
	CHECK(sim_running(2));
	go_on(RACE_switch_mask_set, 1);
	sim_join(2);
	CHECK_EQ(other.result, 0);
	end();
}

/* Another thread of the same address space gets the CPU, which stays in the mask. */
TEST(k7_mask_stays_between_two_threads, 1)
{
	unsigned long flags;

	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	sim_use_mm(mm);
	flags = irq_save();
	mm_switch_cpu(mm, mm);
	irq_restore(flags);
	CHECK_EQ(READ_ONCE(mm->cpus), 1);
	sim_leave_mm();
	CHECK_EQ(READ_ONCE(mm->cpus), 0);
	end();
}

/*
 * Two calls of MADV_DONTNEED: the second finds nothing mapped, but may not return before the translations are flushed.
 */
TEST(k9_second_dontneed_flushes, 4)
{
	FOR_EACH_STRATEGY (setup) {
		puppet_start();
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 100);
		fault_until(RACE_zap_before_flush, act_dontneed);
		change_now(act_dontneed);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 0);
		go_on(RACE_zap_before_flush, 1);
		puppet_stop();
	}
}

/* While CPU 1 copies the page, all its mappings are removed: CPU 1's reference keeps it from being freed. */
TEST(p2_copied_page_is_pinned, 4)
{
	FOR_EACH_STRATEGY (setup) {
		struct page *page = pte_page(sim_pte(mm, addr));

		child = test_mm(POLICY_DEFAULT);
		CHECK_EQ(mm_fork(child, mm), 0);
		puppet_start();
		fault_until(RACE_cow_before_copy, act_write);
		other.len = PAGES(1);
		change_now(act_dontneed);
		mmput(child);
		CHECK_EQ(READ_ONCE(page->mapcount), 0);
		CHECK_EQ(READ_ONCE(page->refcount), 1);
		go_on(RACE_cow_before_copy, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 1);
		CHECK_EQ(puppet_do(false, true, addr + 8, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 0); /* a new page: the copy was not used */
		puppet_stop();
	}
}

/* ---- Cleared, and not flushed yet -------------------------------------------------------------------------------- */

static void act_drop_lazy(void *arg)
{
	(void)arg;
	(void)mm_drop_lazy(mm);
}

static vaddr_t target; /* the page of which CPU 3 has a translation */

static void act_drop_target(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_madvise(mm, target, PAGES(1), MADV_DONTNEED);
}

static void give_up_target(void)
{
	CHECK_EQ(mm_madvise(mm, target, PAGES(1), MADV_FREE), 0);
	CHECK_EQ(puppet_do(false, true, target, 0), FAULT_DONE); /* MADV_FREE has flushed the old translation */
}

/* An access of CPU 1 that fills the entry, and the value that every CPU must read there from then on. */
static const struct fill {
	const char *name;
	bool file;  /* the page is a private copy of a file's page, which holds 1000 + its index */
	int offset; /* address of the access, in pages from the target */
	sim_func *access;
	u64 expected;
} fills[] = {
	{ "new page", false, 0, act_write, 222 },   { "zero page", false, 0, act_read, 0 },
	{ "populated", false, 0, act_populate, 0 }, { "file, copy", true, 0, act_write, 222 },
	{ "file, page", true, 0, act_read, 1001 },  { "file, around", true, 1, act_read, 1001 },
};

static void fill_beside_a_translation(const struct fill *fill, bool lazily, struct sim_file *file)
{
	target = fill->file ? sim_file_map(mm, file, 4, MAP_PRIVATE) + PAGES(1) : addr + PAGES(5);
	puppet_start();
	if (fill->file) /* reads the neighbours into the cache */
		for (vaddr_t page = target - PAGES(1); page <= target + PAGES(1); page += PAGE_SIZE)
			CHECK_EQ(puppet_do(false, true, page, 0), FAULT_DONE);
	CHECK_EQ(puppet_do(true, true, target, 111), FAULT_DONE);
	if (fill->offset)
		CHECK_EQ(mm_madvise(mm, target + PAGES(fill->offset), PAGES(1), MADV_DONTNEED), 0);
	if (lazily)
		give_up_target();
	change_until(RACE_zap_before_flush, lazily ? act_drop_lazy : act_drop_target);
	CHECK(pte_none(sim_pte(mm, target)));
	CHECK(puppet_do(false, false, target, 0));
	CHECK_EQ(puppet.value, 111);
	faulter = (struct actor){ .mm = mm, .addr = target + PAGES(fill->offset), .value = 222 };
	fault_now(fill->access);
	CHECK_EQ(faulter.result, FAULT_DONE);
	if (pte_none(sim_pte(mm, target)))
		sim_fail("%s: the entry is still empty", fill->name);
	CHECK_EQ(puppet_do(false, true, target, 0), FAULT_DONE);
	if (puppet.value != fill->expected)
		sim_fail("%s: CPU 3 reads %lu, expected %lu", fill->name, (unsigned long)puppet.value,
			 (unsigned long)fill->expected);
	go_on(RACE_zap_before_flush, 2);
	puppet_stop();
	if (fill->file)
		unmap(mm, target - PAGES(1), 4);
}

/* Whatever cleared the entry and whatever fills it: afterwards no CPU sees the old page. */
TEST(k5_emptied_entry_is_flushed_before_it_is_filled, 4)
{
	struct sim_file *file = sim_file_create(SIM_FILE_PAGES);

	FOR_EACH_STRATEGY (setup)
		for (unsigned i = 0; i < ARRAY_SIZE(fills); i++)
			for (int lazily = 0; lazily <= !fills[i].file; lazily++)
				fill_beside_a_translation(&fills[i], lazily, file);
	sim_file_destroy(file);
}

/* ---- Accessed and dirty bits ------------------------------------------------------------------------------------- */

/* As page reclaim does: the CPU must set the bits again when it uses the page. */
static void clear_accessed_and_dirty(vaddr_t where)
{
	spinlock_t *ptl;
	pte_t *pte;

	mmap_read_lock(mm);
	pte = pte_lock(mm, where, &ptl);
	(void)atomic_and(&pte->val, ~(PTE_ACCESSED | PTE_DIRTY));
	tlb_flush_page(mm, where);
	spin_unlock(ptl);
	mmap_read_unlock(mm);
}

/* mprotect has read a clean entry; then CPU 3 writes to the page, and its walk sets the bits. */
TEST(k8_bits_survive_mprotect, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	puppet_start();
	clear_accessed_and_dirty(addr);
	change_until(RACE_mprotect_entry_read, act_mprotect_read);
	CHECK(puppet_do(true, false, addr, 300));
	CHECK(pte_dirty(sim_pte(mm, addr)));
	go_on(RACE_mprotect_entry_read, 2);
	CHECK_EQ(other.result, 0);
	CHECK(pte_dirty(sim_pte(mm, addr)) && sim_pte(mm, addr).val & PTE_ACCESSED);
	CHECK(!pte_write(sim_pte(mm, addr)));
	puppet_do(false, true, addr, 0);
	CHECK_EQ(puppet.value, 300);
	puppet_stop();
	end();
}
