/* SPDX-License-Identifier: MIT */
/*
 * Signals: Linux's numbers and structures, sending, and delivery on the way to user mode.
 *
 * process->lock (interrupts off) guards the queues, the blocked masks of all its threads and who is stopped;
 * sighand->lock the actions, which CLONE_SIGHAND shares. Whether a signal is ignored is judged when it is sent, by one
 * unlocked read of the handler: a racing sigaction() is ordered before or after the sending.
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
 * What an interrupted call returns to the exit path, never seen by user mode: restart always, unless a handler without
 * SA_RESTART runs; restart only when no handler runs; the same, but through task->restart (relative time-outs).
 */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_BLOCK 516

/* The part of Linux's siginfo_t that is ever filled; the other bytes of its 128 are zero. */
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
_Static_assert(sizeof(struct siginfo) == 48, "as far as Linux's siginfo_t is ever filled");

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
	struct list_head queue; /* struct sigqueue; a signal that says no more than SI_KERNEL is in the set alone */
};

/* One queued signal. A timer's is part of the timer, since an interrupt cannot allocate. */
struct sigqueue {
	struct list_head link;
	struct siginfo info;
	bool preallocated;
};

static inline u64 sigmask(int sig)
{
	return 1UL << (sig - 1);
}
#define SIG_UNBLOCKABLE ((1UL << (SIGKILL - 1)) | (1UL << (SIGSTOP - 1)))
/* What the thread's own instruction caused: delivered before anything else, while the registers still tell. */
#define SIG_SYNCHRONOUS                                                                                                \
	((1UL << (SIGSEGV - 1)) | (1UL << (SIGBUS - 1)) | (1UL << (SIGILL - 1)) | (1UL << (SIGTRAP - 1)) |             \
	 (1UL << (SIGFPE - 1)) | (1UL << (SIGSYS - 1)))
#define SIG_STOPPING ((1UL << (SIGSTOP - 1)) | (1UL << (SIGTSTP - 1)) | (1UL << (SIGTTIN - 1)) | (1UL << (SIGTTOU - 1)))

void signal_init(void); /* boot */

/* Its default action is to do nothing. */
bool signal_default_ignored(int sig);

/* ---- Sending. Callable under locks below SIGNAL; none sleeps. ---------------------------------------------------- */
/* To one thread, or to a process as a whole. 0, or -EAGAIN when a queued (real-time) signal finds no memory. */
int signal_task(struct task *task, const struct siginfo *info);
int signal_process(struct process *process, const struct siginfo *info);
/*
 * The same on behalf of the caller: -EPERM where it may not. Signal 0 only asks. Under
 * process_tree_lock the answer stays true (signal_calls.c).
 */
int signal_if_permitted(struct process *process, const struct siginfo *info);
/* sig from the kernel itself, without further information. Needs no memory: callable from interrupts. */
void signal_process_kernel(struct process *process, int sig);
/*
 * A timer's signal, to the task or (NULL) the process, with the timer's own record. False when the record is still
 * queued: an overrun. Callable from interrupts.
 */
bool signal_timer(struct process *process, struct task *task, struct sigqueue *entry);
/* Takes a timer's record back. */
void signal_timer_revoke(struct process *process, struct sigqueue *entry);
/*
 * What the current thread did wrong: delivered even if blocked or ignored, then with the default action (that is, death).
 * addr is the fault address, or that of the instruction.
 */
void force_signal(int sig, int code, u64 addr);
void force_signal_info(const struct siginfo *info);

/* ---- For sleepers ------------------------------------------------------------------------------------------------ */
/* An unblocked signal (or the end of the process) waits for the current thread: leave with -ERESTARTSYS or -EINTR. */
bool signal_pending(void);
#define wait_event_interruptible(queue, cond) wait_event_state(queue, cond, SLEEP_INTERRUPTIBLE, NULL, signal_pending())

/* Replaces the current thread's blocked mask for one call (ppoll, sigsuspend); put back when the call ends. */
void signal_set_temporary_mask(u64 mask);
void signal_set_blocked(u64 mask);
/* At the end of a call that was not interrupted: puts the mask back now. */
void signal_restore_mask(void);

/* ---- Delivery: on the way to user mode --------------------------------------------------------------------------- */
/* Handles what is pending: runs a handler by editing the frame, stops, or exits. => interrupts on. */
void signal_deliver(struct trap_frame *frame);
/* kernel/x86/signal_frame.c: builds the handler's frame on the user stack. 0, or -EFAULT when that is impossible. */
int signal_frame_setup(struct trap_frame *frame, int sig, const struct siginfo *info, const struct sigaction *action,
		       u64 blocked);
/* The most a frame takes of the stack, in bytes: AT_MINSIGSTKSZ. */
u64 signal_frame_max(void);
/* Restores what signal_frame_setup() saved. Returns the rax to go on with; a broken frame forces SIGSEGV. */
long signal_frame_return(struct trap_frame *frame);
/* `sp` lies on the current thread's alternate stack. */
bool on_signal_stack(u64 sp);

/* ---- Life of the structures -------------------------------------------------------------------------------------- */
void sigpending_init(struct sigpending *pending);
void sigpending_flush(struct sigpending *pending); /* nobody else can reach it any more */
struct sighand *sighand_alloc(void);		   /* all default; NULL without memory */
struct sighand *sighand_copy(struct sighand *sighand);
void sighand_put(struct sighand *sighand);
/* exec: caught signals become default, ignored ones stay so. */
void sighand_reset(struct sighand *sighand);
/* Takes signals out of every queue of the process. => process->lock held. */
void process_remove_signals(struct process *process, u64 mask);
/* Takes one out of one queue; 0: there is none. => a spinlock held: process->lock. */
int sigpending_take(struct sigpending *pending, u64 mask, struct siginfo *info);
/* => process->lock held. Sets or clears WORK_SIGNAL of a task. */
void signal_recalculate(struct task *task);
void signal_wake(struct task *task, bool fatal);
/* => process->lock held. The thread must go. */
void signal_kill_thread(struct task *task);
/* => process->lock held. Every thread must go; only the first call has an effect. */
void process_kill_locked(struct process *process, s32 exit_code);
/* => process->lock held. Wakes threads for what is pending for the process; one that was to take it is going. */
void signal_retarget(struct process *process);
/* Tells the parent of a stop, a continuation or an end. => process_tree_lock held. */
void signal_parent(struct process *process, int code, int status);

#endif
