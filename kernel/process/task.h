/* SPDX-License-Identifier: MIT */
/*
 * Tasks (threads) and processes (thread groups): their structures, look-up and reference counts.
 *
 * A task and a process are freed after an RCU grace period, so a reader under rcu_read_lock() may look one up by number
 * without a lock and take a reference. Locks: process_tree_lock (parents and children, process groups, numbers,
 * zombies), then the process's own lock (its threads and signals; taken with interrupts off, since timers send
 * signals).
 */
#ifndef KERNEL_TASK_H
#define KERNEL_TASK_H

#include "kernel/lib/list.h"
#include "kernel/sched/thread.h"
#include "kernel/signal/signal.h"
#include "kernel/sync/lockdep.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "kernel/time/timer.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"

struct files;
struct fs_context;
struct itimers;
struct mm;
struct tty;

#define TASK_COMM_LEN 16
#define PID_MAX 32768
#define NR_RLIMITS 16
#define RLIM_INFINITY (~0UL)

enum rlimit_resource {
	RLIMIT_CPU,
	RLIMIT_FSIZE,
	RLIMIT_DATA,
	RLIMIT_STACK,
	RLIMIT_CORE,
	RLIMIT_RSS,
	RLIMIT_NPROC,
	RLIMIT_NOFILE,
	RLIMIT_MEMLOCK,
	RLIMIT_AS,
	RLIMIT_LOCKS,
	RLIMIT_SIGPENDING,
	RLIMIT_MSGQUEUE,
	RLIMIT_NICE,
	RLIMIT_RTPRIO,
	RLIMIT_RTTIME,
};

/* The scheduling state of a task. */
enum task_state {
	TASK_RUNNING,	      /* on a CPU or on a run queue */
	TASK_UNINTERRUPTIBLE, /* sleeping until woken */
	TASK_KILLABLE,	      /* ... or a fatal signal comes */
	TASK_INTERRUPTIBLE,   /* ... or any unblocked signal comes */
	TASK_STOPPED,	      /* by a stop signal, until SIGCONT or SIGKILL */
	TASK_DEAD,	      /* will never run again; freed once it has left the CPU */
};

/* Bits of task->work: what must be done before the task returns to user mode. */
#define WORK_RESCHED 1u	   /* another task should run, or RCU call-backs are due */
#define WORK_SIGNAL 2u	   /* a signal may be deliverable */
#define WORK_RESTORE 4u	   /* after sigsuspend, ppoll and the like: restore saved_blocked if no handler runs */
#define WORK_FRAME 8u	   /* user registers other than the result have changed: leave by iret. Cleared by entry.asm */
#define WORK_SAME_CALL 16u /* a tick found it in the kernel, and it has not left the kernel since: hang.c */
#define WORK_SAME_STRETCH 32u /* ... nor called cond_resched() */

/*
 * How restart_syscall continues a sleep with a relative time-out that a signal without a handler interrupted: by func.
 */
struct restart {
	long (*func)(struct restart *restart);
	u64 deadline; /* ns */
	u64 arg[5];
};

/* The I/O of a thread: bytes and calls of read and write, and the bytes that devices had to transfer for it. */
struct io_usage {
	u64 read_chars, written_chars, nr_reads, nr_writes, read_bytes, write_bytes;
};

struct task {
	/* Known to entry.asm and the context switch (kernel/x86/context.c). */
	u32 work;	 /* atomic bits WORK_…; offset 0 */
	u8 state;	 /* enum task_state: written by the task itself; set to RUNNING under the run queue's lock */
	u8 exiting;	 /* set once, by the task itself, which takes no more signals */
	struct mm *mm;	 /* changed by the task itself under process->lock; NULL in idle tasks and dead ones */
	u64 kernel_rsp;	 /* while it is switched out */
	void *stack_top; /* constant: the upper end of its kernel stack */
	u64 fs_base;	 /* user's FS base while it does not run; the task itself */
	u64 gs_base;	 /* user's GS base, likewise */
	void *fpu;	 /* constant: user's vector registers while it does not run; NULL without a user half */
	s32 tid;	 /* constant after clone, but exec gives the surviving thread the number of its process */
	/*
	 * The fault that is being resolved, or NULL. Written by the task itself; others may follow it only while the
	 * task stands still.
	 */
	const struct fault *fault;
	struct user_selectors {
		u16 ds, es, fs, gs;
	} selectors; /* user's, valid like fs_base; 0 unless the program has loaded others */

	/* Scheduling: guarded by the lock of the run queue of `cpu` */
	u32 cpu;       /* whose run queue it is on, or was on last */
	bool on_rq;    /* queued, running, or between two queues */
	bool is_idle;  /* constant: one of the per-CPU idle tasks */
	u64 affinity;  /* CPUs it may run on */
	bool fresh;    /* has not used up a turn since it last slept */
	s64 turn_left; /* ns of CPU, as of the last charge */
	/*
	 * The task itself, in a wake-up: it will sleep next, until the thread that it wakes has run; one CPU is enough
	 * for both.
	 */
	bool hands_over;
	struct list_head rq_link;
	u64 switched_in;		  /* ns: when it last got the CPU */
	u64 run_time;			  /* ns of CPU used before that */
	u64 nr_voluntary, nr_involuntary; /* context switches */
	u64 hang_switches, hang_since;	  /* hang.c: state as of its last check; process_tree_lock */

	/* The task itself. Every fault is counted here, so no field that other threads write shares the cache line. */
	u64 min_flt __cacheline_aligned; /* page faults that did not wait for I/O */
	u64 maj_flt;			 /* ... and that did */
	struct io_usage io;
	u64 io_wait_ns;		      /* ns that it slept waiting for I/O */
	u64 user_ticks, kernel_ticks; /* tick samples, by which run_time is divided */
	vaddr_t set_child_tid;	      /* where to write the tid before the first return, or 0 */
	vaddr_t clear_child_tid;      /* where to write 0 and wake a futex waiter at exit, or 0 */
	vaddr_t robust_list;	      /* the head of the list of robust futexes, or 0 */
	struct restart restart;
	struct vfork *vfork; /* what its vfork parent sleeps on, or NULL; process_tree_lock */
	struct fault_repeat fault_repeat;
	u64 trap_number, trap_error, trap_addr; /* of the last exception that became a signal: for sigcontext */

	/* Signals: process->lock; the task itself may read `blocked` and `altstack` without it */
	u64 blocked;	   /* sigset_t */
	u64 saved_blocked; /* valid with WORK_RESTORE */
	u64 sigwait;	   /* the signals that sigtimedwait waits for */
	struct sigpending pending;
	struct sigstack {
		u64 sp;
		u32 flags, pad;
		u64 size;
	} altstack;

	/* Identity: constant after clone */
	s32 refs; /* atomic */
	s32 nice; /* stored; the scheduler ignores it */
	struct process *process;
	struct mm *home_mm;	      /* as `mm`: its own address space while `mm` is one that it visits, or NULL */
	struct files *files;	      /* the task itself */
	struct fs_context *fs;	      /* the task itself */
	char comm[TASK_COMM_LEN];     /* written by the task itself; a torn read is harmless */
	struct list_head thread_link; /* in process->threads: process_tree_lock and process->lock */
	struct rcu_head rcu;
	struct lock_wait waits; /* the task itself */
#if DEBUG
	struct held_locks held;
#endif
};
_Static_assert(offsetof(struct task, kernel_rsp) == TASK_KERNEL_RSP, "entry.asm");
_Static_assert(offsetof(struct task, stack_top) == TASK_STACK_TOP_OFFSET, "machine_arch.h");
_Static_assert(offsetof(struct task, tid) == TASK_TID_OFFSET, "machine_arch.h");
_Static_assert(offsetof(struct task, fault) == TASK_FAULT_OFFSET, "machine_arch.h");
_Static_assert(sizeof(struct trap_frame) - offsetof(struct trap_frame, rip) == STACK_USER_IP_OFFSET, "machine_arch.h");

struct rlimit {
	u64 cur, max;
};

/* Linux's four ids of each kind; root has all zero. fork inherits them, exec keeps them. */
struct ids {
	u32 real, effective, saved, fs;
};

struct users {
	struct ids user, group;
};

struct usage {
	u64 user_time, kernel_time; /* ns */
	u64 min_flt, maj_flt, nr_voluntary, nr_involuntary;
	u64 max_rss; /* KiB */
	struct io_usage io;
};

/* A thread group. */
struct process {
	s32 pid;	  /* constant: also the tid of its first thread */
	bool is_kernel;	  /* constant: a kernel thread, see kernel/sched/kthread.h */
	bool stop_wanted; /* kernel threads: set once, by kthread_stop() */
	s32 refs;	  /* atomic: one for being in the tree, one per task, one per look-up */

	/* process_tree_lock */
	struct process *parent;
	struct list_head children, sibling;
	struct list_head all_link;		   /* all_processes */
	s32 pgid, sid;				   /* process_set_group(), process_set_session() */
	struct list_head group_link, session_link; /* among those of the same hash; not of a kernel thread */
	s32 exit_signal;			   /* to the parent at the end; 0: none */
	bool did_exec;
	bool zombie; /* all threads have exited, the parent has not waited yet */
	bool child_subreaper;
	s32 parent_death_signal;
	u64 oom_since;		      /* ns: when the OOM killer first found it ending; 0: never */
	struct tty *tty;	      /* the controlling terminal, or NULL; READ_ONCE where a stale value is harmless */
	struct wait_queue child_wait; /* wait4 sleeps here; a lock of its own */
	struct wait_queue end_wait;   /* a thread that polls a pidfd sleeps here; likewise */

	/* lock */
	spinlock_t lock; /* RANK_SIGNAL, interrupts off */
	struct list_head threads;
	u32 nr_threads;		   /* on `threads` */
	struct sighand *sighand;   /* NULL once all threads have exited */
	struct sigpending pending; /* for the process as a whole */
	bool group_exit;	   /* every thread must exit; exit_code is the reason */
	bool unkillable;	   /* an init: ignores every signal that has no handler */
	s32 exit_code;		   /* as wait4 reports it */
	struct task *exec_task;	   /* the thread that is in exec and waits for the others to exit */
	s32 stop_signal;	   /* not 0: threads must stop */
	bool stop_taken;	   /* a thread has taken a stop signal out of a queue, and no SIGCONT was sent since */
	u32 nr_stopped;
	bool continued;		     /* the parent has yet to be notified of a SIGCONT */
	bool stop_report;	     /* a stop that wait4 with WUNTRACED has not reported yet */
	bool continue_report;	     /* likewise with WCONTINUED */
	struct usage dead_usage;     /* of the threads that have exited */
	struct usage children_usage; /* of the children that it has waited for; process_tree_lock */
	struct rlimit rlimit[NR_RLIMITS];
	struct itimers *itimers; /* NULL until one is set; kernel/linux/itimer.c */
	struct interval_tree posix_timers;
	s32 next_timer_id;
	u32 nr_timers;

	struct users users; /* the lock of kernel/linux/users.c; single ids are read without it */

	u64 cpu_ticks;	   /* atomic: ticks that found it running, for RLIMIT_CPU */
	u64 start_ns;	   /* constant */
	s32 oom_score_adj; /* any thread, by WRITE_ONCE */
	bool no_dump, membarrier_registered;
	bool no_new_privs;
	u32 membarrier; /* atomic bits: the registrations of membarrier(2) */
	struct rcu_head rcu;
};

extern spinlock_t process_tree_lock;
extern struct list_head all_processes; /* process_tree_lock */
extern struct process *init_process;   /* pid 1 */

#define current current_task()

static inline struct task *task_of(struct thread *thread)
{
	return (struct task *)thread;
}

/* Returns the user registers that a task with a user half will resume with. */
static inline struct trap_frame *task_frame(struct task *task)
{
	return stack_frame(task->stack_top);
}

/* Returns the task, or process, of that number, with a reference, or NULL. Takes no lock. */
struct task *task_find(s32 tid);
/* As task_find(), for a system call's argument: 0 is the current task. */
struct task *task_find_or_self(s32 tid);
struct process *process_find(s32 pid);
/* Returns the process of that number, or NULL. => process_tree_lock held, for as long as it is looked at */
struct process *process_numbered(s32 pid);
/* Returns the process with the lowest number >= pid, with a reference, or NULL. Takes no lock. */
struct process *process_next(s32 pid);
/* Returns a thread of the process that has not exited, with a reference, or NULL: the first thread while it lives. */
struct task *process_thread(struct process *process);
/*
 * Returns the address space whose program the task is a thread of, or NULL. Stable under process->lock, or for the task
 * itself.
 */
static inline struct mm *task_own_mm(const struct task *task)
{
	return task->home_mm ? task->home_mm : task->mm;
}
/* Returns the address space of a process, counted as a user of it, or NULL. */
struct mm *process_mm(struct process *process);
void task_put(struct task *task);
void process_put(struct process *process);
static inline void task_get(struct task *task)
{
	atomic_inc(&task->refs);
}
static inline void process_get(struct process *process)
{
	atomic_inc(&process->refs);
}

/* ---- Creation and removal: kernel/process/task.c ----------------------------------------------------------------- */
void task_init(void); /* boot: creates the slab caches */
/* Returns a task with a kernel stack and vector state, and nothing else; NULL if out of memory. */
struct task *task_alloc(void);
struct process *process_alloc(void); /* one reference */
/* Gives them a number that no task, process, group or session has. Returns: 0 or -EAGAIN. => process_tree_lock held. */
int task_number(struct task *task, struct process *process);
/* exec: the task takes over the process's number. => process_tree_lock held. */
void task_take_number(struct task *task, s32 pid);
/* Moves the process to that group, or session; 0: to none. => process_tree_lock held. */
void process_set_group(struct process *process, s32 pgid);
void process_set_session(struct process *process, s32 sid);
/* Visits each process of a group, or session. => process_tree_lock held; the loop changes neither. */
#define for_each_in_group(process, number)                                                                             \
	list_for_each (process, group_members(number), group_link)                                                     \
		if ((process)->pgid != (number))                                                                       \
			;                                                                                              \
		else
#define for_each_in_session(process, number)                                                                           \
	list_for_each (process, session_members(number), session_link)                                                 \
		if ((process)->sid != (number))                                                                        \
			;                                                                                              \
		else
struct list_head *group_members(s32 pgid); /* may include members of other groups */
struct list_head *session_members(s32 sid);
/* Removes the task's (process's) number from the table, and drops the table's reference. => process_tree_lock held. */
void task_forget(struct task *task);
void process_forget(struct process *process);
/* The number of tasks that are alive, and of those ever created. Unlocked: statistics. */
u32 nr_tasks(void);
u64 nr_tasks_created(void);
/* The number of tasks whose struct and stack are allocated: live ones, and those that ended but are not freed yet. */
u64 nr_tasks_in_memory(void);

/* ---- Interfaces between the parts of a process's life ------------------------------------------------------------ */
/* Ends the current thread (exit.c), with exit_code as wait4 reports it. Sleeps. */
void task_exit(s32 exit_code) __noreturn;
/* Ends the current process. */
void process_exit(s32 exit_code) __noreturn;
/*
 * Kills the other threads of the current process and waits until they have exited. Returns: 0, -EAGAIN if another
 * thread is in exec or exit_group already, or -EINTR if the process is being killed.
 */
int process_become_single(void);
/*
 * Moves the current task to another address space (NULL: none). Returns the old one, whose user count it leaves alone.
 */
struct mm *task_switch_mm(struct mm *next);
/*
 * Redirects the current task's copies to and from user memory to another process's address space, and back to its own.
 * For all other purposes the task stays in its own (task_own_mm()). Visits do not nest, and the caller holds a user of
 * `other`.
 */
void task_visit_mm(struct mm *other);
void task_leave_visited_mm(void);
/*
 * Releases what user mode waits for when the current thread leaves its address space: robust futexes, clear_child_tid
 * and a vfork parent. May sleep.
 */
void task_release_user(void);
/* Ends the wait of the task's vfork parent, if there is one. */
void vfork_release(struct task *task);
/*
 * Powers the machine off: ends the first process, with the status that the tool is to exit with, and then all others.
 */
void machine_end(void);
extern u8 machine_exit_status; /* any thread, by WRITE_ONCE */
/* Creates pid 1 and starts its program. Called on CPU 0, at the very end of the boot. */
void start_first_process(void);
/* futex.c: releases the robust futexes of the dying current task; wakes a waiter at clear_child_tid. May sleep. */
void futex_exit(struct task *task);
void futex_wake_exit(vaddr_t addr);
/* rlimits.c: sets the limits that Linux gives the first process; copies to the mm the limits that it must know. */
void rlimits_init(struct process *process);
void rlimits_to_mm(struct process *process, struct mm *mm);
/* Returns the soft limit of the current process. */
static inline u64 rlimit_current(enum rlimit_resource resource)
{
	return READ_ONCE(current_task()->process->rlimit[resource].cur);
}

/* ---- For /proc and getrusage ------------------------------------------------------------------------------------- */
/* Returns the state letter of /proc/PID/stat: R S D T Z. */
char task_state_letter(const struct task *task);
/* CPU time of one task, ns; and its division into user and kernel time. */
u64 task_run_time(const struct task *task);
void task_times(const struct task *task, u64 *user_ns, u64 *kernel_ns);
/* Adds the task's usage to *usage. */
void task_add_usage(const struct task *task, struct usage *usage);
/* Sums up all threads, including those that have exited. Takes process->lock. */
void process_usage(struct process *process, struct usage *usage);
void usage_add(struct usage *sum, const struct usage *more);

#endif
