/* SPDX-License-Identifier: MIT */
/*
 * What the locks and mm/ know of a thread: its identity, and how it sleeps and is woken. The kernel's scheduler
 * (kernel/sched/sched.c) and the host's simulated machine (tests/host/) each implement it.
 *
 * The protocol is Linux's: announce the sleep, test the condition, sleep; a wake-up in between makes the sleep return
 * at once, so none is lost.
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include "kernel/lib/base.h"

struct thread; /* the kernel's: struct task */

enum sleep_state {
	SLEEP_UNINTERRUPTIBLE, /* only thread_wake() ends it */
	SLEEP_KILLABLE,	       /* ... or a fatal signal */
	SLEEP_INTERRUPTIBLE,   /* ... or any unblocked signal */
};

struct thread *current_thread(void);
int thread_id(const struct thread *thread); /* Linux's tid */

/* Announces that the caller is about to sleep. Must not hold a spinlock when it then calls thread_sleep(). */
void thread_prepare_sleep(enum sleep_state state);
/*
 * Gives up the CPU until woken. Sleeps; asserts that no spinlock is held, and below fault_in() that this sleep is in the list of
 * mm/fault/fault_sleep.h. Returns at once if already woken.
 */
void thread_sleep(void);
/* Takes the announcement back. */
void thread_cancel_sleep(void);
/* Makes a sleeping (or about to sleep) thread runnable. Callable under any lock below RUN_QUEUE, and from interrupts. */
void thread_wake(struct thread *thread);
/* A fatal signal is pending for the current thread. */
bool thread_killed(void);
/*
 * A page fault of the current thread, or of the kernel on its behalf, was resolved: each is counted by who called fault_in(),
 * as a minor one. fault_in() says of some that somebody waited for I/O: those count as major instead.
 */
void thread_count_fault(void);
void thread_count_as_major(void);
/* Faults of the current thread that were resolved, so far. */
u64 thread_nr_faults(void);
/* Its last fault that found nothing to do, and how often in a row that was the same one (mm/fault/fault_kind.c). The thread itself. */
struct fault_repeat {
	u64 ip, address, nr_faults;
	u32 access, times;
};
struct fault_repeat *thread_fault_repeat(void);
/*
 * The current thread is about to sleep until I/O ends, or until who has begun it lets a page go; and has slept, since that
 * moment: /proc/PID/stat's delay field. As Linux's io_schedule().
 */
u64 thread_io_wait_begin(void);
void thread_io_wait_end(u64 began);
/* May the current thread lock memory beyond RLIMIT_MEMLOCK? CAP_IPC_LOCK. */
bool thread_may_lock_memory(void);
/* May the current thread map memory below mmap_min_addr, where a kernel's NULL pointers lead? CAP_SYS_RAWIO. */
bool thread_may_map_low(void);
/* A point in a long loop where the CPU may be handed over: an RCU quiescent state. Sleeps. */
void cond_resched(void);

#endif
