/* SPDX-License-Identifier: MIT */
/*
 * Signals: Linux's numbers and structures, and the interfaces for sending, waiting and delivery.
 *
 * process->lock (interrupts off) protects the queues, the blocked masks of all the process's threads and its stop
 * state; sighand->lock protects the actions, which CLONE_SIGHAND shares. Whether a signal is ignored is decided when it
 * is sent, by one unlocked read of the handler: a racing sigaction() counts as before or after the sending.
 */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include "kernel/lib/list.h"
#include "kernel/sync/spinlock.h"

struct task;
struct process;
struct trap_frame;

#define NSIG 64
#define SIGRTMIN 32
#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGSTKFLT 16
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGURG 23
#define SIGXCPU 24
#define SIGXFSZ 25
#define SIGVTALRM 26
#define SIGPROF 27
#define SIGWINCH 28
#define SIGIO 29
#define SIGPWR 30
#define SIGSYS 31

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE -1
#define SI_TIMER -2
#define SI_TKILL -6
#define ILL_ILLOPN 2
#define FPE_INTDIV 1
#define FPE_FLTDIV 3
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define SEGV_PKUERR 4
#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define TRAP_BRKPT 1
#define TRAP_TRACE 2
#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_DUMPED 3
#define CLD_STOPPED 5
#define CLD_CONTINUED 6

#define SA_NOCLDSTOP 0x1u
#define SA_NOCLDWAIT 0x2u
#define SA_SIGINFO 0x4u
#define SA_RESTORER 0x04000000u
#define SA_ONSTACK 0x08000000u
#define SA_RESTART 0x10000000u
#define SA_NODEFER 0x40000000u
#define SA_RESETHAND 0x80000000u

#define SIG_DFL 0UL
#define SIG_IGN 1UL

/*
 * What an interrupted call returns to the exit path; user mode never sees these. In order: restart, unless a handler
 * without SA_RESTART runs; always restart; restart only if no handler runs; the same, but through task->restart
 * (relative time-outs).
 */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_BLOCK 516

/* The part of Linux's siginfo_t that the kernel fills; the rest of its 128 bytes is zero. */
struct siginfo {
	s32 signo, err, code, pad;
	union {
		struct {
			s32 pid;
			u32 uid;
			union {
				u64 value;  /* sigqueue */
				s32 status; /* SIGCHLD */
			};
			s64 utime, stime; /* SIGCHLD, clock ticks */
		};
		struct {
			s32 timer_id, overrun;
			u64 timer_value;
		};
		struct { /* faults */
			u64 addr, no_bounds;
			u32 pkey; /* SEGV_PKUERR */
		};
		u8 raw[32];
	};
};
_Static_assert(sizeof(struct siginfo) == 48, "the part of siginfo_t in use");

struct sigaction {
	u64 handler, flags, restorer, mask; /* as rt_sigaction passes it */
};

struct sighand {
	s32 refs;	 /* atomic */
	spinlock_t lock; /* RANK_LEAF, interrupts off */
	struct sigaction action[NSIG];
};

struct sigpending {
	u64 set;		/* sigset_t: bit n-1 for signal n */
	struct list_head queue; /* struct sigqueue; a signal with no information but SI_KERNEL is only in the set */
};

/* One queued signal. A timer contains its own, since an interrupt cannot allocate. */
struct sigqueue {
	struct list_head link;
	struct siginfo info;
	bool preallocated;
	bool joins; /* a timer's: the same signal was pending already, without a record */
};

static inline u64 sigmask(int sig)
{
	return 1UL << (sig - 1);
}
#define SIG_UNBLOCKABLE ((1UL << (SIGKILL - 1)) | (1UL << (SIGSTOP - 1)))
/*
 * Signals that the thread's own instruction caused: delivered first, while the registers still describe that
 * instruction.
 */
#define SIG_SYNCHRONOUS                                                                                                \
	((1UL << (SIGSEGV - 1)) | (1UL << (SIGBUS - 1)) | (1UL << (SIGILL - 1)) | (1UL << (SIGTRAP - 1)) |             \
	 (1UL << (SIGFPE - 1)) | (1UL << (SIGSYS - 1)))
#define SIG_STOPPING ((1UL << (SIGSTOP - 1)) | (1UL << (SIGTSTP - 1)) | (1UL << (SIGTTIN - 1)) | (1UL << (SIGTTOU - 1)))

void signal_init(void); /* boot */

/* Returns true if the signal's default action is to ignore it. */
bool signal_default_ignored(int sig);

/* ---- Sending. Callable under locks below SIGNAL; none sleeps. ---------------------------------------------------- */
/*
 * Sends to one thread, or to a process as a whole. Returns: 0, or -EAGAIN if no record can be allocated for a queued
 * (real-time) signal.
 */
int signal_task(struct task *task, const struct siginfo *info);
int signal_process(struct process *process, const struct siginfo *info);
/* Returns the information for a signal that the current process sends: its pid and real user. */
struct siginfo signal_from_caller(int sig, int code);
/*
 * Sends on behalf of the caller. Returns: as above, or -EPERM if the caller may not send. Signal 0 only checks. Under
 * process_tree_lock the result remains valid (signal_calls.c).
 */
int signal_if_permitted(struct process *process, const struct siginfo *info);
/* Sends sig from the kernel itself, without further information. Needs no memory, so interrupts may call it. */
void signal_process_kernel(struct process *process, int sig);
/*
 * Sends a timer's signal to the task, or to the process if it is NULL, with the timer's own record. Returns false if
 * the record is still queued, which is an overrun. Interrupts may call it.
 */
bool signal_timer(struct process *process, struct task *task, struct sigqueue *entry);
/* Takes back the signal that signal_timer() sent there, if it is still queued. */
void signal_timer_revoke(struct process *process, struct task *task, struct sigqueue *entry);
/*
 * Sends the signal of an error that the current thread made. It is delivered even if blocked or ignored, and then has
 * the default action, which is to kill. addr is the fault address, or the address of the instruction.
 */
void force_signal(int sig, int code, u64 addr);
void force_signal_info(const struct siginfo *info);

/* ---- For sleepers ------------------------------------------------------------------------------------------------ */
/*
 * Returns true if an unblocked signal (or the end of the process) is pending for the current thread: the caller then
 * returns -ERESTARTSYS or -EINTR.
 */
bool signal_pending(void);
#define wait_event_interruptible(queue, cond) wait_event_state(queue, cond, SLEEP_INTERRUPTIBLE, NULL, signal_pending())

/* Replaces the current thread's blocked mask for one call (ppoll, sigsuspend); it is restored when the call ends. */
void signal_set_temporary_mask(u64 mask);
void signal_set_blocked(u64 mask);
/* Restores the mask at once, at the end of a call that was not interrupted. */
void signal_restore_mask(void);

/* ---- Delivery: on the way to user mode --------------------------------------------------------------------------- */
/* Handles pending signals: runs a handler by editing the frame, stops, or exits. => interrupts on. */
void signal_deliver(struct trap_frame *frame);
/*
 * kernel/x86/signal_frame.c: builds the handler's frame on the user stack. Returns: 0, or -EFAULT if the stack cannot
 * hold it.
 */
int signal_frame_setup(struct trap_frame *frame, int sig, const struct siginfo *info, const struct sigaction *action,
		       u64 blocked);
/* Returns the maximum size of a frame, in bytes: AT_MINSIGSTKSZ. */
u64 signal_frame_max(void);
/* Restores what signal_frame_setup() saved. Returns the rax to resume with; an invalid frame forces SIGSEGV. */
long signal_frame_return(struct trap_frame *frame);
/* Returns true if `sp` lies on the current thread's alternate stack. */
bool on_signal_stack(u64 sp);

/* ---- Creation, removal and queues -------------------------------------------------------------------------------- */
void sigpending_init(struct sigpending *pending);
void sigpending_flush(struct sigpending *pending); /* the queue is not reachable for others */
struct sighand *sighand_alloc(void);		   /* all default; NULL if out of memory */
struct sighand *sighand_copy(struct sighand *sighand);
void sighand_put(struct sighand *sighand);
/* exec: resets caught signals to the default, and leaves ignored ones ignored. */
void sighand_reset(struct sighand *sighand);
/* Removes the signals of `mask` from every queue of the process. => process->lock held. */
void process_remove_signals(struct process *process, u64 mask);
/*
 * Takes one signal of `mask` out of a queue. Returns: the signal, or 0 if there is none. => a spinlock held:
 * process->lock.
 */
int sigpending_take(struct sigpending *pending, u64 mask, struct siginfo *info);
/* Sets or clears WORK_SIGNAL of a task; wakes a task to handle signals. => process->lock held. */
void signal_recalculate(struct task *task);
void signal_wake(struct task *task, bool fatal);
/* Makes the thread exit. => process->lock held. */
void signal_kill_thread(struct task *task);
/* Makes every thread exit; only the first call has an effect. => process->lock held. */
void process_kill_locked(struct process *process, s32 exit_code);
/*
 * Wakes other threads for the process's pending signals, because the thread that would have taken them exits.
 * => process->lock held.
 */
void signal_retarget(struct process *process);
/* Notifies the parent of a stop, a continuation or an exit. => process_tree_lock held. */
void signal_parent(struct process *process, int code, int status);

#endif
