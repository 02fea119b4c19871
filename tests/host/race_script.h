/* SPDX-License-Identifier: MIT */
/*
 * What the scripts of races share, whatever the stage: who plays in them, and the steps. CPU 1 faults, CPU 2 interferes, CPU 3 is
 * another thread of the address space, where it matters one that does what it is told: the puppet.
 */
#ifndef RACE_SCRIPT_H
#define RACE_SCRIPT_H

#include "test.h"

static struct mm *mm;
static vaddr_t addr; /* of the stage's pages */
static struct actor faulter, other;

/* CPU 1's attempt stops at the point. */
static __maybe_unused void fault_until(enum race_point_id point, sim_func *access)
{
	stop_at(point, 1);
	sim_start(1, access, &faulter);
	wait_stopped(point);
}

static __maybe_unused void fault_now(sim_func *access)
{
	sim_start(1, access, &faulter);
	sim_join(1);
}

static __maybe_unused void change_until(enum race_point_id point, sim_func *change)
{
	stop_at(point, 2);
	sim_start(2, change, &other);
	wait_stopped(point);
}

static __maybe_unused void change_now(sim_func *change)
{
	sim_start(2, change, &other);
	sim_join(2);
	CHECK_EQ(other.result, 0);
}

static __maybe_unused void go_on(enum race_point_id point, unsigned cpu)
{
	let_go(point);
	sim_join(cpu);
}

static __maybe_unused void wait_asleep(unsigned cpu)
{
	let_others_run_until(sim_is_sleeping(cpu) || !sim_running(cpu), "CPU %u does not sleep", cpu);
	CHECK(sim_running(cpu));
}

/* Another thread of the address space that does one access at a time, on command. */
static struct {
	u32 state; /* 0: waits, 1: told to do it, 2: told to leave */
	bool write, faults_allowed;
	void (*act)(void); /* what it does instead of an access, or NULL */
	vaddr_t addr;
	u64 value;
	long result;
} puppet;

static __maybe_unused void puppet_access(void)
{
	if (puppet.act)
		puppet.act();
	else if (puppet.faults_allowed)
		puppet.result =
			puppet.write ? sim_write(puppet.addr, puppet.value) : sim_read(puppet.addr, &puppet.value);
	else
		puppet.result = puppet.write ? sim_try_write(puppet.addr, puppet.value)
					     : sim_try_read(puppet.addr, &puppet.value);
}

static __maybe_unused void puppet_main(void *arg)
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

static __maybe_unused void puppet_start_in(struct mm *of)
{
	puppet.state = 0;
	sim_start(3, puppet_main, of);
	while (!(READ_ONCE(of->cpus) & 8))
		cond_resched();
}

static __maybe_unused void puppet_start(void)
{
	puppet_start_in(mm);
}

static __maybe_unused void puppet_stop(void)
{
	store_release(&puppet.state, 2);
	sim_join(3);
}

static __maybe_unused long puppet_do(bool write, bool faults_allowed, vaddr_t where, u64 value)
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

/* Runs act() on its CPU. */
static __maybe_unused long puppet_run(void (*act)(void), vaddr_t where)
{
	puppet.act = act;
	puppet_do(false, false, where, 0);
	puppet.act = NULL;
	return puppet.result;
}

static __maybe_unused void walk_ahead(void)
{
	sim_look_ahead(puppet.addr);
}

/* Its CPU walks there by itself. */
static __maybe_unused void puppet_look_ahead(vaddr_t where)
{
	puppet_run(walk_ahead, where);
}

static __maybe_unused void try_exec(void)
{
	puppet.result = sim_try_exec(puppet.addr);
}

static __maybe_unused void exec_with_faults(void)
{
	puppet.result = sim_exec(puppet.addr);
}

static __maybe_unused void stop_listening(void)
{
	irq_disable();
}

static __maybe_unused void listen_again(void)
{
	irq_enable();
}

/* Until then its CPU answers no interrupt, as any CPU may answer late: it goes on with the translations that it has. */
static __maybe_unused void puppet_deafen(void)
{
	puppet_run(stop_listening, 0);
}

static __maybe_unused void puppet_listen(void)
{
	puppet_run(listen_again, 0);
}

static struct mm *child;

static __maybe_unused void act_fork(void *arg)
{
	struct actor *actor = arg;

	sim_use_mm(actor->mm);
	actor->result = mm_fork(child, actor->mm);
	sim_leave_mm();
}

#endif
