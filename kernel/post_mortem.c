/* SPDX-License-Identifier: MIT */
/*
 * What a stopped CPU was about. Called when anything may be wrong: no locks are taken, and what pointers lead to is copied
 * by the nofault copy first. A value that changes meanwhile makes a line wrong, nothing worse.
 */
#include "kernel/post_mortem.h"

#include "kernel/fault_trace.h"
#include "kernel/lockdep.h"
#include "kernel/print.h"
#include "kernel/task.h"
#include "mm/mm.h"

static const char *const held_names[] = {
	[HELD_NOTHING] = "nothing",
	[HELD_RCU] = "an RCU section",
	[HELD_VMA] = "the VMA's lock",
	[HELD_MMAP] = "mmap_lock for reading",
};

void task_describe(char *buf, size_t size, const struct task *task)
{
	ksnprintf(buf, size, "%.*s[%d]", TASK_COMM_LEN, task->comm, READ_ONCE(task->tid));
}

void log_held_locks(const char *whose, const struct held_locks *list)
{
	u32 depth = min(READ_ONCE(list->depth), (u32)MAX_HELD_LOCKS);
	const void *waits_for = READ_ONCE(list->waits_for);

	for (u32 i = 0; i < depth; i++)
		klog_record("    %s holds %s (%p)", whose, lock_rank_name(list->held[i].rank), list->held[i].lock);
	if (waits_for)
		klog_record("    %s waits for %s (%p)", whose, lock_rank_name(list->waits_rank), waits_for);
}

static void log_locks(unsigned cpu, const struct task *task, const char *name)
{
#if DEBUG
	log_held_locks("the CPU", cpu_held_locks(cpu));
	log_held_locks(name, &task->held);
#else
	(void)cpu, (void)task, (void)name;
#endif
}

/* The fault that the task is resolving, if any: it lies on that task's stack. */
static bool copy_fault(struct fault *copy, const struct task *task)
{
	const struct fault *fault = READ_ONCE(task->fault);

	return fault && !kernel_read_nofault(copy, fault, sizeof(*copy));
}

static void log_fault(const struct task *task)
{
	static const char *const accesses[] = { [ACCESS_READ] = "read", [ACCESS_WRITE] = "write", [ACCESS_EXEC] = "fetch" };
	static const char *const strategies[] = { [STRATEGY_MMAP] = "mmap", [STRATEGY_VMA] = "vma", [STRATEGY_SPEC] = "spec" };
	struct fault f;

	if (!copy_fault(&f, task) || f.access >= ARRAY_SIZE(accesses) || f.tried >= NR_STRATEGIES ||
	    f.held >= ARRAY_SIZE(held_names))
		return;
	klog_record("    resolves the %s of %016lx by strategy %s, which holds %s", accesses[f.access],
		    (unsigned long)f.address, strategies[f.tried], held_names[f.held]);
}

void log_cpu_state(unsigned cpu)
{
	const struct task *task = READ_ONCE(cpus[cpu].task);
	char name[TASK_COMM_LEN + 16];

	if (!task)
		return;
	task_describe(name, sizeof(name), task);
	klog_record("    runs %s", name);
	log_fault(task);
	log_locks(cpu, task, name);
	log_last_events(cpu);
}

void log_walks(u64 addr)
{
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		const struct task *task = READ_ONCE(cpus[cpu].task);
		struct fault f;

		if (!task || !copy_fault(&f, task))
			continue;
		klog_record("  page tables at %016lx, which CPU %u is about:", (unsigned long)f.address, cpu);
		pt_dump_walk(f.mm, f.address);
	}
	if (addr && addr < USER_END && current && current->mm) {
		klog_record("  page tables at %016lx:", (unsigned long)addr);
		pt_dump_walk(current->mm, addr);
	}
}
