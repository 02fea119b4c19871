/* SPDX-License-Identifier: MIT */
/* Tests of the checks themselves: each check is made to fail, and must report it. */
#include "test.h"

#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "mm/cache/mapping.h"
#include "mm/page/page_alloc.h"
#include "mm/page/page_lock.h"
#include "mm/table/tlb.h"
#include "mm/vma/vma.h"

#define ADDR 0x10000000UL

static struct mm *mm;

static void begin(void)
{
	mm = test_mm(POLICY_MMAP);
	sim_quirks.evict = 0;
	map_at(mm, ADDR, 4, RW, ANON);
	sim_use_mm(mm);
	put(ADDR, 1);
}

/* ---- The simulated machine --------------------------------------------------------------------------------------- */

/* Frees a page while this CPU's TLB still holds a translation of it. */
TEST_DIES(machine_catches_a_missing_shootdown, 1, "stale translation")
{
	struct page *page;
	spinlock_t *ptl;
	pte_t *pte;

	begin();
	pte = sim_pte_lock(mm, ADDR, &ptl);
	page = pte_page(pte_xchg(pte, (pte_t){ 0 }));
	spin_unlock(ptl);
	WRITE_ONCE(page->mapcount, 0);
	page_put(page);
	get(ADDR);
}

TEST_DIES(machine_catches_a_walk_through_a_freed_table, 1, "page table that was freed")
{
	struct pt_walk walk;

	begin();
	walk = sim_walk(mm, ADDR);
	WRITE_ONCE(walk.pmdp->val, 0);
	page_clear(pmd_table(walk.pmd), PG_TABLE);
	page_put(pmd_table(walk.pmd));
	get(ADDR + PAGES(1));
}

TEST_DIES(machine_catches_a_lost_dirty_bit, 1, "dirty bit")
{
	spinlock_t *ptl;
	pte_t *pte;

	begin();
	pte = sim_pte_lock(mm, ADDR, &ptl);
	WRITE_ONCE(pte->val, pte->val & ~PTE_DIRTY);
	spin_unlock(ptl);
	put(ADDR, 2);
}

/* ---- Faults with nothing to do ----------------------------------------------------------------------------------- */

/* Changes the bits of ADDR's entry from what they were when the page was mapped. */
static void change_entry(u64 clear, u64 set)
{
	spinlock_t *ptl;
	pte_t *pte = sim_pte_lock(mm, ADDR, &ptl);

	WRITE_ONCE(pte->val, (pte->val & ~clear) | set);
	spin_unlock(ptl);
}

TEST_DIES(nothing_to_do_asks_who_may_use_the_entry, 1, "forbids the access")
{
	begin();
	change_entry(PTE_USER, 0);
	CHECK_EQ(fault_in(mm, ADDR, ACCESS_READ, FAULT_UACCESS), FAULT_DONE);
	(void)fault_in(mm, ADDR, ACCESS_READ, FAULT_USER);
}

TEST_DIES(nothing_to_do_asks_the_key_of_the_entry, 1, "forbids the access")
{
	sim_have_keys();
	begin();
	keys_write(KEY_NO_WRITE << 2 * 5);
	change_entry(0, 5UL << PTE_KEY_SHIFT);
	CHECK_EQ(fault_in(mm, ADDR, ACCESS_READ, FAULT_USER), FAULT_DONE);
	(void)fault_in(mm, ADDR, ACCESS_WRITE, FAULT_USER);
}

TEST_DIES(kernel_fault_without_progress_is_a_bug, 1, "faults again and again, though entry")
{
	begin();
	for (unsigned i = 0; i < 15000; i++) {
		CHECK_EQ(fault_in(mm, ADDR, ACCESS_READ, FAULT_UACCESS), FAULT_DONE);
		thread_count_fault();
	}
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

static spinlock_t inner = SPINLOCK_INIT(LEAF), outer = SPINLOCK_INIT(PTE);
static struct mutex mutex = MUTEX_INIT(mutex, FILES);

TEST_DIES(locks_out_of_order, 1, "lock order: PTE")
{
	spin_lock(&inner);
	spin_lock(&outer);
}

/* A trylock cannot deadlock, so it may be out of order. */
TEST(locks_tried_out_of_order, 1)
{
	spin_lock(&inner);
	CHECK(spin_trylock(&outer));
	spin_unlock(&inner);
	spin_unlock(&outer);
}

TEST_DIES(locks_of_one_rank, 1, "lock order: PTE")
{
	spinlock_t second = SPINLOCK_INIT(PTE);

	spin_lock(&outer);
	spin_lock(&second);
}

TEST_DIES(locks_sleeping_under_a_spinlock, 1, "may sleep")
{
	spin_lock(&outer);
	mutex_lock(&mutex);
}

TEST_DIES(locks_taken_twice, 1, "lock order: LEAF")
{
	spin_lock(&inner);
	spin_lock(&inner);
}

TEST_DIES(locks_released_by_another, 1, "released by its owner")
{
	mutex_unlock(&mutex);
}

TEST_DIES(locks_kept_at_the_end_of_a_thread, 2, "with a lock of rank FILES held")
{
	sim_start(1, (sim_func *)mutex_lock, &mutex);
	sim_join_all();
}

TEST_DIES(locks_sleep_inside_rcu, 1, "may sleep")
{
	rcu_read_lock();
	synchronize_rcu();
}

/* ---- The rules of mm/ -------------------------------------------------------------------------------------------- */

/* U1: a fault on user memory under mmap_lock. It would deadlock as soon as a writer queues in between. */
TEST_DIES(u1_fault_under_mmap_lock, 1, "lock order: MMAP_LOCK")
{
	begin();
	mmap_read_lock(mm);
	(void)fault_in(mm, ADDR + PAGES(1), ACCESS_WRITE, 0);
}

/* ... under a VMA lock. */
TEST_DIES(u1_fault_under_a_vma_lock, 1, "lock order: MMAP_LOCK")
{
	begin();
	rcu_read_lock();
	CHECK_EQ(vma_start_read(mm, sim_vma(mm, ADDR)), VMA_READ_LOCKED);
	rcu_read_unlock();
	(void)fault_in(mm, ADDR + PAGES(1), ACCESS_WRITE, 0);
}

/* ... under a spinlock. */
TEST_DIES(u1_fault_under_a_spinlock, 1, "may sleep")
{
	begin();
	spin_lock(&outer);
	(void)fault_in(mm, ADDR + PAGES(1), ACCESS_WRITE, 0);
}

TEST_DIES(fault_with_interrupts_off, 1, "interrupts are on")
{
	begin();
	irq_disable();
	(void)fault_in(mm, ADDR + PAGES(1), ACCESS_WRITE, 0);
}

/* A fault operation that sleeps as `sleeper` says. */
static struct {
	enum fault_sleep announced;
	enum sleep_state state;
	bool page_locked;
} sleeper;

static enum fault_end sleepy_fault(struct fault *f)
{
	if (sleeper.page_locked)
		CHECK(page_trylock(zero_page));
	f->sleep = sleeper.announced;
	thread_prepare_sleep(sleeper.state);
	thread_sleep();
	return fault_answered(f, FAULT_BEYOND_END);
}

static void fault_asleep(unsigned flags)
{
	static const struct vma_ops ops = { .fault = sleepy_fault, .without_mmap_lock = true };
	struct mmap_request request = {
		.len = PAGES(1), .prot = RW, .flags = MAP_SHARED, .ops = &ops, .file_writable = true
	};
	long addr;

	mm = test_mm(POLICY_VMA);
	request.mapping = mapping_create(PAGES(1), false);
	addr = mm_mmap(mm, &request);
	CHECK(addr > 0);
	(void)fault_in(mm, (vaddr_t)addr, ACCESS_READ, FAULT_USER | flags);
}

/* V19: a sleep below fault_in() that is not in the list of permitted sleeps. */
TEST_DIES(v19_sleep_that_no_fault_may, 1, "sleeps where no fault may")
{
	fault_asleep(0);
}

/* ... with more locks held than its row permits: a VMA lock, and a page lock. */
TEST_DIES(v19_sleep_with_the_vma_locked, 1, "sleeps for mmap_lock with VMA")
{
	sleeper.announced = FAULT_SLEEP_mmap_lock;
	sleeper.state = SLEEP_KILLABLE;
	fault_asleep(0);
}

TEST_DIES(v19_sleep_with_a_page_locked, 1, "sleeps for page with PAGE")
{
	sleeper.announced = FAULT_SLEEP_page;
	sleeper.state = SLEEP_KILLABLE;
	sleeper.page_locked = true;
	fault_asleep(0);
}

/* ... that a fatal signal does not end. */
TEST_DIES(v19_sleep_that_cannot_be_killed, 1, "sleeps for page, and cannot be killed")
{
	sleeper.announced = FAULT_SLEEP_page;
	fault_asleep(0);
}

/* ... in a fault whose caller asked it not to wait. */
TEST_DIES(v19_sleep_that_was_not_wanted, 1, "sleeps for swap_request despite FAULT_NO_WAIT")
{
	sleeper.announced = FAULT_SLEEP_swap_request;
	sleeper.state = SLEEP_KILLABLE;
	fault_asleep(FAULT_NO_WAIT);
}

/* S13: a change outside its bracket. */
TEST_DIES(s13_change_outside_the_bracket, 1, "inside its bracket")
{
	struct vma *vma;

	begin();
	mmap_write_lock(mm);
	vma = sim_vma(mm, ADDR);
	vma_detach(vma);
}

/* C1: counters that do not match what happened, for each of the identities that are checked. */
TEST_DIES(c1_fault_without_an_end, 1, "faults, and their ends: 2 is not 1")
{
	begin();
	count(pgfault);
	check_quiet();
}

/* For each strategy: an attempt without an end, and an end without an attempt. */
TEST(c1_each_strategy_counts_its_ends, 1)
{
	static const unsigned rows[][2] = {
		[STRATEGY_MMAP] = { COUNT_mmap_attempts, COUNT_FIRST_REASON + REASON_mmap_retry_page },
		[STRATEGY_VMA] = { COUNT_vma_lock_attempts, COUNT_FIRST_REASON + REASON_vma_lock_miss },
		[STRATEGY_SPEC] = { COUNT_spf_attempts, COUNT_FIRST_REASON + REASON_spf_abort_no_vma },
	};

	for (unsigned wrong = 0; wrong < NR_STRATEGIES; wrong++)
		for (unsigned i = 0; i < 2; i++) {
			my_counters()->value[rows[wrong][i]]++;
			for (unsigned strategy = 0; strategy < NR_STRATEGIES; strategy++)
				CHECK_EQ(counters_identity_holds(strategy), strategy != wrong);
			my_counters()->value[rows[wrong][i]]--;
		}
}

TEST_DIES(c1_answer_that_was_none, 1, "answers under mmap_lock: 2 of 1")
{
	begin();
	count_nr(COUNT_mmap_answered_swap, 2);
	check_quiet();
}

TEST_DIES(c1_copy_that_was_none, 1, "faults that brought a page in some way: 2 of 1")
{
	begin();
	count_nr(COUNT_cow_copies, 2);
	check_quiet();
}

TEST_DIES(c1_freed_page_of_no_kind, 1, "pages that it freed: 1 is not 0")
{
	begin();
	count(pgsteal_direct);
	check_quiet();
}

#define MOST_BUMPED 4

/* Each row breaks one identity and no other; `says` is the log line that reports it. */
static const struct {
	unsigned counters[MOST_BUMPED], nr; /* the counters that are incremented, and their number */
	const char *says;
} broken[] = {
	{ { COUNT_pgfault }, 1, "faults, and their ends: 1 is not 0" },
	{ { COUNT_speculative_pgfault }, 1, "faults resolved speculatively: 1 is not 0" },
	{ { COUNT_vma_lock_success }, 1, "faults resolved under the per-VMA lock: 1 is not 0" },
	{ { COUNT_vma_lock_abort }, 1, "attempts under the per-VMA lock without an answer: 1 is not 0" },
	{ { COUNT_vma_lock_retry }, 1, "attempts under the per-VMA lock without an answer: 1 is not 0" },
	{ { COUNT_spf_answered_swap }, 1, "speculative answers: 1 of 0" },
	{ { COUNT_spf_answered_cached }, 1, "speculative answers: 1 of 0" },
	{ { COUNT_vma_lock_answered_swap }, 1, "answers under the per-VMA lock: 1 of 0" },
	{ { COUNT_vma_lock_answered_cached }, 1, "answers under the per-VMA lock: 1 of 0" },
	{ { COUNT_mmap_answered_swap }, 1, "answers under mmap_lock: 1 of 0" },
	{ { COUNT_mmap_answered_cached }, 1, "answers under mmap_lock: 1 of 0" },
	{ { COUNT_zero_page_maps }, 1, "faults that brought a page in some way: 1 of 0" },
	{ { COUNT_spurious_faults }, 1, "faults that brought a page in some way: 1 of 0" },
	{ { COUNT_cow_copies }, 1, "faults that brought a page in some way: 1 of 0" },
	{ { COUNT_cow_reuses }, 1, "faults that brought a page in some way: 1 of 0" },
	{ { COUNT_pgmajfault }, 1, "major faults: 1 of 0" },
	{ { COUNT_pgscan_direct }, 1, "pages that reclaim scanned, by thread and by kind: 1 is not 0" },
	{ { COUNT_pgscan_kswapd }, 1, "pages that reclaim scanned, by thread and by kind: 1 is not 0" },
	{ { COUNT_pgscan_anon }, 1, "pages that reclaim scanned, by thread and by kind: 0 is not 1" },
	{ { COUNT_pgscan_file }, 1, "pages that reclaim scanned, by thread and by kind: 0 is not 1" },
	{ { COUNT_pgsteal_anon }, 1, "pages that it freed: 0 is not 1" },
	{ { COUNT_pgsteal_file }, 1, "pages that it freed: 0 is not 1" },
	{ { COUNT_pgscan_direct, COUNT_pgscan_file, COUNT_pgsteal_direct }, 3, "pages that it freed: 1 is not 0" },
	{ { COUNT_pgscan_direct, COUNT_pgscan_file, COUNT_pgsteal_kswapd, COUNT_pgsteal_file },
	  4,
	  "pages freed by kswapd: 1 of 0" },
	{ { COUNT_pgscan_kswapd, COUNT_pgscan_file, COUNT_pgsteal_direct, COUNT_pgsteal_file },
	  4,
	  "pages freed by others: 1 of 0" },
};

/* counters_agree() checks each of the identities. */
TEST(c1_each_identity_is_asked, 1)
{
	for (unsigned i = 0; i < ARRAY_SIZE(broken); i++) {
		CHECK(counters_agree());
		for (unsigned bumped = 0; bumped < broken[i].nr; bumped++)
			count_nr(broken[i].counters[bumped], 1);
		if (counters_agree())
			sim_fail("no check has detected: %s", broken[i].says);
		CHECK(sim_log_says(broken[i].says));
		for (unsigned bumped = 0; bumped < broken[i].nr; bumped++)
			count_nr(broken[i].counters[bumped], -1UL);
	}
	CHECK(counters_agree());
}

TEST_DIES(page_freed_twice, 1, "dropped once")
{
	struct page *page = alloc_page(0);

	page_put(page);
	page_put(page);
}

/* The dump of a page-table walk shows each level down to the entry where the walk ends. */
TEST(page_tables_are_shown_in_words, 1)
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = 0x40000000UL + PAGES(5);
	struct pt_walk walk;
	pmd_t pmd;

	map_at(mm, addr, 1, RW, ANON);
	sim_use_mm(mm);
	put(addr, 1);
	sim_leave_mm();
	pt_dump_walk(mm->pgd, addr);
	CHECK(sim_log_says("level 4 entry   0 = "));
	CHECK(sim_log_says("level 3 entry   1 = "));
	CHECK(sim_log_says("level 2 entry   0 = "));
	CHECK(sim_log_says("level 1 entry   5 = "));
	CHECK(sim_log_says("page present writable user accessed dirty no-exec\n"));
	pt_dump_walk(mm->pgd, addr + PAGES(1));
	CHECK(sim_log_says("level 1 entry   6 = 0000000000000000 none\n"));
	pt_dump_walk(mm->pgd, 1UL << 40);
	CHECK(sim_log_says("level 4 entry   2 = 0000000000000000 none\n"));
	walk = sim_walk(mm, addr);
	pmd = walk.pmd;
	walk.pmdp->val = pmd.val & ~(u64)PTE_PRESENT;
	pt_dump_walk(mm->pgd, addr);
	CHECK(sim_log_says(" not a table\n"));
	walk.pmdp->val = pmd.val | PTE_HUGE;
	pt_dump_walk(mm->pgd, addr);
	CHECK(sim_log_says(" a large page\n"));
	walk.pmdp->val = (pmd.val & ~(u64)PTE_FRAME) | (u64)max_pfn << PAGE_SHIFT;
	pt_dump_walk(mm->pgd, addr);
	CHECK(sim_log_says(" not a table: points outside of memory\n"));
	walk.pmdp->val = pmd.val;
	test_mm_put(mm);
}

/* A fault that meets a large page, which the kernel never maps there, panics and dumps the walk. */
TEST_DIES(fault_in_a_large_page, 1, "a large page")
{
	struct mm *mm = test_mm(POLICY_MMAP);
	vaddr_t addr = map(mm, 1, RW, ANON);
	u64 value;

	sim_use_mm(mm);
	put(addr, 1);
	sim_walk(mm, addr).pmdp->val |= PTE_HUGE;
	(void)fault_in(mm, addr, ACCESS_READ, FAULT_USER);
	(void)sim_read(addr, &value);
}
