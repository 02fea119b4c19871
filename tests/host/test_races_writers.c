/* SPDX-License-Identifier: MIT */
/*
 * Races with the writers of VMAs: every reader notices every writer, and no writer waits with a lock that the reader
 * may need.
 */
#include "race_stage.h"

#include "mm/cache/mapping.h"
#include "mm/vma/rmap.h"
#include "mm/vma/vma.h"

/* ---- Mappings ---------------------------------------------------------------------------------------------------- */

static void act_protect_part(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_mprotect(mm, actor->addr, PAGES(4), PROT_READ, -1);
	sim_leave_mm();
}

/* A writer waits for the readers of a VMA that maps an object: without i_mmap_lock, which a reader may need. */
TEST(v3_writer_waits_without_the_mapping_lock, 4)
{
	spinlock_t *lock;

	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = map(mm, 16, RW, MAP_SHARED | MAP_ANONYMOUS);
	lock = &sim_vma(mm, faulter.addr)->mapping->i_mmap_lock;
	other.addr = faulter.addr + PAGES(4);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_protect_part, &other);
	wait_asleep(2);
	CHECK(spin_trylock(lock));
	spin_unlock(lock);
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.result, 0);
	end();
}

/* An attempt to wait with i_mmap_lock held panics, whether there are readers or not. */
TEST_DIES(v3_vma_lock_inside_the_mapping_lock, 1, "may sleep")
{
	struct vma *vma;

	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	vma = sim_vma(mm, map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS));
	mmap_write_lock(mm);
	spin_lock(&vma->mapping->i_mmap_lock);
	vma_start_write(vma);
}

/* ---- Changes in progress ----------------------------------------------------------------------------------------- */

/*
 * munmap has detached the VMAs, and their pages are still mapped: no fault may map a page there, where munmap would not
 * find it.
 */
TEST(munmap_in_progress_admits_no_fault, 4)
{
	FOR_EACH_STRATEGY (setup) {
		faulter.addr = addr + PAGES(5);
		puppet_start();
		CHECK_EQ(puppet_do(true, true, addr, 100), FAULT_DONE);
		change_until(RACE_munmap_after_detach, act_munmap);
		CHECK(puppet_do(true, false, addr, 300)); /* munmap has not unmapped it yet */
		sim_start(1, act_write, &faulter);
		wait_asleep(1);
		CHECK(pte_none(sim_pte(mm, faulter.addr)));
		go_on(RACE_munmap_after_detach, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK(!puppet_do(false, false, addr, 0));
		CHECK_EQ(mm_rss_total(mm), 0);
		puppet_stop();
	}
}

/* The same for a fault that found the VMA, and maybe more, before it was detached. */
TEST(munmap_in_progress_is_seen_by_who_was_faster, 4)
{
	static const struct {
		enum fault_policy policy;
		enum spf_validate validate;
		enum race_point_id point;
	} finds[] = {
		{ POLICY_VMA, SPF_VALIDATE_VMA, RACE_vma_after_find },
		{ POLICY_VMA, SPF_VALIDATE_VMA, RACE_vma_between_looks },
		{ POLICY_SPEC, SPF_VALIDATE_VMA, RACE_spec_after_find },
		{ POLICY_SPEC, SPF_VALIDATE_MM, RACE_spec_after_find },
		{ POLICY_SPEC, SPF_VALIDATE_VMA, RACE_spec_before_ptl },
		{ POLICY_SPEC, SPF_VALIDATE_MM, RACE_spec_before_ptl },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(finds); i++) {
		begin(finds[i].policy, finds[i].validate);
		faulter.addr = addr + PAGES(5);
		puppet_start();
		fault_until(finds[i].point, act_write);
		change_until(RACE_munmap_after_detach, act_munmap);
		let_go(finds[i].point);
		wait_asleep(1);
		CHECK(pte_none(sim_pte(mm, faulter.addr)));
		go_on(RACE_munmap_after_detach, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		puppet_stop();
		end();
	}
}

/*
 * The fault has found the VMA, which is detached by the time its sequence count is sampled: the count changes no more,
 * and proves nothing. The page tables still exist, because of a neighbour.
 */
TEST(s12_detached_vma_is_given_up, 4)
{
	begin(POLICY_SPEC, SPF_VALIDATE_VMA);
	map_at(mm, addr - PAGES(4), 1, PROT_READ, ANON);
	faulter.addr = addr + PAGES(5);
	puppet_start();
	fault_until(RACE_spec_after_find, act_write);
	change_now(act_munmap);
	CHECK_EQ(sim_walk(mm, addr).state, PT_TABLE);
	go_on(RACE_spec_after_find, 1);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(spf_abort_no_vma), 1);
	puppet_stop();
	end();
}

static void act_split(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_madvise(mm, addr + PAGES(8), PAGES(8), MADV_DONTFORK);
	sim_leave_mm();
}

/*
 * The tree contains only the lower part so far, which does not cover the address. A fault there waits, and the reverse
 * map finds the entries of a page through the upper part.
 */
TEST(split_in_progress_hides_no_address, 4)
{
	FOR_EACH_STRATEGY (setup) {
		faulter.addr = addr + PAGES(12);
		puppet_start();
		change_until(RACE_split_between, act_split);
		sim_start(1, act_write, &faulter);
		wait_asleep(1);
		CHECK(pte_none(sim_pte(mm, faulter.addr)));
		CHECK_EQ(rmap_check(), 0);
		go_on(RACE_split_between, 2);
		sim_join(1);
		CHECK_EQ(other.result, 0);
		CHECK_EQ(faulter.result, FAULT_DONE);
		puppet_stop();
	}
}

/*
 * Speculation has taken the PTE lock when a writer begins, which will need that lock later: the sequence count reveals
 * the writer.
 */
TEST(s12_count_is_validated_under_the_lock, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, (enum spf_validate)validate);
		faulter.addr = addr + PAGES(5);
		puppet_start();
		fault_until(RACE_spec_after_ptl, act_write);
		change_until(RACE_mprotect_after_vma, act_mprotect_read);
		let_go(RACE_spec_after_ptl);
		wait_asleep(1);
		CHECK_EQ(REASONS(spf_abort_changed_after_ptl), 1);
		CHECK(pte_none(sim_pte(mm, faulter.addr)));
		go_on(RACE_mprotect_after_vma, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
		puppet_stop();
		end();
	}
}

/* ---- Every reader notices every writer of a VMA ------------------------------------------------------------------ */

static void write_munmap(void)
{
	other.result = mm_munmap(mm, addr, PAGES(16));
}

static void write_munmap_part(void)
{
	other.result = mm_munmap(mm, addr + PAGES(8), PAGES(8));
}

static void write_map_fixed(void)
{
	map_at(mm, addr + PAGES(4), 4, PROT_READ, ANON);
	other.result = 0;
}

static void write_mprotect(void)
{
	other.result = mm_mprotect(mm, addr, PAGES(16), PROT_READ, -1);
}

static void write_mprotect_part(void)
{
	other.result = mm_mprotect(mm, addr + PAGES(8), PAGES(2), PROT_READ, -1);
}

static void write_dontfork(void)
{
	other.result = mm_madvise(mm, addr, PAGES(16), MADV_DONTFORK);
}

static void write_wipeonfork(void)
{
	other.result = mm_madvise(mm, addr + PAGES(2), PAGES(2), MADV_WIPEONFORK);
}

static void write_move(void)
{
	other.result = mm_mremap(mm, addr, PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_FIXED, 1UL << 40) < 0;
}

static void write_shrink(void)
{
	other.result = mm_mremap(mm, addr, PAGES(16), PAGES(8), 0, 0) < 0;
}

static void write_grow(void)
{
	other.result = mm_mremap(mm, addr, PAGES(16), PAGES(17), MREMAP_MAYMOVE, 0) < 0;
}

static void write_merge(void) /* merging with a new neighbour enlarges the VMA */
{
	map_at(mm, addr - PAGES(4), 4, RW, ANON);
	other.result = 0;
}

static void write_fork(void)
{
	child = test_mm(POLICY_DEFAULT);
	other.result = mm_fork(child, mm);
	mmput(child);
}

static const struct {
	const char *name;
	void (*change)(void);
} writers[] = {
	{ "munmap", write_munmap },
	{ "munmap of a part", write_munmap_part },
	{ "mmap over it", write_map_fixed },
	{ "mmap beside it", write_merge },
	{ "mprotect", write_mprotect },
	{ "mprotect of a part", write_mprotect_part },
	{ "madvise DONTFORK", write_dontfork },
	{ "madvise WIPEONFORK of a part", write_wipeonfork },
	{ "mremap to elsewhere", write_move },
	{ "mremap to less", write_shrink },
	{ "mremap to more", write_grow },
	{ "fork", write_fork },
};

static void act_writer(void *change)
{
	sim_use_mm(mm);
	((void (*)(void))change)();
	sim_leave_mm();
}

/*
 * Speculation has stopped before its last check of the sequence count: any change of the VMA until then has incremented
 * it.
 */
TEST(s13_speculation_sees_every_writer, 4)
{
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(writers); i++) {
		klog("-- %s --", writers[i / 2].name);
		begin(POLICY_SPEC, i % 2 ? SPF_VALIDATE_MM : SPF_VALIDATE_VMA);
		faulter.addr = addr + PAGES(5);
		puppet_start();
		fault_until(RACE_spec_after_walk, act_write);
		sim_start(2, act_writer, writers[i / 2].change);
		sim_join(2);
		CHECK_EQ(other.result, 0);
		go_on(RACE_spec_after_walk, 1);
		CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
		puppet_stop();
		end();
	}
}

/* V10 as well: every writer waits for the VMA's readers. */
TEST(v10_every_writer_waits_for_vma_readers, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(writers); i++) {
		klog("-- %s --", writers[i].name);
		begin(POLICY_VMA, SPF_VALIDATE_VMA);
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_vma_locked, act_write_fault);
		sim_start(2, act_writer, writers[i].change);
		wait_asleep(2);
		CHECK(sim_running(2));
		go_on(RACE_vma_locked, 1);
		sim_join(2);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(other.result, 0);
		end();
	}
}
