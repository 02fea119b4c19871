/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: one run queue per CPU, round robin in turns of TURN_NS, preemption of user mode only. A woken task
 * goes to an idle CPU that its affinity allows, preferably the one it last ran on; if none is idle, a pipe keeps its
 * reader and writer on one CPU. A CPU whose queue is empty pulls a task from the longest queue.
 *
 * A task that wakes up with part of its turn left is *fresh*: it runs before all tasks that have used up a turn since
 * they last slept, and preempts one of those at once. Two rules keep it from starving them:
 *
 *	the turn	the remainder is kept across sleep; when it is used up, the task is no longer fresh, gets a
 *			new turn and queues behind all others
 *	the debt	the time that fresh tasks run while others wait; when it reaches one turn, the others run for
 *			as long, undisturbed
 *
 * So a task that sleeps often gets no more of the CPU than its turns. However many fresh tasks there are, the only
 * CPU-bound task of a CPU waits for them at most two turns: until the debt is due, and until the tick notices it.
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include "kernel/process/task.h"

#define TICK_NS 4000000UL /* while a CPU is busy: accounting, RCU, and the end of a turn */
#define TURN_NS TICK_NS	  /* of CPU time, to the nearest tick */

/* Boot, on CPU 0, before anything sleeps: makes the running context this CPU's idle task. */
void sched_init(void);
/* The second half of the boot of each CPU, on its idle task: see kernel/sched/smp.h. */
void cpu_start_scheduling(void) __noreturn;

/* Makes a new task runnable for the first time. */
void sched_start(struct task *task);
/* Switches to the next runnable task; the current one sleeps if its state says so. => no spinlock held. */
void schedule(void);
/* As schedule(), and the current task gives up the rest of its turn. => no spinlock held. */
void sched_yield(void);
/* Ends the current task. Never returns. */
void sched_exit(void) __noreturn;
/* If the task sleeps in one of `states` (bits 1 << TASK_…), makes it runnable and returns true. Any context. */
bool sched_wake(struct task *task, u32 states);
#define ANY_SLEEP (1u << TASK_UNINTERRUPTIBLE | 1u << TASK_KILLABLE | 1u << TASK_INTERRUPTIBLE)

/* Called from this CPU's tick; `user` says whether it interrupted user mode. => interrupts off. */
void sched_tick(bool user);
/*
 * Do the pending work before a return to user mode: scheduling, signals. Called on every exit from the kernel with work
 * to do; interrupts off before and after. The second form is for the frame of a system call, which may have to be
 * restarted.
 */
void exit_to_user(struct trap_frame *frame);
void syscall_exit_to_user(struct trap_frame *frame);

/* Returns 0, or -EINVAL if no such CPU is up. Migrates the task if necessary. Sleeps. */
int sched_set_affinity(struct task *task, u64 cpus);

/* For /proc: runnable tasks, context switches, and how a CPU spent its time: sampled by ticks, except idle time. */
u32 sched_nr_running(void);
u64 sched_nr_switches(void);
struct cpu_usage {
	u64 user_ns, kernel_ns, idle_ns;
};
struct cpu_usage sched_cpu_usage(u32 cpu);

#endif
