/* SPDX-License-Identifier: MIT */
/*
 * The bracket and the per-VMA lock: one writer, two counters.
 *
 * mm_lock_seq is odd while mmap_lock is held for writing. vma_start_write() stores it into vm_lock_seq: from then on the VMA
 * is "being changed" until mm_lock_seq moves on, which the release of mmap_lock does for all VMAs at once.
 *
 * A reader looks at vm_lock_seq, counts itself into vm_refcnt, and looks again. Either the writer's bar was there first,
 * and the reader leaves; or the reader was, and the writer waits for it to drain. After the bar is gone, the second look
 * sees the vm_lock_seq that was stored below it. "Falsely locked" is possible and harmless, "falsely unlocked" is not.
 *
 * Mirrors: Linux 6.15, include/linux/mmap_lock.h and mm/mmap_lock.c, in the form with vm_refcnt.
 */
#include "kernel/sync/lockdep.h"
#include "mm/debug/events.h"
#include "mm/debug/race.h"
#include "mm/vma/vma.h"

/* ---- mmap_lock --------------------------------------------------------------------------------------------------- */

static void begin_changes(struct mm *mm)
{
	ASSERT(!(mm->mm_lock_seq & 1), "mm_lock_seq is even while nobody holds mmap_lock for writing");
	/* An exchange, so that no change of a VMA is seen before the count is odd. */
	atomic_xchg(&mm->mm_lock_seq, mm->mm_lock_seq + 1);
	mm->write_began = event_clock();
	schedule_point();
}

static void end_changes(struct mm *mm)
{
	ASSERT(mm->mm_lock_seq & 1, "mm_lock_seq is odd while mmap_lock is held for writing");
	event_ended(EVENT_mmap_write, mm->write_began, 0, mm->mm_lock_seq);
	/* Release: whoever reads the new count sees every change that was made below the old one (V8). */
	store_release(&mm->mm_lock_seq, mm->mm_lock_seq + 1);
	schedule_point();
}

void mmap_write_lock(struct mm *mm)
{
	rwsem_write(&mm->mmap_lock);
	begin_changes(mm);
}

int mmap_write_lock_killable(struct mm *mm)
{
	int error = rwsem_write_killable(&mm->mmap_lock);

	if (!error)
		begin_changes(mm);
	return error;
}

bool mmap_write_trylock(struct mm *mm)
{
	if (!rwsem_try_write(&mm->mmap_lock))
		return false;
	begin_changes(mm);
	return true;
}

void mmap_write_unlock(struct mm *mm)
{
	end_changes(mm);
	rwsem_write_unlock(&mm->mmap_lock);
}

/* ---- The writer's side ------------------------------------------------------------------------------------------- */

static bool readers_gone(const struct vma *vma)
{
	return load_acquire(&vma->vm_refcnt) == VMA_WRITER_BAR + 1;
}

static void remove_bar(struct vma *vma)
{
	__atomic_sub_fetch(&vma->vm_refcnt, VMA_WRITER_BAR, __ATOMIC_RELEASE);
}

/* 0, or -EINTR with the bar gone again (V14). */
static int drain_readers(struct vma *vma, bool killable)
{
	struct wait_queue *writers = &vma->mm->vma_writers;
	int error = 0;

	if (atomic_add_return(&vma->vm_refcnt, VMA_WRITER_BAR) == VMA_WRITER_BAR + 1)
		return 0;
	race_point(write_bar_set);
	lock_wait_begin(&vma->vm_refcnt, RANK_VMA, NULL);
	if (killable)
		error = wait_event_killable(writers, readers_gone(vma));
	else
		wait_event(writers, readers_gone(vma));
	lock_wait_end();
	if (error)
		remove_bar(vma);
	return error;
}

static int start_write(struct vma *vma, bool killable)
{
	u64 seq = vma->mm->mm_lock_seq;
	bool attached = READ_ONCE(vma->vm_refcnt) != 0; /* only we, who hold mmap_lock, attach and detach */
	int error;

	if (vma->vm_lock_seq == seq)
		return 0;
	lock_order_check(&vma->vm_refcnt, RANK_VMA); /* whether or not there are readers just now (V3) */
	error = attached ? drain_readers(vma, killable) : 0;
	if (error)
		return error;
	/* An exchange: no change is seen before the mark. */
	atomic_xchg(&vma->vm_lock_seq, seq);
	race_point(write_marked);
	if (attached)
		remove_bar(vma);
	event_now(EVENT_vma_write, vma->start, vma->end);
	schedule_point();
	race_point(write_locked);
	return 0;
}

void vma_start_write(struct vma *vma)
{
	assert_may_sleep();
	assert_mmap_write_locked(vma->mm);
	(void)start_write(vma, false); /* cannot fail: nothing interrupts it */
}

int vma_start_write_killable(struct vma *vma)
{
	assert_may_sleep();
	assert_mmap_write_locked(vma->mm);
	return start_write(vma, true);
}

#if DEBUG
bool mm_is_read_locked_at(const struct mm *mm, vaddr_t addr)
{
	const struct held_locks *held = current_held_locks();

	for (u32 i = 0; held && i < held->depth; i++) {
		const struct vma *vma = container_of(held->held[i].lock, struct vma, vm_refcnt);

		if (held->held[i].rank == RANK_VMA && vma->mm == mm && vma->start <= addr && addr < vma->end)
			return true;
	}
	return !held;
}
#endif

/* ---- The reader's side ------------------------------------------------------------------------------------------- */

/* Counts a reader in, unless the VMA is detached (0) or barred. */
static enum vma_read count_in(struct vma *vma)
{
	s32 refcnt = READ_ONCE(vma->vm_refcnt);

	do {
		if (refcnt == 0)
			return VMA_READ_DETACHED;
		if (refcnt & VMA_WRITER_BAR)
			return VMA_READ_WRITE_LOCKED;
	} while (!__atomic_compare_exchange_n(&vma->vm_refcnt, &refcnt, refcnt + 1, false, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return VMA_READ_LOCKED;
}

enum vma_read vma_try_read(struct mm *mm, struct vma *vma)
{
	enum vma_read result;

	assert_in_rcu();
	/* Stale is fine: a quick way out, looked at again below. */
	if (READ_ONCE(vma->vm_lock_seq) == READ_ONCE(mm->mm_lock_seq))
		return VMA_READ_WRITE_LOCKED;
	race_point(vma_between_looks);
	result = count_in(vma);
	if (result != VMA_READ_LOCKED)
		return result;
	lock_acquire_check(&vma->vm_refcnt, RANK_VMA, false);
	if (unlikely(READ_ONCE(vma->vm_lock_seq) == load_acquire(&mm->mm_lock_seq))) {
		vma_read_unlock(vma);
		return VMA_READ_WRITE_LOCKED;
	}
	return VMA_READ_LOCKED;
}

void vma_read_unlock(struct vma *vma)
{
	struct mm *mm = vma->mm; /* the VMA may be gone once we are counted out */

	lock_release_check(&vma->vm_refcnt, RANK_VMA);
	if (unlikely(__atomic_sub_fetch(&vma->vm_refcnt, 1, __ATOMIC_RELEASE) == VMA_WRITER_BAR + 1))
		wake_up_all(&mm->vma_writers);
}
