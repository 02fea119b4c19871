/* SPDX-License-Identifier: MIT */
/*
 * membarrier: a memory barrier on every CPU that runs the process (or on all CPUs). An acknowledged interrupt is a
 * barrier, so a TLB shootdown of page 0, which is hardly ever mapped, does the work.
 */
#include "kernel/lib/errno.h"
#include "kernel/process/task.h"
#include "kernel/sync/rcu.h"
#include "kernel/syscall.h"
#include "mm/vma/mm.h"

enum {
	CMD_QUERY = 0,
	CMD_GLOBAL = 1,
	CMD_GLOBAL_EXPEDITED = 2,
	CMD_REGISTER_GLOBAL_EXPEDITED = 4,
	CMD_PRIVATE_EXPEDITED = 8,
	CMD_REGISTER_PRIVATE_EXPEDITED = 16,
	CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32,
	CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64,
	CMD_ALL = 127,
};

/*
 * A CPU that switches to one of the process's threads at the same time needs no interrupt: the switch is a barrier,
 * too.
 */
static void barrier_on(u64 cpus)
{
	u64 others = cpus & ~(1UL << cpu_id());

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (others)
		machine_tlb_shootdown(others, 0, PAGE_SIZE);
}

static u64 all_cpus(void)
{
	return nr_cpus() == MAX_CPUS ? ~0UL : (1UL << nr_cpus()) - 1;
}

/* As on Linux, the process must first register for its expedited barriers. */
static long private_barrier(u32 registration)
{
	if (!(READ_ONCE(current->process->membarrier) & registration))
		return -EPERM;
	barrier_on(__atomic_load_n(&current->mm->cpus, __ATOMIC_SEQ_CST));
	return 0;
}

SYSCALL(membarrier)
{
	if (a1)
		return -EINVAL;
	switch ((u32)a0) {
	case CMD_QUERY:
		return CMD_ALL;
	case CMD_GLOBAL:
		synchronize_rcu(); /* every CPU has switched */
		return 0;
	case CMD_GLOBAL_EXPEDITED:
		barrier_on(all_cpus());
		return 0;
	case CMD_REGISTER_GLOBAL_EXPEDITED:
	case CMD_REGISTER_PRIVATE_EXPEDITED:
	case CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		(void)atomic_or(&current->process->membarrier, (u32)a0);
		return 0;
	case CMD_PRIVATE_EXPEDITED:
		return private_barrier(CMD_REGISTER_PRIVATE_EXPEDITED);
	case CMD_PRIVATE_EXPEDITED_SYNC_CORE:
		return private_barrier(CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
	default:
		return -EINVAL;
	}
}
