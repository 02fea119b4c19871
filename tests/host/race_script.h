/* SPDX-License-Identifier: MIT */
/*
 * Shared steps of the race scripts, whatever their stage. CPU 1 faults, CPU 2 interferes, CPU 3 is another thread of
 * the address space; in some scripts it is the puppet, which runs one access at a time on command.
 */
#ifndef RACE_SCRIPT_H
#define RACE_SCRIPT_H

#include "test.h"

static struct mm *mm;
static vaddr_t addr; /* the first of the stage's pages */
static struct actor faulter, other;

/* Runs CPU 1's access up to the race point, where it stops. */
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

/* The puppet: another thread of the address space that performs one access at a time, on command. */
static struct {
	u32 state; /* 0: idle, 1: access requested, 2: told to exit */
	bool write, faults_allowed;
	void (*act)(void); /* called instead of an access, or NULL */
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

/* Runs act() on the puppet's CPU. */
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

/* Makes the puppet's CPU walk to the address speculatively. */
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

/*
 * Disables interrupts on the puppet's CPU until puppet_listen(): like any CPU that responds late, it keeps using its
 * stale translations.
 */
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
