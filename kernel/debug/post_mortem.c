/* SPDX-License-Identifier: MIT */
/*
 * The state of a stopped CPU, as logged. Any data may be damaged when this runs: it takes no locks, and copies what
 * pointers lead to with the nofault copy first. Data that changes while it is read makes a line wrong, but does no
 * other harm.
 */
#include "kernel/debug/post_mortem.h"

#include "kernel/debug/fault_trace.h"
#include "kernel/debug/lock_owners.h"
#include "kernel/debug/panic.h"
#include "kernel/lib/print.h"
#include "kernel/process/task.h"
#include "mm/fault/core.h"
#include "mm/table/pgtable.h"
#include "mm/vma/mm.h"

static const char *const held_names[] = {
	[HELD_NOTHING] = "nothing",
	[HELD_RCU] = "an RCU section",
	[HELD_VMA] = "the VMA's lock",
	[HELD_MMAP] = "mmap_lock for reading",
};

void cpu_place_note(struct cpu_place *place, const struct trap_frame *frame)
{
	place->rip = frame->rip;
	place->rbp = frame->rbp;
	place->user = frame_is_user(frame);
}

void log_cpu_place(const struct cpu_place *place)
{
	if (place->user)
		klog_record("    in user mode at %016lx", (unsigned long)place->rip);
	else
		log_backtrace(place->rip, place->rbp);
}

void task_describe(char *buf, size_t size, const struct task *task)
{
	ksnprintf(buf, size, "%.*s[%d]", TASK_COMM_LEN, task->comm, READ_ONCE(task->tid));
}

static void post_mortem_log_fault(const struct task *task)
{
	static const char *const accesses[] = {
		[ACCESS_READ] = "read", [ACCESS_WRITE] = "write", [ACCESS_EXEC] = "fetch"
	};
	struct fault f;

	if (!task_copy_fault(&f, task) || f.access >= ARRAY_SIZE(accesses) || f.tried >= NR_STRATEGIES ||
	    f.held >= ARRAY_SIZE(held_names))
		return;
	klog_record("    resolves the %s of %016lx by strategy %s, which holds %s", accesses[f.access],
		    (unsigned long)f.address, fault_strategy_names[f.tried], held_names[f.held]);
}

static bool can_read(const void *start, size_t size)
{
	u8 byte;

	return !kernel_read_nofault(&byte, start, 1) && !kernel_read_nofault(&byte, (const char *)start + size - 1, 1);
}

/* Returns the thread that runs on a CPU, or NULL if its pointer is not readable. */
static const struct task *task_on(unsigned cpu)
{
	const struct task *task = READ_ONCE(cpus[cpu].task);

	return can_read(task, sizeof(*task)) ? task : NULL;
}

void log_cpu_state(unsigned cpu)
{
	const struct task *task = task_on(cpu);
	char name[TASK_COMM_LEN + 16];

	if (!task) {
		klog_record("    runs a thread that cannot be read, at %p", READ_ONCE(cpus[cpu].task));
		log_last_events(cpu);
		return;
	}
	task_describe(name, sizeof(name), task);
	klog_record("    runs %s", name);
	post_mortem_log_fault(task);
	log_locks(cpu, task, name);
	log_last_events(cpu);
}

static void log_walk(const struct mm *mm, vaddr_t addr)
{
	const pmd_t *table = mm ? mm->pgd : phys_to_virt(kernel_pgd);

	if (!can_read(table, PAGE_SIZE))
		klog_record("    cannot be read, at %p", table);
	else
		pt_dump_walk(table, addr);
}

void log_walks(u64 addr)
{
	for (unsigned cpu = 0; cpu < nr_cpus(); cpu++) {
		const struct task *task = task_on(cpu);
		struct fault f;

		if (!task || !task_copy_fault(&f, task) || !can_read(f.mm, sizeof(*f.mm)))
			continue;
		klog_record("  page tables at %016lx, faulting on CPU %u:", (unsigned long)f.address, cpu);
		log_walk(f.mm, f.address);
	}
	if (addr != NO_ADDRESS) {
		const struct task *task = task_on(cpu_id());

		klog_record("  page tables at %016lx:", (unsigned long)addr);
		log_walk(task ? task->mm : NULL, addr);
	}
}
