/* SPDX-License-Identifier: MIT */
/* The holders and waiters of locks: see lock_owners.h. Takes no locks. */
#include "kernel/debug/lock_owners.h"

#include "kernel/lib/print.h"
#include "kernel/process/task.h"
#include "kernel/sync/lockdep.h"
#include "mm/fault/core.h"
#include "mm/vma/mm.h"

bool task_copy_fault(struct fault *copy, const struct task *task)
{
	const struct fault *fault = READ_ONCE(task->fault);

	return fault && !kernel_read_nofault(copy, fault, sizeof(*copy));
}

static void log_held(const char *whose, const void *lock, unsigned rank)
{
	klog_record("    %s holds %s (%p)", whose, lock_rank_name(rank), lock);
}

#if DEBUG

static void log_list(const char *whose, const struct held_locks *list)
{
	u32 depth = min(READ_ONCE(list->depth), (u32)MAX_HELD_LOCKS);

	for (u32 i = 0; i < depth; i++)
		log_held(whose, list->held[i].lock, list->held[i].rank);
}

static void log_held_locks(unsigned cpu, const struct task *task, const char *name)
{
	log_list("the CPU", cpu_held_locks(cpu));
	log_list(name, &task->held);
}

bool task_holds(const struct task *task, const struct lock_wait *wait)
{
	u32 depth = min(READ_ONCE(task->held.depth), (u32)MAX_HELD_LOCKS);

	for (u32 i = 0; i < depth; i++)
		if (task->held.held[i].lock == wait->lock)
			return true;
	return false;
}

void log_lock_limits(void)
{
}

#else

/* Returns true if the pointer at `place`, where a lock stores its owner, is the task. */
static bool is_noted_at(const void *place, const struct task *task)
{
	const struct task *owner;

	return place && !kernel_read_nofault(&owner, place, sizeof(owner)) && owner == task;
}

static void log_held_locks(unsigned cpu, const struct task *task, const char *name)
{
	struct mm *mm = READ_ONCE(task->mm);
	struct fault f;

	(void)cpu;
	if (mm && is_noted_at(&mm->mmap_lock.owner, task))
		log_held(name, &mm->mmap_lock, RANK_MMAP_LOCK);
	if (!task_copy_fault(&f, task))
		return;
	if (f.held == HELD_MMAP)
		log_held(name, &f.mm->mmap_lock, RANK_MMAP_LOCK);
	if (f.held == HELD_VMA)
		log_held(name, &f.locked_vma->vm_refcnt, RANK_VMA);
	if (f.page_locked)
		log_held(name, f.page, RANK_PAGE);
}

bool task_holds(const struct task *task, const struct lock_wait *wait)
{
	struct fault f;

	if (is_noted_at(wait->owner, task))
		return true;
	if (!task_copy_fault(&f, task))
		return false;
	return (f.held == HELD_MMAP && &f.mm->mmap_lock == wait->lock) ||
	       (f.held == HELD_VMA && &f.locked_vma->vm_refcnt == wait->lock) ||
	       (f.page_locked && f.page == wait->lock);
}

void log_lock_limits(void)
{
	klog_record("  locks: those that store their owner, and those of faults; the debug kernel records all");
}

#endif

/* A CPU spins for at most one lock. */
static void log_spinning(unsigned cpu)
{
	const spinlock_t *lock = cpu_spins_for(cpu);
	spinlock_t copy;

	if (!lock || kernel_read_nofault(&copy, lock, sizeof(copy)))
		return;
	klog_record("    the CPU waits for %s (%p)", lock_rank_name(copy.rank), lock);
	if (copy.owner)
		klog_record("    which CPU %u holds", copy.owner - 1);
}

void log_locks(unsigned cpu, const struct task *task, const char *name)
{
	const void *waits_for = READ_ONCE(task->waits.lock);

	log_held_locks(cpu, task, name);
	log_spinning(cpu);
	if (waits_for)
		klog_record("    %s waits for %s (%p)", name, lock_rank_name(task->waits.rank), waits_for);
}
