/* SPDX-License-Identifier: MIT */
/*
 * The interface between threads and the locks and mm/: a thread's identity, and how it sleeps and is woken. Implemented
 * by the kernel's scheduler (kernel/sched/sched.c) and the host's simulated machine (tests/host/).
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

/* Announces that the caller is about to sleep. It must not hold a spinlock when it then calls thread_sleep(). */
void thread_prepare_sleep(enum sleep_state state);
/*
 * Runs other threads until this one is woken. Sleeps; asserts that no spinlock is held, and below fault_in() that this
 * sleep is in the list of mm/fault/fault_sleep.h. Returns at once if already woken.
 */
void thread_sleep(void);
/* Cancels the announced sleep. */
void thread_cancel_sleep(void);
/*
 * Makes a sleeping (or about to sleep) thread runnable. Callable under any lock of a rank before RUN_QUEUE, and from
 * interrupts.
 */
void thread_wake(struct thread *thread);
/* Returns whether a fatal signal is pending for the current thread. */
bool thread_killed(void);
/*
 * Count a resolved page fault of the current thread, or of the kernel on its behalf. The caller of fault_in() counts
 * each as minor; if the fault had to wait for I/O, fault_in() makes it count as major instead.
 */
void thread_count_fault(void);
void thread_count_as_major(void);
/* Returns the number of faults of the current thread that have been resolved so far. */
u64 thread_nr_faults(void);
/*
 * The current thread's last fault that found nothing to do, and how often in a row it occurred (mm/fault/fault_kind.c).
 * Accessed by the thread itself only.
 */
struct fault_repeat {
	u64 ip, address, nr_faults;
	u32 access, times;
};
struct fault_repeat *thread_fault_repeat(void);
/*
 * Called before and after the current thread sleeps until I/O ends, or until the thread that started it unlocks a page:
 * the delay field of /proc/PID/stat. Like Linux's io_schedule(). `began` is what thread_io_wait_begin() returned.
 */
u64 thread_io_wait_begin(void);
void thread_io_wait_end(u64 began);
/* Returns whether the current thread may lock memory beyond RLIMIT_MEMLOCK: CAP_IPC_LOCK. */
bool thread_may_lock_memory(void);
/*
 * Returns whether the current thread may map memory below mmap_min_addr, where a NULL pointer of the kernel would
 * point: CAP_SYS_RAWIO.
 */
bool thread_may_map_low(void);
/* A point in a long loop where the CPU may switch to another thread: an RCU quiescent state. Sleeps. */
void cond_resched(void);

#endif
