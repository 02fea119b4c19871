/* SPDX-License-Identifier: MIT */
/*
 * The bracket (a writer's changes to VMAs) and the per-VMA lock: one writer, two counters.
 *
 * mm_lock_seq is odd while mmap_lock is held for writing. vma_start_write() stores it into vm_lock_seq: from then on
 * the VMA is "being changed" until mm_lock_seq increases, which the release of mmap_lock does for all VMAs at once.
 *
 * A reader compares vm_lock_seq with mm_lock_seq, counts itself into vm_refcnt, and compares again. If the writer's bar
 * was set first, the reader backs out; if the reader was counted first, the writer waits for it to unlock. If the bar
 * is gone already, the second comparison sees the vm_lock_seq that was stored while the bar was set. "Falsely locked"
 * is possible and harmless, "falsely unlocked" would not be.
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
	ASSERT(!(mm->mm_lock_seq & 1), "mm_lock_seq is even while mmap_lock is not held for writing");
	/* An exchange, so that no change of a VMA is visible before the count is odd. */
	atomic_xchg(&mm->mm_lock_seq, mm->mm_lock_seq + 1);
	mm->write_began = event_clock();
	schedule_point();
}

static void end_changes(struct mm *mm)
{
	ASSERT(mm->mm_lock_seq & 1, "mm_lock_seq is odd while mmap_lock is held for writing");
	event_ended(EVENT_mmap_write, mm->write_began, 0, mm->mm_lock_seq);
	/* Release: a reader of the new count sees every change made under the old one (V8). */
	store_release(&mm->mm_lock_seq, mm->mm_lock_seq + 1);
	schedule_point();
}

void mmap_write_lock(struct mm *mm)
{
	down_write(&mm->mmap_lock);
	begin_changes(mm);
}

int mmap_write_lock_killable(struct mm *mm)
{
	int error = down_write_killable(&mm->mmap_lock);

	if (!error)
		begin_changes(mm);
	return error;
}

bool mmap_write_trylock(struct mm *mm)
{
	if (!down_write_trylock(&mm->mmap_lock))
		return false;
	begin_changes(mm);
	return true;
}

void mmap_write_unlock(struct mm *mm)
{
	end_changes(mm);
	up_write(&mm->mmap_lock);
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

/* Sets the bar and waits for the readers to unlock. 0, or -EINTR with the bar removed again (V14). */
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
	bool attached = READ_ONCE(vma->vm_refcnt) != 0; /* stable: only a holder of mmap_lock attaches or detaches */
	int error;

	if (vma->vm_lock_seq == seq)
		return 0;
	lock_order_check(&vma->vm_refcnt, RANK_VMA); /* even if there are no readers now (V3) */
	error = attached ? drain_readers(vma, killable) : 0;
	if (error)
		return error;
	/* An exchange: no change is visible before the mark. */
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

enum vma_read vma_start_read(struct mm *mm, struct vma *vma)
{
	enum vma_read result;

	assert_in_rcu();
	/* A stale value is fine: this is a fast path out, compared again below. */
	if (READ_ONCE(vma->vm_lock_seq) == READ_ONCE(mm->mm_lock_seq))
		return VMA_READ_WRITE_LOCKED;
	race_point(vma_between_looks);
	result = count_in(vma);
	if (result != VMA_READ_LOCKED)
		return result;
	lock_acquire_check(&vma->vm_refcnt, RANK_VMA, false);
	if (unlikely(READ_ONCE(vma->vm_lock_seq) == load_acquire(&mm->mm_lock_seq))) {
		vma_end_read(vma);
		return VMA_READ_WRITE_LOCKED;
	}
	return VMA_READ_LOCKED;
}

void vma_end_read(struct vma *vma)
{
	struct mm *mm = vma->mm; /* the VMA may be freed once we are counted out */

	lock_release_check(&vma->vm_refcnt, RANK_VMA);
	if (unlikely(__atomic_sub_fetch(&vma->vm_refcnt, 1, __ATOMIC_RELEASE) == VMA_WRITER_BAR + 1))
		wake_up_all(&mm->vma_writers);
}
