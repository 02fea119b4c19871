/* SPDX-License-Identifier: MIT */
/*
 * Races of the per-VMA lock: VMAs that are removed between look-up and lock; readers and write bars that must not be
 * left behind.
 */
#include "race_stage.h"

#include "mm/vma/rmap.h"
#include "mm/vma/vma_change.h"

#define STACK_TOP 0x7ffff0000000UL

/* Unmaps the VMA, and maps the same range in another process, which could reuse the VMA's memory. */
static struct mm *other_mm;

static void munmap_and_reuse(void *arg)
{
	struct actor *actor = arg;

	act_munmap(arg);
	map_at(other_mm, actor->addr, actor->len >> PAGE_SHIFT, RW, ANON);
}

/* V11 cannot happen where VMAs are freed after a grace period: the VMA that was found is not reused. */
TEST(v11_found_vma_is_not_another_process_s, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	other_mm = test_mm(POLICY_DEFAULT);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_after_find, act_write);
	change_now(munmap_and_reuse);
	go_on(RACE_vma_after_find, 1);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(sim_vma(other_mm, addr)->vm_refcnt, 1);
	test_mm_put(other_mm);
	end();
}

static void munmap_and_map_again(void *arg)
{
	struct actor *actor = arg;

	act_munmap(arg);
	map_at(actor->mm, actor->addr, actor->len >> PAGE_SHIFT, RW | PROT_EXEC, ANON);
}

/* After "detached" the look-up starts again from the root of the tree, which may have other VMAs by then. */
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

/*
 * CPU 1 has seen a VMA that is not write-locked. Then a writer locks it: there is no reader, so the bar is removed
 * again, and the flags are new while the entries are still to be changed.
 */
TEST(v20_reader_looks_again_once_it_is_counted, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_between_looks, act_write_fault);
	change_until(RACE_mprotect_after_vma, act_mprotect_read);
	let_go(RACE_vma_between_looks);
	wait_asleep(1); /* for mmap_lock */
	CHECK_EQ(REASONS(vma_lock_abort_write_locked), 1);
	go_on(RACE_mprotect_after_vma, 2);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
	CHECK(pte_none(sim_pte(mm, faulter.addr)));
	end();
}

/* A writer waits for the one reader that holds the lock; new readers are kept out, or it might wait for ever. */
TEST(v10_waiting_writer_keeps_readers_out, 4)
{
	struct actor late;

	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_locked, act_write_fault);
	change_until(RACE_write_bar_set, act_mprotect_read);
	late = (struct actor){ .mm = mm, .addr = addr + PAGES(6) };
	sim_start(3, act_write_fault, &late);
	wait_asleep(3); /* for mmap_lock */
	CHECK_EQ(REASONS(vma_lock_abort_write_locked), 1);
	let_go(RACE_write_bar_set);
	wait_asleep(2);
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	sim_join(3);
	CHECK_EQ(faulter.result, FAULT_DONE);
	CHECK_EQ(other.result, 0);
	CHECK_EQ(late.result, FAULT_NO_ACCESS);
	end();
}

/* The writer removes its bar only after it has marked the VMA: otherwise a reader could see neither. */
TEST(v20_mark_is_there_before_the_bar_goes, 4)
{
	struct vma *vma;

	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	vma = sim_vma(mm, addr);
	faulter.addr = addr + PAGES(5);
	change_until(RACE_write_marked, act_mprotect_read);
	CHECK_EQ(READ_ONCE(vma->vm_lock_seq), READ_ONCE(mm->mm_lock_seq));
	CHECK(READ_ONCE(vma->vm_refcnt) & VMA_WRITER_BAR);
	sim_start(1, act_write_fault, &faulter);
	wait_asleep(1); /* for mmap_lock */
	CHECK_EQ(REASONS(vma_lock_abort_write_locked), 1);
	go_on(RACE_write_marked, 2);
	sim_join(1);
	CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
	end();
}

static void act_map_executable(void *arg)
{
	struct actor *actor = arg;

	map_at(actor->mm, actor->addr, actor->len >> PAGE_SHIFT, RW | PROT_EXEC, ANON);
	actor->result = 0;
}

/*
 * The VMA that the look-up found has lost its upper part by the time it is locked, and another VMA takes that place: if
 * the address is outside the locked VMA, that says nothing about whether it is mapped.
 */
TEST(v20_locked_vma_may_have_shrunk, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = addr + PAGES(12);
	other.addr = addr + PAGES(8);
	other.len = PAGES(8);
	fault_until(RACE_vma_after_find, act_write);
	change_now(act_munmap);
	stop_at(RACE_vma_after_lock, 1);
	let_go(RACE_vma_after_find);
	wait_stopped(RACE_vma_after_lock);
	CHECK_EQ(sim_vma(mm, addr)->end, other.addr);
	change_now(act_map_executable);
	go_on(RACE_vma_after_lock, 1);
	CHECK_EQ(REASONS(vma_lock_abort_outside), 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	check_quiet(); /* checks that the page is found through the VMA that maps it */
	end();
}

/* However an attempt ends, it leaves no reader behind: the next writer need not wait. */
TEST(v13_no_end_leaves_a_reader_behind, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	CHECK_EQ(mm_setup_stack(mm, STACK_TOP, PAGES(4), false), 0);
	faulter.addr = STACK_TOP - PAGES(6); /* gives up, then retries */
	fault_now(act_write);
	faulter.addr = map(mm, 1, PROT_READ, ANON); /* answered by a signal */
	fault_now(act_write);
	CHECK_EQ(faulter.result, FAULT_NO_ACCESS);
	other.addr = map(mm, 4, RW | PROT_EXEC, ANON);
	other.len = PAGES(4);
	faulter.addr = other.addr;
	fault_until(RACE_vma_locked, act_write); /* gives up with the VMA locked */
	sim_start(2, act_munmap, &other);
	wait_asleep(2);
	go_on(RACE_vma_locked, 1);
	CHECK_EQ(REASONS(vma_lock_abort_anon_vma), 1);
	let_others_run_until(!sim_running(2), "the writer waits for a reader that has left");
	other.addr = addr;
	other.len = PAGES(16);
	change_now(act_munmap);
	end();
}

/* The reader needs mmap_lock, and the writer that holds mmap_lock waits for the reader. */
TEST(v15_mmap_lock_is_only_tried_under_a_vma_lock, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	faulter.addr = other.addr = map(mm, 4, RW | PROT_EXEC, ANON);
	other.len = PAGES(4);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_munmap, &other);
	wait_asleep(2);
	go_on(RACE_vma_locked, 1);
	sim_join(2);
	CHECK_EQ(faulter.result, FAULT_NO_MAPPING);
	CHECK_EQ(REASONS(vma_lock_abort_anon_vma), 1);
	end();
}

static void act_replace_shared(void *arg)
{
	struct actor *actor = arg;
	const struct mmap_request request = {
		.addr = actor->addr, .len = actor->len, .prot = RW, .flags = ANON | MAP_FIXED
	};

	actor->result = mm_mmap(actor->mm, &request);
}

/*
 * mmap has unmapped the range that it replaces, and would wait for the readers of a neighbour to merge with. If it is
 * killed, it must not leave a hole: it merges with no neighbour.
 */
TEST(a1_killed_mmap_leaves_no_hole, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	map_at(mm, addr + PAGES(16), 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_locked, act_write);
	other.addr = addr + PAGES(16);
	other.len = PAGES(4);
	sim_start(2, act_replace_shared, &other);
	wait_asleep(2);
	sim_kill(2);
	sim_join(2);
	CHECK_EQ(other.result, other.addr);
	CHECK_EQ(sim_vma(mm, other.addr)->start, other.addr);
	go_on(RACE_vma_locked, 1);
	CHECK_EQ(faulter.result, FAULT_DONE);
	sim_use_mm(mm);
	expect_get(other.addr, 0);
	sim_leave_mm();
	end();
}

/* A killed fork removes its bar: the VMA can be locked again. */
TEST(v14_killed_writer_removes_its_bar, 4)
{
	begin(POLICY_VMA, SPF_VALIDATE_VMA);
	child = test_mm(POLICY_DEFAULT);
	faulter.addr = addr + PAGES(5);
	fault_until(RACE_vma_locked, act_write);
	sim_start(2, act_fork, &other);
	wait_asleep(2);
	sim_kill(2);
	sim_join(2);
	CHECK_EQ(other.result, -EINTR);
	go_on(RACE_vma_locked, 1);
	counters_mark();
	faulter.addr = addr + PAGES(6);
	fault_now(act_write);
	CHECK_EQ(COUNTED(vma_lock_success), 1);
	test_mm_put(child);
	end();
}

static void act_madvise(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_madvise(actor->mm, actor->addr, actor->len, MADV_DONTFORK);
}

static void act_mlock(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_mlock(actor->mm, actor->addr, actor->len, true);
}

static void act_move(void *arg)
{
	struct actor *actor = arg;

	actor->result = mm_mremap(actor->mm, actor->addr, actor->len, actor->len, MREMAP_MAYMOVE | MREMAP_FIXED,
				  actor->addr + PAGES(1 << 20));
}

/* The same for each call that changes the VMA, in part or as a whole: if killed, it changes nothing. */
TEST(v14_killed_writers_change_nothing, 4)
{
	static sim_func *const writers[] = { act_munmap, act_mprotect_read, act_madvise, act_mlock, act_move };

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(writers); i++) {
		const struct vma *vma;
		struct vma_shape before;
		u64 nr_vmas;

		begin(POLICY_VMA, SPF_VALIDATE_VMA);
		faulter.addr = addr + PAGES(5);
		vma = sim_vma(mm, faulter.addr);
		before = (struct vma_shape){ .start = vma->start, .end = vma->end, .flags = vma->flags };
		nr_vmas = mm->nr_vmas;
		other.addr = i % 2 ? vma->start : addr + PAGES(4);
		other.len = i % 2 ? vma->end - vma->start : PAGES(2);
		fault_until(RACE_vma_locked, act_write);
		sim_start(2, writers[i / 2], &other);
		wait_asleep(2);
		sim_kill(2);
		sim_join(2);
		CHECK_EQ(other.result, -EINTR);
		go_on(RACE_vma_locked, 1);
		CHECK_EQ(faulter.result, FAULT_DONE);
		CHECK(sim_vma(mm, faulter.addr) == vma);
		CHECK(vma->start == before.start && vma->end == before.end && vma->flags == before.flags);
		CHECK_EQ(mm->nr_vmas, nr_vmas);
		CHECK_EQ(mm->locked_pages, 0);
		end();
	}
}
