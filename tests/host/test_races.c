/* SPDX-License-Identifier: MIT */
/*
 * The catalogue of races, each forced into its order by race points: a test's name begins with the row's number in
 * docs/races.md. Unless said otherwise CPU 1 faults, CPU 2 changes the address space, CPU 3 is another thread of it.
 */
#include "test.h"

#include "kernel/mutex.h"
#include "mm/lazyfree.h"
#include "mm/mapping.h"
#include "mm/page_alloc.h"
#include "mm/rmap.h"
#include "mm/tlb.h"
#include "mm/vma.h"

#define STACK_TOP 0x7ffff0000000UL

static struct mm *mm;
static vaddr_t addr; /* of 16 pages; pages 0 and 15 are written */
static struct actor faulter, writer;

static void begin(enum fault_policy policy, enum spf_validate validate)
{
	WRITE_ONCE(spf_validate, (u8)validate);
	sim_quirks.evict = 0; /* what a script puts into a TLB stays there until it is flushed */
	mm = test_mm(policy);
	addr = map(mm, 16, RW, ANON);
	sim_use_mm(mm);
	put(addr, 100);
	put(addr + PAGES(15), 115);
	sim_leave_mm();
	faulter = writer = (struct actor){ .mm = mm, .addr = addr, .len = PAGES(16), .value = 1 };
	counters_mark();
}

static void end(void)
{
	race_disarm_all();
	sim_join_all();
	test_mm_put(mm);
}

#define FOR_EACH_STRATEGY(setup)                                                                                       \
	for (const struct strategy_setup *setup = strategy_setups;                                                     \
	     setup < strategy_setups + nr_strategy_setups && (begin(setup->policy, setup->validate), true);            \
	     end(), setup++)

/* CPU 1's attempt stops at the point. */
static void fault_until(enum race_point_id point, sim_func *access)
{
	stop_at(point, 1);
	sim_start(1, access, &faulter);
	wait_stopped(point);
}

static void change_until(enum race_point_id point, sim_func *change)
{
	stop_at(point, 2);
	sim_start(2, change, &writer);
	wait_stopped(point);
}

static void change_now(sim_func *change)
{
	sim_start(2, change, &writer);
	sim_join(2);
	CHECK_EQ(writer.result, 0);
}

static void go_on(enum race_point_id point, unsigned cpu)
{
	let_go(point);
	sim_join(cpu);
}

static void wait_asleep(unsigned cpu)
{
	let_others_run_until(sim_is_sleeping(cpu) || !sim_running(cpu), "CPU %u does not sleep until somebody is gone", cpu);
	CHECK(sim_running(cpu));
}

/* Another thread of the address space that does one access at a time, on command. */
static struct {
	u32 state; /* 0: waits, 1: told to do it, 2: told to leave */
	bool write, faults_allowed, looks_ahead;
	vaddr_t addr;
	u64 value;
	long result;
} puppet;

static void puppet_access(void)
{
	if (puppet.looks_ahead)
		sim_look_ahead(puppet.addr);
	else if (puppet.faults_allowed)
		puppet.result =
			puppet.write ? sim_write(puppet.addr, puppet.value) : sim_read(puppet.addr, &puppet.value);
	else
		puppet.result = puppet.write ? sim_try_write(puppet.addr, puppet.value)
					     : sim_try_read(puppet.addr, &puppet.value);
}

static void puppet_main(void *arg)
{
	u32 state;

	sim_use_mm(arg);
	while ((state = load_acquire(&puppet.state)) != 2) {
		if (state == 1) {
			puppet_access();
			store_release(&puppet.state, 0);
		}
		cpu_relax();
		sim_user_boundary();
	}
	sim_leave_mm();
}

static void puppet_start(void)
{
	puppet.state = 0;
	sim_start(3, puppet_main, mm);
	while (!(READ_ONCE(mm->cpus) & 8))
		cond_resched();
}

static void puppet_stop(void)
{
	store_release(&puppet.state, 2);
	sim_join(3);
}

static long puppet_do(bool write, bool faults_allowed, vaddr_t where, u64 value)
{
	puppet.write = write;
	puppet.faults_allowed = faults_allowed;
	puppet.addr = where;
	puppet.value = value;
	store_release(&puppet.state, 1);
	while (load_acquire(&puppet.state))
		cond_resched();
	return puppet.result;
}

/* Its CPU walks there by itself. */
static void puppet_look_ahead(vaddr_t where)
{
	puppet.looks_ahead = true;
	puppet_do(false, false, where, 0);
	puppet.looks_ahead = false;
}

static struct mm *child;

static void act_fork(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_fork(child, actor->mm);
	sim_leave_mm();
}

/* ---- Fork ---------------------------------------------------------------------------------------------------------- */

/*
 * fork has write-protected everything and not yet flushed. CPU 1 writes: it must not copy the page on that evidence, while
 * CPU 3 still writes to it through an old translation.
 */
TEST(s1_fork_against_write_fault, 4)
{
	FOR_EACH_STRATEGY (setup) {
		u64 value;

		child = test_mm(POLICY_DEFAULT);
		puppet_start();
		CHECK_EQ(puppet_do(true, true, addr, 100), FAULT_DONE);
		change_until(RACE_fork_before_flush, act_fork);
		faulter.addr = addr + 8;
		sim_start(1, act_write, &faulter);
		let_others_run();
		CHECK(puppet_do(true, false, addr, 300)); /* by the old translation: nobody has told this CPU */
		go_on(RACE_fork_before_flush, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 300);
		puppet_stop();
		sim_use_mm(child);
		value = get(addr); /* the write went to the page that was shared then */
		CHECK_EQ(value, 300);
		expect_get(addr + 8, 0);
		sim_leave_mm();
		test_mm_put(child);
	}
}

/* A fault that holds the VMA is let finish before fork copies it. */
TEST(v1_fork_waits_for_vma_readers, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	child = test_mm(POLICY_DEFAULT);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_fork, &writer);
	wait_asleep(2);
	CHECK(pte_write(sim_pte(mm, addr))); /* nothing is write-protected yet */
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(writer.result, 0);
	sim_use_mm(child);
	expect_get(addr + PAGES(5), 1);
	sim_leave_mm();
	test_mm_put(child);
	end();
}

/* A killed fork takes its bar away: the VMA can be locked again. */
TEST(v14_killed_writer_removes_its_bar, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	child = test_mm(POLICY_DEFAULT);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_fork, &writer);
	wait_asleep(2);
	sim_kill(2);
	sim_join(2);
	CHECK_EQ(writer.result, -EINTR);
	go_on(RACE_vma_locked, 1);
	counters_mark();
	faulter.addr = addr + PAGES(6);
	sim_start(1, act_write, &faulter);
	sim_join(1);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	test_mm_put(child);
	end();
}

/* ---- Pages that may go ---------------------------------------------------------------------------------------------- */

static void act_free_lazily(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_madvise(actor->mm, actor->addr, actor->len, MADV_FREE);
	sim_leave_mm();
}

/*
 * A page is marked as free while CPU 3 can write to it by a translation that is dirty already. If that translation lived on,
 * its writes would leave no mark, and the page would go with them.
 */
TEST(w4_lazy_free_flushes_dirty_translations, 4)
{
	FOR_EACH_STRATEGY (setup) {
		puppet_start();
		CHECK_EQ(puppet_do(true, true, addr, 1), FAULT_DONE);
		writer.len = PAGES(16);
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

/* ---- Page tables --------------------------------------------------------------------------------------------------- */

static struct page *table_of(vaddr_t where)
{
	struct pt_walk walk = pt_walk(mm, where);

	CHECK_EQ(walk.state, PT_TABLE);
	return pmd_table(walk.pmd);
}

/*
 * The table goes away between the walk and the lock. It and its lock stay what they are until speculation, which stands
 * right before the trylock, has left its RCU section; and then it sees that the table is no longer in its place.
 */
TEST(s4_s5_table_and_lock_outlive_speculation, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		struct page *table;

		begin(POLICY_SPEC, validate);
		table = table_of(addr);
		puppet_start();
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_spec_before_trylock, act_write);
		change_now(act_munmap);
		let_others_run();
		CHECK(page_test(table, PG_TABLE));
		CHECK(pte_none(pte_read(page_to_virt(table))));
		go_on(RACE_spec_before_trylock, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_pmd_changed), 1);
		puppet_stop();
		rcu_barrier();
		CHECK(!page_test(table, PG_TABLE));
		CHECK_EQ(mm->nr_tables, 1);
		end();
	}
}

/* After munmap speculation must not put a table where nobody would free it. */
TEST(s6_speculation_builds_no_table, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		puppet_start();
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_spec_before_walk, act_write);
		change_now(act_munmap);
		go_on(RACE_spec_before_walk, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(mm->nr_tables, 1);
		puppet_stop();
		end();
	}
}

/*
 * A table without present entries is freed, and a CPU has its PMD entry in a paging-structure cache, as any CPU may by
 * looking ahead. Without a shootdown it would walk through freed memory.
 */
TEST(k6_freed_table_is_shot_down, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	puppet_start();
	CHECK_EQ(mm_madvise(mm, addr, PAGES(16), MADV_DONTNEED), 0);
	puppet_look_ahead(addr);
	change_now(act_munmap);
	rcu_barrier();
	CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_NO_MAPPING);
	puppet_stop();
	end();
}

/*
 * The PTE lock is held while copy-on-write waits for a shootdown. Another CPU that wants that lock must be able to answer:
 * it waits with interrupts on, or, speculating, does not wait at all.
 */
static void shootdown_under_pte_lock(void)
{
	child = test_mm(POLICY_DEFAULT);
	sim_use_mm(mm);
	CHECK_EQ(mm_fork(child, mm), 0);
	sim_leave_mm();
	puppet_start();
	writer.addr = addr;
	change_until(RACE_cow_before_flush, act_write);
	faulter.addr = addr + PAGES(5);
	sim_start(1, act_write, &faulter); /* the same table */
	let_others_run();
	let_go(RACE_cow_before_flush);
	let_others_run_until(!sim_running(2) && !sim_running(1),
			     "the shootdown is not answered by a CPU that wants the PTE lock");
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(writer.result, FAULT_DONE);
	puppet_stop();
	test_mm_put(child);
}

TEST(k1_s3_shootdown_under_the_pte_lock, 4)
{
	FOR_EACH_STRATEGY (setup)
		shootdown_under_pte_lock();
}

/* ---- mremap -------------------------------------------------------------------------------------------------------- */

static vaddr_t target;

static void act_mremap(void *arg)
{
	struct actor *actor = arg;
	long result;

	sim_use_mm(actor->mm);
	result = mm_mremap(actor->mm, actor->addr, actor->len, actor->len, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	actor->result = result == (long)target ? 0 : result;
	sim_leave_mm();
}

/* Between the new VMA's linking and the move, neither side may be filled. */
TEST(s8_v2_mremap_bars_source_and_target, 4)
{
	FOR_EACH_STRATEGY (setup) {
		target = 0x200000000000UL + (addr & (PMD_SIZE - 1));
		puppet_start();
		change_until(RACE_mremap_before_move, act_mremap);
		faulter.addr = target;
		sim_start(1, act_read, &faulter);
		let_others_run();
		CHECK(sim_running(1));
		CHECK(pte_none(sim_pte(mm, target)));
		go_on(RACE_mremap_before_move, 2);
		sim_join(1);
		CHECK_EQ(writer.result, 0);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(faulter.value, 100);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_NO_MAPPING);
		CHECK_EQ(puppet_do(false, true, target + PAGES(15), 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 115);
		puppet_stop();
	}
}

/* The same for the source: a page that is filled there meanwhile would be lost. */
TEST(s8_mremap_bars_the_source, 4)
{
	FOR_EACH_STRATEGY (setup) {
		target = 0x200000000000UL + (addr & (PMD_SIZE - 1));
		puppet_start();
		change_until(RACE_mremap_before_move, act_mremap);
		faulter.addr = addr + PAGES(3);
		sim_start(1, act_write, &faulter);
		let_others_run();
		CHECK(sim_running(1));
		go_on(RACE_mremap_before_move, 2);
		sim_join(1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(puppet_do(false, true, target + PAGES(3), 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 0);
		puppet_stop();
	}
}

/* ---- anon_vma ------------------------------------------------------------------------------------------------------ */

/* The page is ready, its anon_vma noted; then munmap unlinks that anon_vma. */
TEST(s12_anon_vma_unlinked_under_speculation, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		puppet_start();
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_anon_page_ready, act_write);
		change_now(act_munmap);
		go_on(RACE_anon_page_ready, 1);
		CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
		CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
		puppet_stop();
		end();
	}
}

/* Two threads prepare one VMA: nobody sees the first anon_vma before it is published, one wins, both pages are found. */
TEST(v7_anon_vma_is_published_last, 4)
{
	FOR_EACH_STRATEGY (setup) {
		vaddr_t fresh = map(mm, 4, RW | PROT_EXEC, ANON);

		puppet_start();
		faulter.addr = fresh;
		fault_until(RACE_anon_vma_before_publish, act_write);
		CHECK(!vma_tree_find(&mm->tree, fresh)->anon_vma);
		CHECK_EQ(puppet_do(true, true, fresh + PAGES(1), 2), FAULT_DONE);
		go_on(RACE_anon_vma_before_publish, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		check_quiet(); /* the reverse map among others */
		puppet_stop();
	}
}

static void act_move_away(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_mremap(mm, addr, PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0) < 0;
	sim_leave_mm();
}

/*
 * The VMA was found, and not yet locked. mremap takes its pages away and it leaves its anon_vma, but it stays. What the fault
 * then maps must be found through the anon_vma that it has now: test_mm_put() looks.
 */
TEST(v6_anon_vma_is_read_under_the_vma_lock, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = addr + PAGES(5);
	faulter.value = 55;
	fault_until(RACE_vma_after_find, act_write);
	change_now(act_move_away);
	go_on(RACE_vma_after_find, 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	check_quiet();
	end();
}

/* ---- Mappings ------------------------------------------------------------------------------------------------------ */

static void act_protect_part(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(mm);
	actor->result = mm_mprotect(mm, actor->addr, PAGES(4), PROT_READ, -1);
	sim_leave_mm();
}

/* A writer waits for the readers of a VMA that maps something: without the lock of who maps it, which a reader may want. */
TEST(v3_writer_waits_without_the_mapping_lock, 4)
{
	spinlock_t *lock;

	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = map(mm, 16, RW, MAP_SHARED | MAP_ANONYMOUS);
	lock = &vma_tree_find(&mm->tree, faulter.addr)->mapping->i_mmap_lock;
	writer.addr = faulter.addr + PAGES(4);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_protect_part, &writer);
	wait_asleep(2);
	CHECK(spin_trylock(lock));
	spin_unlock(lock);
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(writer.result, 0);
	end();
}

/* And whoever tries to is told, readers or not. */
TEST_DIES(v3_vma_lock_inside_the_mapping_lock, 1, "VMA")
{
	struct vma *vma;

	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	vma = vma_tree_find(&mm->tree, map(mm, 1, RW, MAP_SHARED | MAP_ANONYMOUS));
	mmap_write_lock(mm);
	spin_lock(&vma->mapping->i_mmap_lock);
	vma_start_write(vma);
}

/* ---- Every writer of a VMA is seen by every reader ------------------------------------------------------------------- */

static void write_munmap(void)
{
	writer.result = mm_munmap(mm, addr, PAGES(16));
}

static void write_munmap_part(void)
{
	writer.result = mm_munmap(mm, addr + PAGES(8), PAGES(8));
}

static void write_map_fixed(void)
{
	map_at(mm, addr + PAGES(4), 4, PROT_READ, ANON);
	writer.result = 0;
}

static void write_mprotect(void)
{
	writer.result = mm_mprotect(mm, addr, PAGES(16), PROT_READ, -1);
}

static void write_mprotect_part(void)
{
	writer.result = mm_mprotect(mm, addr + PAGES(8), PAGES(2), PROT_READ, -1);
}

static void write_dontfork(void)
{
	writer.result = mm_madvise(mm, addr, PAGES(16), MADV_DONTFORK);
}

static void write_wipeonfork(void)
{
	writer.result = mm_madvise(mm, addr + PAGES(2), PAGES(2), MADV_WIPEONFORK);
}

static void write_move(void)
{
	writer.result = mm_mremap(mm, addr, PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_FIXED, 1UL << 40) < 0;
}

static void write_shrink(void)
{
	writer.result = mm_mremap(mm, addr, PAGES(16), PAGES(8), 0, 0) < 0;
}

static void write_grow(void)
{
	writer.result = mm_mremap(mm, addr, PAGES(16), PAGES(17), MREMAP_MAYMOVE, 0) < 0;
}

static void write_merge(void) /* a neighbour that joins it enlarges it */
{
	map_at(mm, addr - PAGES(4), 4, RW, ANON);
	writer.result = 0;
}

static void write_fork(void)
{
	child = test_mm(POLICY_DEFAULT);
	writer.result = mm_fork(child, mm);
	mm_put(child);
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

/* Speculation stands before its last look at the count: whoever changed the VMA meanwhile has moved it. */
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
		CHECK_EQ(writer.result, 0);
		go_on(RACE_spec_after_walk, 1);
		CHECK_EQ(REASONS(spf_abort_changed_before_ptl), 1);
		puppet_stop();
		end();
	}
}

/* V10 as well: every writer waits until the VMA's readers are gone. */
TEST(v10_every_writer_waits_for_vma_readers, 4)
{
	for (unsigned i = 0; i < ARRAY_SIZE(writers); i++) {
		klog("-- %s --", writers[i].name);
		begin(POLICY_VMA, SPF_VALIDATE_VMA);
		faulter.addr = addr + PAGES(5);
		fault_until(RACE_vma_locked, act_write);
		sim_start(2, act_writer, writers[i].change);
		wait_asleep(2);
		CHECK(sim_running(2));
		go_on(RACE_vma_locked, 1);
		sim_join(2);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(writer.result, 0);
		end();
	}
}

/* ---- Signals and stacks ---------------------------------------------------------------------------------------------- */

/* Rights read while they change must not become a signal. */
TEST(s15_speculation_never_signals, 4)
{
	for (int validate = SPF_VALIDATE_VMA; validate <= SPF_VALIDATE_MM; validate++) {
		begin(POLICY_SPEC, validate);
		puppet_start();
		CHECK_EQ(mm_mprotect(mm, addr, PAGES(16), PROT_READ, -1), 0);
		fault_until(RACE_spec_after_snapshot, act_write);
		change_now(act_mprotect_rw);
		go_on(RACE_spec_after_snapshot, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK_EQ(REASONS(spf_abort_access), 0);
		puppet_stop();
		end();
	}
}

/* Growth moves a VMA's start: not while a fault that holds the VMA goes by it. */
TEST(v4_growth_waits_for_vma_readers, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_vma_locked, act_write);
	writer.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &writer);
	let_others_run();
	CHECK_EQ(vma_tree_find(&mm->tree, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(writer.result, FAULT_DONE);
	CHECK_EQ(vma_tree_find(&mm->tree, STACK_TOP - 8)->start, STACK_TOP - PAGES(10));
	end();
}

/* ... nor while one that holds mmap_lock for reading walks the tree. */
TEST(v5_growth_waits_for_mmap_lock_readers, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - 8;
	fault_until(RACE_mmap_locked, act_write);
	writer.addr = STACK_TOP - PAGES(10);
	sim_start(2, act_write, &writer);
	wait_asleep(2);
	CHECK_EQ(vma_tree_find(&mm->tree, STACK_TOP - 8)->start, STACK_TOP - PAGES(4));
	go_on(RACE_mmap_locked, 1);
	sim_join(2);
	CHECK_EQ(writer.result, FAULT_DONE);
	end();
}

/* ---- The per-VMA lock -------------------------------------------------------------------------------------------------- */

/* Frees the VMA, and lets its memory be used again for a VMA of another process. */
static struct mm *other_mm;

static void munmap_and_reuse(void *arg)
{
	struct actor *actor = arg;

	act_munmap(arg);
	map_at(other_mm, actor->addr, actor->len >> PAGE_SHIFT, RW, ANON);
}

/* V11 can't happen where VMAs are freed after a grace period: what was found stays what it was. */
TEST(v11_found_vma_is_not_another_process_s, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	other_mm = test_mm(POLICY_DEFAULT);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_after_find, act_write);
	change_now(munmap_and_reuse);
	go_on(RACE_vma_after_find, 1);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(vma_tree_find(&other_mm->tree, addr)->vm_refcnt, 1);
	test_mm_put(other_mm);
	end();
}

static void munmap_and_map_again(void *arg)
{
	struct actor *actor = arg;

	act_munmap(arg);
	map_at(actor->mm, actor->addr, actor->len >> PAGE_SHIFT, RW | PROT_EXEC, ANON);
}

/* After "detached" the look-up starts again from the root of the tree, in which other VMAs may be by now. */
TEST(v12_look_up_again_from_the_root, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_after_find, act_write);
	change_now(munmap_and_map_again);
	go_on(RACE_vma_after_find, 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(REASONS(vma_lock_detached), 1);
	end();
}

/* Whatever an attempt ended with, it left no reader behind: the next writer is not kept waiting. */
TEST(v13_no_end_leaves_a_reader_behind, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - PAGES(6); /* gives up, retries */
	sim_start(1, act_write, &faulter);
	sim_join(1);
	faulter.addr = map(mm, 1, PROT_READ, ANON); /* is answered by a signal */
	sim_start(1, act_write, &faulter);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
	writer.addr = map(mm, 4, RW | PROT_EXEC, ANON);
	writer.len = PAGES(4);
	faulter.addr = writer.addr;
	fault_until(RACE_vma_locked, act_write); /* gives up with the VMA locked */
	sim_start(2, act_munmap, &writer);
	wait_asleep(2);
	go_on(RACE_vma_locked, 1);
	CHECK_EQ(REASONS(vma_lock_abort_anon_vma), 1);
	let_others_run_until(!sim_running(2), "the writer waits for a reader that has left");
	writer.addr = addr;
	writer.len = PAGES(16);
	change_now(act_munmap);
	end();
}

/* The reader needs mmap_lock, whose writer waits for that reader. */
TEST(v15_mmap_lock_is_only_tried_under_a_vma_lock, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = writer.addr = map(mm, 4, RW | PROT_EXEC, ANON);
	writer.len = PAGES(4);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_munmap, &writer);
	wait_asleep(2);
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(vma_lock_abort_anon_vma), 1);
	end();
}

/* ---- Entries ------------------------------------------------------------------------------------------------------------ */

/* "Somebody was faster" is success, and his page stays. */
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

/*
 * CPU 3 has the old page in its TLB and answers no interrupt for a while. As long as that is so, nobody may see the copy.
 */
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

/* CPU 1 is in the mask, and has not loaded the tables yet: munmap waits for it, or it would keep what is freed. */
TEST(k7_mask_before_tables, 4)
{
	begin(POLICY_MMAP, SPF_VALIDATE_VMA);
	fault_until(RACE_switch_mask_set, act_read);
	sim_start(2, act_munmap, &writer);
	let_others_run();
	CHECK(sim_running(2));
	go_on(RACE_switch_mask_set, 1);
	sim_join(2);
	CHECK_EQ(writer.result, 0);
	end();
}

/* Two DONTNEED: the second finds nothing mapped, but may not return before the translations are gone. */
TEST(k9_second_dontneed_flushes, 4)
{
	FOR_EACH_STRATEGY (setup) {
		puppet_start();
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 100);
		stop_at(RACE_zap_before_flush, 1);
		sim_start(1, act_dontneed, &faulter);
		wait_stopped(RACE_zap_before_flush);
		change_now(act_dontneed);
		CHECK_EQ(puppet_do(false, true, addr, 0), FAULT_DONE);
		CHECK_EQ(puppet.value, 0);
		go_on(RACE_zap_before_flush, 1);
		puppet_stop();
	}
}

/* ---- Accessed and dirty bits ---------------------------------------------------------------------------------------------- */

/* As page reclaim does: the CPU shall set the bits again if it uses the page. */
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

/* mprotect has read an entry that was clean; then CPU 3 writes to the page, and its walk sets the bits. */
TEST(k8_bits_survive_mprotect, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	puppet_start();
	clear_accessed_and_dirty(addr);
	change_until(RACE_mprotect_entry_read, act_mprotect_read);
	CHECK(puppet_do(true, false, addr, 300));
	CHECK(pte_dirty(sim_pte(mm, addr)));
	go_on(RACE_mprotect_entry_read, 2);
	CHECK_EQ(writer.result, 0);
	CHECK(pte_dirty(sim_pte(mm, addr)) && sim_pte(mm, addr).val & PTE_ACCESSED);
	CHECK(!pte_write(sim_pte(mm, addr)));
	puppet_do(false, true, addr, 0);
	CHECK_EQ(puppet.value, 300);
	puppet_stop();
	end();
}
