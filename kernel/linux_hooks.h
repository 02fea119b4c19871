/* SPDX-License-Identifier: MIT */
/*
 * What the rest of the kernel calls in kernel/linux/, the fence around what no page fault needs and only unmodified
 * programs ask for. Besides kernel/syscall_table.h, this is the only way into that folder: no other header of it is
 * included outside (tests/check-rooms).
 *
 * Each group names the file of kernel/linux/ that implements it. A hook sleeps, or needs a lock, only if its comment
 * says so. `make core` builds the kernel without the folder (FAULTLINE_CORE): there the hooks are the inline functions
 * at the end of this file, which do nothing, or answer as a kernel would that never had the feature.
 */
#ifndef KERNEL_LINUX_HOOKS_H
#define KERNEL_LINUX_HOOKS_H

#include "kernel/lib/base.h"
#include "kernel/lib/errno.h"

struct file;
struct file_ops;
struct inode;
struct process;
struct task;

#define NR_CAPABILITIES 41
#define ALL_CAPABILITIES ((1UL << NR_CAPABILITIES) - 1)

enum own_ids {
	OWN_REAL_IDS,
	OWN_FS_IDS,
};

/* The commands of fcntl(2) that record_lock_control() takes. */
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38

#ifndef FAULTLINE_CORE

/* ---- Privileges: users.c. They read ids without a lock, so that a result may be out of date. --------------------- */

/*
 * Returns true if the process has CAP_SYS_RESOURCE, CAP_IPC_LOCK, CAP_SETUID and all the others, by its effective user
 * id.
 */
bool process_is_privileged(const struct process *process);
/* The capabilities that the process has, and those that it may get back by returning to another of its ids. */
u64 effective_capabilities(const struct process *process);
u64 permitted_capabilities(const struct process *process);
/* Returns true if the caller may send that process a signal. As Linux's kill_ok_by_cred(). */
bool may_signal(const struct process *target);
/*
 * Returns true if the caller may read that process's memory, or advise about it, by the caller's real ids or by those
 * for file access. As Linux's __ptrace_may_access().
 */
bool may_access(const struct process *target, enum own_ids which);
/* Returns true if the caller's effective user owns that process, as the calls about scheduling check it. */
bool owns_process(const struct process *target);

/* ---- The life of a process --------------------------------------------------------------------------------------- */

/* rlimit.c: enforces RLIMIT_CPU. Called by the tick that found the process running. => interrupts off. */
void rlimit_cpu_tick(struct process *process);
/* itimer.c: counts down the timers that measure CPU time. Called by the tick that interrupted it. => interrupts off. */
void itimers_tick(struct task *task, bool user);
/*
 * itimer.c, posix_timer.c: stop and free all timers of the current process, whose other threads have exited. exec keeps
 * the interval timers. May sleep.
 */
void itimers_exit(struct process *process);
void posix_timers_exit(struct process *process);
/*
 * pidfd.c: opens a file for the process, of which it takes a reference; flags: O_NONBLOCK or 0. Returns the file, or
 * the error pointer -ENOMEM. May sleep.
 */
struct file *pidfd_file(struct process *process, u32 flags);
/*
 * pidfd.c: returns the process of a descriptor of the current process, with a reference, or the error pointer -EBADF.
 * Sets *flags, unless NULL, to the flags of the open file.
 */
struct process *pidfd_process(int fd, u32 *flags);
/*
 * sysv_shm.c: drops the references of all segments that no process has removed. For the shut-down, when no process is
 * left and no RCU call-back is pending. Sleeps.
 */
void sysv_shm_quiet_release(void);

/* ---- Process groups and sessions: job_control.c, tty/tty_jobs.c -------------------------------------------------- */

/*
 * Returns true if no member has a parent outside the group but in its session, so that no shell could continue it.
 * `ignored` (or NULL) does not count, since it is exiting. => process_tree_lock held.
 */
bool group_is_orphaned(s32 pgid, const struct process *ignored);
/*
 * The exit of a process may orphan its own group, or that of a child: an orphaned group with stopped members gets
 * SIGHUP and SIGCONT. Called for the process itself, and for each child that gets a new parent. => process_tree_lock
 * held.
 */
void group_left_by_member(const struct process *process);
void group_left_by_parent(const struct process *child, const struct process *parent);
/* Called when a session leader exits: hangs up its terminal, which then has no session. => process_tree_lock held. */
void tty_session_ends(struct process *leader);
/* Returns the foreground group of a process's terminal, or -1 if it has none. Takes process_tree_lock. For /proc. */
s32 tty_foreground(struct process *process);

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* epoll.c: removes all watches of a file that is being freed. May sleep. */
void epoll_release_file(struct file *file);
/* flock.c: releases the open file's lock, if it has one. */
void flock_release(struct file *file);
/*
 * record_lock.c: fcntl(2) with one of the commands above; `addr` is a user struct flock. Also returns -EBADF if another
 * thread closed the descriptor during the call; its locks are then released. Sleeps.
 */
long record_lock_control(struct file *file, int fd, u32 cmd, u64 addr);
/*
 * record_lock.c: releases all locks of the owner on the file. The owner is a descriptor table that closes a descriptor
 * of the file, or an open file that is being freed.
 */
void record_lock_release(struct inode *inode, const void *owner);

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

/*
 * kmsg.c, tty/tty.c: return the operations of /dev/kmsg, and of a console that is a terminal. NULL: there is no such
 * device.
 */
const struct file_ops *kmsg_file_ops(void);
const struct file_ops *tty_file_ops(void);
/*
 * tty/tty.c: handles a byte that was typed. Without ICANON it waits until there is room, or the console's thread must
 * end. Takes the terminal's lock and process_tree_lock. Sleeps.
 */
void tty_receive(u8 byte);
/*
 * tty/tty_settings.c: sets the size of the window, and sends SIGWINCH to the foreground if it has changed. Takes the
 * same locks. Sleeps.
 */
void tty_resize(u16 rows, u16 cols);

#else /* FAULTLINE_CORE */

/* Every process is root's: no call changes its ids. */
static inline bool process_is_privileged(const struct process *process __maybe_unused)
{
	return true;
}

static inline u64 effective_capabilities(const struct process *process __maybe_unused)
{
	return ALL_CAPABILITIES;
}

static inline u64 permitted_capabilities(const struct process *process __maybe_unused)
{
	return ALL_CAPABILITIES;
}

static inline bool may_signal(const struct process *target __maybe_unused)
{
	return true;
}

static inline bool may_access(const struct process *target __maybe_unused, enum own_ids which __maybe_unused)
{
	return true;
}

static inline bool owns_process(const struct process *target __maybe_unused)
{
	return true;
}

static inline void rlimit_cpu_tick(struct process *process __maybe_unused)
{
}

static inline void itimers_tick(struct task *task __maybe_unused, bool user __maybe_unused)
{
}

static inline void itimers_exit(struct process *process __maybe_unused)
{
}

static inline void posix_timers_exit(struct process *process __maybe_unused)
{
}

/* As Linux answered CLONE_PIDFD and P_PIDFD before it had pidfds. */
static inline struct file *pidfd_file(struct process *process __maybe_unused, u32 flags __maybe_unused)
{
	return err_ptr(-EINVAL);
}

static inline struct process *pidfd_process(int fd __maybe_unused, u32 *flags __maybe_unused)
{
	return err_ptr(-EINVAL);
}

static inline void sysv_shm_quiet_release(void)
{
}

/* No shell controls jobs, so nothing could continue a group that the terminal's signals stop. */
static inline bool group_is_orphaned(s32 pgid __maybe_unused, const struct process *ignored __maybe_unused)
{
	return true;
}

static inline void group_left_by_member(const struct process *process __maybe_unused)
{
}

static inline void group_left_by_parent(const struct process *child __maybe_unused,
					const struct process *parent __maybe_unused)
{
}

static inline void tty_session_ends(struct process *leader __maybe_unused)
{
}

static inline s32 tty_foreground(struct process *process __maybe_unused)
{
	return -1;
}

static inline void epoll_release_file(struct file *file __maybe_unused)
{
}

static inline void flock_release(struct file *file __maybe_unused)
{
}

/* As for a command that fcntl(2) does not have. */
static inline long record_lock_control(struct file *file __maybe_unused, int fd __maybe_unused, u32 cmd __maybe_unused,
				       u64 addr __maybe_unused)
{
	return -EINVAL;
}

static inline void record_lock_release(struct inode *inode __maybe_unused, const void *owner __maybe_unused)
{
}

/* The name stays in /dev, and opening it fails with ENXIO. */
static inline const struct file_ops *kmsg_file_ops(void)
{
	return NULL;
}

static inline const struct file_ops *tty_file_ops(void)
{
	return NULL;
}

static inline void tty_receive(u8 byte __maybe_unused)
{
}

static inline void tty_resize(u16 rows __maybe_unused, u16 cols __maybe_unused)
{
}

#endif
#endif
