/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: one run queue per CPU, round robin in turns of TURN_NS, preemption of user mode only. A woken task goes to
 * an idle CPU that its affinity allows, first to the one it ran on; where none is idle, a pipe keeps both ends on one CPU. A CPU
 * that runs dry pulls from the longest queue.
 *
 * A task that wakes up with part of its turn left is *fresh*: it runs before all tasks that have used up a turn since they
 * last slept, and takes the CPU from one of those at once. Two rules keep it from starving them:
 *
 *	the turn	what is left of it is kept across sleep; when it is used up, the task is fresh no more, gets a new turn
 *			and queues behind all others
 *	the debt	what fresh tasks run while others wait; at a turn's worth, the others run for as long, undisturbed
 *
 * So a task that sleeps often gets no more of the CPU than its turns, and however many fresh tasks there are, a CPU's only busy
 * task waits for them two turns at most: until the debt is due, and until the tick sees it.
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include "kernel/process/task.h"

#define TICK_NS 4000000UL /* while a CPU is busy: accounting, RCU, and the end of a turn */
#define TURN_NS TICK_NS	  /* of CPU time, to the nearest tick */

/* Boot, on CPU 0, before anything sleeps: makes what runs now this CPU's idle task. */
void sched_init(void);
/* The second half of the boot of each CPU, on its idle task: see kernel/sched/smp.h. */
void cpu_start_scheduling(void) __noreturn;

/* Makes a new task runnable for the first time. */
void sched_start(struct task *task);
/* Switches to the next runnable task; the current one goes on waiting if its state says so. => no spinlock held. */
void schedule(void);
/* As schedule(), and the current task gives up the rest of its turn. => no spinlock held. */
void sched_yield(void);
/* The current task is dead: never returns. */
void sched_exit(void) __noreturn;
/* If the task sleeps in a state of `states` (bits 1 << TASK_…), makes it runnable. Any context. */
bool sched_wake(struct task *task, u32 states);
#define ANY_SLEEP (1u << TASK_UNINTERRUPTIBLE | 1u << TASK_KILLABLE | 1u << TASK_INTERRUPTIBLE)

/* From the tick of this CPU: `user` says what it interrupted. => interrupts off. */
void sched_tick(bool user);
/*
 * What remains to be done before user mode goes on: scheduling, signals. Called by every way out of the kernel with work
 * to do; interrupts off before and after. The second form knows that the frame is that of a system call, which may
 * have to be restarted.
 */
void exit_to_user(struct trap_frame *frame);
void syscall_exit_to_user(struct trap_frame *frame);

/* 0, or -EINVAL if no such CPU is up. Moves the task if it must. Sleeps. */
int sched_set_affinity(struct task *task, u64 cpus);

/* For /proc: runnable tasks, context switches, and what a CPU has done: sampled by ticks, but for idleness. */
u32 sched_nr_running(void);
u64 sched_nr_switches(void);
struct cpu_usage {
	u64 user_ns, kernel_ns, idle_ns;
};
struct cpu_usage sched_cpu_usage(u32 cpu);

#endif
